"""Effects of many pairs, each drawn towards the others as far as they are alike (empirical Bayes).

Effects of a part on its own type and on other types are different in kind, and each kind has a prior of its
own, learned from all its cells: own effects a normal around their mean, effects across a mixture of normals
around zero (Stephens 2017), so that a few large ones are not shrunk for the sake of many small ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv, ndtr

Array = NDArray[np.float64]

LEVEL = 0.1
"""One less the coverage of intervals."""

Z = 1.6448536269514722
"""Standard deviations that 90 % of a normal lie within."""

_NODES = 12
_SCALES = 14
_PSEUDO = 6.0
"""Cells that the prior over scales is worth before any is seen: with few pairs it must not collapse."""
_ROUNDS, _SETTLED = 200, 1e-4


@dataclass(frozen=True)
class Shrunk:
    """Posterior of each cell: mean, 90 % interval, and the probability that the effect is above zero."""

    mean: Array
    low: Array
    high: Array
    above: Array


def shrink(effects: Array, errors: Array, freedom: Array, own: NDArray[np.bool_]) -> Shrunk:
    """Return the posterior of ``effects`` [n] with standard ``errors`` [n] of ``freedom`` [n] degrees.

    ``own`` [n] marks effects of a part on its own type.
    """
    found = Shrunk(*(np.empty(len(effects)) for _ in range(4)))
    for kind, is_own in ((own, True), (~own, False)):
        if kind.any():
            cells = _Cells(effects[kind], errors[kind], freedom[kind])
            part = cells.around_mean() if is_own else cells.around_zero()
            for name in ("mean", "low", "high", "above"):
                getattr(found, name)[kind] = getattr(part, name)
    return found


class _Cells:
    """Cells of one kind; Student's t as a mixture of normals of ``_NODES`` variances."""

    def __init__(self, effects: Array, errors: Array, freedom: Array) -> None:
        self.effects = effects
        middles = (np.arange(_NODES) + 0.5) / _NODES
        with np.errstate(divide="ignore", invalid="ignore"):
            spread = np.where(
                np.isinf(freedom)[:, None],
                1.0,
                freedom[:, None] / (2 * gammaincinv(freedom[:, None] / 2, middles)),
            )
        self.noise = errors[:, None] ** 2 * spread
        small = float(np.median(errors))
        large = max(2 * float(np.abs(effects).max()), 2 * small)
        self.scales = np.geomspace(small / 8, large, _SCALES)

    def around_zero(self) -> Shrunk:
        """Return the posterior under a mixture of normals around zero, one scale for each cell."""
        weights = np.full(_SCALES, 1 / _SCALES)
        for _ in range(_ROUNDS):
            like = self._weigh(weights)
            counts = like.sum(axis=(0, 2)) + _PSEUDO / _SCALES
            before, weights = weights, counts / counts.sum()
            if float(np.abs(weights - before).max()) < _SETTLED:
                break
        zero = np.zeros((1, _SCALES, 1))
        return self._summary(self._weigh(weights), zero, zero)

    def around_mean(self) -> Shrunk:
        """Return the posterior under one normal; its mean and its scale, both flat, are summed over."""
        variance = self.scales**2 + self.noise.mean(axis=1)[:, None]
        precision = (1 / variance).sum(axis=0)
        centre = (self.effects[:, None] / variance).sum(axis=0) / precision
        log = -0.5 * (((self.effects[:, None] - centre) ** 2 / variance + np.log(variance)).sum(axis=0))
        # The grid is even in the logarithm of the scale.
        log += np.log(self.scales) - 0.5 * np.log(precision)
        weights = np.exp(log - log.max())
        shape = (1, _SCALES, 1)
        like = np.ones_like(self.noise)[:, None, :] * (weights / weights.sum()).reshape(shape) / _NODES
        return self._summary(like, centre.reshape(shape), (1 / precision).reshape(shape))

    def _weigh(self, weights: Array) -> Array:
        """Return the probability [cells, scales, nodes] of each scale and node under a centre of zero."""
        variance = self.scales[None, :, None] ** 2 + self.noise[:, None, :]
        log = -0.5 * (self.effects[:, None, None] ** 2 / variance + np.log(variance))
        like = weights[None, :, None] * np.exp(log - log.max(axis=(1, 2), keepdims=True))
        found: Array = like / like.sum(axis=(1, 2), keepdims=True)
        return found

    def _summary(self, like: Array, centre: Array, unsure: Array) -> Shrunk:
        """Return the mixture of normals over scales and nodes; ``unsure``: variance of the centre."""
        square = self.scales[None, :, None] ** 2
        share = square / (square + self.noise[:, None, :])
        mean = centre + share * (self.effects[:, None, None] - centre)
        sd = np.sqrt(share * self.noise[:, None, :] + (1 - share) ** 2 * unsure)
        flat = (len(like), -1)
        return _summary(like.reshape(flat), mean.reshape(flat), sd.reshape(flat))


def _summary(weight: Array, mean: Array, sd: Array) -> Shrunk:
    middle = (weight * mean).sum(axis=1)
    low, high = (_quantile(weight, mean, sd, p) for p in (LEVEL / 2, 1 - LEVEL / 2))
    return Shrunk(middle, low, high, 1 - _below(weight, mean, sd, np.zeros(len(middle))))


def _below(weight: Array, mean: Array, sd: Array, place: Array) -> Array:
    found: Array = (weight * ndtr((place[:, None] - mean) / sd)).sum(axis=1)
    return found


def _quantile(weight: Array, mean: Array, sd: Array, p: float) -> Array:
    low, high = (mean - 9 * sd).min(axis=1), (mean + 9 * sd).max(axis=1)
    for _ in range(60):
        middle = (low + high) / 2
        under = _below(weight, mean, sd, middle) < p
        low, high = np.where(under, middle, low), np.where(under, high, middle)
    found: Array = (low + high) / 2
    return found
