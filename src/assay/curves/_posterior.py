"""The posterior of one ladder on one link, by collapsed quadrature: a learned state space around families.

The curve is a level, a family's rise with its gain per doubling, and a discrepancy: slope and level wander,
or the whole bends.  Given component, size of the discrepancy and run-level noise, all is linear and Gaussian;
level and gain integrate out in closed form, the rest is summed over grids whose weights real ladders taught.
Beyond the last size a share of draws breaks off the law, as curves do that no size has warned of.
The product of one-step forecasts of a Kalman filter over the same state space is this evidence, and their
mixture over noise and gains has the tails of Student's t.  No chain, no convergence question.
"""

from __future__ import annotations

import math
from copy import copy
from dataclasses import dataclass
from functools import cached_property, lru_cache
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.curves._families import COMPONENTS, Array, bend, by_kind, rises, wandering_level, wandering_slope
from assay.curves._learned import Breaks, Learned
from assay.curves._numbers import log_sum

DRAWS = 2000
_TINY = 1e-10
_LOOSE = 12.0
"""Noise levels whose log weight is that much below the best are left out: together under 1e-4."""


@dataclass(frozen=True)
class Data:
    """Rung means on a link, up is better.

    ``d`` [K]: doublings since the smallest rung; ``z`` [K]; ``runs`` [K, K]: covariance of the run-level
    error of the means for unit variance of one run; ``fixed`` [K, K]: covariance of the errors whose size is
    known (items, failed runs); ``squares`` with ``freedom``: squared deviations between seeds in units of
    one run.
    """

    d: Array
    z: Array
    runs: Array
    fixed: Array
    squares: float = 0.0
    freedom: int = 0


@dataclass(frozen=True)
class NoisePrior:
    """A grid of run-level standard deviations on the link with the log weight of each; equal lengths."""

    sd: Array
    log_weight: Array


def noise_grid(prior: Learned, centre: float, spread: float, data: Data) -> NoisePrior:
    """Return the grid of noise: prior (centre and spread of its logarithm) times what replicates say."""
    log_sd = np.log(prior.noise_grid)
    log = -0.5 * ((log_sd - centre) / spread) ** 2
    log = log - log_sum(log)
    if data.freedom:
        log = log - data.freedom * log_sd - data.squares / (2 * prior.noise_grid**2)
    kept = log > log.max() - _LOOSE
    return NoisePrior(prior.noise_grid[kept], log[kept])


def coarse(noise: NoisePrior) -> NoisePrior:
    """Return every third value of a grid of noise: enough to say where the curve runs."""
    return NoisePrior(noise.sd[::3], noise.log_weight[::3])


@lru_cache(maxsize=16)
def _normals(columns: int, stream: int) -> Array:
    """Return standard normals [DRAWS, columns], always the same, so that equal data give equal digits."""
    normals = np.random.default_rng([stream, columns]).standard_normal((DRAWS, columns))
    normals.setflags(write=False)
    return normals


@lru_cache(maxsize=8)
def _wandering(d: bytes, damping: float) -> tuple[Array, Array, Array, Array]:
    """Return kernels [M, M] of wandering slope and level, and paths [DRAWS, M] of unit size of each."""
    places = np.frombuffer(d)
    m = len(places)
    normals, jitter = _normals(2 * m, 1), 1e-9 * np.eye(m)
    slope, level = wandering_slope(places, damping), wandering_level(places)
    slopes = normals[:, :m] @ np.linalg.cholesky(slope + jitter).T
    levels = normals[:, m:] @ np.linalg.cholesky(level + jitter).T
    return slope, level, slopes, levels


class Posterior:
    """Weights [noise x cell, gain, component], moments and draws, for one link and set of failed runs.

    Components, of which there are most, come last: numpy is three times as fast along a long last axis.
    """

    def __init__(self, data: Data, noise: NoisePrior, prior: Learned) -> None:
        """Sum over the grids; some milliseconds."""
        self.data, self.noise, self.prior = data, noise, prior
        self.doublings = float(data.d[-1])
        self.rise = rises(data.d, self.doublings)
        self._solve(self._covariances())
        self._integrate()
        self._weigh()

    def _covariances(self) -> Array:
        """Return the covariance of the data around level and rise [noise x cell, K, K]."""
        data, (slope, level, bent) = self.data, self.prior.cells.T[:3, :, None, None]
        b = bend(data.d, self.doublings)
        wander = slope**2 * wandering_slope(data.d, self.prior.damping) + level**2 * wandering_level(data.d)
        wander = wander + bent**2 * np.outer(b, b)
        noise = self.noise.sd[:, None, None] ** 2 * data.runs + data.fixed + _TINY * np.eye(len(data.d))
        k, unit = len(data.d), self._units()[:, :, None, None] ** 2
        found: Array = (noise[:, None] + unit * wander[None]).reshape(-1, k, k)
        return found

    def _units(self) -> Array:
        """Return the unit [noise, cells] of each discrepancy's size: 1, or the run-level sd."""
        relative = self.prior.cells[:, 3] > 0
        units: Array = np.where(relative, self.noise.sd[:, None], 1.0)
        return units

    def _solve(self, covariance: Array) -> None:
        self.inverse = np.linalg.inv(covariance)
        self.log_det = np.linalg.slogdet(covariance)[1]
        self.ones = self.inverse.sum(axis=-1)
        self.total = self.ones.sum(axis=-1)

    def _integrate(self) -> None:
        """Integrate out the level (flat prior); keep what the gain per doubling is read from."""
        z, k = self.data.z, len(self.data.z)
        whitened = self.inverse - self.ones[:, :, None] * self.ones[:, None, :] / self.total[:, None, None]
        toward = whitened @ z
        zz = toward @ z
        # Quadratic forms of all rises under all matrices are one product of flattened outer products.
        squares = (self.rise[:, :, None] * self.rise[:, None, :]).reshape(-1, k * k)
        self.xx = np.maximum(whitened.reshape(-1, k * k) @ squares.T, 0.0)
        self.xz = toward @ self.rise.T
        self.still = zz + self.log_det + np.log(self.total) + (k - 1) * math.log(2 * math.pi)

    def gain(self, at: Any = (slice(None), slice(None), slice(None))) -> tuple[Array, Array]:
        """Return mean and variance of the gain per doubling at grid values: all, or those of indices."""
        h, g, j = at
        mean, sd, _ = self.prior.gains[g].T
        xx, xz = self.xx[h, j], self.xz[h, j]
        if xx.ndim == 2:
            xx, xz, mean, sd = xx[:, None], xz[:, None], mean[:, None], sd[:, None]
        variance = 1 / (xx + 1 / sd**2)
        return (xz + mean / sd**2) * variance, variance

    def _weigh(self) -> None:
        """Weigh the grids by prior times likelihood, the gain (a mixture of normals) integrated out.

        Only what data can move far is a logarithm: prior weights and the gain's variance are factors.
        """
        mean, sd, weight = self.prior.gains.T[:, :, None]
        variance = self.xx[:, None] + 1 / sd**2
        np.divide(1.0, variance, out=variance)
        log = self.xz[:, None] + mean / sd**2
        log *= log
        log *= variance
        log_cells = (self.noise.log_weight[:, None] + np.log(self.prior.cell_weight)).ravel()
        log += (2 * log_cells - self.still)[:, None, None]
        log -= 2 * (best := 0.5 * float(log.max()))
        log *= 0.5
        weights = np.exp(log, out=log)
        weights *= np.sqrt(variance, out=variance)
        by_gain = np.exp(-0.5 * (mean / sd) ** 2) / sd * _over_gains(weight)
        weights *= by_gain * self.prior.components()
        self._normalise(weights, best)

    def _normalise(self, weights: Array, log_factor: float) -> None:
        total = float(weights.sum())
        weights /= total
        self.log_evidence, self.weights = log_factor + math.log(total), weights

    def reweighed(self, prior: Learned) -> Posterior:
        """Return this posterior under a prior that differs in weights alone: nothing is solved anew."""
        found = copy(self)
        found.prior = prior
        for name in ("noise_sd", "told"):
            found.__dict__.pop(name, None)
        before = self.prior
        gains = (prior.gains[:, 2:] / before.gains[:, 2:]) * np.ones(len(COMPONENTS))
        gains[0, 0] = 1.0
        cells = np.tile(prior.cell_weight / before.cell_weight, len(self.noise.sd))
        weights = self.weights * (prior.components() / before.components() * gains)
        weights *= cells[:, None, None]
        found._normalise(weights, self.log_evidence)
        return found

    @cached_property
    def noise_sd(self) -> float:
        """Return the posterior mean of the run-level standard deviation on the link."""
        return float(self.weights.sum(axis=(1, 2)) @ np.repeat(self.noise.sd, len(self.prior.cells)))

    def fitted(self) -> Array:
        """Return the posterior mean of the curve at the rungs [K], on the link."""
        z, by = self.data.z, self.weights.sum(axis=(1, 2))
        risen = (self.weights * self.gain()[0]).sum(axis=1) @ self.rise
        missed = by[:, None] * z - risen
        level = (self.ones * missed).sum(axis=1) / self.total
        solved = np.einsum("hkl,hl->hk", self.inverse, missed - level[:, None])
        sd = np.repeat(self.noise.sd, len(self.prior.cells))
        fitted: Array = z - self.data.runs @ (sd**2 @ solved) - self.data.fixed @ solved.sum(axis=0)
        return fitted

    @cached_property
    def told(self) -> Array:
        """The posterior weight [kinds, cells, gains] of all that types of a study have in common."""
        by = self.weights.reshape(-1, len(self.prior.cells), *self.weights.shape[1:]).sum(axis=0)
        return by_kind(np.moveaxis(by, -1, 0))

    def odds(self) -> Array:
        """Return how far each rung [K] lies from what the others say, in its own standard errors.

        Under the likeliest grid values, leave-one-out in closed form; negative is worse than foretold.
        """
        h = int(self.weights.sum(axis=(1, 2)).argmax())
        j = int(self.weights[h].sum(axis=0).argmax())
        ones, rise = self.ones[h], self.rise[j]
        p = self.inverse[h] - np.outer(ones, ones) / self.total[h]
        along = p @ rise
        p = p - np.outer(along, along) / (rise @ along + 1 / float(self.prior.gains[:, 1].max()) ** 2)
        standard: Array = (p @ self.data.z) / np.sqrt(np.maximum(np.diag(p), _TINY))
        return standard

    def sampler(self, rows: slice) -> Sampler:
        """Return what draws need, of grid values picked evenly over their cumulative weight.

        ``rows`` are the rows of the common normals that the draws use, at most :data:`DRAWS`.
        """
        h, g, j = self._picked(rows.stop - rows.start)
        mean, variance = self.gain((h, g, j))
        gain = mean + np.sqrt(variance) * _normals(3, 0)[rows][:, 0]
        return Sampler(
            self.data, self.doublings, self.prior.damping, self.prior.breaks, rows, h.astype(np.int32),
            j.astype(np.int32), gain, np.repeat(self.noise.sd, len(self.prior.cells)),
            (self.prior.cells[:, :3] * self._units()[:, :, None]).reshape(-1, 3), self.ones, self.total,
            self.inverse,
        )  # fmt: skip

    def _picked(self, n: int) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
        """Return ``n`` cells, gains and components, evenly over the cumulative weight.

        First cell and component, then the gain within them: a sum over all three takes as long as the fit.
        """
        some = self.weights.sum(axis=1)
        sums = np.cumsum(some)
        wanted = (np.arange(n) + 0.5) / n * sums[-1]
        place = np.minimum(np.searchsorted(sums, wanted), sums.size - 1)
        h, j = np.unravel_index(place, some.shape)
        within = np.cumsum(self.weights[h, :, j], axis=1)
        left = wanted - (sums[place] - within[:, -1])
        g = np.minimum((within < left[:, None]).sum(axis=1), within.shape[1] - 1)
        return h, g, j


def _over_gains(weight: Array) -> Array:
    """Return prior weights [gains, components] of gains [gains, 1] given components.

    Without a rise there is no gain to sum over: its one cell stands for all.
    """
    found: Array = weight * np.ones(len(COMPONENTS))
    found[:, 0] = np.eye(len(weight))[0]
    return found


@dataclass(frozen=True)
class Sampler:
    """Draws of one ladder's curve: all that is read from it, in a fiftieth of what its grids take.

    ``breaks`` are those beyond the ladder.  Of each draw the ``cell``, the ``component`` and the ``gain`` per
    doubling; of each cell the run-level sd, the ``size`` [cells, 3] of the discrepancies and the ``inverse``
    [cells, K, K] of the data's covariance with its sums ``ones`` and ``total``.
    """

    data: Data
    doublings: float
    damping: float
    breaks: Breaks
    rows: slice
    cell: NDArray[np.int32]
    component: NDArray[np.int32]
    gain: Array
    sd: Array
    size: Array
    ones: Array
    total: Array
    inverse: NDArray[np.floating[Any]]

    @property
    def noise(self) -> Array:
        """Return the run-level sd of each draw."""
        return self.sd[self.cell]

    def draw(self, d: Array) -> Array:
        """Return draws [draws, len(d)] of the curve at ``d`` doublings.

        Up to the last size they are the posterior's.  Beyond it some go on as the law says and some break:
        what no size has measured, no size can rule out.
        """
        if not any(share for share, _ in self.breaks):
            return self._lawful(d)
        k, back = len(self.data.d), max(self.doublings - 1.0, 0.0)
        drawn = self._lawful(np.concatenate([d, [back], self.data.d]))
        rough: NDArray[np.bool_] = self.size[self.cell].max(axis=1) > 0
        normals = _normals(2, 4)[self.rows]
        change = turned(self.breaks, rough, drawn[:, -k:], drawn[:, -k - 1], self.data.d, normals)
        ahead: Array = drawn[:, : len(d)] + change[:, None] * np.maximum(d - self.doublings, 0.0)
        return ahead

    def _lawful(self, d: Array) -> Array:
        """Return draws [draws, len(d)] of families and discrepancies at ``d`` doublings.

        Given its grid values, the rest of a draw is conditioned on the data by Matheron's rule: a path of
        the discrepancy from its prior, moved by what it and the noise miss of the data.
        """
        k, normals = len(self.data.d), _normals(3, 0)[self.rows]
        missed = self.data.z - self.gain[:, None] * rises(self.data.d, self.doublings)[self.component]
        total = self.total[self.cell]
        level = (self.ones[self.cell] * missed).sum(axis=1) / total + normals[:, 1] / np.sqrt(total)
        ahead: Array = level[:, None] + self.gain[:, None] * rises(d, self.doublings)[self.component]
        size = self.size[self.cell]
        path, kernels = self._paths(np.concatenate([self.data.d, d]), size)
        error = self._errors()
        solved = np.einsum(
            "nkl,nl->nk", self.inverse[self.cell], missed - level[:, None] - path[:, :k] - error
        )
        ahead += path[:, k:]
        for column, kernel in enumerate(kernels):
            ahead += size[:, column, None] ** 2 * (solved @ kernel[:k, k:])
        return ahead

    def _paths(self, d: Array, size: Array) -> tuple[Array, tuple[Array, Array, Array]]:
        """Return prior paths [draws, len(d)] of the discrepancy and its three kernels of unit size."""
        slope, level, slopes, levels = _wandering(d.tobytes(), self.damping)
        b = bend(d, self.doublings)
        path = size[:, :1] * slopes[self.rows]
        path += size[:, 1:2] * levels[self.rows]
        path += (size[:, 2] * _normals(3, 0)[self.rows][:, 2])[:, None] * b
        return path, (slope, level, np.outer(b, b))

    def _errors(self) -> Array:
        """Return draws [draws, K] of the error of the rung means."""
        k = len(self.data.d)
        normals = _normals(2 * k, 2)[self.rows]
        jitter = 1e-12 * np.eye(k)
        runs = normals[:, :k] @ np.linalg.cholesky(self.data.runs + jitter).T
        known: Array = normals[:, k:] @ np.linalg.cholesky(self.data.fixed + _TINY * np.eye(k)).T
        return self.noise[:, None] * runs + known


def turned(
    breaks: Breaks, rough: NDArray[np.bool_], inside: Array, before: Array, d: Array, normals: Array
) -> Array:
    """Return by how much per doubling each draw changes its slope beyond the ladder [draws].

    ``inside`` [draws, K] are its values at the rungs ``d`` [K], ``before`` [draws] that a doubling before the
    last.  ``normals`` [draws, 2] say whether a draw breaks and how: 0 for most, a normal for the share that
    does, in units of the slope of the last doubling.  A rough curve that goes on the way it came has the root
    mean square of its slopes for a unit: one that has stood still and climbed by turns may climb again.
    """
    (share, size), (rough_share, rough_size) = breaks
    recent = np.abs(inside[:, -1] - before) / min(float(d[-1]), 1.0)
    slopes = np.diff(inside, axis=1) / np.diff(d)
    onward = normals[:, 1] * (inside[:, -1] - inside[:, 0]) > 0
    unit = np.where(rough & onward, rough_size * np.sqrt((slopes**2).mean(axis=1)), size * recent)
    least = np.where(rough, _least(rough_share), _least(share))
    changed: Array = (normals[:, 0] < least) * unit * normals[:, 1]
    return changed


def _least(share: float) -> float:
    """Return the normal below which that share lies."""
    return NormalDist().inv_cdf(share) if share else -math.inf


def prior_draw(
    design: Data, noise: NoisePrior, prior: Learned, at: Array, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Draw a curve from the prior and measure it; return (z [K] at the rungs, truth at ``at``).

    The prior is the one that :class:`Posterior` assumes (its level is flat: 0 here), so that ranks of a gain
    among posterior draws are uniform (simulation-based calibration, Talts et al. 2018).
    """
    component = COMPONENTS[rng.choice(len(COMPONENTS), p=prior.components())]
    mean, sd, weight = prior.gains.T
    g = rng.choice(len(weight), p=weight)
    gain = rng.normal(mean[g], sd[g])
    *cell, relative = prior.cells[rng.choice(len(prior.cells), p=prior.cell_weight)]
    one = float(rng.choice(noise.sd, p=np.exp(noise.log_weight - log_sum(noise.log_weight))))
    slope, level, bent = np.array(cell) * (one if relative else 1.0)
    doublings = float(design.d[-1])
    d = np.concatenate([design.d, at, [max(doublings - 1.0, 0.0)]])
    b = bend(d, doublings)
    kernel = slope**2 * wandering_slope(d, prior.damping) + level**2 * wandering_level(d)
    kernel = kernel + bent**2 * np.outer(b, b) + 1e-12 * np.eye(len(d))
    curve = gain * component.rise(d, doublings) + np.linalg.cholesky(kernel) @ rng.standard_normal(len(d))
    k, rough = len(design.d), np.array([any(cell)])
    normals = rng.standard_normal((1, 2))
    change = float(turned(prior.breaks, rough, curve[None, :k], curve[-1:], design.d, normals)[0])
    covariance = one * one * design.runs + design.fixed + _TINY * np.eye(k)
    error = np.linalg.cholesky(covariance) @ rng.standard_normal(k)
    return curve[:k] + error, curve[k:-1] + change * np.maximum(at - doublings, 0.0)
