"""From points to curves with bands, verdicts and best sizes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from assay.core import AssayError, Band, BestSize, CurveResult, Gain, Point, Verdict, VerdictWord
from assay.curves._curve import DECIDED, LEAST_RUNGS, TAILS, Drawn, fit_group, threshold_of
from assay.curves._families import Array
from assay.curves._free import FreeForm, fit_free
from assay.curves._next import next_runs
from assay.curves._table import Ladder, ladders

TRUSTED, FURTHEST = 2.0, 4.0
"""Predictions reach twice the largest rung, four times if asked for, and then they are speculative."""

_BAND_POINTS = 41
_THOUSAND = 1000


def fit_curves(
    points: Iterable[Point],
    *,
    satisfied_at: float | None = None,
    smallest_gain: float = 0.01,
    smallest_relative_gain: float = 0.005,
    reach: float = TRUSTED,
    form: FreeForm | None = None,
) -> list[CurveResult]:
    """Fit one curve to every type, arm and metric, with its 90 % band and verdict.

    ``smallest_gain`` is the gain in score that matters; for losses it is ``smallest_relative_gain`` of the
    loss at the largest rung.  ``reach`` is how far the band goes, in largest rungs: 2 to 4.  A ladder of
    fewer than three rungs is refused and says so; points that are not finite or of size 0 are left out and
    listed.  ``form`` replaces the posterior over families by one free form.  Deterministic.  Raises
    :class:`AssayError` for a reach that is out of range.
    """
    if not TRUSTED <= reach <= FURTHEST:
        raise AssayError(
            "no prediction reaches that far",
            value=reach,
            expected="2 to 4 times the largest rung, of which all above 2 is speculative",
            hint="run a larger rung",
        )
    by_metric: dict[str, list[Ladder]] = defaultdict(list)
    results = []
    for ladder in ladders(points):
        if len(ladder.n) < LEAST_RUNGS:
            results.append(_refused(ladder))
        else:
            by_metric[ladder.metric].append(ladder)
    fitted: list[CurveResult] = []
    for metric, group in by_metric.items():
        target = satisfied_at if metric == "score" else None
        curves = fit_group(group) if form is None else fit_free(group, form)
        for curve in curves:
            threshold = threshold_of(curve.ladder, smallest_gain, smallest_relative_gain)
            fitted.append(_result(curve, threshold, target, reach))
    return fitted + results


def _refused(ladder: Ladder) -> CurveResult:
    return CurveResult(
        ladder.type, ladder.arm, ladder.metric, None, None, {}, "few_rungs", excluded=ladder.excluded
    )


def _result(curve: Drawn, threshold: float, satisfied_at: float | None, reach: float) -> CurveResult:
    ladder, top = curve.ladder, curve.high_n
    grid = np.geomspace(curve.low_n, reach * top, _BAND_POINTS)
    grid = np.unique(np.concatenate([grid[1:-1], ladder.n, [top + _THOUSAND, TRUSTED * top, reach * top]]))
    grid = grid[grid <= reach * top]
    draws = curve.draw(grid)
    low, high = np.quantile(draws, TAILS, axis=0)
    band = Band(
        n=tuple(grid.tolist()),
        mean=tuple(draws.mean(axis=0).tolist()),
        low=tuple(low.tolist()),
        high=tuple(high.tolist()),
        extrapolated_from=top,
    )
    inside = grid <= top
    return CurveResult(
        type=ladder.type,
        arm=ladder.arm,
        metric=ladder.metric,
        band=band,
        verdict=_verdict(curve, grid, draws, threshold),
        families=curve.families,
        satisfied_at=None if satisfied_at is None else _satisfied(grid, draws, satisfied_at),
        next_thousand=_gain(curve, grid, draws, top + _THOUSAND) if top >= _THOUSAND else None,
        best=_best(grid[inside], curve.sign * draws[:, inside], threshold),
        excluded=ladder.excluded,
    )


def _gains(curve: Drawn, grid: Array, draws: Array, n: float) -> Array:
    """Return draws of the gain from the largest rung to ``n``, both in the grid."""
    start, end = np.searchsorted(grid, [curve.high_n, n])
    gains: Array = curve.sign * (draws[:, end] - draws[:, start])
    return gains


def _gain(curve: Drawn, grid: Array, draws: Array, n: float) -> Gain:
    gains = _gains(curve, grid, draws, n)
    low, high = np.quantile(gains, TAILS)
    return Gain(round(curve.high_n), round(n), float(gains.mean()), float(low), float(high))


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
    for curve in (curve for group in groups.values() for curve in fit_group(group)):
        if not curve.low_n <= min(n_from, n_to) <= max(n_from, n_to) <= TRUSTED * curve.high_n:
            raise AssayError(
                "a size is outside of what was measured",
                value=f"{n_from} to {n_to}",
                expected=f"{curve.low_n:.0f} to {TRUSTED * curve.high_n:.0f}",
            )
        draws = curve.draw(np.array([n_from, n_to], float))
        threshold = threshold_of(curve.ladder, smallest_gain, smallest_relative_gain)
        ladder = curve.ladder
        found[ladder.type, ladder.arm, ladder.metric] = _read(
            curve.sign * (draws[:, 1] - draws[:, 0]), threshold
        )
    return found


def _verdict(curve: Drawn, grid: Array, draws: Array, threshold: float) -> Verdict:
    double = TRUSTED * curve.high_n
    verdict = _read(_gains(curve, grid, draws, double), threshold)
    if verdict.word != "undecided":
        return verdict
    place = int(np.searchsorted(grid, double))
    return replace(verdict, next_runs=next_runs(curve, grid, draws, place, threshold))


def _read(gains: Array, threshold: float) -> Verdict:
    parts = _parts(gains, threshold)
    names: tuple[VerdictWord, ...] = ("rising", "plateau", "falling")
    decided = [name for name, p in zip(names, parts, strict=True) if p >= DECIDED]
    low, high = np.quantile(gains, TAILS)
    return Verdict(
        word=decided[0] if decided else "undecided",
        gain=float(gains.mean()),
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
    low, high = np.quantile(grid[better.argmax(axis=1)], TAILS)
    p_interior = float((better[:, -1] < top[:, 0] - threshold).mean())
    word = "interior" if p_interior >= DECIDED else "undecided"
    return BestSize(
        n=round(float(grid[int(np.argmax(good))])) if good.any() else None,
        low=round(float(low)),
        high=round(float(high)),
        word="no interior optimum" if p_interior <= 1 - DECIDED else word,  # type: ignore[arg-type]
        p_interior=p_interior,
    )


def _satisfied(grid: Array, draws: Array, target: float) -> float | None:
    """Return the smallest size from which on the target is passed with probability 0.9, within 2x."""
    passed = (draws >= target).mean(axis=0) >= DECIDED
    return float(grid[int(np.argmax(passed))]) if passed.any() else None


def measured(curves: Sequence[CurveResult], metric: str) -> list[CurveResult]:
    """Return the curves of one metric that were fitted."""
    return [c for c in curves if c.metric == metric and c.verdict is not None]
