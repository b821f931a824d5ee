"""Indicators of quality: samples to columns; a value that cannot be had is undefined, with a reason."""

from assay.indicators._cache import Cache
from assay.indicators._diversity import hdd, mtld
from assay.indicators._indicator import Indicator, Undefined
from assay.indicators._neighbours import neighbours
from assay.indicators._pool import Tags
from assay.indicators._provenance import ModelId, Range
from assay.indicators._ratings import ALPAGASUS_CUT, RATED_BY, prompts_digest, rating_estimate
from assay.indicators._ready import (
    INDICATORS,
    PLUGINS,
    direction,
    find,
    needs,
    ready,
    said_of,
    used_by,
    version,
)
from assay.indicators._rule import RULES, Rule, read_rule
from assay.indicators._table import IndicatorSummary, Scored, applied_notes, notes_of, score
from assay.indicators._tools import CRITICS, Models, Tools, whole

__all__ = [
    "ALPAGASUS_CUT",
    "CRITICS",
    "INDICATORS",
    "PLUGINS",
    "RATED_BY",
    "RULES",
    "Cache",
    "Indicator",
    "IndicatorSummary",
    "ModelId",
    "Models",
    "Range",
    "Rule",
    "Scored",
    "Tags",
    "Tools",
    "Undefined",
    "applied_notes",
    "direction",
    "find",
    "hdd",
    "mtld",
    "needs",
    "neighbours",
    "notes_of",
    "prompts_digest",
    "rating_estimate",
    "read_rule",
    "ready",
    "said_of",
    "score",
    "used_by",
    "version",
    "whole",
]
