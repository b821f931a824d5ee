"""From points to curves with bands and verdicts."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from assay.core import Band, CurveResult, NextRuns, Point, Verdict, VerdictWord
from assay.curve._families import Array
from assay.curve._posterior import Data, NoisePrior, Posterior
from assay.curve._table import (
    ITEM_LENGTH,
    OWN_SHARE,
    Ladder,
    item_covariance,
    ladders,
    noise_priors,
    oriented,
)

DECIDED = 0.9
"""Posterior probability from which a verdict is given (methods, section 2)."""

LEAST_RUNGS = 3
_BAND_POINTS = 41
_FURTHEST = 2.0
_TAILS = (0.05, 0.95)
_SEEDS_TO_ADD = (1, 2, 3, 6)
_PARTICLES = 1000
_OUTCOMES = 100
_LIKELY = 0.7


def fit_curves(
    points: Iterable[Point],
    *,
    satisfied_at: float | None = None,
    smallest_gain: float = 0.01,
    smallest_relative_gain: float = 0.005,
) -> list[CurveResult]:
    """Fit one curve to every type, arm and metric, with its 90 % band and verdict.

    ``smallest_gain`` is the gain in score that matters; for losses it is ``smallest_relative_gain`` of the
    loss at the largest rung.  A ladder of fewer than three rungs, or with values that are not finite, is
    refused and says so.  Deterministic.
    """
    by_metric: dict[str, list[Ladder]] = defaultdict(list)
    refused = []
    for ladder in ladders(points):
        if not np.isfinite(ladder.value).all():
            refused.append(CurveResult(ladder.type, ladder.arm, ladder.metric, None, None, {}, "not_finite"))
        elif len(ladder.n) < LEAST_RUNGS:
            refused.append(CurveResult(ladder.type, ladder.arm, ladder.metric, None, None, {}, "few_rungs"))
        else:
            by_metric[ladder.metric].append(ladder)
    fitted = []
    for metric, group in by_metric.items():
        typical = float(np.median([ladder.range for ladder in group]))
        for ladder, noise in zip(group, noise_priors(group), strict=True):
            threshold = smallest_gain
            if metric != "score":
                threshold = smallest_relative_gain * abs(float(ladder.value[-1]))
            target = satisfied_at if metric == "score" else None
            fitted.append(_Curve(ladder, noise, typical).result(threshold, target))
    return fitted + refused


class _Curve:
    """The posterior of one ladder, in the units of its metric."""

    def __init__(self, ladder: Ladder, noise: NoisePrior, typical: float) -> None:
        self.ladder = ladder
        self.sign = oriented(ladder)
        self.centre = float(ladder.value.mean())
        likely_sd = float(np.exp(np.log(noise.sd) @ np.exp(noise.log_weight)))
        # The expected range of the curve: its own, but not less than noise or half of what types show.
        self.scale = max(ladder.range, 0.5 * typical, 4 * likely_sd, 1e-9)
        self.low_n, self.high_n = float(ladder.n[0]), float(ladder.n[-1])
        u = self.place(ladder.n)
        self.posterior = Posterior(
            Data(
                u=u,
                y=self.sign * (ladder.value - self.centre) / self.scale,
                spread=ladder.factor / ladder.seeds,
                items=item_covariance(ladder, u) / self.scale**2,
                room=np.sqrt(ladder.factor),
            ),
            NoisePrior(noise.sd / self.scale, noise.log_weight),
        )

    def place(self, n: Array) -> Array:
        """Return sizes as u."""
        return np.log(n / self.low_n) / math.log(self.high_n / self.low_n)

    def draw(self, n: Array) -> Array:
        """Return draws [draws, len(n)] in the metric's units; scores stay within [0, 1]."""
        values = self.centre + self.sign * self.scale * self.posterior.draw(self.place(n))
        bounded = self.ladder.metric == "score" and bool(
            np.all((self.ladder.value >= 0) & (self.ladder.value <= 1))
        )
        return np.clip(values, 0.0, 1.0) if bounded else values

    def result(self, threshold: float, satisfied_at: float | None) -> CurveResult:
        grid = np.geomspace(self.low_n, _FURTHEST * self.high_n, _BAND_POINTS)
        grid = np.unique(np.concatenate([grid[1:-1], self.ladder.n, [_FURTHEST * self.high_n]]))
        draws = self.draw(grid)
        low, high = np.quantile(draws, _TAILS, axis=0)
        band = Band(
            n=tuple(grid.tolist()),
            mean=tuple(draws.mean(axis=0).tolist()),
            low=tuple(low.tolist()),
            high=tuple(high.tolist()),
            extrapolated_from=self.high_n,
        )
        ladder = self.ladder
        return CurveResult(
            type=ladder.type,
            arm=ladder.arm,
            metric=ladder.metric,
            band=band,
            verdict=self._verdict(grid, draws, threshold),
            families=self.posterior.families,
            satisfied_at=None if satisfied_at is None else _satisfied(grid, draws, satisfied_at),
        )

    def _verdict(self, grid: Array, draws: Array, threshold: float) -> Verdict:
        top, beyond = int(np.searchsorted(grid, self.high_n)), len(grid) - 1
        gains = self.sign * (draws[:, beyond] - draws[:, top])
        low, high = np.quantile(gains, _TAILS)
        parts = _parts(gains, threshold)
        names: tuple[VerdictWord, ...] = ("rising", "plateau", "falling")
        decided = [name for name, p in zip(names, parts, strict=True) if p >= DECIDED]
        return Verdict(
            word=decided[0] if decided else "undecided",
            gain=float(gains.mean()),
            gain_low=float(low),
            gain_high=float(high),
            p_rising=parts[0],
            p_plateau=parts[1],
            p_falling=parts[2],
            threshold=threshold,
            next_runs=None if decided else self._next(self._seen(grid, draws), gains, threshold),
        )

    def _seen(self, grid: Array, draws: Array) -> Array:
        """Return draws [draws, 2] at the largest rung and twice it, each less its own mean over the rungs.

        The item-level error that all rungs share is in every measurement alike, so it cancels here.
        """
        rungs = np.searchsorted(grid, self.ladder.n)
        ends = draws[:, [int(rungs[-1]), len(grid) - 1]]
        level: Array = draws[:, rungs].mean(axis=1, keepdims=True)
        return ends - level

    def _next(self, ends: Array, gains: Array, threshold: float) -> NextRuns:
        """Return the cheapest runs likely to decide: preposterior simulation over draws of the curve.

        For each design, outcomes are simulated from some draws and all draws reweighed by them; its chance is
        the share of outcomes after which one of the three probabilities reaches :data:`DECIDED`.
        """
        ladder = self.ladder
        every = max(1, len(gains) // _PARTICLES)
        values, gains = ends[::every], gains[::every]
        words = np.stack([gains > threshold, np.abs(gains) <= threshold, gains < -threshold], axis=1)
        noise = (self.posterior.noise_sd * self.scale) ** 2 * float(ladder.factor[-1])
        # Of the item-level error, only what differs between the two sizes hides the gain.
        apart = 1 - math.exp(
            -((float(self.place(np.array(_FURTHEST * self.high_n))) - 1) ** 2) / (2 * ITEM_LENGTH**2)
        )
        items = 2 * apart * OWN_SHARE.get(ladder.metric, 0.4) * float(ladder.item_se[-1]) ** 2
        rng = np.random.default_rng(0)
        truths = np.linspace(0, len(gains) - 1, _OUTCOMES).astype(int)
        error = rng.standard_normal(_OUTCOMES)
        designs = []
        for column, n in enumerate((self.high_n, _FURTHEST * self.high_n)):
            for seeds in _SEEDS_TO_ADD:
                variance = noise / seeds + (items if column else 0.0) + 1e-12
                seen = values[truths, column] + math.sqrt(variance) * error
                log = -((seen[:, None] - values[None, :, column]) ** 2) / (2 * variance)
                weight = np.exp(log - log.max(axis=1, keepdims=True))
                share = weight @ words / weight.sum(axis=1, keepdims=True)
                chance = float((share.max(axis=1) >= DECIDED).mean())
                designs.append(NextRuns(round(n), seeds, chance))
        likely = [d for d in designs if d.chance >= _LIKELY]
        if likely:
            return min(likely, key=lambda d: d.n_train * d.seeds)
        return max(designs, key=lambda d: (d.chance, -d.n_train * d.seeds))


def _parts(gains: Array, threshold: float) -> tuple[float, float, float]:
    rising, falling = float((gains > threshold).mean()), float((gains < -threshold).mean())
    return rising, max(0.0, 1.0 - rising - falling), falling


def _satisfied(grid: Array, draws: Array, target: float) -> float | None:
    """Return the smallest size from which on the target is passed with probability 0.9, within 2x."""
    passed = (draws >= target).mean(axis=0) >= DECIDED
    return float(grid[int(np.argmax(passed))]) if passed.any() else None


def measured(curves: Sequence[CurveResult], metric: str) -> list[CurveResult]:
    """Return the curves of one metric that were fitted."""
    return [c for c in curves if c.metric == metric and c.verdict is not None]
