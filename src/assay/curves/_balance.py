"""The balance point: from which size on a selection is no better than random (INSTRUCTMINING, section 5)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from assay.core import BalancePoint, Point
from assay.curves._curve import DECIDED, LEAST_RUNGS, Curve, fit_group, threshold_of
from assay.curves._families import Array
from assay.curves._numbers import TAILS
from assay.curves._table import Ladder, ladders

_GRID_POINTS = 61
_CONSTRUCTED = 0.5


def balance_points(
    points: Iterable[Point],
    *,
    baseline: str = "random",
    smallest_gain: float = 0.01,
    smallest_relative_gain: float = 0.005,
    pools: Mapping[str, int] | None = None,
) -> list[BalancePoint]:
    """Find where every arm meets the baseline, for each type and metric that both were measured on.

    Both curves are drawn over the sizes that both measured; nothing is extrapolated.  ``pools`` gives the
    number of samples that each arm chooses from: at the whole pool a selection is the pool, so curves meet
    there by construction, and a meeting in its upper half says so.
    """
    groups: dict[str, list[Ladder]] = defaultdict(list)
    for ladder in ladders(points):
        if len(ladder.n) >= LEAST_RUNGS:
            groups[ladder.metric].append(ladder)
    found = []
    for group in groups.values():
        arms = {ladder.arm for ladder in group}
        if baseline not in arms or len(arms) == 1:
            continue
        curves = {(c.ladder.type, c.ladder.arm): c for c in fit_group(group, common_items=False)}
        for (kind, arm), curve in curves.items():
            base = curves.get((kind, baseline))
            if arm != baseline and base is not None:
                threshold = threshold_of(base.ladder, smallest_gain, smallest_relative_gain)
                result = _meeting(curve, base, threshold, (pools or {}).get(arm))
                found += [result] if result else []
    return found


def _meeting(a: Curve, b: Curve, threshold: float, pool: int | None) -> BalancePoint | None:
    start, end = max(a.low_n, b.low_n), min(a.high_n, b.high_n)
    if start >= end:
        return None
    grid = np.geomspace(start, end, _GRID_POINTS)
    # Draws are by quantiles of the weights, alike in both curves: shuffled, they are independent.
    shuffle = np.random.default_rng(0).permutation(len(a.draw(grid[:1])))
    ahead = a.sign * (a.draw(grid)[shuffle] - b.draw(grid))
    p_met = (ahead <= threshold).mean(axis=0)
    lasting = np.flip(np.logical_and.accumulate(np.flip(p_met >= DECIDED)))
    n = round(float(grid[int(np.argmax(lasting))])) if lasting.any() else None
    low, high = _quantiles(grid, ahead <= threshold)
    stays = 1 - p_met[-1] >= DECIDED
    word = "meet" if n is not None else ("a stays ahead" if stays else "undecided")
    return BalancePoint(
        a=a.ladder.arm,
        b=b.ladder.arm,
        type=a.ladder.type,
        metric=a.ladder.metric,
        word=word,  # type: ignore[arg-type]
        n=n,
        low=low,
        high=high,
        threshold=threshold,
        by_construction=None if pool is None or n is None else n >= _CONSTRUCTED * pool,
    )


def _quantiles(grid: Array, met: NDArray[np.bool_]) -> tuple[int | None, int | None]:
    """Return the 5 % and 95 % quantiles over draws of the size from which on they have met; None beyond."""
    lasting = np.flip(np.logical_and.accumulate(np.flip(met, axis=1), axis=1), axis=1)
    first = np.where(lasting.any(axis=1), grid[lasting.argmax(axis=1)], np.inf)
    low, high = np.quantile(first, TAILS, method="lower")
    return tuple(round(float(x)) if np.isfinite(x) else None for x in (low, high))  # type: ignore[return-value]
