"""One typed function for each verb of the command line, with the same name and arguments.

Rooms are imported where they are used, so that ``assay --help`` answers at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from assay.verbs import _progress as progress
from assay.verbs._annotate import annotate, annotate_export, annotate_status
from assay.verbs._data import data_convert, data_inspect, data_show, data_testbed
from assay.verbs._estimate import estimate
from assay.verbs._evalset import TypingChat, evalset_classify, evalset_sample, evalset_split
from assay.verbs._export import export
from assay.verbs._generate import FilterOptions, WriterOptions, generate
from assay.verbs._judge import (
    JudgeOptions,
    judge,
    judge_calibrate,
    judge_compare,
    judge_estimate,
    judge_pairs,
)
from assay.verbs._models import answer, curve, curve_power, train
from assay.verbs._pools import ModelOptions, clean, explain, score, select
from assay.verbs._rules import rule_check, rule_design, rule_fit, rule_run, search
from assay.verbs._studies import demo, gc, status, study_plan, study_report, study_run
from assay.verbs._talk import chat, serve
from assay.verbs._vocabulary import vocabulary_extend

VERBS: Mapping[str, Callable[..., Any]] = {
    "demo": demo,
    "study run": study_run,
    "study plan": study_plan,
    "study report": study_report,
    "status": status,
    "gc": gc,
    "data inspect": data_inspect,
    "data convert": data_convert,
    "data show": data_show,
    "data testbed": data_testbed,
    "generate": generate,
    "score": score,
    "clean": clean,
    "select": select,
    "explain": explain,
    "evalset split": evalset_split,
    "evalset classify": evalset_classify,
    "evalset sample": evalset_sample,
    "annotate": annotate,
    "annotate status": annotate_status,
    "annotate export": annotate_export,
    "judge": judge,
    "judge estimate": judge_estimate,
    "judge calibrate": judge_calibrate,
    "judge compare": judge_compare,
    "judge pairs": judge_pairs,
    "rule design": rule_design,
    "rule run": rule_run,
    "rule fit": rule_fit,
    "rule check": rule_check,
    "search": search,
    "vocabulary extend": vocabulary_extend,
    "estimate": estimate,
    "train": train,
    "answer": answer,
    "chat": chat,
    "serve": serve,
    "export": export,
    "curve": curve,
    "curve power": curve_power,
}
"""Command to function; ``study run`` is :func:`study_run`."""

__all__ = [
    "VERBS",
    "FilterOptions",
    "JudgeOptions",
    "ModelOptions",
    "TypingChat",
    "WriterOptions",
    "annotate",
    "annotate_export",
    "annotate_status",
    "answer",
    "chat",
    "clean",
    "curve",
    "curve_power",
    "data_convert",
    "data_inspect",
    "data_show",
    "data_testbed",
    "demo",
    "estimate",
    "evalset_classify",
    "evalset_sample",
    "evalset_split",
    "explain",
    "export",
    "gc",
    "generate",
    "judge",
    "judge_calibrate",
    "judge_compare",
    "judge_estimate",
    "judge_pairs",
    "progress",
    "rule_check",
    "rule_design",
    "rule_fit",
    "rule_run",
    "score",
    "search",
    "select",
    "serve",
    "status",
    "study_plan",
    "study_report",
    "study_run",
    "train",
    "vocabulary_extend",
]
