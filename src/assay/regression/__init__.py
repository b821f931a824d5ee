"""Quality rules: which subsets to train, and what their losses say of the indicators.  Pure mathematics."""

from assay.regression._curvature import Bend, bends
from assay.regression._design import REACH, Design, Power, mixtures, power, tilted
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
from assay.regression._rank import Rank, rank_correlation

__all__ = [
    "REACH",
    "Bend",
    "Design",
    "LinearFit",
    "Linearity",
    "Power",
    "Rank",
    "RidgeFit",
    "Slopes",
    "bends",
    "least_squares",
    "linearity",
    "mixtures",
    "power",
    "rank_correlation",
    "ridge",
    "slopes",
    "stepwise",
    "tilted",
]
