"""The mixture of a given size that the measured effects make best, and the samples it takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, TypeAlias

from assay import core, data, mixtures
from assay.core import AssayError, OnCommand, Shown, page, say
from assay.study._mix import RUNS, Drawn, StudyMixtures
from assay.study._mix_table import read_runs
from assay.study._run import Study, load, report_folder
from assay.study._spend import spending

Weights: TypeAlias = Annotated[Mapping[str, float] | Sequence[str], OnCommand(Sequence[str])]
"""What each type counts: a mapping, or ``NAME=WEIGHT`` texts; none given is all alike."""

_IDS, _CHOSEN = "allocated.ids", "chosen"


@dataclass(frozen=True)
class MixAllocation(Shown):
    """The allocation, and the file of the samples that it takes.

    ``tried``: the allocation beside other mixtures of its size, each trained ``runs`` times; none where
    nothing was trained.
    """

    allocation: mixtures.Allocation
    metric: str
    path: str
    bent: bool
    language: str = "en"
    tried: tuple[mixtures.Against, ...] = ()
    runs: int = 0
    near_zero: tuple[str, ...] = ()

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
        notes += [say("mix.near_zero", types=self.near_zero)] if self.near_zero else []
        return page(
            core.Paragraph(self._headline(), "strong"), *self._trained(),
            core.Paragraph(say("mix.allocate.foretold")) if self.tried else None,
            core.Items(tuple(self._said(row) for row in found.against)),
            core.Table(columns, rows), core.Items(tuple(notes), "quiet"), core.files(out=self.path),
            core.Paragraph(say("mix.allocate.try", path=self.path, total=found.total), "quiet"),
            language=self.language,
        )  # fmt: skip

    def _trained(self) -> Iterator[core.Block]:
        """Yield what runs say; they stand before what the effects foretell."""
        if self.tried:
            yield core.Paragraph(say("mix.allocate.tried", n=self.allocation.total, runs=self.runs))
            yield core.Items(tuple(self._said(row) for row in self.tried))

    def _headline(self) -> core.Say:
        """Say first where equal shares are as good: then nobody needs this mixture."""
        known = {row.name: row.word for row in (*self.allocation.against, *self.tried)}
        key = {
            "as good": "mix.allocate.equal", "worse": "mix.allocate.worse",
            "undecided": "mix.allocate.undecided",
        }  # fmt: skip
        return say(key.get(known["equal"], "mix.allocate"), n=self.allocation.total)

    def _said(self, row: mixtures.Against) -> core.Say:
        known = [v for v in (row.gain, row.low, row.high) if v is not None]
        if not known:
            return say("mix.against.beyond", name=row.name)
        gain, *interval = known
        if self.metric == "loss":
            gain, *interval = (-mixtures.change(v, loss=True) for v in (gain, *reversed(interval)))
        return say(
            f"mix.against.{self.metric}",
            name=row.name,
            word=row.word,
            gain=gain,
            interval=tuple(interval),
            p=row.p,
        )


def allocate(
    config: Study,
    total: int,
    *,
    weights: Weights = (),
    metric: str | None = None,
    smallest_gain: float | None = None,
    runs: int = 0,
    set: Sequence[str] = (),
    cap: str | None = None,
) -> MixAllocation:
    """Say how many samples of each part to train, beside equal shares and the pool's own.

    After `assay mix run`. Each part stays within half and double of its share in the base mixture, since
    nothing was measured beyond. Writes the samples, so that an arm of the study can try them. With `--runs`
    the mixture, equal shares and the pool's own are trained, and what the runs show is said first.

    Example: `assay mix allocate study.yaml 20000 --weights math=2 --weights code=1 --runs 3`

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
    runs
        Train each of the mixtures so many times (2 or more), to confirm what is foretold; 0 trains nothing.
    set
        Changes: key.path=value.
    cap
        Stop before this command takes more than this: "2 hours", "20 USD", "2M tokens", "50 GB", or several
        with `and`; by default `where.cap` of the study file. What is finished is kept.
    """
    study = load(config, set)
    asked = dict(weights) if isinstance(weights, Mapping) else mixtures.weights_of(weights) or None
    if runs == 1 or runs < 0:
        raise AssayError("one run per mixture says nothing of noise", place="runs", value=runs,
                         expected="0, or 2 and more")  # fmt: skip
    with spending(study, report_folder(study), cap) as meter:
        own = StudyMixtures(study)
        made, fit = _foretold(own, total, asked, metric, smallest_gain)
        if runs:
            made = _tried(own, made, fit, asked, runs)
            meter.per |= {"run": runs * (1 + len(made.tried)), "verdict": len(made.tried)}
    return made


def _foretold(
    own: StudyMixtures, total: int, weights: Mapping[str, float] | None, metric: str | None,
    smallest_gain: float | None,
) -> tuple[MixAllocation, mixtures.MixEffects]:  # fmt: skip
    """Return what the measured effects say of a mixture of this size, and write its samples."""
    table = read_runs(own.measured(), metric)
    fit = mixtures.fit_effects(table)
    question, drawn = own.config.question, own.drawn
    if smallest_gain is None:
        smallest_gain = question.smallest_relative_gain if table.loss else question.smallest_gain
    base = dict(zip(drawn.design.names, map(float, drawn.design.base), strict=True))
    if drawn.rest:
        raise AssayError(
            "some parts of the pool were not varied", place="mix.parts", value=", ".join(drawn.rest),
            expected="all parts", hint="train the mixtures without mix.parts",
        )  # fmt: skip
    found = mixtures.allocate(
        fit, base, total, held=drawn.held, smallest=smallest_gain, weights=weights,
        others={"pool": {name: float(drawn.held[name]) for name in base}},
    )  # fmt: skip
    path = own.folder / _IDS
    rows = drawn.take(dict(zip(found.names, found.counts, strict=True)))
    with data.replacing_text(path) as file:
        file.write("\n".join(rows) + "\n")
    bent = any(c.shown and c.bend < 0 and c.type == core.OVERALL for c in fit.curvature)
    made = MixAllocation(
        found, "loss" if table.loss else "score", str(path), bent, own.config.language,
        near_zero=fit.types_near_zero,
    )  # fmt: skip
    return made, fit


def _tried(
    own: StudyMixtures, made: MixAllocation, fit: mixtures.MixEffects,
    weights: Mapping[str, float] | None, runs: int,
) -> MixAllocation:  # fmt: skip
    """Train the allocation and the mixtures beside it, and return it with what the runs show."""
    found, held = made.allocation, own.drawn.held
    every = {_CHOSEN: found.counts, **{row.name: row.counts for row in found.against}}
    fits = {
        name: counts
        for name, counts in every.items()
        if all(count <= held[part] for part, count in zip(found.names, counts, strict=True))
    }
    measured = _Trial(own, tuple(fits.values()) * runs).measured_as(made.metric)
    measured = replace(measured, near_zero=fit.near_zero)
    return replace(made, tried=mixtures.compared(measured, fits, weights, found.smallest, fit), runs=runs)


class _Trial(StudyMixtures):
    """Mixtures of given counts, whose samples are drawn anew for each run."""

    def __init__(self, own: StudyMixtures, counts: Sequence[tuple[int, ...]]) -> None:
        super().__init__(own.study)
        self.folder, self.given, self.wide = own.folder / "allocate", counts, own.drawn

    @cached_property
    def drawn(self) -> Drawn:
        """Return which samples each mixture takes."""
        return self.wide.of(self.given)

    def measured_as(self, metric: str) -> mixtures.MixRuns:
        """Train and measure the mixtures, and return what was measured."""
        self.drawn.write(self.folder, self.identity())
        self.table()
        return read_runs(self.folder / RUNS, metric)
