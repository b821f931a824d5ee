"""Indicators of quality: samples to columns; a value that cannot be had is undefined, with a reason."""

from assay.score._diversity import hdd, mtld
from assay.score._indicator import Indicator, Undefined
from assay.score._table import (
    INDICATORS,
    MODEL_INDICATORS,
    IndicatorSummary,
    Scored,
    direction,
    pick,
    score,
    version,
)

__all__ = [
    "INDICATORS",
    "MODEL_INDICATORS",
    "Indicator",
    "IndicatorSummary",
    "Scored",
    "Undefined",
    "direction",
    "hdd",
    "mtld",
    "pick",
    "score",
    "version",
]
