"""Cleaning and selection: which samples to keep, each with a reason."""

from assay.select._bm25 import Bm25Index
from assay.select._clean import RULES, Alarm, Cleaned, CleanRules, Receipt, clean
from assay.select._evaluation import Match, alike, holding, prompt_of
from assay.select._near import near_duplicates
from assay.select._novel import NearIndex, NoveltyIndex, novel
from assay.select._pick import SCORE_SELECTIONS, SELECTIONS, VECTOR_SELECTIONS, length_classes, pick, shift
from assay.select._similar import similar

__all__ = [
    "RULES",
    "SCORE_SELECTIONS",
    "SELECTIONS",
    "VECTOR_SELECTIONS",
    "Alarm",
    "Bm25Index",
    "CleanRules",
    "Cleaned",
    "Match",
    "NearIndex",
    "NoveltyIndex",
    "Receipt",
    "alike",
    "clean",
    "holding",
    "length_classes",
    "near_duplicates",
    "novel",
    "pick",
    "prompt_of",
    "shift",
    "similar",
]
