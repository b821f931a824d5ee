"""Calibration of the posterior: in the family by ranks, out of it by coverage; full tables are benchmarks."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import kstest

from assay.core import Point
from assay.curves import fit_curves, held_out
from assay.curves._learned import learned
from assay.curves._posterior import Data, NoisePrior, Posterior, prior_draw

NOISE = NoisePrior(np.array([0.02, 0.05, 0.1]), np.log([0.3, 0.4, 0.3]))
PRIOR = learned("score")


def design(rungs: int, seeds: int) -> Data:
    d = np.arange(rungs, dtype=float)
    return Data(d, np.zeros(rungs), np.eye(rungs) / seeds, np.full((rungs, rungs), 4e-4))


@pytest.mark.parametrize(("rungs", "seeds"), [(4, 1), (8, 3)])
def test_ranks_of_the_truth_are_uniform(rungs: int, seeds: int) -> None:
    """Simulation-based calibration of the gain from the last rung to twice it (Talts et al. 2018)."""
    rng = np.random.default_rng(5)
    plan, ahead = design(rungs, seeds), np.array([rungs - 1.0, rungs])
    ranks = []
    for _ in range(500):
        z, truth = prior_draw(plan, NOISE, PRIOR, ahead, rng)
        draws = Posterior(replace(plan, z=z), NOISE, PRIOR).sampler(slice(0, 400)).draw(ahead)
        # A constant curve gains exactly 0, in the truth and in draws: ties are broken at random.
        apart = draws[:, 1] - draws[:, 0] - (truth[1] - truth[0])
        below = np.sum(apart < -1e-6) + rng.random() * np.sum(np.abs(apart) <= 1e-6)
        ranks.append((below + 0.5) / 401)
    assert kstest(ranks, "uniform").pvalue > 0.01
    assert 0.87 <= np.mean([0.05 <= r <= 0.95 for r in ranks]) <= 0.93


@pytest.mark.long
def test_intervals_hold_truths_outside_the_families() -> None:
    """A broken power law and a Gompertz curve at twice the largest rung; the benchmark has all."""
    held = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        e, b, c = rng.uniform(0.8, 1.5), rng.uniform(0.1, 0.4), rng.uniform(0.25, 0.75)
        for kind in ("broken", "gompertz"):

            def truth(n: float, kind: str = kind, e: float = e, b: float = b, c: float = c) -> float:
                if kind == "broken":
                    return float(e + b * (n / 1e3) ** -0.1 * (1 + (n / 2e4) ** 4) ** -0.075)
                return float(
                    e + b * (1 - math.exp(-math.exp(-(math.log(n / 1e3) / math.log(100) - c) / 0.12)))
                )

            sizes = np.round(np.geomspace(1e3, 1e5, 8))
            points = [
                Point("t", int(n), s, "loss", truth(n) + rng.normal(0, 0.006))
                for n in sizes
                for s in range(3)
            ]
            (curve,) = fit_curves(points)
            assert curve.band is not None
            held.append(curve.band.low[-1] <= truth(2e5) <= curve.band.high[-1])
    assert 0.83 <= np.mean(held) <= 1.0


def test_losing_the_largest_rung_is_covered_on_the_users_own_ladder() -> None:
    """Hold out the largest rung: the curve of the others predicts it."""
    rng = np.random.default_rng(1)
    held = []
    for kind in range(20):
        sizes = [500 * 2**k for k in range(7)]
        rate = rng.uniform(0.1, 0.5)
        points = [
            Point(f"t{kind}", n, s, "loss", 2 + 0.5 * (n / 500) ** -rate + float(rng.normal(0, 0.01)))
            for n in sizes
            for s in range(3)
        ]
        (found,) = held_out(points)
        assert found.n_train == sizes[-1]
        held.append(found.inside)
    assert np.mean(held) >= 0.8
    assert held_out([p for p in points if p.n_train <= sizes[2]]) == []
    assert held_out([p for p in points if p.n_train != sizes[-2]]) == []


def test_of_many_curves_some_taken_evenly_and_the_overall_ones_lose_their_largest_rung() -> None:
    rng = np.random.default_rng(2)
    points = [
        Point(kind, n, s, "loss", 2 + 0.5 * (n / 500) ** -0.3 + float(rng.normal(0, 0.01)))
        for kind in [*(f"t{i}" for i in range(7)), "overall"]
        for n in (500, 1000, 2000, 4000)
        for s in range(2)
    ]
    assert [found.type for found in held_out(points, most=3)] == ["t0", "t3", "overall"]
    assert len(held_out(points, most=8)) == 8
