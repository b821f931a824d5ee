"""The best size of a ranked selection: ask for sizes, tell their losses.  Pure mathematics, no I/O."""

from assay.search._budget import Budget
from assay.search._methods import METHODS, Searcher, searcher
from assay.search._surface import Choice, Observation, Surface

__all__ = ["METHODS", "Budget", "Choice", "Observation", "Searcher", "Surface", "searcher"]
