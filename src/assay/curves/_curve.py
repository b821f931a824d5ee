"""The posterior of one ladder, in the units of its metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from assay.curves._families import Array
from assay.curves._posterior import Data, NoisePrior, Posterior
from assay.curves._table import (
    Ladder,
    item_covariance,
    noise_priors,
    oriented,
    place,
    run_covariance,
    trunk_correlation,
)

DECIDED = 0.9
"""Posterior probability from which a verdict is given (methods, section 2)."""

LEAST_RUNGS = 3
TAILS = (0.05, 0.95)


class Drawn(Protocol):
    """A fitted curve: all that verdicts and best sizes need of it."""

    ladder: Ladder
    sign: float
    low_n: float
    high_n: float

    @property
    def run_sd(self) -> float:
        """Return the run-level standard deviation at factor 1."""

    @property
    def families(self) -> Mapping[str, float]:
        """Return the weight of each family; sums to 1."""

    def place(self, n: Array) -> Array:
        """Return sizes as u."""

    def draw(self, n: Array) -> Array:
        """Return draws [draws, len(n)] in the metric's units."""


class Curve:
    """The posterior over families of one ladder."""

    def __init__(
        self,
        ladder: Ladder,
        noise: NoisePrior,
        typical: float,
        correlation: float,
        *,
        common_items: bool = True,
    ) -> None:
        """Fit the ladder; ``typical`` is the range that ladders of its metric have."""
        self.ladder = ladder
        self.sign = oriented(ladder)
        self.centre = float(ladder.value.mean())
        likely_sd = float(np.exp(np.log(noise.sd) @ np.exp(noise.log_weight)))
        # The expected range of the curve: its own, but not less than noise or half of what types show.
        self.scale = max(ladder.range, 0.5 * typical, 4 * likely_sd, 1e-9)
        self.low_n, self.high_n = float(ladder.n[0]), float(ladder.n[-1])
        self.bounded = ladder.metric == "score" and bool(np.all((ladder.value >= 0) & (ladder.value <= 1)))
        u = self.place(ladder.n)
        self.posterior = Posterior(
            Data(
                u=u,
                y=self.sign * (ladder.value - self.centre) / self.scale,
                spread=run_covariance(ladder, correlation),
                items=item_covariance(ladder, u, common=common_items) / self.scale**2,
                room=np.sqrt(ladder.factor),
            ),
            NoisePrior(noise.sd / self.scale, noise.log_weight),
        )

    @property
    def run_sd(self) -> float:
        """Return the posterior mean of the run-level standard deviation at factor 1."""
        return self.posterior.noise_sd * self.scale

    @property
    def families(self) -> Mapping[str, float]:
        """Return the posterior weight of each family."""
        return self.posterior.families

    def place(self, n: Array) -> Array:
        """Return sizes as u."""
        return place(n, self.ladder)

    def draw(self, n: Array) -> Array:
        """Return draws [draws, len(n)] in the metric's units; scores stay within [0, 1]."""
        values = self.centre + self.sign * self.scale * self.posterior.draw(self.place(n))
        return np.clip(values, 0.0, 1.0) if self.bounded else values


def fit_group(group: Sequence[Ladder], *, common_items: bool = True) -> list[Curve]:
    """Fit the ladders of one metric, which lend each other noise, range and correlation of seeds."""
    typical = float(np.median([ladder.range for ladder in group]))
    correlation = trunk_correlation(group)
    return [
        Curve(ladder, noise, typical, correlation, common_items=common_items)
        for ladder, noise in zip(group, noise_priors(group), strict=True)
    ]


def threshold_of(ladder: Ladder, smallest_gain: float, smallest_relative_gain: float) -> float:
    """Return the smallest gain that matters, in the metric's units: for losses a share of the last one."""
    if ladder.metric == "score":
        return smallest_gain
    return smallest_relative_gain * abs(float(ladder.value[-1]))
