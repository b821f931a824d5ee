"""An indicator of politeness and a judge of it, as an example of plug-ins for Assay."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from assay.core import Sample, Undefined
from assay.data import words
from assay.indicators import Indicator

__all__ = ["COURTESY", "POLITENESS", "Courtesy"]

_POLITE = re.compile(
    r"\b(please|thank(s| you)|you('re| are) welcome|kindly|i('d| would) be (happy|glad)|sorry)\b"
    r"|请|谢谢|感谢|不客气|抱歉|劳驾",
    re.IGNORECASE,
)
_RUDE = re.compile(r"\b(stupid|idiot|shut up|nonsense|whatever)\b|闭嘴|愚蠢|胡说|废话", re.IGNORECASE)


def _politeness(samples: Sequence[Sample]) -> list[float | Undefined]:
    """Return polite phrases per 100 words of each answer; no answer, no value."""
    return [_rate(sample.answer or "") for sample in samples]


def _rate(answer: str) -> float | Undefined:
    count = len(words(answer))
    if not count:
        return Undefined("no words in the answer")
    return 100 * len(_POLITE.findall(answer)) / count


POLITENESS = Indicator(
    name="politeness",
    version=1,
    unit="per 100 words",
    direction=1,
    needs=(),
    source="the example package assay-politeness",
    measure=_politeness,
)


@dataclass(frozen=True, slots=True)
class Courtesy:
    """Score an answer 1 where it is polite, 0 where it is rude, one half where it is neither."""

    name: str = "courtesy"
    version: int = 1

    def __call__(self, item: Sample, answer: str) -> float | Undefined:
        """Return the score, or why there is none."""
        if not answer.strip():
            return Undefined("no answer")
        if _RUDE.search(answer):
            return 0.0
        return 1.0 if _POLITE.search(answer) else 0.5


COURTESY = Courtesy()
