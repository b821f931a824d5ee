"""How much runs of a study differ by themselves, from those that were measured already."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assay import data, mixtures
from assay.core import Point
from assay.plan import Step, Store
from assay.study._graph import RunSteps
from assay.study.steps import MeasuredRun

_NEAR = 2.0
"""Runs of up to this many times the size, or its part, tell of the noise at a size."""


@dataclass(frozen=True, slots=True)
class RunNoise:
    """Standard deviation between runs of one size by type, of ``score`` or of log ``loss``.

    A type in which repeats never differed has none: that is no noise of zero.  ``freedom``: degrees of
    freedom of each variance; ``runs``: how many it was learned from.
    """

    metric: str
    sd: Mapping[str, float]
    freedom: float
    runs: int


def measured_run(store: Store, run: RunSteps) -> MeasuredRun:
    """Return the measurements of one model, as the result of a study reads them."""
    found = {name: store.path(step.key) for name, step in run.parts.items()}
    row = {"arm": run.arm, "seed": run.seed, "n_train": run.n_train, "key": run.answer.key}
    return MeasuredRun(found, row | {"trunk": len(run.trunk), "shared": run.shared})


def noise_at(
    store: Store, evaluation: Step, groups: Sequence[tuple[int, Sequence[RunSteps]]], n: int
) -> tuple[RunNoise, ...]:
    """Return the noise of runs on ``n`` samples, by metric, from those that were measured.

    ``groups``: a size, and runs of one mixture of that size whose samples are drawn anew.  Sizes near ``n``
    are taken where there are such, else the nearest; nothing where no mixture was run twice.
    """
    seen: set[str] = set()
    repeated = [(size, own) for size, runs in groups if len(own := _measured(store, runs, seen)) > 1]
    if not repeated:
        return ()
    near = min(abs(math.log(size / n)) for size, _ in repeated)
    reach = max(near, math.log(_NEAR)) + 1e-9
    wanted = [own for size, own in repeated if abs(math.log(size / n)) <= reach]
    items = list(data.Dataset(store.path(evaluation.key) / "dataset"))
    points = [[measured_run(store, run).points(items) for run in own] for own in wanted]
    return tuple(found for metric in ("score", "loss") if (found := _noise(points, metric)) is not None)


def by_size(runs: Iterable[RunSteps]) -> list[tuple[int, list[RunSteps]]]:
    """Return runs of one arm and size together: their seeds are repeats of one mixture."""
    found: dict[tuple[str, int], list[RunSteps]] = {}
    for run in runs:
        if run.branch is not None:
            found.setdefault((run.arm, run.n_train), []).append(run)
    return [(size, own) for (_, size), own in found.items()]


def _measured(store: Store, runs: Iterable[RunSteps], seen: set[str]) -> list[RunSteps]:
    """Return the runs whose steps are all in the store; those in ``seen`` were in a group before."""
    done = []
    for run in runs:
        if run.answer.key not in seen and all(store.has(step.key) for step in run.parts.values()):
            seen.add(run.answer.key)
            done.append(run)
    return done


def _noise(groups: Sequence[Sequence[Sequence[Point]]], metric: str) -> RunNoise | None:
    """Return the noise of one metric; None where it was not measured."""
    kinds = list(dict.fromkeys(p.type for own in groups for run in own for p in run if p.metric == metric))
    tables = [np.array([_values(run, metric, kinds) for run in own]) for own in groups]
    whole = [table for table in tables if np.isfinite(table).all()]
    if not kinds or not whole:
        return None
    moves = np.any([np.ptp(table, axis=0) > 0 for table in whole], axis=0)
    if not moves.any():
        return None
    sd, freedom = mixtures.run_noise([table[:, moves] for table in whole])
    named = [kind for kind, moved in zip(kinds, moves.tolist(), strict=True) if moved]
    return RunNoise(metric, dict(zip(named, sd.tolist(), strict=True)), freedom, sum(map(len, whole)))


def _values(run: Sequence[Point], metric: str, kinds: Sequence[str]) -> NDArray[np.float64]:
    known = {p.type: p.value for p in run if p.metric == metric}
    values = np.array([known.get(kind, math.nan) for kind in kinds])
    with np.errstate(divide="ignore", invalid="ignore"):
        found: NDArray[np.float64] = np.log(values) if metric == "loss" else values
    return found
