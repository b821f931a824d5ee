"""Curves against exact oracles, verdicts against known truths, refusals."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from assay.core import Point
from assay.curves import compare_arms, fit_curves, recommend
from assay.curves._families import FAMILIES
from assay.curves._posterior import COMPONENTS, Data, NoisePrior, Posterior, kernel

Truth = Callable[[float], float]


def points(
    truth: Truth,
    *,
    rungs: int = 7,
    seeds: int = 3,
    sd: float = 0.008,
    metric: str = "score",
    name: str = "math",
    arm: str = "random",
    seed: int = 0,
) -> list[Point]:
    rng = np.random.default_rng([seed, sum(name.encode())])
    return [
        Point(name, 500 * 2**k, s, metric, float(truth(k) + rng.normal(0, sd)), 400, None if sd else 0.0, arm)
        for k in range(rungs)
        for s in range(seeds)
    ]


def rising(k: float) -> float:
    return 0.2 + 0.07 * k


def flat(k: float) -> float:
    return 0.5 + 0.3 * (1 - math.exp(-2.5 * k))


def test_every_family_rises_by_one_over_the_measured_range() -> None:
    ends = np.array([0.0, 1.0])
    for component in COMPONENTS:
        columns = component.columns(ends)
        assert columns[:, 0].tolist() == [1, 1]
        if component.rise is not None:
            assert np.diff(columns[:, 1])[0] == pytest.approx(1.0)
            grid = component.columns(np.linspace(0, 1.3, 60))[:, 1]
            assert np.all(np.diff(grid) >= -1e-9), component.family


def test_the_evidence_is_the_gaussian_integral() -> None:
    """With no sign to hold, the closed form equals the density of the data with coefficients summed out."""
    rng = np.random.default_rng(1)
    u = np.linspace(0, 1, 6)
    data = Data(u, rng.normal(0, 0.3, 6), 0.5 * np.eye(6), np.full((6, 6), 1e-3), np.ones(6))
    posterior = Posterior(data, NoisePrior(np.array([0.1]), np.array([0.0])))
    fit = posterior.fits[1]
    constant = list(FAMILIES).index("constant")
    columns = COMPONENTS[constant].columns(u)
    prior = np.diag([4.0, 1.0, 0.25])
    covariance = columns @ prior @ columns.T + 0.01 * data.spread + 1e-9 * np.eye(6) + data.items
    covariance = covariance + fit.discrepancy**2 * kernel(u, u)
    expected = multivariate_normal(np.zeros(6), covariance).logpdf(data.y)
    assert fit.log_evidence[constant] == pytest.approx(expected, abs=1e-8)


def test_the_sign_correction_equals_monte_carlo() -> None:
    rng = np.random.default_rng(2)
    u = np.linspace(0, 1, 5)
    data = Data(u, 0.1 * u + rng.normal(0, 0.2, 5), np.eye(5), np.zeros((5, 5)), np.ones(5))
    posterior = Posterior(data, NoisePrior(np.array([0.2]), np.array([0.0])))
    j = [c.family for c in COMPONENTS].index("log-linear")
    draws = rng.standard_normal((400_000, 3)) * np.sqrt([4.0, 1.0, 0.25])
    draws[:, 1] = np.abs(draws[:, 1])
    means = draws @ COMPONENTS[j].columns(u).T
    log = -0.5 * (((data.y - means) / 0.2) ** 2).sum(axis=1) - 5 * math.log(0.2 * math.sqrt(2 * math.pi))
    assert posterior.fits[0].log_evidence[j] == pytest.approx(math.log(np.exp(log).mean()), abs=0.02)


def test_draws_have_the_moments_of_the_posterior() -> None:
    """One component without a sign and without discrepancy: draws are from a known Gaussian."""
    u = np.linspace(0, 1, 6)
    y = np.array([0.1, -0.1, 0.2, 0.0, 0.1, -0.2])
    data = Data(u, y, np.eye(6), np.zeros((6, 6)), np.ones(6))
    fit = Posterior(data, NoisePrior(np.array([0.3]), np.array([0.0]))).fits[0]
    constant = np.full(20_000, list(FAMILIES).index("constant"))
    grid = np.stack([c.columns(u) for c in COMPONENTS])
    draws = fit.draw(constant, grid, u, np.random.default_rng(0))[:, 0]
    precision = 6 / 0.09 + 1 / 4
    assert draws.mean() == pytest.approx(y.sum() / 0.09 / precision, abs=0.004)
    assert draws.std() == pytest.approx(precision**-0.5, rel=0.03)


def test_a_rising_type_is_called_rising_and_its_gain_is_held() -> None:
    (curve,) = fit_curves(points(rising), smallest_gain=0.02)
    assert curve.verdict is not None
    assert curve.verdict.word == "rising"
    assert curve.verdict.gain_low <= 0.07 <= curve.verdict.gain_high
    assert sum(curve.families.values()) == pytest.approx(1.0)


def test_a_saturated_type_is_called_a_plateau() -> None:
    (curve,) = fit_curves(points(flat), smallest_gain=0.02)
    assert curve.verdict is not None and curve.verdict.word == "plateau"


def test_a_falling_type_is_called_falling() -> None:
    (curve,) = fit_curves(points(lambda k: 0.9 - rising(k)), smallest_gain=0.02)
    assert curve.verdict is not None and curve.verdict.word == "falling"


def test_losses_are_oriented_the_other_way() -> None:
    (curve,) = fit_curves(points(lambda k: 3.0 - 0.2 * k, metric="loss", sd=0.01))
    assert curve.verdict is not None
    assert curve.verdict.word == "rising" and curve.verdict.gain > 0
    assert curve.band is not None and curve.band.mean[-1] < curve.band.mean[0]


def test_noise_without_seeds_is_undecided_and_says_what_to_run() -> None:
    (curve,) = fit_curves(points(lambda k: 0.5, rungs=4, seeds=1, sd=0.05), smallest_gain=0.005)
    assert curve.verdict is not None and curve.verdict.word == "undecided"
    runs = curve.verdict.next_runs
    assert runs is not None and runs.n_train in (4000, 8000) and 0 <= runs.chance <= 1


def test_more_seeds_narrow_the_gain() -> None:
    widths = []
    for seeds in (2, 12):
        (curve,) = fit_curves(points(rising, seeds=seeds, sd=0.03))
        assert curve.verdict is not None
        widths.append(curve.verdict.gain_high - curve.verdict.gain_low)
    assert widths[1] < widths[0]


def test_the_same_points_in_any_order_give_the_same_curve() -> None:
    rows = points(rising)
    shuffled = [rows[i] for i in np.random.default_rng(0).permutation(len(rows))]
    assert (
        fit_curves(rows)[0].verdict
        == fit_curves(sorted(shuffled, key=lambda p: (p.n_train, p.seed)))[0].verdict
    )


def test_fewer_than_three_rungs_are_refused() -> None:
    for rungs in (1, 2):
        (curve,) = fit_curves(points(rising, rungs=rungs))
        assert curve.refused == "few_rungs" and curve.verdict is None and curve.band is None
    assert fit_curves(points(rising, rungs=3))[0].refused is None


def test_points_that_cannot_be_used_are_left_out_and_listed() -> None:
    rows = points(rising)
    bad = [Point("math", 500, 9, "score", math.nan), Point("math", 0, 3, "score", 0.1)]
    (curve,) = fit_curves([*rows, *bad])
    assert [(x.n_train, x.seed, x.value, x.reason) for x in curve.excluded] == [
        (500, 9, None, "not_finite"),
        (0, 3, 0.1, "no_training"),
    ]
    assert replace(curve, excluded=()) == fit_curves(rows)[0]


def test_a_type_of_bad_points_only_is_refused() -> None:
    (curve,) = fit_curves([Point("math", n, 0, "score", math.inf) for n in (1, 2, 3)])
    assert curve.refused == "few_rungs" and len(curve.excluded) == 3


@pytest.mark.parametrize("level", [0.0, 1.0, 0.5, 57.0, -3.0])
def test_ties_and_scores_of_any_range_are_answered(level: float) -> None:
    (curve,) = fit_curves(points(lambda k: level, sd=0.0))
    assert curve.verdict is not None and curve.band is not None
    assert all(map(math.isfinite, (*curve.band.low, *curve.band.high)))
    assert curve.verdict.p_rising < 0.9 and curve.verdict.p_falling < 0.9


def test_the_base_model_stands_outside_the_ladder() -> None:
    rows = points(rising)
    base = Point("math", 0, 0, "score", 0.9, arm="base")
    assert fit_curves([*rows, base]) == fit_curves(rows)


def test_the_band_of_a_bounded_score_stays_within_its_bounds() -> None:
    (curve,) = fit_curves(points(lambda k: min(0.99, 0.7 + 0.06 * k)))
    assert curve.band is not None
    assert min(curve.band.low) >= 0 and max(curve.band.high) <= 1
    assert curve.band.extrapolated_from in curve.band.n
    assert curve.band.n[-1] == pytest.approx(2 * curve.band.extrapolated_from)


def test_satisfied_at_is_the_first_size_that_passes_with_probability() -> None:
    (curve,) = fit_curves(points(rising), satisfied_at=0.45)
    assert curve.satisfied_at is not None and 500 * 2**3 < curve.satisfied_at < 500 * 2**4.6
    assert fit_curves(points(rising), satisfied_at=0.99)[0].satisfied_at is None


def _covered(truth: Truth, rungs: int, seeds: int, draws: int) -> float:
    held = 0
    for seed in range(draws):
        (curve,) = fit_curves(points(truth, rungs=rungs, seeds=seeds, sd=0.012, metric="loss", seed=seed))
        assert curve.band is not None
        held += curve.band.low[-1] <= truth(rungs) <= curve.band.high[-1]
    return held / draws


@pytest.mark.parametrize(("rungs", "seeds"), [(4, 1), (4, 3), (8, 1), (8, 3)])
def test_the_interval_at_twice_the_largest_rung_covers(rungs: int, seeds: int) -> None:
    """A small form of benchmarks/curve_coverage.py: over three truths no design falls far below 0.9."""
    truths: list[Truth] = [
        lambda k: 1.0 + 0.3 * 2 ** (-0.5 * k),
        lambda k: 1.3 - 0.03 * k,
        lambda k: 1.0 + 0.3 / (1 + math.exp(1.5 * (k - 3))),
    ]
    shares = [_covered(truth, rungs, seeds, 20) for truth in truths]
    assert np.mean(shares) >= 0.8 and min(shares) >= 0.6, shares


def arms(gap: float, seeds: int = 4, sd: float = 0.01) -> list[Point]:
    rows = points(rising, seeds=seeds, sd=sd)
    return rows + points(lambda k: rising(k) + gap, seeds=seeds, sd=sd, arm="mined", seed=9)


def _with_overall(rows: list[Point]) -> list[Point]:
    return rows + [replace(p, type="overall") for p in rows]


def test_an_arm_that_is_better_is_found_and_recommended() -> None:
    rows = _with_overall(arms(0.1))
    comparisons = compare_arms(rows)
    assert {c.word for c in comparisons} == {"better"}
    answer = recommend(fit_curves(rows), comparisons)
    assert answer is not None and (answer.arm, answer.choice) == ("mined", "better")


def test_random_is_as_good_where_no_arm_differs_by_what_matters() -> None:
    rows = [replace(p, se=0.002) for p in _with_overall(arms(0.0, seeds=8, sd=0.003))]
    comparisons = compare_arms(rows, smallest_gain=0.02)
    assert {c.word for c in comparisons} == {"as good"}
    answer = recommend(fit_curves(rows), comparisons)
    assert answer is not None and (answer.arm, answer.choice) == ("random", "as good")


def test_an_arm_that_cannot_be_told_apart_is_undecided() -> None:
    rows = arms(0.0, seeds=2, sd=0.05)
    answer = recommend(fit_curves(rows), compare_arms(rows, smallest_gain=0.005))
    assert answer is not None and (answer.arm, answer.choice) == ("random", "undecided")


def test_the_interval_of_a_comparison_is_students() -> None:
    from scipy import stats

    rng = np.random.default_rng(3)
    a, b = rng.normal(1.0, 0.1, 6), rng.normal(1.1, 0.1, 6)
    rows = [Point("math", 1000, s, "loss", float(v), None, None, "random") for s, v in enumerate(a)]
    rows += [Point("math", 1000, s, "loss", float(v), None, None, "mined") for s, v in enumerate(b)]
    (found,) = compare_arms(rows)
    expected = stats.ttest_ind(a, b, equal_var=True).confidence_interval(0.9)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_without_seeds_nothing_is_compared() -> None:
    assert compare_arms(arms(0.1, seeds=1)) == []


def test_no_curve_gives_no_answer() -> None:
    assert recommend(fit_curves(points(rising, rungs=2)), []) is None


def test_a_study_of_twelve_types_is_fast_enough_to_be_interactive() -> None:
    rows = [p for i in range(12) for p in points(rising, rungs=8, name=f"type{i}")]
    curves = fit_curves(rows)
    assert len(curves) == 12 and all(c.verdict and c.verdict.word == "rising" for c in curves)
