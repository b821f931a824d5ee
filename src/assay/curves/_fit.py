"""From points to curves with bands, verdicts and best sizes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, count
from typing import TypeAlias

import numpy as np

from assay.core import (
    AssayError,
    Band,
    BestSize,
    CurveNote,
    CurveResult,
    Gain,
    Measurement,
    Point,
    Refusal,
    Verdict,
    VerdictWord,
    mapped,
)
from assay.curves._curve import DECIDED, LEAST_RUNGS, Drawn, fit_group, threshold_of, workers
from assay.curves._families import Array
from assay.curves._free import FreeForm, fit_free
from assay.curves._next import Question, next_runs
from assay.curves._numbers import tails
from assay.curves._overall import MeanCurve, joined
from assay.curves._table import Ladder, ladders

Told: TypeAlias = Callable[[int, int], None]
"""Hears how many parts of the work are done, and of how many."""

TRUSTED, FURTHEST = 2.0, 4.0
"""Predictions reach twice the largest rung, four times if asked for, and then they are speculative."""

_BAND_POINTS = 41
_THOUSAND = 1000
_AT_ONCE = 20


def fit_curves(
    points: Iterable[Point],
    *,
    satisfied_at: float | None = None,
    smallest_gain: float = 0.01,
    smallest_relative_gain: float = 0.005,
    reach: float = TRUSTED,
    form: FreeForm | None = None,
    asked: int | None = None,
    pools: Mapping[str, int] | None = None,
    told: Told = lambda done, total: None,
) -> list[CurveResult]:
    """Fit one curve to every type, arm and metric, with its 90 % band and verdict.

    ``smallest_gain`` is the gain in score that matters; for losses it is ``smallest_relative_gain`` of the
    loss at the largest rung.  ``reach`` is how far the band goes, in largest rungs: 2 to 4.  A ladder of
    fewer than three rungs is refused and says so; points that are not finite or of size 0 are left out and
    listed; a ladder whose values are all equal has no verdict, but a note.  ``form`` replaces the posterior
    over families by one free form.  Verdicts are on the next doubling, or, where the ladder reaches so far,
    on that of the size ``asked``: the question that an earlier reading's next runs were to settle.
    ``pools`` holds the samples of each arm: no run is proposed that is larger.  ``told`` hears of progress,
    each ladder counting twice: fitted, and read.  Deterministic.  Raises :class:`AssayError` for a reach
    that is out of range.
    """
    if not TRUSTED <= reach <= FURTHEST:
        raise AssayError(
            "extrapolation beyond the supported range",
            value=reach,
            expected="2 to 4 times the largest rung, of which all above 2 is speculative",
            hint="run a larger rung",
        )
    by_metric: dict[str, list[Ladder]] = defaultdict(list)
    results = []
    for ladder in ladders(points):
        if len(ladder.n) < LEAST_RUNGS:
            results.append(_refused(ladder, "few_rungs"))
        elif np.nanmax(ladder.values) == np.nanmin(ladder.values):
            results.append(_refused(ladder, "constant"))
        else:
            by_metric[ladder.metric].append(ladder)
    fitted: list[CurveResult] = []
    done, total = count(1), (2 if form is None else 1) * sum(map(len, by_metric.values()))
    for metric, group in by_metric.items():
        target = satisfied_at if metric == "score" else None
        curves: Sequence[Drawn] = (
            joined(fit_group(group, told=lambda: told(next(done), total)))
            if form is None
            else fit_free(group, form)
        )
        asks = [
            _Asked(
                threshold_of(curve.ladder, smallest_gain, smallest_relative_gain),
                target,
                reach,
                asked,
                None if pools is None else pools.get(curve.ladder.arm),
            )
            for curve in curves
        ]
        for result in _read(list(zip(curves, asks, strict=True))):
            fitted.append(result)
            told(next(done), total)
    return fitted + results


@dataclass(frozen=True)
class _Asked:
    """What a curve is asked: the gain that matters, a score to reach, a reach, a size, its pool's samples."""

    threshold: float
    satisfied_at: float | None
    reach: float
    n: int | None
    pool: int | None


def _read(curves: Sequence[tuple[Drawn, _Asked]]) -> Iterator[CurveResult]:
    """Yield what each curve says; many in worker processes, but for means, which hold all their types."""
    plain = [(curve, asked) for curve, asked in curves if not isinstance(curve, MeanCurve)]
    batches = [plain[i : i + _AT_ONCE] for i in range(0, len(plain), _AT_ONCE)]
    with workers(len(plain)) as pool:
        results = chain.from_iterable(mapped(pool, _results, batches))
        for curve, asked in curves:
            yield _result(curve, asked) if isinstance(curve, MeanCurve) else next(results)


def _results(curves: Sequence[tuple[Drawn, _Asked]]) -> list[CurveResult]:
    return [_result(curve, asked) for curve, asked in curves]


def _refused(ladder: Ladder, why: Refusal) -> CurveResult:
    return CurveResult(
        ladder.type,
        ladder.arm,
        ladder.metric,
        None,
        None,
        {},
        why,
        excluded=ladder.excluded,
        notes=_notes(ladder),
    )


def _notes(ladder: Ladder) -> tuple[CurveNote, ...]:
    """Return what must be known before any verdict: constant answers, a ceiling, a floor."""
    if not ladder.values.size:
        return ()
    low, high = float(np.nanmin(ladder.values)), float(np.nanmax(ladder.values))
    if low == high:
        return ("all_zero",) if low == 0 and ladder.metric == "score" else ("all_equal",)
    last = ladder.values[:, -1]
    if ladder.metric == "score" and low >= 0 and high <= 1:
        if bool(np.nanmin(last) == 1):
            return ("ceiling",)
        if bool(np.nanmax(last) == 0):
            return ("floor",)
    return ()


def _result(curve: Drawn, asked: _Asked) -> CurveResult:
    ladder, top, reach = curve.ladder, curve.high_n, asked.reach
    question = _question(curve, asked.n, asked.threshold)
    grid = np.geomspace(curve.low_n, reach * top, _BAND_POINTS)
    ends = [top + _THOUSAND, question.n_from, question.n_to, TRUSTED * top, reach * top]
    grid = np.unique(np.concatenate([grid[1:-1], ladder.n, ends]))
    grid = grid[grid <= reach * top]
    draws = curve.draw(grid)
    low, high = tails(draws)
    band = Band(
        n=tuple(grid.tolist()),
        mean=tuple(draws.mean(axis=0).tolist()),
        low=tuple(low.tolist()),
        high=tuple(high.tolist()),
        extrapolated_from=top,
    )
    inside = grid <= top
    reached = None if asked.satisfied_at is None else _satisfied(grid, draws, asked.satisfied_at)
    return CurveResult(
        type=ladder.type,
        arm=ladder.arm,
        metric=ladder.metric,
        band=band,
        verdict=_verdict(curve, grid, draws, question, asked.pool),
        families=curve.families,
        satisfied_at=reached[-1] if reached else None,
        satisfied_from=reached[:2] if reached else None,
        next_thousand=_gain(curve, grid, draws, top + _THOUSAND) if top >= _THOUSAND else None,
        best=_best(grid[inside], curve.sign * draws[:, inside], asked.threshold),
        excluded=ladder.excluded,
        next_run=_next_run(curve, grid, draws),
        failed=curve.failed,
        family_holds=curve.exact,
        notes=_notes(ladder),
    )


def _question(curve: Drawn, asked: int | None, threshold: float) -> Question:
    """Return the sizes that the verdict is about: the next doubling, or that of the size asked."""
    near = asked is not None and curve.low_n <= asked <= curve.high_n
    start = float(asked) if asked is not None and near else curve.high_n
    return Question(start, TRUSTED * start, threshold)


def _next_run(curve: Drawn, grid: Array, draws: Array) -> Measurement:
    """Return what one run of twice the largest rung should measure."""
    double = TRUSTED * curve.high_n
    column = int(np.searchsorted(grid, double))
    runs = curve.draw_run(grid[column : column + 1], draws[:, column : column + 1])[:, 0]
    low, high = tails(runs)
    return Measurement(round(double), float(np.median(runs)), float(low), float(high))


def _gains(curve: Drawn, grid: Array, draws: Array, n: float) -> Array:
    """Return draws of the gain from the largest rung to ``n``, both in the grid."""
    start, end = np.searchsorted(grid, [curve.high_n, n])
    gains: Array = curve.sign * (draws[:, end] - draws[:, start])
    return gains


def _gain(curve: Drawn, grid: Array, draws: Array, n: float) -> Gain:
    gains = _gains(curve, grid, draws, n)
    low, high = tails(gains)
    return Gain(round(curve.high_n), round(n), float(np.median(gains)), float(low), float(high))


def verdicts_between(
    points: Iterable[Point],
    n_from: int,
    n_to: int,
    *,
    smallest_gain: float = 0.01,
    smallest_relative_gain: float = 0.005,
) -> dict[tuple[str, str, str], Verdict]:
    """Say what going from one size to another buys, by (type, arm, metric), where a curve can be fitted.

    Sizes may lie between rungs; none may lie outside the measured range and its double.
    """
    groups: dict[str, list[Ladder]] = defaultdict(list)
    for ladder in ladders(points):
        if len(ladder.n) >= LEAST_RUNGS:
            groups[ladder.metric].append(ladder)
    found = {}
    for curve in (curve for group in groups.values() for curve in joined(fit_group(group))):
        if not curve.low_n <= min(n_from, n_to) <= max(n_from, n_to) <= TRUSTED * curve.high_n:
            raise AssayError(
                "a size is outside of what was measured",
                value=f"{n_from} to {n_to}",
                expected=f"{curve.low_n:.0f} to {TRUSTED * curve.high_n:.0f}",
            )
        draws = curve.draw(np.array([n_from, n_to], float))
        threshold = threshold_of(curve.ladder, smallest_gain, smallest_relative_gain)
        ladder = curve.ladder
        verdict = read_gains(curve.sign * (draws[:, 1] - draws[:, 0]), threshold)
        found[ladder.type, ladder.arm, ladder.metric] = replace(verdict, n_from=n_from, n_to=n_to)
    return found


def _verdict(curve: Drawn, grid: Array, draws: Array, question: Question, pool: int | None) -> Verdict:
    start, end = np.searchsorted(grid, [question.n_from, question.n_to])
    verdict = read_gains(curve.sign * (draws[:, end] - draws[:, start]), question.threshold)
    verdict = replace(verdict, n_from=round(question.n_from), n_to=round(question.n_to))
    if verdict.word != "undecided" or "ceiling" in _notes(curve.ladder):
        return verdict
    return replace(verdict, next_runs=next_runs(curve, grid, draws, question, pool))


def read_gains(gains: Array, threshold: float) -> Verdict:
    """Return the verdict on draws of a gain, oriented so that positive is better.

    The gain that is foretold is their median: beside a ceiling the mean may lie outside of the interval.
    """
    parts = _parts(gains, threshold)
    names: tuple[VerdictWord, ...] = ("rising", "plateau", "falling")
    decided = [name for name, p in zip(names, parts, strict=True) if p >= DECIDED]
    low, high = tails(gains)
    return Verdict(
        word=decided[0] if decided else "undecided",
        gain=float(np.median(gains)),
        gain_low=float(low),
        gain_high=float(high),
        p_rising=parts[0],
        p_plateau=parts[1],
        p_falling=parts[2],
        threshold=threshold,
    )


def _parts(gains: Array, threshold: float) -> tuple[float, float, float]:
    rising, falling = float((gains > threshold).mean()), float((gains < -threshold).mean())
    return rising, max(0.0, 1.0 - rising - falling), falling


def _best(grid: Array, better: Array, threshold: float) -> BestSize:
    """Return where the draws [draws, len(grid)], oriented so that up is better, have their maximum."""
    top = better.max(axis=1, keepdims=True)
    good = (better >= top - threshold).mean(axis=0) >= DECIDED
    low, high = tails(grid[better.argmax(axis=1)])
    p_interior = float((better[:, -1] < top[:, 0] - threshold).mean())
    word = "interior" if p_interior >= DECIDED else "undecided"
    return BestSize(
        n=round(float(grid[int(np.argmax(good))])) if good.any() else None,
        low=round(float(low)),
        high=round(float(high)),
        word="no interior optimum" if p_interior <= 1 - DECIDED else word,  # type: ignore[arg-type]
        p_interior=p_interior,
    )


def _satisfied(grid: Array, draws: Array, target: float) -> tuple[float, float, float] | None:
    """Return the smallest sizes that pass the target with probability 0.1, 0.5 and 0.9; None without."""
    passed = (draws >= target).mean(axis=0)
    if not (passed >= DECIDED).any():
        return None
    low, middle, sure = (float(grid[int(np.argmax(passed >= p))]) for p in (1 - DECIDED, 0.5, DECIDED))
    return low, middle, sure


def measured(curves: Sequence[CurveResult], metric: str) -> list[CurveResult]:
    """Return the curves of one metric that were fitted."""
    return [c for c in curves if c.metric == metric and c.verdict is not None]
