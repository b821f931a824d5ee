"""Double descent: a curve that gets worse before it gets better again.

The statistic is the largest rise from a rung to a later one in units of its error, calibrated by a bootstrap
from the isotonic fit, the nearest curve that never gets worse (methods, section 2).  A ladder only nominates
a valley and a peak; fresh seeds at these two sizes, which had no part in choosing them, confirm.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from assay.core import OVERALL, DoubleDescent, Point
from assay.curves._compare import holm
from assay.curves._curve import threshold_of
from assay.curves._families import Array
from assay.curves._table import Ladder, ladders, moderated_noise, oriented, replicates, without_failed

Places = NDArray[np.int64]

_DRAWS = 4000
_POWER_DRAWS = 600
_LEVEL = 0.05
_WANTED = 0.8
_LEAST_RUNGS = 4
_RISES = np.geomspace(1.0, 64.0, 25)
_FRESH_SEEDS = 4


def double_descent(
    points: Iterable[Point],
    *,
    smallest_gain: float = 0.01,
    smallest_relative_gain: float = 0.005,
    sd: float | None = None,
) -> list[DoubleDescent]:
    """Test every type, arm and metric for a rise between two sizes, and say what the ladder could have shown.

    Runs far worse than their siblings are left out, since one failed run looks like a peak; p is corrected
    over the types of an arm by Holm's method.  Seeds that were trained on exactly two sizes of a longer
    ladder count as fresh: they confirm (or not) what the others nominate.  ``sd`` is the run-level standard
    deviation where it is known from elsewhere; otherwise it is read from replicate seeds.  ``not seen`` is
    only said where a rise as large as the smallest gain that matters would have been seen with probability
    0.8; else it is ``cannot tell``.
    """
    screen, fresh = _split(points)
    found = [without_failed(ladder) for ladder in ladders(screen)]
    confirmers = {(x.type, x.arm, x.metric): x for x in ladders(fresh)}
    results, pooled = [], replicates(found)
    for ladder in found:
        matters = threshold_of(ladder, smallest_gain, smallest_relative_gain)
        noise = (sd, math.inf) if sd else moderated_noise(ladder, pooled)
        results.append(
            _test(ladder, confirmers.get((ladder.type, ladder.arm, ladder.metric)), noise, matters)
        )
    return _corrected(results)


def _corrected(results: Sequence[DoubleDescent]) -> list[DoubleDescent]:
    """Correct p over the types of each arm and metric by Holm's method, and say the words that follow.

    Overall is a headline of its own.  Fresh seeds keep their word: they had no part in choosing their type.
    """
    families: dict[tuple[str, str, bool], list[int]] = defaultdict(list)
    for i, row in enumerate(results):
        if row.p is not None:
            families[row.arm, row.metric, row.type == OVERALL].append(i)
    found = list(results)
    for own in families.values():
        adjusted = holm([p for i in own if (p := results[i].p) is not None])
        for i, p in zip(own, adjusted.tolist(), strict=True):
            found[i] = _worded(results[i], p)
    return found


def _worded(row: DoubleDescent, p: float) -> DoubleDescent:
    claimed = row.p_fresh is None and row.word in ("nominated", "worsens")
    if not claimed or p <= _LEVEL:
        return replace(row, p_adjusted=p)
    return replace(row, p_adjusted=p, word="cannot tell", reason="weak")


def _split(points: Iterable[Point]) -> tuple[list[Point], list[Point]]:
    """Return (screening points, fresh points): a seed with just two of at least four sizes is fresh."""
    curves: dict[tuple[str, str, str], list[Point]] = defaultdict(list)
    for point in points:
        if point.n_train > 0:
            curves[point.type, point.arm, point.metric].append(point)
    screen: list[Point] = []
    fresh: list[Point] = []
    for rows in curves.values():
        sizes: dict[int, set[int]] = defaultdict(set)
        for p in rows:
            sizes[p.seed].add(p.n_train)
        longest = max(len(s) for s in sizes.values())
        for p in rows:
            late = longest >= _LEAST_RUNGS and len(sizes[p.seed]) == 2
            (fresh if late else screen).append(p)
    return screen, fresh


@dataclass(frozen=True)
class _Design:
    """Rung errors [K] of means whose values [K] are oriented so that up is worse."""

    error: Array
    freedom: float

    def pairs(self) -> tuple[Places, Places, Array]:
        first, second = (i.astype(np.int64) for i in np.triu_indices(len(self.error), 1))
        return first, second, np.hypot(self.error[first], self.error[second])

    def statistic(self, values: Array) -> Array:
        """Return T [...] of values [..., K]."""
        first, second, error = self.pairs()
        largest: Array = ((values[..., second] - values[..., first]) / error).max(axis=-1)
        return largest

    def draws(self, truth: Array, count: int, rng: np.random.Generator) -> Array:
        """Return T [count] of ladders with this truth, with the noise estimated anew in each."""
        noise = rng.standard_normal((count, len(truth))) * self.error
        t = self.statistic(truth + noise)
        if math.isfinite(self.freedom):
            t = t / np.sqrt(rng.chisquare(self.freedom, count) / self.freedom)
        return t

    def steepest(self, values: Array) -> tuple[int, int]:
        """Return the rungs (valley, peak) whose rise is largest in units of its error."""
        first, second, error = self.pairs()
        best = int(np.argmax((values[second] - values[first]) / error))
        return int(first[best]), int(second[best])

    def falls_after(self, values: Array, peak: int) -> bool:
        """Return whether a rung after the peak is better than it, beyond the error of their difference."""
        limit = stdtrit(self.freedom, 1 - _LEVEL)
        later = slice(peak + 1, None)
        fall = (values[peak] - values[later]) / np.hypot(self.error[peak], self.error[later])
        return bool((fall > limit).any())

    def monotone(self, values: Array) -> Array:
        """Return the nearest curve that never gets worse (pool adjacent violators)."""
        from scipy.optimize import isotonic_regression  # slow to import

        fit: Array = isotonic_regression(values, weights=self.error**-2, increasing=False).x
        return fit


def _test(
    ladder: Ladder, fresh: Ladder | None, noise: tuple[float, float] | None, matters: float
) -> DoubleDescent:
    names = (ladder.type, ladder.arm, ladder.metric)
    if len(ladder.n) < _LEAST_RUNGS:
        return DoubleDescent(*names, word="cannot tell", reason="few_rungs")
    if noise is None:
        return DoubleDescent(*names, word="cannot tell", reason="no_replicates")
    worse = -oriented(ladder) * ladder.value
    items = ladder.own_share * ladder.item_se**2
    design = _Design(np.sqrt(noise[0] ** 2 * ladder.factor / ladder.seeds + items), noise[1])
    rng = np.random.default_rng(0)
    null = design.monotone(worse)
    visible = _visible(design, null)
    strong = visible is not None and visible <= matters
    valley, peak = design.steepest(worse)
    rise = float(worse[peak] - worse[valley])
    if rise <= 0:
        word = "not seen" if strong else "cannot tell"
        reason = "weak" if word == "cannot tell" else None
        return DoubleDescent(*names, word=word, reason=reason, rise=0.0, p=1.0, visible_rise=visible)  # type: ignore[arg-type]
    seen = float(design.statistic(worse))
    p = float((1 + (design.draws(null, _DRAWS, rng) >= seen).sum()) / (1 + _DRAWS))
    p_fresh = _confirm(fresh, ladder, (valley, peak), noise)
    word = _word(p, p_fresh, strong=strong)
    if peak == len(worse) - 1 and word in ("nominated", "confirmed"):
        word = "worsens"
    return DoubleDescent(
        *names,
        word=word,  # type: ignore[arg-type]
        reason="weak" if word == "cannot tell" else None,
        valley=int(ladder.n[valley]),
        peak=int(ladder.n[peak]),
        rise=rise,
        p=p,
        p_fresh=p_fresh,
        visible_rise=visible,
        descends_again=design.falls_after(worse, peak),
        fresh_seeds=_FRESH_SEEDS if p_fresh is None else 0,
    )


def _word(p: float, p_fresh: float | None, *, strong: bool) -> str:
    if p_fresh is not None:
        return "confirmed" if p_fresh <= _LEVEL else ("not seen" if strong else "cannot tell")
    if p <= _LEVEL:
        return "nominated"
    return "not seen" if strong else "cannot tell"


def _confirm(
    fresh: Ladder | None, ladder: Ladder, places: tuple[int, int], noise: tuple[float, float]
) -> float | None:
    """Return the one-sided p of the rise of fresh seeds at the nominated sizes; None without such."""
    if fresh is None:
        return None
    at = [np.flatnonzero(fresh.n == ladder.n[i]) for i in places]
    if not all(len(i) for i in at):
        return None
    (i, j), (sd, freedom) = (int(x[0]) for x in at), noise
    rise = -oriented(ladder) * float(fresh.value[j] - fresh.value[i])
    items = 2 * ladder.own_share * float(fresh.item_se[i]) * float(fresh.item_se[j])
    runs = sd * sd * float(fresh.factor[i] / fresh.seeds[i] + fresh.factor[j] / fresh.seeds[j])
    return float(stdtr(freedom, -rise / math.sqrt(runs + items)))


def _visible(design: _Design, null: Array) -> float | None:
    """Return the smallest rise from valley to peak that this design shows with probability 0.8.

    The rise stands on the monotone fit at each inner place in turn; None where none is large enough.  The
    larger the rise, the likelier it is seen: found by bisection, on the same normals each time.
    """
    rises = _RISES * float(np.sqrt(np.mean(design.error**2)))

    def shown(rise: float) -> bool:
        return power(design.error, rise, design.freedom, null, np.random.default_rng(1)) >= _WANTED

    place = bisect_left(rises, True, key=shown)
    return float(rises[place]) if place < len(rises) else None


def visible_rise(error: Array, freedom: float) -> float | None:
    """Return the smallest rise that a flat ladder with rung errors [K] shows with probability 0.8."""
    if len(error) < _LEAST_RUNGS or freedom <= 0:
        return None
    return _visible(_Design(error, freedom), np.zeros(len(error)))


def power(
    error: Array,
    rise: float,
    freedom: float,
    null: Array,
    rng: np.random.Generator,
    draws: int = _POWER_DRAWS,
) -> float:
    """Return the chance that a rise is found at level 0.05, its place drawn over the inner rungs."""
    design = _Design(error, freedom)
    found = []
    for valley in range(1, len(null) - 2):
        truth = null.copy()
        truth[valley + 1] = truth[valley] + rise
        limit = np.quantile(design.draws(design.monotone(truth), draws, rng), 1 - _LEVEL)
        found.append((design.draws(truth, draws, rng) > limit).mean())
    return float(np.mean(found))
