"""Curves, verdicts and comparisons: pure mathematics on points, no I/O.

A curve is a posterior over families, never one power law; a verdict is given at a posterior probability of
0.9, and where none reaches it the answer is *undecided*, with the cheapest runs expected to settle it.
"""

from assay.curves._balance import balance_points
from assay.curves._cause import Paired, below_base, cause, clustered_se, reference, shift
from assay.curves._compare import benjamini_hochberg, compare_arms, holm, inverse_trigamma, recommend
from assay.curves._curve import DECIDED
from assay.curves._descent import double_descent
from assay.curves._efficiency import (
    FEWEST_TYPES,
    AreaFit,
    efficiency_area,
    efficiency_curve,
    fit_areas,
    left_out,
    size_for,
)
from assay.curves._envelope import envelopes, robustness
from assay.curves._fit import FURTHEST, TRUSTED, fit_curves, verdicts_between
from assay.curves._forget import ratio_se, rises
from assay.curves._free import FORMS, FREE_FORMS, FreeForm, free_form
from assay.curves._held_out import held_out
from assay.curves._power import curve_power
from assay.curves._rates import Regret, Tried, best_rate, moves, optima, regret
from assay.curves._read import read_curves
from assay.curves._repeats import Repeated, pass_worth
from assay.curves._table import own_share
from assay.curves._upgrade import Neighbours, upgrades

__all__ = [
    "DECIDED",
    "FEWEST_TYPES",
    "FORMS",
    "FREE_FORMS",
    "FURTHEST",
    "TRUSTED",
    "AreaFit",
    "FreeForm",
    "Neighbours",
    "Paired",
    "Regret",
    "Repeated",
    "Tried",
    "balance_points",
    "below_base",
    "benjamini_hochberg",
    "best_rate",
    "cause",
    "clustered_se",
    "compare_arms",
    "curve_power",
    "double_descent",
    "efficiency_area",
    "efficiency_curve",
    "envelopes",
    "fit_areas",
    "fit_curves",
    "free_form",
    "held_out",
    "holm",
    "inverse_trigamma",
    "left_out",
    "moves",
    "optima",
    "own_share",
    "pass_worth",
    "ratio_se",
    "read_curves",
    "recommend",
    "reference",
    "regret",
    "rises",
    "robustness",
    "shift",
    "size_for",
    "upgrades",
    "verdicts_between",
]
