"""One typed function for each verb of the command line, with the same name and arguments.

Rooms are imported where they are used, so that ``assay --help`` answers at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from assay.verbs import _progress as progress
from assay.verbs._data import data_convert, data_inspect, data_show, data_testbed
from assay.verbs._models import answer, curve, curve_power, train
from assay.verbs._pools import ModelOptions, clean, explain, score, select
from assay.verbs._rules import rule_check, rule_design, rule_fit, rule_run, search
from assay.verbs._studies import demo, gc, status, study_plan, study_report, study_run

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
    "score": score,
    "clean": clean,
    "select": select,
    "explain": explain,
    "rule design": rule_design,
    "rule run": rule_run,
    "rule fit": rule_fit,
    "rule check": rule_check,
    "search": search,
    "train": train,
    "answer": answer,
    "curve": curve,
    "curve power": curve_power,
}
"""Command to function; ``study run`` is :func:`study_run`."""

__all__ = [
    "VERBS",
    "ModelOptions",
    "answer",
    "clean",
    "curve",
    "curve_power",
    "data_convert",
    "data_inspect",
    "data_show",
    "data_testbed",
    "demo",
    "explain",
    "gc",
    "progress",
    "rule_check",
    "rule_design",
    "rule_fit",
    "rule_run",
    "score",
    "search",
    "select",
    "status",
    "study_plan",
    "study_report",
    "study_run",
    "train",
]
