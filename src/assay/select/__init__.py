"""Cleaning and selection: which samples to keep, each with a reason."""

from assay.select._clean import RULES, Alarm, Cleaned, CleanRules, Receipt, clean
from assay.select._near import near_duplicates
from assay.select._novel import novel
from assay.select._pick import SELECTIONS, pick, shift

__all__ = [
    "RULES",
    "SELECTIONS",
    "Alarm",
    "CleanRules",
    "Cleaned",
    "Receipt",
    "clean",
    "near_duplicates",
    "novel",
    "pick",
    "shift",
]
