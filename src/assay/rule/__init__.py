"""Quality rules: which subsets to train, and what their losses say of the indicators.  Pure mathematics."""

from assay.rule._design import Design, Power, mixtures, power, tilted
from assay.rule._fit import (
    LinearFit,
    RidgeFit,
    Slopes,
    least_squares,
    ridge,
    slopes,
    stepwise,
)

__all__ = [
    "Design",
    "LinearFit",
    "Power",
    "RidgeFit",
    "Slopes",
    "least_squares",
    "mixtures",
    "power",
    "ridge",
    "slopes",
    "stepwise",
    "tilted",
]
