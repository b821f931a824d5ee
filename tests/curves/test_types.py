"""What types share: overall as their mean, variances drawn to each other, claims corrected over them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from assay.core import OVERALL, Point
from assay.curves import compare_arms, double_descent, fit_curves, inverse_trigamma
from assay.curves._compare import moderated_cells
from assay.curves._table import ladders

SIZES = [500 * 2**k for k in range(6)]


def types(stream: int = 0, sd: float = 0.006, arm: str = "random") -> list[Point]:
    """Return four types that reach ceilings at sizes of their own, and their mean."""
    rng = np.random.default_rng(stream)
    ceilings = np.array([1.0, 2.0, 3.0, 4.0])
    values = 0.3 + 0.4 * np.minimum(np.arange(6) / ceilings[:, None], 1.0)
    measured = values[:, :, None] + rng.normal(0, sd, (4, 6, 3))
    rows = [
        Point(f"t{t}", n, s, "score", float(measured[t, i, s]), arm=arm)
        for t in range(4)
        for i, n in enumerate(SIZES)
        for s in range(3)
    ]
    means = measured.mean(axis=0)
    return rows + [
        Point(OVERALL, n, s, "score", float(means[i, s]), arm=arm)
        for i, n in enumerate(SIZES)
        for s in range(3)
    ]


def test_overall_gains_what_its_types_gain_on_average() -> None:
    gains = {c.type: c.verdict for c in fit_curves(types())}
    overall = gains.pop(OVERALL)
    assert overall is not None
    mean = np.mean([v.gain for v in gains.values() if v is not None])
    assert overall.gain == pytest.approx(float(mean), abs=1e-3)
    assert overall.gain_low <= 0.0 <= overall.gain_high
    widths = [v.gain_high - v.gain_low for v in gains.values() if v is not None]
    assert overall.gain_high - overall.gain_low < float(np.mean(widths))


def test_an_overall_that_is_no_mean_keeps_its_own_curve() -> None:
    rows = [replace(p, value=p.value + 0.1) if p.type == OVERALL else p for p in types()]
    alone = [p for p in rows if p.type == OVERALL]
    (own,) = fit_curves(alone)
    joint = next(c for c in fit_curves(rows) if c.type == OVERALL)
    assert own.verdict is not None
    assert joint.verdict is not None
    assert joint.verdict.gain == pytest.approx(own.verdict.gain, abs=0.01)


@pytest.mark.parametrize("value", [0.02, 0.5, 1.64, 20.0])
def test_the_inverse_of_trigamma_is_one(value: float) -> None:
    from scipy.special import polygamma

    assert float(polygamma(1, inverse_trigamma(value))) == pytest.approx(value, rel=1e-6)


def test_variances_that_are_alike_are_pooled_and_those_that_differ_stay_apart() -> None:
    rng = np.random.default_rng(0)

    def study(spread: float) -> list[Point]:
        sds = 0.01 * np.exp(rng.normal(0, spread, 100))
        return [
            Point(f"t{t}", n, s, "loss", 1.0 + float(rng.normal(0, sds[t])))
            for t in range(100)
            for n in (100, 200)
            for s in range(6)
        ]

    alike, apart = moderated_cells(ladders(study(0.0))), moderated_cells(ladders(study(1.0)))
    assert alike is not None
    assert apart is not None
    assert alike.weight > 12
    assert apart.weight < 6
    assert math.sqrt(alike.prior) == pytest.approx(0.01, rel=0.2)


def test_one_type_among_many_must_clear_the_correction() -> None:
    """A rise that is nominated alone is not among twelve types that never get worse, unless it is large."""
    rng = np.random.default_rng(5)
    rows = [
        Point(
            f"t{t}",
            n,
            s,
            "loss",
            2.0 - 0.1 * i + float(rng.normal(0, 0.01)) + (0.128 if (t, i) == (0, 3) else 0),
        )
        for t in range(12)
        for i, n in enumerate(SIZES)
        for s in range(3)
    ]
    found = {row.type: row for row in double_descent(rows)}
    assert all(
        row.p_adjusted is not None and row.p is not None and row.p_adjusted >= row.p for row in found.values()
    )
    (alone,) = double_descent([p for p in rows if p.type == "t0"])
    assert alone.p is not None
    assert found["t0"].p_adjusted is not None
    assert found["t0"].p_adjusted == pytest.approx(min(12 * (found["t0"].p or 0), 1), rel=1e-6)


def test_a_failed_run_is_no_double_descent() -> None:
    rows = types()
    hurt = [replace(p, value=0.05) if (p.type, p.n_train, p.seed) == ("t1", 8000, 1) else p for p in rows]
    found = {row.type: row.word for row in double_descent(hurt)}
    assert found["t1"] not in ("nominated", "worsens")


def test_headlines_and_the_rest_share_the_rate_of_false_claims() -> None:
    rows = types() + types(1, arm="mined")
    found = compare_arms(rows)
    headline = next(c for c in found if c.correction == "holm")
    assert headline.p_adjusted == pytest.approx(min(headline.p / 0.6, 1.0))


def test_an_overall_loss_that_falls_steeply_stays_above_zero() -> None:
    """Types far apart, one nearly learned: their mean is finite and positive wherever it is drawn."""
    rng = np.random.default_rng(1)
    points = []
    for k, n in enumerate((32, 64, 128)):
        for seed in range(2):
            values = [value * float(np.exp(rng.normal(0, 0.3))) for value in (0.02 * 0.02**k, 4.0 * 0.05**k)]
            points += [
                Point(f"t{i}", n, seed, "loss", value, n_eval=8, se=0.3 * value)
                for i, value in enumerate(values)
            ]
            points.append(Point(OVERALL, n, seed, "loss", sum(values) / 2, n_eval=16))
    for curve in fit_curves(points):
        assert curve.band is not None and curve.next_run is not None
        assert min(curve.band.low) > 0 and np.isfinite(curve.band.mean).all()
        assert np.isfinite([curve.next_run.value, curve.next_run.low, curve.next_run.high]).all()
