"""The posterior over curve families by collapsed grid quadrature.

Given shape, noise and size of the discrepancy, a family is linear and Gaussian, so its coefficients integrate
out in closed form; shape, noise and discrepancy are summed over grids.  No chain, no convergence question.
The discrepancy is a Gaussian process that takes up what no family can say (methods: Kennedy & O'Hagan 2001).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr, logsumexp, ndtr, ndtri

from assay.curves._families import FAMILIES, Array

DRAWS = 4000
_PRIOR_VARIANCE = np.array([4.0, 1.0, 0.25])
_DISCREPANCIES = (0.0, 0.04, 0.12)
_LENGTH = 0.35
_TINY = 1e-9

COMPONENTS = tuple(component for family in FAMILIES.values() for component in family)
_SIGNS = np.array([component.sign for component in COMPONENTS])
_LOG_PRIOR = np.log([1 / (len(FAMILIES) * len(FAMILIES[component.family])) for component in COMPONENTS])


@dataclass(frozen=True)
class Data:
    """Rung means in units of the expected range, oriented so that up is better, centred on 0.

    ``u`` [K] in [0, 1]; ``y`` [K]; ``spread`` [K, K]: covariance of the run-level error of the means for unit
    variance of one run (for noise variance s^2 it is s^2 spread); ``items`` [K, K]: covariance of the
    item-level error; ``room`` [K] in (0, 1]: how far the discrepancy can reach at each rung (little where a
    score is near its bound).
    """

    u: Array
    y: Array
    spread: Array
    items: Array
    room: Array

    def discrepancy(self, a: Array, b: Array) -> Array:
        """Return the kernel of the discrepancy [len(a), len(b)], scaled by the room at both places."""
        room_a, room_b = (np.interp(x, self.u, self.room) for x in (a, b))
        return np.outer(room_a, room_b) * kernel(a, b)


@dataclass(frozen=True)
class NoisePrior:
    """A grid of run-level standard deviations with the log weight of each; equal lengths."""

    sd: Array
    log_weight: Array


def kernel(a: Array, b: Array, length: float = _LENGTH) -> Array:
    """Return the squared-exponential kernel [len(a), len(b)] over u."""
    return np.exp(-((a[:, None] - b[None, :]) ** 2) / (2 * length * length))


class Posterior:
    """Weights, coefficients and draws of all components under all values of noise and discrepancy."""

    def __init__(self, data: Data, noise: NoisePrior) -> None:
        """Sum over the grids; a few milliseconds."""
        self.data = data
        self.hyper = [(i, d) for i in range(len(noise.sd)) for d in _DISCREPANCIES]
        self.noise = noise
        columns = np.stack([component.columns(data.u) for component in COMPONENTS])
        self.columns = columns
        logs = []
        self.fits = []
        for i, discrepancy in self.hyper:
            fit = _Fit(data, columns, float(noise.sd[i]), discrepancy)
            self.fits.append(fit)
            logs.append(fit.log_evidence + noise.log_weight[i] + _LOG_PRIOR)
        log = np.array(logs)
        self.weights: Array = np.exp(log - logsumexp(log))

    @cached_property
    def families(self) -> dict[str, float]:
        """Return the posterior weight of each family."""
        by_component = self.weights.sum(axis=0)
        found = dict.fromkeys(FAMILIES, 0.0)
        for component, weight in zip(COMPONENTS, by_component, strict=True):
            found[component.family] += float(weight)
        return found

    @cached_property
    def noise_sd(self) -> float:
        """Return the posterior mean of the run-level standard deviation."""
        by_hyper = self.weights.sum(axis=1)
        return float(sum(w * self.noise.sd[i] for w, (i, _) in zip(by_hyper, self.hyper, strict=True)))

    def draw(self, u: Array, draws: int = DRAWS) -> Array:
        """Return draws [draws, len(u)] of the curve at ``u``; the same data give the same draws."""
        rng = np.random.default_rng(0)
        flat = self.weights.ravel()
        places = (np.arange(draws) + 0.5) / draws
        picked = np.minimum(np.searchsorted(np.cumsum(flat), places), flat.size - 1)
        hypers, components = np.divmod(picked, len(COMPONENTS))
        at_grid = np.stack([component.columns(u) for component in COMPONENTS])
        curves = np.empty((draws, len(u)))
        for h in np.unique(hypers):
            rows = np.flatnonzero(hypers == h)
            curves[rows] = self.fits[h].draw(components[rows], at_grid, u, rng)
        return curves


class _Fit:
    """All components under one noise and one discrepancy."""

    def __init__(self, data: Data, columns: Array, sd: float, discrepancy: float) -> None:
        self.data, self.columns, self.discrepancy = data, columns, discrepancy
        k = len(data.u)
        covariance = sd * sd * data.spread + _TINY * np.eye(k) + data.items
        covariance = covariance + discrepancy**2 * data.discrepancy(data.u, data.u)
        self.inverse = np.linalg.inv(covariance)
        _, log_det = np.linalg.slogdet(covariance)
        whitened = self.inverse @ columns
        precision = np.swapaxes(columns, 1, 2) @ whitened + np.diag(1 / _PRIOR_VARIANCE)
        self.covariance = np.linalg.inv(precision)
        self.mean = np.einsum("jab,jb->ja", self.covariance, np.einsum("jka,k->ja", whitened, data.y))
        _, log_precision = np.linalg.slogdet(precision)
        explained = np.einsum("ja,jab,jb->j", self.mean, precision, self.mean)
        quadratic = data.y @ self.inverse @ data.y - explained
        log_prior = np.log(_PRIOR_VARIANCE).sum()
        evidence = -0.5 * (quadratic + log_det + log_precision + log_prior + k * np.log(2 * np.pi))
        self.log_evidence: Array = evidence + self._signed()

    def _signed(self) -> Array:
        """Return log(P(sign holds | data) / P(sign holds)): the correction for B's known sign."""
        z = _SIGNS * self.mean[:, 1] / np.sqrt(self.covariance[:, 1, 1])
        correction: Array = np.where(_SIGNS == 0, 0.0, log_ndtr(z) + np.log(2))
        return correction

    def draw(self, j: NDArray[np.int64], at_grid: Array, u: Array, rng: np.random.Generator) -> Array:
        coefficients = self._coefficients(j, rng)
        curves: Array = np.einsum("nga,na->ng", at_grid[j], coefficients)
        if self.discrepancy == 0:
            return curves
        across = self.discrepancy**2 * self.data.discrepancy(u, self.data.u)
        residual = self.data.y - np.einsum("nka,na->nk", self.columns[j], coefficients)
        curves += residual @ (across @ self.inverse).T
        left = self.discrepancy**2 * self.data.discrepancy(u, u) - across @ self.inverse @ across.T
        values, vectors = np.linalg.eigh(left)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        curves += rng.standard_normal((len(j), len(u))) @ root.T
        return curves

    def _coefficients(self, j: NDArray[np.int64], rng: np.random.Generator) -> Array:
        """Draw (E, B, h) with B of its known sign: B by inverse transform, the others given B."""
        mean, covariance, sign = self.mean[j], self.covariance[j], _SIGNS[j]
        sd = np.sqrt(covariance[:, 1, 1])
        z = mean[:, 1] * np.where(sign == 0, 1, sign) / sd
        uniform = rng.random(len(j))
        # Of a normal with mean z and sd 1, the part above 0; without a sign, all of it.
        low = np.where(sign == 0, 0.0, ndtr(-z))
        step = ndtri(np.clip(low + uniform * (1 - low), 1e-12, 1 - 1e-12))
        b = np.where(sign == 0, mean[:, 1] + step * sd, sign * np.maximum(z + step, 0) * sd)
        others = covariance[:, [0, 2]][:, :, [0, 2]]
        with_b = covariance[:, [0, 2], 1]
        shift = with_b * ((b - mean[:, 1]) / covariance[:, 1, 1])[:, None]
        left = others - np.einsum("na,nb->nab", with_b, with_b) / covariance[:, 1, 1][:, None, None]
        noise = np.linalg.cholesky(left + 1e-12 * np.eye(2)) @ rng.standard_normal((len(j), 2, 1))
        rest = mean[:, [0, 2]] + shift + noise[:, :, 0]
        return np.stack([rest[:, 0], b, rest[:, 1]], axis=1)


def prior_draw(design: Data, noise: NoisePrior, at: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """Draw a curve from the prior and measure it; return (y [K] at the rungs, truth at ``at``).

    The prior is the one that :class:`Posterior` assumes, so that ranks of the truth among posterior draws are
    uniform (simulation-based calibration, Talts et al. 2018).  ``design.y`` is not read.
    """
    component = COMPONENTS[rng.choice(len(COMPONENTS), p=np.exp(_LOG_PRIOR))]
    coefficients = rng.standard_normal(3) * np.sqrt(_PRIOR_VARIANCE)
    if component.sign:
        coefficients[1] = component.sign * abs(coefficients[1])
    u = np.concatenate([design.u, at])
    curve = component.columns(u) @ coefficients
    size = float(rng.choice(_DISCREPANCIES))
    root = np.linalg.cholesky(design.discrepancy(u, u) + 1e-9 * np.eye(len(u)))
    curve = curve + size * root @ rng.standard_normal(len(u))
    sd = float(rng.choice(noise.sd, p=np.exp(noise.log_weight)))
    covariance = sd * sd * design.spread + _TINY * np.eye(len(design.u)) + design.items
    error = np.linalg.cholesky(covariance) @ rng.standard_normal(len(design.u))
    return curve[: len(design.u)] + error, curve[len(design.u) :]
