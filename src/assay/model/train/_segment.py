"""What a training is asked for and what it says it did.  No torch here: launchers need it too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Protocol

from assay.core import Items, Page, Paragraph, Plugins, Shown, Text, page, say
from assay.model.tokens import TokenTable
from assay.model.train._recipe import Indices, Recipe

Advance = Callable[[float, float, str], None]


@dataclass(frozen=True, slots=True)
class Segment:
    """The optimizer steps [start, stop) of the run of ``recipe`` on the first ``n_train`` of an order."""

    recipe: Recipe
    seed: int
    n_train: int
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class TrainReport(Shown):
    """What a segment did.  ``trace`` holds (step, loss in nats per learned token).

    ``micro_tokens`` that fitted at its end; ``notes`` tell what was done otherwise than the recipe says.
    """

    steps: int
    samples: int
    tokens: int
    learned_tokens: int
    padded_tokens: int
    seconds: float
    device: str
    trace: tuple[tuple[int, float], ...]
    micro_tokens: int
    notes: tuple[Text, ...] = ()

    def as_page(self) -> Page:
        """Return it in a few lines: the trace in ten parts of the run, each with its mean loss."""
        losses = [loss for _, loss in self.trace]
        edges = [len(losses) * part // 10 for part in range(11)]
        means = [sum(losses[a:b]) / (b - a) for a, b in pairwise(edges) if b > a]
        done = say(
            "train.done", steps=self.steps, samples=self.samples, tokens=self.tokens, device=self.device,
            seconds=self.seconds,
        )  # fmt: skip
        trace = (
            Paragraph(say("train.loss", trace=" → ".join(f"{mean:.3f}" for mean in means))) if means else None
        )
        return page(Paragraph(done), trace, Items(self.notes, "warning"))


class Trainer(Protocol):
    """Plugin point: trains a segment from ``base`` or ``state`` and leaves a model or a state in ``out``.

    ``out/model`` is written when the segment ends its run, the folder ``out/state`` otherwise.
    """

    def __call__(
        self,
        segment: Segment,
        *,
        base: Path,
        state: Path | None,
        table: TokenTable,
        order: Indices,
        out: Path,
        device: str,
        advance: Advance,
    ) -> TrainReport:
        """Train, resuming from ``out/scratch`` where an earlier attempt was killed."""


TRAINERS: Plugins[Trainer] = Plugins(
    "assay.trainers", "trainer", Trainer, ("full", "trl", "llamafactory", "axolotl", "ms-swift")
)
"""Trainers of other packages by name; ``recipe.trainer`` names the one that trains."""
