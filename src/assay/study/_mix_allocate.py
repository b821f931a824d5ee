"""The mixture of a given size that the measured effects make best, and the samples it takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeAlias

from assay import core, data, mixtures
from assay.core import AssayError, OnCommand, Shown, page, say
from assay.study._mix import StudyMixtures
from assay.study._mix_table import read_runs
from assay.study._run import Study, load

Weights: TypeAlias = Annotated[Mapping[str, float] | Sequence[str], OnCommand(Sequence[str])]
"""What each type counts: a mapping, or ``NAME=WEIGHT`` texts; none given is all alike."""

_IDS = "allocated.ids"


@dataclass(frozen=True)
class MixAllocation(Shown):
    """The allocation, and the file of the samples that it takes."""

    allocation: mixtures.Allocation
    metric: str
    path: str
    bent: bool
    language: str = "en"

    def as_page(self) -> core.Page:
        """Return how many samples of each part, what that gains over plain mixtures, and how to try it."""
        found = self.allocation
        columns = (
            core.Column(say("mix.col.part"), "@type"), core.Column(say("mix.col.take"), ","),
            core.Column(say("mix.col.base"), ","), core.Column(say("mix.col.worth"), "+.4f"),
        )  # fmt: skip
        rows = tuple(zip(found.names, found.counts, found.base, found.worth, strict=True))
        notes = [say("mix.allocate.limited", names=found.limited)] if found.limited else []
        notes += [say("mix.allocate.bent")] if self.bent else []
        return page(
            core.Paragraph(self._headline(), "strong"),
            core.Items(tuple(self._said(row) for row in found.against)),
            core.Table(columns, rows), core.Items(tuple(notes), "quiet"), core.files(out=self.path),
            core.Paragraph(say("mix.allocate.try", path=self.path, total=found.total), "quiet"),
            language=self.language,
        )  # fmt: skip

    def _headline(self) -> core.Say:
        """Say first where equal shares are as good: then nobody needs this mixture."""
        equal = next(row for row in self.allocation.against if row.name == "equal")
        return say(
            "mix.allocate.equal" if equal.word == "as good" else "mix.allocate", n=self.allocation.total
        )

    def _said(self, row: mixtures.Against) -> core.Say:
        if row.word == "beyond":
            return say("mix.against.beyond", name=row.name)
        gain, low, high = (
            None if value is None else mixtures.change(value, loss=self.metric == "loss")
            for value in (row.gain, row.low, row.high)
        )
        return say(
            f"mix.against.{self.metric}",
            name=row.name,
            word=row.word,
            gain=gain,
            interval=(low, high),
            p=row.p,
        )


def allocate(
    config: Study,
    total: int,
    *,
    weights: Weights = (),
    metric: str | None = None,
    smallest_gain: float | None = None,
    set: Sequence[str] = (),
) -> MixAllocation:
    """Say how many samples of each part to train, beside equal shares and the pool's own.

    After `assay mix run`. Each part stays within half and double of its share in the base mixture, since
    nothing was measured beyond. Writes the samples, so that an arm of the study can try them.

    Example: `assay mix allocate study.yaml 20000 --weights math=2 --weights code=1`

        >>> assay.mix.allocate("study.yaml", 20000, weights={"math": 2, "code": 1})  # doctest: +SKIP

    Parameters
    ----------
    config
        A study file with mixtures.
    total
        Samples of the mixture to train.
    weights
        What a type counts, `TYPE=WEIGHT`; may be repeated. Types that are not named count nothing; without
        any, all count alike. In Python also a mapping.
    metric
        `score` or `loss`; by default the score where there is one.
    smallest_gain
        The smallest gain that matters; by default that of the study's question.
    set
        Changes: key.path=value.
    """
    own = StudyMixtures(load(config, set))
    runs = read_runs(own.measured(), metric)
    fit = mixtures.fit_effects(runs)
    question, drawn = own.config.question, own.drawn
    if smallest_gain is None:
        smallest_gain = question.smallest_relative_gain if runs.loss else question.smallest_gain
    base = dict(zip(drawn.design.names, map(float, drawn.design.base), strict=True))
    if drawn.rest:
        raise AssayError(
            "some parts of the pool were not varied", place="mix.parts", value=", ".join(drawn.rest),
            expected="all parts", hint="train the mixtures without mix.parts",
        )  # fmt: skip
    found = mixtures.allocate(
        fit, base, total, held=drawn.held, smallest=smallest_gain,
        weights=dict(weights) if isinstance(weights, Mapping) else mixtures.weights_of(weights) or None,
        others={"pool": {name: float(drawn.held[name]) for name in base}},
    )  # fmt: skip
    path = own.folder / _IDS
    rows = drawn.take(dict(zip(found.names, found.counts, strict=True)))
    with data.replacing_text(path) as file:
        file.write("\n".join(rows) + "\n")
    bent = any(c.shown and c.bend < 0 and c.type == core.OVERALL for c in fit.curvature)
    return MixAllocation(found, "loss" if runs.loss else "score", str(Path(path)), bent, own.config.language)
