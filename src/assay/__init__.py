"""Assay: how much instruction data, which of it, and what the next thousand examples would buy.

    >>> pool = assay.load("pool.jsonl")
    >>> kept = assay.clean(pool)
    >>> table = assay.score(kept.samples, ["len_out", "mtld"])
    >>> best = assay.select(table, top=20, by="mtld")

A command is the function of the same name on files: ``assay study run`` is ``assay.study.run``.  Everything
is imported at its first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from assay import _catalogue
from assay._version import __version__

if TYPE_CHECKING:
    from assay import data, evalset, rule, study, vocabulary
    from assay.core import AssayError, Message, Point, Reading, Sample, StudyResult
    from assay.generation import FilterRules
    from assay.indicators import Models
    from assay.jobs._annotate import annotate, annotate_export, annotate_status
    from assay.jobs._answer import answer
    from assay.jobs._chat import chat, serve
    from assay.jobs._clean import Cleaned, clean
    from assay.jobs._curve import curve, curve_power, read_points
    from assay.jobs._estimate import estimate
    from assay.jobs._explain import explain
    from assay.jobs._generate import generate
    from assay.jobs._judging import judge, judge_calibrate, judge_compare, judge_estimate, judge_pairs
    from assay.jobs._pool import Dataset, load
    from assay.jobs._score import ScoreTable, score
    from assay.jobs._select import Selection, select
    from assay.jobs._store import gc, status
    from assay.jobs._train import train
    from assay.judging import JudgeConfig
    from assay.llm import ChatConfig
    from assay.model import Launch
    from assay.plan import quiet
    from assay.release._export import export
    from assay.study import StudyConfig
    from assay.study._run import demo
    from assay.study._search import search

__all__ = [
    "AssayError",
    "ChatConfig",
    "Cleaned",
    "Dataset",
    "FilterRules",
    "JudgeConfig",
    "Launch",
    "Message",
    "Models",
    "Point",
    "Reading",
    "Sample",
    "ScoreTable",
    "Selection",
    "StudyConfig",
    "StudyResult",
    "__version__",
    "annotate",
    "annotate_export",
    "annotate_status",
    "answer",
    "chat",
    "clean",
    "curve",
    "curve_power",
    "data",
    "demo",
    "estimate",
    "evalset",
    "explain",
    "export",
    "gc",
    "generate",
    "judge",
    "judge_calibrate",
    "judge_compare",
    "judge_estimate",
    "judge_pairs",
    "load",
    "quiet",
    "read_points",
    "rule",
    "score",
    "search",
    "select",
    "serve",
    "status",
    "study",
    "train",
    "vocabulary",
]


def __getattr__(name: str) -> Any:
    """Import a public name at its first use."""
    found = globals()[name] = _catalogue.find(name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
