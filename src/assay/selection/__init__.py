"""Cleaning and selection: which samples to keep, each with a reason."""

from assay.selection._bm25 import Bm25Index
from assay.selection._clean import RULES, Alarm, Cleaned, CleanRules, Receipt, clean
from assay.selection._conflicts import POLICIES, Conflict, Policy
from assay.selection._evaluation import Match, alike, holding, prompt_of
from assay.selection._near import Answers, near_duplicates, text_key
from assay.selection._novel import NearIndex, NoveltyIndex, novel
from assay.selection._pick import Names, length_classes, pick, shift
from assay.selection._plugins import PLUGINS, SELECTIONS, Choice, Need, Selection, needs
from assay.selection._similar import similar

__all__ = [
    "PLUGINS",
    "POLICIES",
    "RULES",
    "SELECTIONS",
    "Alarm",
    "Answers",
    "Bm25Index",
    "Choice",
    "CleanRules",
    "Cleaned",
    "Conflict",
    "Match",
    "Names",
    "NearIndex",
    "Need",
    "NoveltyIndex",
    "Policy",
    "Receipt",
    "Selection",
    "alike",
    "clean",
    "holding",
    "length_classes",
    "near_duplicates",
    "needs",
    "novel",
    "pick",
    "prompt_of",
    "shift",
    "similar",
    "text_key",
]
