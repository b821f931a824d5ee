"""The best size of a ranked selection: ask for sizes, tell their losses.  Pure mathematics, no I/O."""

from assay.optimize._budget import Budget
from assay.optimize._methods import METHODS, Searcher, searcher
from assay.optimize._surface import Choice, Observation, Surface

__all__ = ["METHODS", "Budget", "Choice", "Observation", "Searcher", "Surface", "searcher"]
