"""The best learning rate of a few tried, with its interval: pure mathematics on losses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import ndtr, ndtri

from assay.core import BestRate
from assay.curves._curve import DECIDED
from assay.curves._families import Array

RUN_NOISE = 0.003
"""Noise of log loss between trainings that differ in the rate alone and share data and order."""
_DRAWS, _LOW, _HIGH = 4000, 0.05, 0.95


@dataclass(frozen=True, slots=True)
class Tried:
    """Losses at one size of rates that did not diverge, rising; arrays [R].

    ``item_se`` is the error of the difference from the best.
    """

    n_train: int
    rates: Array
    losses: Array
    item_se: Array


@dataclass(frozen=True, slots=True)
class Regret:
    """How much worse a rate is than the best tried, with its 90 % interval.

    ``p`` is the probability that it is more than the smallest gain that matters.
    """

    gap: float
    low: float
    high: float
    p: float


def optima(tried: Tried, seed: int = 0) -> Array:
    """Return draws of the logarithm of the best rate: parabolas through the best and its neighbours."""
    rng, x = np.random.default_rng(seed), np.log(tried.rates)
    noise = np.hypot(RUN_NOISE * tried.losses, tried.item_se)
    drawn = tried.losses + noise * rng.standard_normal((_DRAWS, len(x)))
    return _vertices(x, drawn)


def _vertices(x: Array, losses: Array) -> Array:
    """Return [D] where the parabola through the least of [D, R] losses and its neighbours is least.

    At an end, the end.
    """
    at = losses.argmin(axis=1)
    found: Array = x[at].astype(float)
    inner = np.flatnonzero((at > 0) & (at < len(x) - 1))
    place, rows = at[inner], losses[inner]
    (a, b, c), every = (x[place - 1], x[place], x[place + 1]), np.arange(len(inner))
    ya, yb, yc = (rows[every, place + k] for k in (-1, 0, 1))
    left, right = (b - a) * (yb - yc), (b - c) * (yb - ya)
    bends = left != right
    top, bottom = (b - a) * left - (b - c) * right, np.where(bends, left - right, 1.0)
    found[inner] = np.where(bends, b - 0.5 * top / bottom, b)
    return found


def best_rate(tried: Tried) -> BestRate:
    """Return the best rate at one size with its 90 % interval, which ends where nothing was tried beyond."""
    drawn = optima(tried)
    low, high = np.exp(np.quantile(drawn, [_LOW, _HIGH]))
    at = int(np.argmin(tried.losses))
    edge: Literal["low", "high"] | None = "low" if at == 0 else "high" if at == len(tried.rates) - 1 else None
    found = math.exp(_vertices(np.log(tried.rates), tried.losses[None])[0])
    return BestRate(tried.n_train, found, float(low), float(high), edge)


def moves(small: Tried, large: Tried) -> Literal["falls", "rises", "stays", "unknown"]:
    """Return how the best rate moves from a smaller size to a larger one: by half of a factor of three."""
    gap, limit = optima(large, 1) - optima(small, 0), 0.5 * math.log(3)
    chances = {"falls": gap < -limit, "rises": gap > limit, "stays": np.abs(gap) <= limit}
    for word in ("falls", "rises", "stays"):
        if float(chances[word].mean()) >= DECIDED:
            return word
    return "unknown"


def regret(tried: Tried, own: float, smallest: float) -> Regret:
    """Return how much worse the ``own`` rate is than the best tried, and the probability that it matters.

    That is, that it exceeds ``smallest``, a share of the loss.  Raises ``ValueError`` where ``own`` is not
    among the rates.
    """
    at = _place(tried.rates, own)
    best = int(np.argmin(tried.losses))
    gap = float(tried.losses[at] - tried.losses[best])
    if at == best:
        return Regret(0.0, 0.0, 0.0, 0.0)
    noise = math.hypot(math.sqrt(2) * RUN_NOISE * float(tried.losses[best]), float(tried.item_se[at]))
    low, high = gap + noise * float(ndtri(_LOW)), gap + noise * float(ndtri(_HIGH))
    return Regret(gap, low, high, float(ndtr((gap - smallest * float(tried.losses[best])) / noise)))


def _place(rates: Sequence[float] | Array, own: float) -> int:
    found = np.flatnonzero(np.isclose(rates, own, rtol=1e-9, atol=0))
    if not len(found):
        raise ValueError(f"{own} is not among {list(rates)}")
    return int(found[0])
