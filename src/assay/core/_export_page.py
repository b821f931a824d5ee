"""What an export made, and what it costs: the page of an export, and the section of a study's report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from assay.core._page import Shown, Text


@dataclass(frozen=True, slots=True)
class ExportDrop:
    """What one exported file costs in one type: paired over the items that both could be measured on.

    ``cost`` is oriented so that positive is worse (score before minus after, loss after minus before), with
    its clustered standard error ``se`` and 90 % interval; None where it could not be had.  ``word`` is
    ``as good`` where the whole interval lies within plus and minus ``threshold``, else ``worse`` or
    ``better`` where ``p_adjusted`` (Holm over the types of a file and metric) is at most 0.1, else
    ``undecided``.
    """

    type: str
    metric: Literal["score", "loss"]
    before: float | None
    after: float | None
    cost: float | None
    se: float | None
    low: float | None
    high: float | None
    p_adjusted: float | None
    n: int
    left_out: int
    threshold: float
    word: Literal["worse", "better", "as good", "undecided"]

    @property
    def reach(self) -> float | None:
        """Half of the 90 % interval."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """One exported file or folder.

    ``bytes`` of weights on disk; ``tokens_per_second`` generated one prompt at a time by ``backend``
    (``transformers`` or ``llama.cpp``); ``same_answers``: share of answers equal to those before export.
    """

    format: str
    path: str
    bytes: int
    backend: str
    tokens_per_second: float | None
    same_answers: float | None
    drops: tuple[ExportDrop, ...]
    notes: tuple[Text, ...] = ()


@dataclass(frozen=True, slots=True)
class ExportPage(Shown):
    """An export: the model before it, and every file with what it costs.

    ``items`` of the evaluation set, ``scored_by``: how answers were scored; ``calibration``: samples that
    GPTQ was calibrated on; ``device`` and ``threads``: what the speeds were measured on.
    """

    model: str
    language: str
    items: int
    scored_by: str
    calibration: int
    device: str
    threads: int
    bytes: int
    tokens_per_second: float | None
    files: tuple[ExportedFile, ...]
