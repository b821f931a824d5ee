"""Trainings beside the ladder: the recipe as a factor, fewer samples at equal steps, a run that decides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypedDict

import numpy as np

from assay import curves
from assay.core import (
    BASE_ARM,
    OVERALL,
    CurveResult,
    Curves,
    PassWorth,
    Point,
    RecipeLadder,
    Recipes,
    RunRow,
    Sample,
    Shift,
    StepsOrSamples,
    StepsRow,
    TokensRow,
)
from assay.plan import StepContext
from assay.study.steps._measured import MeasuredRun, moved, run_parts


class _Gains(TypedDict):
    smallest_gain: float
    smallest_relative_gain: float


Shares = Mapping[tuple[str, str], float]
"""What share of the item-level variance two models do not have in common, by type and metric."""


@dataclass(frozen=True, slots=True)
class BesideRun:
    """One training beside the ladder; ``what`` says which (see :func:`assay.study._graph.result_step`)."""

    what: Mapping[str, Any]
    arm: str
    n_train: int
    seed: int
    run: MeasuredRun | None
    """None where its loss became no number."""


def read_beside(context: StepContext) -> list[BesideRun]:
    """Return the trainings beside the ladder."""
    parts = run_parts(context.inputs)
    return [
        BesideRun(
            row["beside"], row["arm"], row["n_train"], row["seed"],
            None if row["beside"]["diverged"] else MeasuredRun(parts[row["index"]], row),
        )
        for row in context.config["beside"]
    ]  # fmt: skip


def elsewhere(beside: Sequence[BesideRun]) -> dict[str, list[MeasuredRun]]:
    """Return by recipe the models that were trained under another one on the same samples."""
    found: dict[str, list[MeasuredRun]] = {}
    for one in beside:
        if one.run is not None and one.what["kind"] in ("recipe", "deciding"):
            found.setdefault(one.what["name"], []).append(one.run)
    return found


def _points(found: Iterable[BesideRun], items: Sequence[Sample], shares: Shares) -> list[Point]:
    points = (point for one in found if one.run is not None for point in one.run.points(items))
    return [replace(p, own_share=shares.get((p.type, p.metric))) for p in points]


def _rows(found: Iterable[BesideRun]) -> tuple[RunRow, ...]:
    return tuple(one.run.row(one.what) for one in found if one.run is not None)


def recipes(
    context: StepContext,
    beside: Sequence[BesideRun],
    points: Sequence[Point],
    own: Sequence[CurveResult],
    items: Sequence[Sample],
    shares: Shares,
) -> Recipes | None:
    """Return the ladder under other recipes; None where the study asks for none."""
    by_name: dict[str, list[BesideRun]] = {}
    for one in beside:
        if one.what["kind"] == "recipe":
            by_name.setdefault(one.what["name"], []).append(one)
    if not by_name:
        return None
    gains = _gains(context)
    ladders = [_ladder(name, runs, points, items, shares, gains) for name, runs in by_name.items()]
    name = context.config["own_recipe"]
    every = {name: points, **{one.name: one.points for one in ladders}}
    read = {name: own, **{one.name: one.curves for one in ladders}}
    return Recipes(
        name, tuple(ladders), tuple(curves.robustness(read)), tuple(curves.envelopes(every, **gains))
    )


def _gains(context: StepContext) -> _Gains:
    question = context.config["question"]
    return {
        "smallest_gain": question["smallest_gain"],
        "smallest_relative_gain": question["smallest_relative_gain"],
    }


def _ladder(
    name: str, runs: Sequence[BesideRun], points: Sequence[Point], items: Sequence[Sample], shares: Shares,
    gains: _Gains,
) -> RecipeLadder:  # fmt: skip
    measured = _points(runs, items, shares)
    base = [point for point in points if point.arm == BASE_ARM]
    changes = {field: _plain(value) for field, value in runs[0].what["changes"].items()}
    return RecipeLadder(
        name, changes, tuple(measured),
        Curves(curves.fit_curves([*base, *measured], **gains)), _rows(runs),
        tuple((one.arm, one.n_train, one.seed) for one in runs if one.run is None),
    )  # fmt: skip


def _plain(value: Any) -> str | int | float | bool | None:
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else value


def steps_or_samples(
    beside: Sequence[BesideRun],
    runs: Sequence[MeasuredRun],
    points: Sequence[Point],
    items: Sequence[Sample],
    shares: Shares,
) -> StepsOrSamples | None:
    """Return what samples buy and what steps buy; None where the study did not ask."""
    own, tokens = ([one for one in beside if one.what["kind"] == kind] for kind in ("steps", "tokens"))
    if not own and not tokens:
        return None
    arm = [*own, *tokens][0].arm
    told = _Steps(arm, own, runs, points, items, shares)
    diverged = tuple((one.n_train, one.what["passes"], one.seed) for one in own if one.run is None)
    return StepsOrSamples(
        arm, tuple(told.rows()), told.worth(), _rows([*own, *tokens]), diverged,
        tuple(_Tokens(arm, tokens, runs, points, items).rows()),
    )  # fmt: skip


class _Steps:
    """Models of fewer samples at the steps of a rung, beside the ladder's own."""

    def __init__(
        self, arm: str, beside: Sequence[BesideRun], runs: Sequence[MeasuredRun], points: Sequence[Point],
        items: Sequence[Sample], shares: Shares,
    ) -> None:  # fmt: skip
        self.arm, self.items = arm, items
        self.points = [p for p in points if p.arm == arm]
        measured = [one for one in beside if one.run is not None]
        self.repeated = {
            (one.n_train, one.what["passes"], one.seed): one.run for one in measured if one.run is not None
        }
        self.own = {(run.n_train, run.seed): run for run in runs if run.arm == arm}
        self.by_repeat = {
            cell: {(p.type, p.metric): p for p in _points([one], items, shares)}
            for cell, one in zip(self.repeated, measured, strict=True)
        }
        every = [*self.points, *(p for own in self.by_repeat.values() for p in own.values())]
        self.values = {(p.run, p.type, p.metric): p.value for p in every}
        self.kinds = _headline_kinds(self.points)

    def rows(self) -> Iterable[StepsRow]:
        """Yield the rungs with what fewer samples reach at the same steps."""
        for kind, metric in self.kinds:
            for samples, passes in sorted({cell[:2] for cell in self.repeated}):
                yield self._row(kind, metric, samples, passes)

    def _row(self, kind: str, metric: str, samples: int, passes: int) -> StepsRow:
        n_train = self._rung(samples, passes)
        seeds = [seed for n, k, seed in self.repeated if (n, k) == (samples, passes)]
        many = [self.repeated[samples, passes, seed] for seed in seeds]
        large = [self.own[n_train, seed] for seed in seeds]
        small = [self.own[samples, seed] for seed in seeds if (samples, seed) in self.own]
        return StepsRow(
            kind, metric, n_train, samples, passes, _tokens(many) / _tokens(large),
            self._shift(kind, metric, n_train, many, large),
            self._shift(kind, metric, samples, small, many) if len(small) == len(many) else None,
        )  # fmt: skip

    def _rung(self, samples: int, passes: int) -> int:
        """Return the rung whose steps ``passes`` over ``samples`` take."""
        sizes: set[int] = {n for n, _ in self.own}
        return min(sizes, key=lambda n: abs(n - samples * passes))

    def _shift(
        self, kind: str, metric: str, n: int, start: Sequence[MeasuredRun], end: Sequence[MeasuredRun]
    ) -> Shift:
        return _paired(self.items, self.values, (kind, metric), n, start, end)

    def worth(self) -> dict[str, PassWorth]:
        """Return what a second pass is worth, by type and metric."""
        found = {f"{kind} {metric}": self._worth(kind, metric) for kind, metric in self.kinds}
        return {name: worth for name, worth in found.items() if worth is not None}

    def _worth(self, kind: str, metric: str) -> PassWorth | None:
        cells: dict[tuple[int, int], list[Point]] = {}
        for (samples, passes, _), points in self.by_repeat.items():
            if (kind, metric) in points:
                cells.setdefault((samples, passes), []).append(points[kind, metric])
        repeated = [
            curves.Repeated(n, k, np.array([p.value for p in own]), own[0].se or 0.0)
            for (n, k), own in cells.items()
        ]
        own = [p for p in self.points if (p.type, p.metric) == (kind, metric)]
        return curves.pass_worth(own, repeated)


class _Tokens:
    """Largest rungs of selections beside random samples of their number, and of their tokens."""

    def __init__(
        self, arm: str, beside: Sequence[BesideRun], runs: Sequence[MeasuredRun], points: Sequence[Point],
        items: Sequence[Sample],
    ) -> None:  # fmt: skip
        self.arm, self.items = arm, items
        self.own = {(run.arm, run.n_train, run.seed): run for run in runs}
        self.random: dict[str, dict[int, MeasuredRun]] = {}
        for one in beside:
            if one.run is not None:
                self.random.setdefault(one.what["name"], {})[one.seed] = one.run
        every = [*points, *_points(beside, items, {})]
        self.values = {(p.run, p.type, p.metric): p.value for p in every}
        self.kinds = _headline_kinds(points)

    def rows(self) -> Iterable[TokensRow]:
        """Yield the selections that have random samples of their tokens beside them."""
        for name, random in self.random.items():
            n_train = max(n for arm, n, _ in self.own if arm == name)
            chosen = [self.own[name, n_train, seed] for seed in random]
            same = [run for seed in random if (run := self.own.get((self.arm, n_train, seed)))]
            if len(same) == len(chosen):
                many = list(random.values())
                yield from (self._row(*kind, name, n_train, chosen, same, many) for kind in self.kinds)

    def _row(
        self, kind: str, metric: str, name: str, n_train: int, chosen: Sequence[MeasuredRun],
        same: Sequence[MeasuredRun], many: Sequence[MeasuredRun],
    ) -> TokensRow:  # fmt: skip
        samples = round(float(np.mean([run.n_train for run in many])))
        gains = (
            _paired(self.items, self.values, (kind, metric), n, side, chosen)
            for n, side in ((n_train, same), (samples, many))
        )
        return TokensRow(kind, metric, name, n_train, samples, _tokens(many) / _tokens(chosen), *gains)


def _headline_kinds(points: Iterable[Point]) -> list[tuple[str, str]]:
    """Return what is told of: overall where there are several types, in each metric."""
    kinds = dict.fromkeys((p.type, p.metric) for p in points)
    several = any(kind == OVERALL for kind, _ in kinds)
    return [key for key in kinds if key[0] == OVERALL or not several]


def _paired(
    items: Sequence[Sample],
    values: Mapping[tuple[str, str, str], float],
    key: tuple[str, str],
    n: int,
    start: Sequence[MeasuredRun],
    end: Sequence[MeasuredRun],
) -> Shift:
    """Return the change from some models of ``n`` samples to others, seed by seed on the same items."""
    influences = [[run.influences_of(items, *key) for run in side] for side in (start, end)]
    se = curves.clustered_se(np.mean([moved(a, b) for a, b in zip(*influences, strict=True)], axis=0))
    first, last = (np.array([values[run.key, *key] for run in side]) for side in (start, end))
    return curves.shift(curves.Paired("evaluation", key[1], n, end[0].n_train, first, last, se))


def _tokens(runs: Sequence[MeasuredRun]) -> float:
    return float(np.mean([sum(part["tokens"] for part in run.reports) for run in runs]))
