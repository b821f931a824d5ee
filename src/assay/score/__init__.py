"""Indicators of quality: samples to columns; a value that cannot be had is undefined, with a reason."""

from assay.score._cache import Cache
from assay.score._diversity import hdd, mtld
from assay.score._indicator import Indicator, Undefined
from assay.score._neighbours import neighbours
from assay.score._pool import Tags
from assay.score._ready import INDICATORS, direction, find, needs, ready, version
from assay.score._rule import RULES, Rule, read_rule
from assay.score._table import IndicatorSummary, Scored, score
from assay.score._tools import CRITICS, Models, Tools, whole

__all__ = [
    "CRITICS",
    "INDICATORS",
    "RULES",
    "Cache",
    "Indicator",
    "IndicatorSummary",
    "Models",
    "Rule",
    "Scored",
    "Tags",
    "Tools",
    "Undefined",
    "direction",
    "find",
    "hdd",
    "mtld",
    "needs",
    "neighbours",
    "read_rule",
    "ready",
    "score",
    "version",
    "whole",
]
