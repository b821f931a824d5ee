"""A result arranged for reading: which metrics, types and arms there are, and in which order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from assay.core import BASE_ARM, OVERALL, TASK_TYPES, ArmComparison, CurveResult, Point, StudyResult

METRICS = ("score", "loss", "bits_per_byte")


def ordered(found: Iterable[str], first: Iterable[str]) -> tuple[str, ...]:
    """Return the distinct names of ``found``, those of ``first`` ahead, the others as they came."""
    names = dict.fromkeys(found)
    ahead = [name for name in first if name in names]
    return tuple(dict.fromkeys([*ahead, *names]))


def headline_metric(measured: Iterable[str]) -> str | None:
    """Return the metric of the answer: the score where there is one; None where nothing was measured."""
    return next(iter(ordered(measured, METRICS)), None)


@dataclass(frozen=True, slots=True)
class Index:
    """The parts of a result by metric, type, arm and run; nothing is computed."""

    metrics: tuple[str, ...]
    """Metrics that were measured, the score first."""
    arms: tuple[str, ...]
    """Arms that were trained, without the base model, in the study's order."""
    types: tuple[str, ...]
    """Types that were measured: overall, then BELLE's twelve in the paper's order, then others."""
    curves: dict[tuple[str, str, str], CurveResult]
    """Curves by (type, arm, metric)."""
    points: dict[tuple[str, str], tuple[Point, ...]]
    """Points by (type, metric), in the result's order."""
    run_rows: dict[str, int]
    """Row of each run key in the table of runs."""

    @property
    def headline(self) -> str:
        """The metric of the answer: the score where there is one."""
        return self.metrics[0] if self.metrics else "score"

    @property
    def answered(self) -> tuple[str, ...]:
        """Arms that were measured by the metric of the answer; all of them where none was fitted."""
        own = {arm for _, arm, metric in self.curves if metric == self.headline}
        return tuple(arm for arm in self.arms if arm in own) or self.arms

    def leading(self, metric: str) -> str | None:
        """Return the type that stands for all in a metric: overall, or the first where there is none."""
        own = {kind for kind, m in self.points if m == metric} | {k for k, _, m in self.curves if m == metric}
        return next((kind for kind in self.types if kind in own), None)

    def arm_number(self, arm: str) -> int:
        """Return the number that gives an arm its colour and mark."""
        return self.arms.index(arm)


def index(result: StudyResult) -> Index:
    """Arrange a result for reading."""
    points: dict[tuple[str, str], list[Point]] = {}
    for point in result.points:
        points.setdefault((point.type, point.metric), []).append(point)
    curves = {(c.type, c.arm, c.metric): c for c in result.curves}
    metrics = [metric for _, metric in points] + [metric for _, _, metric in curves]
    arms = [a.name for a in result.arms] + [p.arm for p in result.points] + [c.arm for c in result.curves]
    types = [name for name, _ in points] + [name for name, _, _ in curves]
    return Index(
        metrics=ordered(metrics, METRICS),
        arms=tuple(name for name in dict.fromkeys(arms) if name != BASE_ARM),
        types=ordered(types, (OVERALL, *TASK_TYPES)),
        curves=curves,
        points={key: tuple(group) for key, group in points.items()},
        run_rows=_run_rows(result),
    )


def _run_rows(result: StudyResult) -> dict[str, int]:
    """Return a number for each run, those without a row of their own (the base model) first."""
    rows = {run.key for run in result.runs}
    keys = [p.run for p in result.points if p.run and p.run not in rows] + [r.key for r in result.runs]
    return {key: number for number, key in enumerate(dict.fromkeys(keys))}


def pairs(result: StudyResult, metric: str) -> dict[tuple[str, str], tuple[ArmComparison, ...]]:
    """Return the comparisons of a metric by pair of arms."""
    found: dict[tuple[str, str], list[ArmComparison]] = {}
    for comparison in result.comparisons:
        if comparison.metric == metric:
            found.setdefault((comparison.a, comparison.b), []).append(comparison)
    return {pair: tuple(rows) for pair, rows in found.items()}


def ladder(points: Iterable[Point], arm: str) -> list[tuple[int, float]]:
    """Return (samples, mean over seeds) of one arm, the base model ahead: for sparklines only."""
    sums: dict[int, list[float]] = {}
    for point in points:
        if point.arm in (arm, BASE_ARM):
            sums.setdefault(point.n_train, []).append(point.value)
    return [(n, sum(values) / len(values)) for n, values in sorted(sums.items())]
