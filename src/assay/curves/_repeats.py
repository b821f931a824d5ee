"""Steps or samples: what further passes over the same samples are worth beside new samples.

The data-constrained form (Muennighoff et al. 2023, equation 5): R further passes over U samples are worth
D' = U (1 + R* (1 - exp(-R / R*))) samples seen once; R* tells how soon repeating wears off.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from assay.core import PassWorth, Point
from assay.curves._curve import LEAST_RUNGS, fit_group
from assay.curves._families import Array
from assay.curves._numbers import TAILS
from assay.curves._overall import joined
from assay.curves._table import ladders

_SHARES = np.linspace(0.005, 0.995, 199)
"""What a second pass may be worth, as a share of as many new samples; each as likely as another at first."""
_GRID, _ROWS = 65, 1000


@dataclass(frozen=True, slots=True)
class Repeated:
    """Models trained on ``samples`` for ``passes`` times the passes of the ladder; ``values`` [S] by seed.

    ``item_se`` is the item-level standard error of one of them.
    """

    samples: int
    passes: int
    values: Array
    item_se: float


def effective(samples: float, passes: float, r_star: Array) -> Array:
    """Return D', the samples seen once that ``passes`` over ``samples`` are worth."""
    found: Array = samples * (1 + r_star * -np.expm1(-(passes - 1) / r_star))
    return found


def second_pass(r_star: Array) -> Array:
    """Return what a second pass is worth, as a share of as many new samples, in (0, 1)."""
    return effective(1.0, 2.0, r_star) - 1


def r_star_of(share: Array) -> Array:
    """Return the R* under which a second pass is worth ``share``; the inverse of :func:`second_pass`."""
    grid = np.geomspace(0.05, 2000, 4000)
    return np.exp(np.interp(share, second_pass(grid), np.log(grid)))


def pass_worth(points: Iterable[Point], repeated: Sequence[Repeated]) -> PassWorth | None:
    """Return what repeated passes are worth, from one ladder's points and models of fewer samples.

    ``points`` are those of one type, arm and metric.  The curve of the ladder is drawn from its posterior, so
    that where data buy nothing, nothing is said of repeats either: then the interval is wide.  None where the
    ladder has fewer than three rungs or nothing was repeated.
    """
    found = [one for one in ladders(points) if len(one.n) >= LEAST_RUNGS]
    if not found or not repeated:
        return None
    (curve,) = joined(fit_group(found, common_items=False))
    ladder, grid = curve.ladder, np.geomspace(curve.low_n, curve.high_n, _GRID)
    drawn = curve.draw(grid)
    drawn = drawn[:: max(1, len(drawn) // _ROWS)]
    r_star = r_star_of(_SHARES)
    log = np.zeros((len(drawn), len(r_star)))
    for one in repeated:
        sd = math.sqrt(curve.run_sd**2 / len(one.values) + ladder.own_share * one.item_se**2)
        there = np.log(effective(one.samples, one.passes, r_star))
        told = np.array([np.interp(there, np.log(grid), row) for row in drawn])
        log -= 0.5 * ((float(one.values.mean()) - told) / sd) ** 2
    return _worth(points=sum(len(one.values) for one in repeated), log=logsumexp(log, axis=0), r_star=r_star)


def _worth(points: int, log: Array, r_star: Array) -> PassWorth:
    weight = np.exp(log - logsumexp(log))
    low, high = np.interp(TAILS, np.cumsum(weight), _SHARES)
    edges = np.exp(np.interp([low, high], _SHARES, np.log(r_star)))
    middle = float((weight * _SHARES).sum())
    star = float(np.exp(np.interp(middle, _SHARES, np.log(r_star))))
    return PassWorth(middle, float(low), float(high), star, float(edges[0]), float(edges[1]), points)
