"""Data from chat models, and evaluation sets: which items to take, of which type, and how many."""

from assay.generation._ask_type import ask_types, read_type, type_request, type_requests
from assay.generation._classify import (
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
from assay.generation._evalset import (
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
from assay.generation._filters import FilterRules, Filters, Rejection
from assay.generation._journal import Asked, Entry, Round, read_rounds
from assay.generation._localise import Localised, localise
from assay.generation._parse import Parsed, Unread, parse
from assay.generation._prompts import EVOLUTIONS, Prompts, language_name
from assay.generation._quota import quota_from
from assay.generation._report import Diversity, GenerateReport, Tally, diversity, summarise
from assay.generation._run import Generation
from assay.generation._screen import Screen
from assay.generation._settings import GenerateConfig
from assay.generation._tasks import SEED_LANGUAGES, Task, own_seeds, read_seeds, task_of
from assay.generation._type_texts import TypedText

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
    "type_requests",
]
