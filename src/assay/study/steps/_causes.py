"""Of a study's measurements: the control curves, and why more data were read as harm or as no help."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from assay import curves
from assay.core import (
    BASE_ARM,
    OVERALL,
    Cause,
    Control,
    ControlMean,
    CurveName,
    CurveResult,
    Elsewhere,
    Harm,
    Point,
    Sample,
)
from assay.plan import StepContext
from assay.study.steps._control import control_kinds, matched
from assay.study.steps._measure import ITEMS
from assay.study.steps._measured import MeasuredRun, moved
from assay.study.steps._read import summary_of

Part: TypeAlias = Literal["control", "matched", "training"]
Cell: TypeAlias = tuple[str, int, int]
"""Arm, size (0 is the untrained model) and seed."""
PARTS: tuple[Part, ...] = ("control", "matched", "training")
"""The slice, those of it that are like the evaluation set (where that is not all), and samples seen."""


@dataclass(frozen=True, slots=True)
class Losses:
    """Nats and answer tokens [items] of one model on one part; an item without a loss has 0 of both."""

    nats: NDArray[np.float64]
    tokens: NDArray[np.float64]

    @property
    def loss(self) -> float:
        """Nats per answer token over all items."""
        return float(self.nats.sum() / self.tokens.sum())

    @property
    def influences(self) -> NDArray[np.float64]:
        """What each item moves the loss by."""
        found: NDArray[np.float64] = (self.nats - self.loss * self.tokens) / self.tokens.sum()
        return found


Held: TypeAlias = Mapping[Part, Mapping[Cell, Losses]]


def read_held(context: StepContext, runs: Sequence[MeasuredRun]) -> Held:
    """Return the losses of all models by part and (arm, size, seed); empty without a control slice."""
    folders = {(run.arm, run.n_train, run.seed): run.held for run in runs if run.held is not None}
    for name, folder in context.inputs.items():
        if name.startswith("untrained/"):
            arm, _, seed = name.removeprefix("untrained/").rpartition("/")
            folders[arm, 0, int(seed)] = folder
    if not folders:
        return {}
    like = matched(context.inputs["control"], summary_of(context.inputs["evaluation"]))
    parts = {cell: read_losses(folder, like) for cell, folder in folders.items()}
    return {part: {cell: own[part] for cell, own in parts.items() if part in own} for part in PARTS}


def read_losses(measured: Path, like: NDArray[np.bool_] | None) -> dict[Part, Losses]:
    """Return the losses of one model: on the slice, the first items, and on those seen, after them.

    ``like`` [slice] tells which of the slice are like the evaluation set; None where all items are the slice.
    A part of which no item has a loss is left out, and the matched part where it is all of the slice or none.
    """
    import polars

    table = polars.read_parquet(measured / ITEMS).select("nats", "tokens").fill_null(0)
    nats, tokens = (table[name].to_numpy().astype(float) for name in ("nats", "tokens"))
    like = np.ones(len(table), bool) if like is None else like
    edge = len(like)
    parts: dict[Part, Any] = {"control": slice(0, edge), "training": slice(edge, None)}
    parts |= {} if like.all() or not like.any() else {"matched": np.flatnonzero(like)}
    found = {part: Losses(nats[rows], tokens[rows]) for part, rows in parts.items()}
    return {part: losses for part, losses in found.items() if losses.tokens.any()}


def control_part(parts: Mapping[Part, Any]) -> Part:
    """Return which part speaks for the pool: samples like the evaluation set, where they stand apart."""
    return "matched" if parts.get("matched") else "control"


def control_of(context: StepContext, held: Held) -> Control | None:
    """Return the control curves as the report shows them; None without a slice."""
    if not held:
        return None
    kinds = control_kinds(context.inputs["control"])
    means = tuple(_mean(part, cell, held[part][cell]) for part in PARTS for cell in sorted(held[part]))
    like = matched(context.inputs["control"], summary_of(context.inputs["evaluation"]))
    types = Counter(kind for kind, _ in kinds)
    return Control(len(kinds), int(like.sum()), dict(types.most_common()), means)


def _mean(part: Part, cell: Cell, losses: Losses) -> ControlMean:
    arm, size, seed = cell
    measured = int((losses.tokens > 0).sum())
    se = curves.clustered_se(losses.influences) if measured > 1 else None
    return ControlMean(part, arm, size, seed, losses.loss, se, measured)


def causes(
    found: Iterable[CurveResult],
    points: Sequence[Point],
    runs: Sequence[MeasuredRun],
    items: Sequence[Sample],
    held: Held,
    *,
    epochs: int,
    smallest_relative_gain: float,
    others: Mapping[str, Sequence[MeasuredRun]] = {},
) -> tuple[Cause, ...]:
    """Return why more data did harm or no good, for each arm where they did; empty without a slice.

    Of each arm the curve is overall's (or the only type's) in the metric of the answer: scores, else losses.
    ``others`` are models trained on the same samples under other recipes, by their names.
    """
    if not held:
        return ()
    headline = [c for c in found if c.verdict is not None and c.metric == _metric(points)]
    by_arm = {c.arm: c for c in sorted(headline, key=lambda c: c.type == OVERALL)}
    rows = []
    for arm, curve in by_arm.items():
        ladder = _Arm(arm, curve, points, runs, items, held)
        harm = ladder.harm
        if harm is not None:
            size = ladder.reference(harm)
            control, training = (ladder.held(p, size) for p in (control_part(held), "training"))
            own = curves.cause(
                harm, arm, ladder.evaluation(size), control, training, repeated=epochs > 1,
                smallest_relative_gain=smallest_relative_gain,
            )  # fmt: skip
            there, since = tuple(ladder.elsewhere(size, others)), curves.shift(ladder.evaluation(0))
            rows.append(replace(own, elsewhere=there, since=since))
    return tuple(rows)


def _metric(points: Sequence[Point]) -> str:
    measured = dict.fromkeys(p.metric for p in points)
    return next(m for m in ("score", "loss", *measured) if m in measured)


class _Arm:
    """The three curves of one arm, seed by seed."""

    def __init__(
        self, arm: str, curve: CurveResult, points: Sequence[Point], runs: Sequence[MeasuredRun],
        items: Sequence[Sample], parts: Held,
    ) -> None:  # fmt: skip
        self.arm, self.curve, self.items, self.parts = arm, curve, items, parts
        own = [p for p in points if (p.type, p.metric) == (curve.type, curve.metric)]
        self.values = {(p.n_train, p.seed): p.value for p in own if p.arm == arm}
        self.untrained = next(p.value for p in own if p.arm == BASE_ARM)
        self.runs = {(run.n_train, run.seed): run for run in runs if run.arm == arm}
        self.base = next(run for run in runs if run.arm == BASE_ARM)
        self.largest = max(n for n, _ in self.runs)

    @property
    def harm(self) -> Harm | None:
        """What of the curve asks for a cause; None where more data help, or nothing is known yet."""
        assert self.curve.verdict is not None  # noqa: S101 - only such curves are asked
        if self.curve.verdict.word == "falling":
            return "falling"
        if curves.below_base(self.evaluation(0)):
            return "below_base"
        return "plateau" if self.curve.verdict.word == "plateau" else None

    def reference(self, harm: Harm) -> int:
        """Return the size that the largest rung is held against."""
        sizes: dict[int, list[float]] = {0: [self.untrained]}
        for (size, _), value in self.values.items():
            sizes.setdefault(size, []).append(value)
        means = {size: float(np.mean(values)) for size, values in sizes.items()}
        return curves.reference(harm, means, self.curve.metric)

    def _seeds(self, size: int) -> list[int]:
        ends = [seed for n, seed in self.values if n == self.largest]
        return sorted(seed for seed in ends if size == 0 or (size, seed) in self.values)

    def evaluation(self, size: int) -> curves.Paired:
        """Return the curve of the evaluation set from ``size`` to the largest rung."""
        seeds = self._seeds(size)
        start = [self.untrained if size == 0 else self.values[size, seed] for seed in seeds]
        differences = [
            moved(self._influences(self._run(size, seed)), self._influences(self.runs[self.largest, seed]))
            for seed in seeds
        ]
        return self._paired("evaluation", size, seeds, start, np.mean(differences, axis=0))

    def elsewhere(self, size: int, others: Mapping[str, Sequence[MeasuredRun]]) -> Iterator[Elsewhere]:
        """Yield the largest rung under each other recipe, against the study's own model of ``size``."""
        assert self.curve.verdict is not None  # noqa: S101 - only such curves are asked
        for name, runs in others.items():
            there = {r.seed: r for r in runs if (r.arm, r.n_train) == (self.arm, self.largest)}
            if any(seed in there for seed in self._seeds(size)):
                shift = curves.shift(self._to(there, size), self.curve.verdict.threshold)
                learned = self._learned([there[seed] for seed in self._seeds(size) if seed in there])
                yield Elsewhere(name, shift, learned, curves.shift(self._to(there, 0)))

    def _to(self, there: Mapping[int, MeasuredRun], size: int) -> curves.Paired:
        """Return the change from the study's own model of ``size`` to models of the largest rung, by seed."""
        seeds = [seed for seed in self._seeds(size) if seed in there]
        own = [self.untrained if size == 0 else self.values[size, seed] for seed in seeds]
        end = [self._value(there[seed]) for seed in seeds]
        differences = [
            moved(self._influences(self._run(size, seed)), self._influences(there[seed])) for seed in seeds
        ]
        se = curves.clustered_se(np.mean(differences, axis=0))
        return curves.Paired(
            "evaluation", self.curve.metric, size, self.largest, np.array(own), np.array(end), se
        )

    def _learned(self, runs: Sequence[MeasuredRun]) -> float | None:
        """Return what models learned of the pool, as a share of what the study's own largest rung did."""
        losses = [self._control_loss(run.held) for run in runs if run.held is not None]
        if not losses:
            return None
        cells = self.parts["control"]
        start, own = (
            float(np.mean([cells[self.arm, size, run.seed].loss for run in runs]))
            for size in (0, self.largest)
        )
        return (start - float(np.mean(losses))) / (start - own) if own < start else None

    def _control_loss(self, measured: Path) -> float:
        slice_size = len(self.parts["control"][self.arm, 0, self._seeds(0)[0]].tokens)
        return read_losses(measured, np.zeros(slice_size, bool))["control"].loss

    def _value(self, run: MeasuredRun) -> float:
        key = self.curve.type, self.curve.metric
        return next(p.value for p in run.points(self.items) if (p.type, p.metric) == key)

    def _run(self, size: int, seed: int) -> MeasuredRun:
        return self.base if size == 0 else self.runs[size, seed]

    def _influences(self, run: MeasuredRun) -> dict[tuple[str, str], float]:
        return run.influences_of(self.items, self.curve.type, self.curve.metric)

    def _paired(
        self, curve: Any, size: int, seeds: Sequence[int], start: Sequence[float], moved: NDArray[np.float64]
    ) -> curves.Paired:
        end = np.array([self.values[self.largest, seed] for seed in seeds])
        se = curves.clustered_se(moved)
        return curves.Paired(curve, self.curve.metric, size, self.largest, np.array(start), end, se)

    def held(self, part: Part, size: int) -> curves.Paired:
        """Return a control curve from ``size`` to the largest rung.

        The slice is the same for all seeds, so that its error does not shrink with them.
        """
        cells = self.parts[part]
        pairs = [(cells[self.arm, size, s], cells[self.arm, self.largest, s]) for s in self._seeds(size)]
        differences = [end.influences - start.influences for start, end in pairs]
        if part != "training":
            se = curves.clustered_se(np.mean(differences, axis=0))
        else:
            se = float(np.hypot.reduce([curves.clustered_se(own) for own in differences])) / len(pairs)
        start, end = (np.array([pair[i].loss for pair in pairs]) for i in (0, 1))
        name: CurveName = "training" if part == "training" else "control"
        return curves.Paired(name, "loss", size, self.largest, start, end, se)
