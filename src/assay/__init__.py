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
from assay._version import __version__ as __version__

if TYPE_CHECKING:
    from assay import data as data
    from assay import evalset as evalset
    from assay import recipe as recipe
    from assay import rule as rule
    from assay import study as study
    from assay import vocabulary as vocabulary
    from assay.cli import completion as completion
    from assay.core import AssayError as AssayError
    from assay.core import Message as Message
    from assay.core import Point as Point
    from assay.core import Reading as Reading
    from assay.core import Sample as Sample
    from assay.core import StudyResult as StudyResult
    from assay.curves import curve_power as curve_power
    from assay.generation import FilterRules as FilterRules
    from assay.indicators import Models as Models
    from assay.jobs._annotate import annotate as annotate
    from assay.jobs._annotate import annotate_export as annotate_export
    from assay.jobs._annotate import annotate_status as annotate_status
    from assay.jobs._answer import Answered as Answered
    from assay.jobs._answer import answer as answer
    from assay.jobs._chat import chat as chat
    from assay.jobs._chat import serve as serve
    from assay.jobs._clean import Cleaned as Cleaned
    from assay.jobs._clean import clean as clean
    from assay.jobs._curve import curve as curve
    from assay.jobs._curve import read_points as read_points
    from assay.jobs._dialogues import answer_turns as answer_turns
    from assay.jobs._dialogues import judge_turns as judge_turns
    from assay.jobs._doctor import doctor as doctor
    from assay.jobs._estimate import estimate as estimate
    from assay.jobs._explain import explain as explain
    from assay.jobs._generate import generate as generate
    from assay.jobs._import import Imported as Imported
    from assay.jobs._import import import_runs as import_runs
    from assay.jobs._judging import judge as judge
    from assay.jobs._judging import judge_calibrate as judge_calibrate
    from assay.jobs._judging import judge_compare as judge_compare
    from assay.jobs._judging import judge_estimate as judge_estimate
    from assay.jobs._judging import judge_pairs as judge_pairs
    from assay.jobs._new import new as new
    from assay.jobs._pool import Dataset as Dataset
    from assay.jobs._pool import load as load
    from assay.jobs._score import ScoreTable as ScoreTable
    from assay.jobs._score import score as score
    from assay.jobs._select import Selection as Selection
    from assay.jobs._select import select as select
    from assay.jobs._store import doctor_store as doctor_store
    from assay.jobs._store import gc as gc
    from assay.jobs._store import status as status
    from assay.jobs._train import Trained as Trained
    from assay.jobs._train import train as train
    from assay.judging import JudgeConfig as JudgeConfig
    from assay.llm import ChatConfig as ChatConfig
    from assay.model import Launch as Launch
    from assay.plan import quiet as quiet
    from assay.release._export import export as export
    from assay.study import StudyConfig as StudyConfig
    from assay.study._run import demo as demo
    from assay.study._schema import schema as schema
    from assay.study._search import search as search


if not TYPE_CHECKING:  # a checker would take any name for one that is there

    def __getattr__(name: str) -> Any:
        """Import a public name at its first use."""
        found = globals()[name] = _catalogue.find(name)
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_catalogue.PUBLIC, *_catalogue.GROUPS})
