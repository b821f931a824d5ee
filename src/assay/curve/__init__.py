"""Curves, verdicts and comparisons: pure mathematics on points, no I/O.

A curve is a posterior over families, never one power law; a verdict is given at a posterior probability of
0.9, and where none reaches it the answer is *undecided*, with the cheapest runs expected to settle it.
"""

from assay.curve._compare import compare_arms, recommend
from assay.curve._fit import DECIDED, fit_curves

__all__ = ["DECIDED", "compare_arms", "fit_curves", "recommend"]
