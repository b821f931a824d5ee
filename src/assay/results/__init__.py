"""Results of other tools: evaluations, trainers and trackers, read into points of one ladder.

A reader turns the files of one tool into :class:`Run` values; a table, their names or their settings then say
which model of which ladder they are; checkpoints inside a run and unlike recipes are kept apart.
"""

from assay.results._join import Rung, apart_by_recipe, rungs, with_recipes, with_seeds, without_checkpoints
from assay.results._names import PATTERN, Known, as_pattern, identify, is_named, rows_of_none
from assay.results._points import points_of
from assay.results._readers import OWN, RESULTS, ResultReader, read_results
from assay.results._recipes import RECIPE, facts_of
from assay.results._values import Fact, Measure, Run

__all__ = [
    "OWN",
    "PATTERN",
    "RECIPE",
    "RESULTS",
    "Fact",
    "Known",
    "Measure",
    "ResultReader",
    "Run",
    "Rung",
    "apart_by_recipe",
    "as_pattern",
    "facts_of",
    "identify",
    "is_named",
    "points_of",
    "read_results",
    "rows_of_none",
    "rungs",
    "with_recipes",
    "with_seeds",
    "without_checkpoints",
]
