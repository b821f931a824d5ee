"""Indicators of quality: samples to columns; a value that cannot be had is undefined, with a reason."""

from assay.score._diversity import hdd, mtld
from assay.score._indicator import Indicator, Undefined
from assay.score._table import INDICATORS, IndicatorSummary, Scored, pick, score

__all__ = [
    "INDICATORS",
    "Indicator",
    "IndicatorSummary",
    "Scored",
    "Undefined",
    "hdd",
    "mtld",
    "pick",
    "score",
]
