"""The laws of curve forms."""

from __future__ import annotations

from typing import Any

import numpy as np

from assay import curves
from assay.core import Point
from assay.testing._suite import Suite

_SIZES = np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0])


def _draws(form: curves.FreeForm, count: int = 64) -> Any:
    """Return parameters [count, P] from the prior, its centre first."""
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((count, len(form.centre)))
    noise[0] = 0
    return np.array(form.centre) + noise * np.array(form.spread)


def fingerprint(name: str) -> list[Any]:
    """Return the curves of some parameters."""
    form = curves.free_form(name)
    found: list[Any] = form.function(_SIZES, _draws(form)).tolist()
    return found


class CurveFormSuite(Suite):
    """Inherit it and set ``name``."""

    plugins = curves.FORMS
    fingerprint = f"{__name__}:fingerprint"

    def test_curves_have_a_value_at_every_size(self) -> None:
        """The function takes x [K] and parameters [..., P] and returns finite values [..., K]."""
        form = curves.free_form(self.name)
        assert form.name == self.name, f"its name is {form.name!r}"
        draws = _draws(form)
        for parameters in (draws[0], draws, draws.reshape(8, 8, -1)):
            values = form.function(_SIZES, parameters)
            wanted = (*parameters.shape[:-1], len(_SIZES))
            assert values.shape == wanted, f"values {values.shape} for parameters {parameters.shape}"
            assert np.isfinite(values).all(), "a value that is not finite within the prior"

    def test_many_curves_are_as_one_by_one(self) -> None:
        """Each row of parameters gives the curve that it gives alone."""
        form = curves.free_form(self.name)
        draws = _draws(form)
        alone = np.stack([form.function(_SIZES, row) for row in draws])
        assert np.allclose(form.function(_SIZES, draws), alone, rtol=1e-12, atol=0), "rows are mixed up"

    def test_the_prior_is_of_the_scale(self) -> None:
        """At the centre of the prior the curve rises, begins near 0, and moves by about 1."""
        form = curves.free_form(self.name)
        curve = form.function(_SIZES, np.array(form.centre))
        assert abs(curve[0]) <= 1, f"it begins at {curve[0]:.2f}"
        assert 0.05 <= curve[-1] - curve[0] <= 3, f"it moves by {curve[-1] - curve[0]:.2f}: up is better"

    def test_what_it_is_given_is_left_alone(self) -> None:
        """Sizes and parameters are the same afterwards."""
        form = curves.free_form(self.name)
        sizes, draws = _SIZES.copy(), _draws(form)
        form.function(sizes, draws)
        assert np.array_equal(sizes, _SIZES), "the sizes have changed"
        assert np.array_equal(draws, _draws(form)), "the parameters have changed"

    def test_it_follows_a_ladder(self) -> None:
        """Fitted to a rising score with little noise, its band holds the measured range."""
        form = curves.free_form(self.name)
        points = [
            Point("math", n, seed, "score", 0.8 - 0.5 * (n / 100) ** -0.5 + 0.004 * (seed - 1), 200, 0.01)
            for n in (100, 200, 400, 800, 1600)
            for seed in range(3)
        ]
        (curve,) = curves.read_curves(points, form=form).curves
        assert curve.band is not None, f"refused: {curve.refused}"
        means = np.interp([100, 1600], curve.band.n, curve.band.mean)
        assert np.allclose(means, [0.3, 0.675], atol=0.06), f"the curve goes through {means.round(3)}"
        assert all(a <= b for a, b in zip(curve.band.low, curve.band.high, strict=True)), "a band upside down"
