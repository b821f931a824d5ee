"""Quality rules: which subsets to train, and what their losses say of the indicators.  Pure mathematics."""

from assay.regression._design import Design, Power, mixtures, power, tilted
from assay.regression._fit import (
    LinearFit,
    Linearity,
    RidgeFit,
    Slopes,
    least_squares,
    linearity,
    ridge,
    slopes,
    stepwise,
)

__all__ = [
    "Design",
    "LinearFit",
    "Linearity",
    "Power",
    "RidgeFit",
    "Slopes",
    "least_squares",
    "linearity",
    "mixtures",
    "power",
    "ridge",
    "slopes",
    "stepwise",
    "tilted",
]
