"""Data from chat models, and evaluation sets: which items to take, of which type, and how many."""

from assay.generate._ask_type import ask_types, read_type, type_request
from assay.generate._classify import (
    LEVELS,
    SureLevel,
    TypeClassifier,
    TypeQuality,
    TypeScore,
    Typing,
    load_classifier,
    measure_types,
    shipped,
    train_on_labels,
    train_shipped,
)
from assay.generate._evalset import (
    PAIRED_SD,
    PAIRED_SDS,
    POWER,
    UNTYPED,
    Candidates,
    Noise,
    Spread,
    Stratum,
    TypeSize,
    allocate,
    choose,
    item_row,
    prompt_key,
    sample_by_power,
    stratum_of,
)
from assay.generate._filters import FilterRules, Filters, Rejection
from assay.generate._journal import Asked, Entry, Round, read_rounds
from assay.generate._localise import Localised, localise
from assay.generate._parse import Parsed, Unread, parse
from assay.generate._prompts import EVOLUTIONS, Prompts, language_name
from assay.generate._quota import quota_from
from assay.generate._report import Diversity, GenerateReport, Tally, diversity, summarise
from assay.generate._run import Generation
from assay.generate._screen import Screen
from assay.generate._settings import GenerateConfig
from assay.generate._tasks import SEED_LANGUAGES, Task, own_seeds, read_seeds, task_of
from assay.generate._type_texts import TypedText

__all__ = [
    "EVOLUTIONS",
    "LEVELS",
    "PAIRED_SD",
    "PAIRED_SDS",
    "POWER",
    "SEED_LANGUAGES",
    "UNTYPED",
    "Asked",
    "Candidates",
    "Diversity",
    "Entry",
    "FilterRules",
    "Filters",
    "GenerateConfig",
    "GenerateReport",
    "Generation",
    "Localised",
    "Noise",
    "Parsed",
    "Prompts",
    "Rejection",
    "Round",
    "Screen",
    "Spread",
    "Stratum",
    "SureLevel",
    "Tally",
    "Task",
    "TypeClassifier",
    "TypeQuality",
    "TypeScore",
    "TypeSize",
    "TypedText",
    "Typing",
    "Unread",
    "allocate",
    "ask_types",
    "choose",
    "diversity",
    "item_row",
    "language_name",
    "load_classifier",
    "localise",
    "measure_types",
    "own_seeds",
    "parse",
    "prompt_key",
    "quota_from",
    "read_rounds",
    "read_seeds",
    "read_type",
    "sample_by_power",
    "shipped",
    "stratum_of",
    "summarise",
    "task_of",
    "train_on_labels",
    "train_shipped",
    "type_request",
]
