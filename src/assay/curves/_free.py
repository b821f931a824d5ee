"""Free forms: curves not linear in their coefficients, as plugins beside the posterior over families.

A free form brings a function of size and unconstrained parameters with a Gaussian prior on them.  Its
posterior is sampled by emcee where that is installed, else by importance weights around the mode found by
least squares.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np

from assay.core import FailedRun, Plugins
from assay.curves._families import Array
from assay.curves._table import (
    Ladder,
    item_covariance,
    oriented,
    place,
    run_covariance,
    run_levels,
    trunk_correlation,
)

_STARTS = 16
_PROPOSALS = 40_000
_DRAWS = 4000
_WALKERS, _STEPS, _BURN = 40, 1500, 500


@dataclass(frozen=True)
class FreeForm:
    """A curve over x = n / n_min with unconstrained parameters.

    ``function`` takes x [K] and parameters [..., P] and returns losses or scores [..., K], scaled to start
    near 0 and to move by about 1 towards better (up).  ``centre`` and ``spread`` [P] are the mean and
    standard deviation of the Gaussian prior of its parameters.
    """

    name: str
    function: Callable[[Array, Array], Array]
    centre: tuple[float, ...]
    spread: tuple[float, ...]


def _bnsl(x: Array, p: Array) -> Array:
    """Broken neural scaling law with one break (Caballero et al. 2022, eq. 1), mirrored: up is better.

    Parameters: a, ln b, ln c0, c1, ln d1, ln f1.
    """
    a, b, c0, c1, d1, f1 = (p[..., i, None] for i in range(6))
    log_x = np.log(x)
    width = np.exp(f1)
    knee = np.logaddexp(0.0, (log_x - d1) / width)
    fallen: Array = a - np.exp(b - np.exp(c0) * log_x - c1 * width * knee)
    return fallen


def _power(x: Array, p: Array) -> Array:
    """Power law with offset: a - b x^-beta; parameters a, ln b, ln beta."""
    a, b, beta = (p[..., i, None] for i in range(3))
    curve: Array = a - np.exp(b - np.exp(beta) * np.log(x))
    return curve


FREE_FORMS: Mapping[str, FreeForm] = {
    "bnsl": FreeForm("bnsl", _bnsl, (0.5, 0.0, -1.5, 0.0, 2.3, -1.0), (1.0, 1.0, 1.0, 0.5, 1.5, 1.0)),
    "power": FreeForm("power", _power, (0.5, 0.0, -1.0), (1.0, 1.0, 1.0)),
}


def _also(form: FreeForm) -> str | None:
    if not len(form.centre) == len(form.spread) > 0:
        return f"its prior has {len(form.centre)} centres and {len(form.spread)} spreads"
    return None if all(sd > 0 for sd in form.spread) else "a spread of its prior is not above 0"


FORMS: Plugins[FreeForm] = Plugins("assay.curves", "curve form", FreeForm, FREE_FORMS, _also)
"""Free forms of other packages by name."""


def free_form(name: str) -> FreeForm:
    """Return a free form by name, from here or of a plug-in."""
    other = FORMS.get(name)
    if other is None and name not in FREE_FORMS:
        raise FORMS.unknown(name)
    return other or FREE_FORMS[name]


class FreeCurve:
    """The posterior of one free form on one ladder."""

    def __init__(self, ladder: Ladder, form: FreeForm, sd: float, typical: float, correlation: float) -> None:
        """Find the mode and sample around it, with the run-level standard deviation ``sd`` held."""
        self.ladder, self.form, self.run_sd = ladder, form, sd
        self.sign = oriented(ladder)
        self.low_n, self.high_n = float(ladder.n[0]), float(ladder.n[-1])
        self.centre = float(ladder.value.mean())
        self.scale = max(ladder.range, 0.5 * typical, 4 * sd, 1e-9)
        self.families: Mapping[str, float] = {form.name: 1.0}
        self.failed: tuple[FailedRun, ...] = ()
        self.exact: float | None = None
        covariance = (sd * sd * run_covariance(ladder, correlation)) + item_covariance(
            ladder, self.place(ladder.n)
        )
        root = np.linalg.cholesky(covariance / self.scale**2 + 1e-9 * np.eye(len(ladder.n)))
        self._whiten = np.linalg.inv(root)
        self._y = self.sign * (ladder.value - self.centre) / self.scale
        self._parameters = self._sample()

    def place(self, n: Array) -> Array:
        """Return sizes as u."""
        return place(n, self.ladder)

    def draw(self, n: Array) -> Array:
        """Return draws [draws, len(n)] in the metric's units."""
        values = self.form.function(n / self.low_n, self._parameters)
        return self.centre + self.sign * self.scale * values

    def draw_run(self, n: Array, draws: Array, stream: int = 0) -> Array:
        """Return what one run would measure at each size, given draws [draws, len(n)] of the curve."""
        ladder = self.ladder
        items = ladder.own_share * float(ladder.item_se[-1]) ** 2
        sd = math.sqrt(self.run_sd**2 * float(ladder.factor[-1]) + items)
        return draws + sd * np.random.default_rng([7, stream]).standard_normal(draws.shape)

    def _residuals(self, parameters: Array) -> Array:
        """Return whitened residuals of data and prior [..., K + P]; half their squares is -log density."""
        with np.errstate(over="ignore", invalid="ignore"):
            values = self.form.function(self.ladder.n / self.low_n, parameters)
        data = np.nan_to_num(values - self._y, nan=1e6, posinf=1e6, neginf=-1e6) @ self._whiten.T
        prior = (parameters - np.array(self.form.centre)) / np.array(self.form.spread)
        return np.concatenate([data, prior], axis=-1)

    def _mode(self) -> tuple[Array, Array]:
        """Return the mode and the covariance of its Gaussian approximation, from many starts."""
        rng = np.random.default_rng(0)
        centre, spread = np.array(self.form.centre), np.array(self.form.spread)
        starts = centre + spread * np.vstack(
            [np.zeros_like(centre), rng.standard_normal((_STARTS, len(centre)))]
        )
        from scipy.optimize import least_squares  # slow to import

        fits = [least_squares(self._residuals, start) for start in starts]
        best = min(fits, key=lambda fit: float(fit.cost))
        return best.x, np.linalg.inv(best.jac.T @ best.jac)

    def _sample(self) -> Array:
        mode, covariance = self._mode()
        if find_spec("emcee") is not None:
            return self._chain(mode, covariance)
        return self._weighted(mode, covariance)

    def _weighted(self, mode: Array, covariance: Array) -> Array:
        """Sample by importance: proposals from a wide Student t (5 degrees of freedom) around the mode."""
        rng = np.random.default_rng(0)
        root = np.linalg.cholesky(covariance + 1e-12 * np.eye(len(mode)))
        normal = rng.standard_normal((_PROPOSALS, len(mode)))
        heavy = normal / np.sqrt(rng.chisquare(5, (_PROPOSALS, 1)) / 5)
        proposals = mode + heavy @ root.T
        log = -0.5 * (self._residuals(proposals) ** 2).sum(axis=1)
        log += 0.5 * (5 + len(mode)) * np.log1p((heavy**2).sum(axis=1) / 5)
        weight = np.exp(log - log.max())
        picked = rng.choice(_PROPOSALS, _DRAWS, p=weight / weight.sum())
        chosen: Array = proposals[picked]
        return chosen

    def _chain(self, mode: Array, covariance: Array) -> Array:
        import emcee

        rng = np.random.default_rng(0)
        root = np.linalg.cholesky(covariance + 1e-12 * np.eye(len(mode)))
        start = mode + rng.standard_normal((_WALKERS, len(mode))) @ root.T
        sampler = emcee.EnsembleSampler(
            _WALKERS, len(mode), lambda p: -0.5 * (self._residuals(p) ** 2).sum(axis=1), vectorize=True
        )
        sampler.random_state = np.random.RandomState(0).get_state()
        sampler.run_mcmc(start, _STEPS)
        chain = sampler.get_chain(discard=_BURN, flat=True)
        every = max(1, len(chain) // _DRAWS)
        thinned: Array = chain[::every][:_DRAWS]
        return thinned


def fit_free(group: Sequence[Ladder], form: FreeForm) -> list[FreeCurve]:
    """Fit one free form to the ladders of one metric."""
    typical = float(np.median([ladder.range for ladder in group]))
    correlation = trunk_correlation(group)
    curves = []
    for ladder, sd in zip(group, run_levels(group), strict=True):
        curves.append(FreeCurve(ladder, form, sd, typical, correlation))
    return curves
