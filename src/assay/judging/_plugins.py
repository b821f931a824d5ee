"""Judges of other packages: ways to score an answer, beside checkers and reference metrics."""

from __future__ import annotations

import math
from typing import Protocol

from assay.core import AssayError, Plugins, Sample, Undefined


class Judge(Protocol):
    """A score in [0, 1] for an answer to an item, or the reason why there is none.

    Best a frozen dataclass.  ``version`` changes whenever scores do.  Calling it with the item and an
    answer returns the score, higher is better, or :class:`~assay.core.Undefined`; equal arguments give
    equal scores, in every process.
    """

    name: str
    version: int

    def __call__(self, item: Sample, answer: str) -> float | Undefined:
        """Return the score of one answer."""


PLUGINS: Plugins[Judge] = Plugins(
    "assay.judges", "judge", Judge, ("auto", "checker", "exact_match", "chrf", "rouge_l")
)
"""Judges of other packages by name; ``measure.method`` of a study may name one."""


def method_settings(method: str) -> dict[str, str]:
    """Return what identifies a way of scoring in the settings of a step: its name, and its plug-in's."""
    other = PLUGINS.identity(method)
    return {"method": method, "plugin": other} if other else {"method": method}


def score_by(judge: Judge, item: Sample, answer: str) -> tuple[float | None, str | None]:
    """Return a plug-in's score, or None with its reason; raise where it gave neither."""
    found = judge(item, answer)
    if isinstance(found, Undefined) and found.reason:
        return None, found.reason
    if isinstance(found, int | float) and math.isfinite(found) and 0 <= found <= 1:
        return float(found), None
    raise AssayError(
        f"the judge {judge.name} gives no score",
        place=PLUGINS.entry(judge.name).place,
        value=found,
        expected="a number in [0, 1], or Undefined with a reason",
    )
