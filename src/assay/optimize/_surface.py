"""A Gaussian process over the logarithm of the size: where the loss is lowest, what one more run would tell.

The loss is a straight line in u (log size, 0 to 1) plus a smooth deviation plus the noise of a run; the scale
and length of the deviation and the noise are summed over a grid by their evidence: nothing is optimised.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

Array = NDArray[np.float64]

GRID = 121
_LENGTHS = (0.1, 0.17, 0.3)
_SCALES = (0.15, 0.4, 1.0)
_NOISES = (0.01, 0.03, 0.06, 0.12, 0.25)
_LINE_VARIANCE = 4.0
_DRAWS = 2000
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(15)


@dataclass(frozen=True, slots=True)
class Observation:
    """The loss of one run trained on ``size`` samples, and the hours of training where they are known."""

    size: int
    loss: float
    hours: float | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """The size where the smoothed loss is lowest, or the best run; never beyond the sizes that were trained.

    ``low`` and ``high`` bound the best size (90 %), which may lie beyond; ``loss`` is expected at ``size``;
    ``regret`` is how much lower the loss may be at the true best size, on average; ``end`` names the end of
    what was trained where ``size`` stands, beyond which the best may lie.
    """

    size: int
    low: int
    high: int
    loss: float
    regret: float
    runs: int
    end: Literal["low", "high"] | None = None


class Surface:
    """The posterior over the loss at :data:`GRID` sizes between ``low`` and ``high``, log-spaced."""

    def __init__(self, low: int, high: int, observations: Sequence[Observation]) -> None:
        """Sum over the grid of scales, lengths and noises; at least two observations of different size."""
        self.sizes: Array = np.geomspace(low, high, GRID)
        u = np.linspace(0, 1, GRID)
        self.seen = list(observations)
        at = np.log([o.size / low for o in self.seen]) / np.log(high / low)
        losses = np.array([o.loss for o in self.seen])
        self.centre, self.unit = float(losses.mean()), float(np.ptp(losses)) or 1.0
        y = (losses - self.centre) / self.unit
        parts = []
        for length in _LENGTHS:
            for scale in _SCALES:
                prior = _prior(at, at, scale, length)
                cross, own = _prior(u, at, scale, length), _prior(u, u, scale, length)
                parts += [_condition(prior, cross, own, y, noise) for noise in _NOISES]
        logs = np.array([part[0] for part in parts])
        self.weights: Array = np.exp(logs - logsumexp(logs))
        keep = self.weights > 1e-3
        self.weights = self.weights[keep] / self.weights[keep].sum()
        self.parts = [part for part, kept in zip(parts, keep, strict=True) if kept]
        self.mean: Array = sum(w * part[1] for w, part in zip(self.weights, self.parts, strict=True))

    def choice(self, *, observed: bool = False) -> Choice:
        """Return the best size and its interval, from joint draws of the whole curve.

        ``observed``: the size of the run with the lowest loss, instead of the minimum of the smoothed loss.
        """
        trained = [o.size for o in self.seen]
        first, last = (int(np.abs(np.log(self.sizes / n)).argmin()) for n in (min(trained), max(trained)))
        best = first + int(self.mean[first : last + 1].argmin())
        own = min(self.seen, key=lambda o: o.loss)
        if observed:
            best = int(np.abs(np.log(self.sizes / own.size)).argmin())
        # The grid's nearest size may lie beyond what was trained by a rounding.
        size = own.size if observed else min(max(round(self.sizes[best]), min(trained)), max(trained))
        rng = np.random.default_rng(0)
        draws = []
        for weight, (_, mean, covariance, _) in zip(self.weights, self.parts, strict=True):
            values, vectors = np.linalg.eigh(covariance)
            root = vectors * np.sqrt(np.maximum(values, 0))
            count = max(1, round(_DRAWS * weight))
            draws.append(mean + rng.standard_normal((count, GRID)) @ root.T)
        curves = np.concatenate(draws)
        low, high = np.quantile(curves.argmin(axis=1), (0.05, 0.95), method="nearest")
        regret = float((curves[:, best] - curves.min(axis=1)).mean())
        return Choice(
            size=size,
            low=min(size, round(self.sizes[int(low)])),
            high=max(size, round(self.sizes[int(high)])),
            loss=self.centre + self.unit * float(self.mean[best]),
            regret=self.unit * regret,
            runs=len(self.seen),
            end="low" if best == first else "high" if best == last else None,
        )

    def band(self) -> tuple[Array, Array]:
        """Return the limits of the loss (90 %) at each size; the mixture is taken as normal."""
        second = sum(
            w * (np.maximum(np.diag(covariance), 0) + mean**2)
            for w, (_, mean, covariance, _) in zip(self.weights, self.parts, strict=True)
        )
        reach = 1.645 * np.sqrt(np.maximum(second - self.mean**2, 0))
        return self.centre + self.unit * (self.mean - reach), self.centre + self.unit * (self.mean + reach)

    def gain(self) -> Array:
        """Return for each size by how much one more run there is expected to lower the loss that is reached.

        The knowledge gradient (Frazier et al. 2009) in units of the loss: the fall of the lowest expected
        loss, averaged over what the run may show.
        """
        found = np.zeros(GRID)
        for weight, (_, mean, covariance, noise) in zip(self.weights, self.parts, strict=True):
            deviation = np.sqrt(np.maximum(np.diag(covariance), 0) + noise**2)
            moved = covariance / deviation
            after = mean[:, None, None] + moved[:, :, None] * _NODES
            lowest = after.min(axis=0) @ (_WEIGHTS / _WEIGHTS.sum())
            found += weight * np.maximum(mean.min() - lowest, 0)
        return self.unit * found


Part = tuple[float, Array, Array, float]


def _prior(a: Array, b: Array, scale: float, length: float) -> Array:
    apart = (a[:, None] - b[None, :]) / length
    line = 1 + np.outer(a - 0.5, b - 0.5) * 4
    found: Array = _LINE_VARIANCE / 4 * line + scale**2 * np.exp(-(apart**2) / 2)
    return found


def _condition(prior: Array, cross: Array, own: Array, y: Array, noise: float) -> Part:
    """Return log evidence, mean and covariance on the grid, and the noise."""
    covariance = prior + noise**2 * np.eye(len(y))
    inverse = np.linalg.inv(covariance)
    _, log_det = np.linalg.slogdet(covariance)
    evidence = -0.5 * float(y @ inverse @ y + log_det)
    return evidence, cross @ inverse @ y, own - cross @ inverse @ cross.T, noise
