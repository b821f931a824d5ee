"""Curves against exact oracles, verdicts against known truths, refusals."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

from assay.core import OVERALL, AssayError, Point
from assay.curves import _curve, compare_arms, fit_curves, recommend
from assay.curves._curve import Curve, NoiseWord, _margins, _taught, fit_group
from assay.curves._families import (
    COMPONENTS,
    FAMILIES,
    Array,
    bend,
    by_kind,
    wandering_level,
    wandering_slope,
)
from assay.curves._learned import learned
from assay.curves._posterior import DRAWS, Data, NoisePrior, Posterior
from assay.curves._table import ladders

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


PRIOR = learned("score")
NOISE = NoisePrior(np.array([0.1]), np.array([0.0]))


def data(z: Array, seeds: float = 2.0) -> Data:
    k = len(z)
    return Data(np.arange(k, dtype=float), z, np.eye(k) / seeds, np.full((k, k), 1e-3))


def test_every_component_gains_one_per_doubling_on_the_whole_and_never_turns() -> None:
    for component in COMPONENTS[1:]:
        for doublings in (2.0, 7.0):
            ends = component.rise(np.array([0.0, doublings]), doublings)
            assert ends == pytest.approx([0, doublings]), component.family
            grid = component.rise(np.linspace(0, 1.3 * doublings, 60), doublings)
            assert np.all(np.diff(grid) >= -1e-9), component.family


def test_the_wandering_slope_is_the_integral_of_its_process() -> None:
    """Against an Euler simulation of the Ornstein-Uhlenbeck slope and its integral."""
    rng, step = np.random.default_rng(0), 0.01
    slope, level, levels = np.zeros(20_000), np.zeros(20_000), []
    for i in range(300):
        level = level + step * slope
        slope = slope + step * math.log(0.7) * slope + math.sqrt(step) * rng.standard_normal(20_000)
        levels += [level] if i in (99, 299) else []
    np.testing.assert_allclose(np.cov(levels), wandering_slope(np.array([1.0, 3.0]), 0.7), rtol=0.06)


@pytest.mark.parametrize(("cell", "component", "gain"), [(0, 1, 2), (3, 4, 1), (9, 20, 5), (13, 0, 0)])
def test_the_evidence_is_the_gaussian_integral(cell: int, component: int, gain: int) -> None:
    """The level's flat prior leaves the density of differences; the gain's normal adds to their
    covariance."""
    z = np.random.default_rng(1).normal(0, 0.3, 6)
    found = data(z)
    posterior = Posterior(found, NOISE, PRIOR)
    mean, sd, _ = PRIOR.gains[gain]
    rise = COMPONENTS[component].rise(found.d, 5.0)
    *sizes, relative = PRIOR.cells[cell]
    slope, level, bent = (np.array(sizes) * (0.1 if relative else 1)) ** 2
    covariance = 0.01 * found.runs + found.fixed + slope * wandering_slope(found.d, PRIOR.damping)
    covariance = (
        covariance
        + level * wandering_level(found.d)
        + bent * np.outer(bend(found.d, 5.0), bend(found.d, 5.0))
    )
    covariance = covariance + sd**2 * np.outer(rise, rise)
    differ = np.hstack([-np.ones((5, 1)), np.eye(5)])
    expected = multivariate_normal(differ @ rise * mean, differ @ covariance @ differ.T).logpdf(differ @ z)
    prior = (
        PRIOR.cell_weight[cell] * PRIOR.components()[component] * (PRIOR.gains[gain, 2] if component else 1)
    )
    log = math.log(posterior.weights[cell, gain, component] / prior) - float(NOISE.log_weight[0])
    assert log + posterior.log_evidence == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("exact", [0.02, 0.98])
def test_new_weights_need_no_new_fit(exact: float) -> None:
    found = data(np.array([0.1, 0.3, 0.2, 0.5, 0.4, 0.6]))
    others = PRIOR.cell_weight[1:] / PRIOR.cell_weight[1:].sum() * (1 - exact)
    other = replace(PRIOR, cell_weight=np.concatenate([[exact], others]))
    before = Posterior(found, NOISE, PRIOR)
    moved, fresh = before.reweighed(other), Posterior(found, NOISE, other)
    np.testing.assert_allclose(moved.weights, fresh.weights, atol=1e-12)
    assert moved.log_evidence == pytest.approx(fresh.log_evidence)
    assert before.log_evidence != pytest.approx(fresh.log_evidence)


def test_the_fitted_values_are_the_mean_of_the_draws() -> None:
    found = data(np.array([0.1, 0.3, 0.2, 0.9, 0.4, 0.6]))
    posterior = Posterior(found, NOISE, PRIOR)
    draws = posterior.sampler(slice(0, DRAWS)).draw(found.d)
    np.testing.assert_allclose(posterior.fitted(), draws.mean(axis=0), atol=0.01)


@pytest.mark.parametrize("n_eval", [20, 50, None])
def test_noisy_runs_in_mid_curve_do_not_pull_down_a_score_that_all_seeds_agree_on(n_eval: int | None) -> None:
    """On the logit 1.00 is noisier than 0.5 by the delta method at the measured value, not at the curve's."""
    runs = [(0.2, 0.25, 0.2), (0.3, 0.5, 0.2), (0.8, 0.35, 0.6), (0.5, 0.9, 0.75), (1, 1, 1), (1, 1, 1)]
    rows = [
        Point("t", 100 * 2**k, s, "score", v, n_eval) for k, r in enumerate(runs) for s, v in enumerate(r)
    ]
    (curve,) = fit_group(ladders(rows))
    drawn = curve.draw(curve.ladder.n)
    assert drawn[:, -1].mean() > 0.94
    assert drawn[:, -2].mean() > 0.88
    assert np.abs(drawn.mean(axis=0) - curve.ladder.value)[:4].max() < 0.1


def test_types_of_one_study_tell_each_other_where_growth_ends() -> None:
    """Eleven types that ran into ceilings make one more apt to: it is foretold less than alone."""
    full = [p for i in range(11) for p in points(flat, name=f"type{i}", seed=i)]
    risen = points(lambda k: 0.2 + 0.05 * k, name="risen")
    alone = fit_group(ladders(risen))[0]
    among = fit_group(ladders([*risen, *full]))[0]
    ends = np.array([500 * 2**6, 500 * 2**7], float)
    gain, lent = (float(np.diff(curve.draw(ends), axis=1).mean()) for curve in (alone, among))
    assert 0 < lent < gain
    assert among.families["log-linear"] < alone.families["log-linear"]


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), weight=st.floats(0.05, 0.9))
def test_what_a_curve_tells_under_other_weights_is_known_without_a_new_fit(seed: int, weight: float) -> None:
    """The weights that types lend each other are found on sums over noise and places alone."""
    (ladder,) = ladders(points(flat, rungs=4, seed=seed))
    curve = Curve(ladder, NoiseWord(PRIOR.noise_centre, PRIOR.noise_spread), PRIOR, 0.0)
    start = [by_kind(PRIOR.components()), PRIOR.cell_weight, PRIOR.gains[:, 2]]
    given = [np.concatenate([[weight], w[1:] / w[1:].sum() * (1 - weight)]) for w in start]
    moved = _margins(curve.told, *(now / before for now, before in zip(given, start, strict=True)))
    again = _margins(curve.lent(_taught(PRIOR, *given)).told)
    for quick, whole in zip(moved, again, strict=True):
        np.testing.assert_allclose(quick, whole, atol=0.02)


def test_a_condensed_curve_says_the_same_and_is_small() -> None:
    """Ten thousand types fit in memory: grids take megabytes each, what is read from them does not."""
    (ladder,) = ladders(points(flat, rungs=4, seed=2))
    curve = Curve(ladder, NoiseWord(PRIOR.noise_centre, PRIOR.noise_spread), PRIOR, 0.0)
    small, at = curve.condensed(), np.array([700.0, 8000.0])
    np.testing.assert_array_equal(small.draw(at), curve.draw(at))
    np.testing.assert_array_equal(small.told, curve.told)
    assert (small.run_sd, small.failed, small.families) == (curve.run_sd, curve.failed, curve.families)
    (among,) = fit_group([ladder])
    assert len(pickle.dumps(among)) < 150_000 < len(pickle.dumps(curve)) / 10


def test_ladders_of_a_large_study_are_fitted_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_curve, "_TOGETHER", 5)
    found = ladders([p for i in range(12) for p in points(flat, rungs=4, name=f"type{i:02}", seed=i)])
    assert [curve.ladder for curve in fit_group(found)] == found


def test_worker_processes_say_what_this_process_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the overall curve, which holds those of its types, keeps its place among them."""
    rows = [p for i in range(12) for p in points(flat, rungs=4, name=f"type{i:02}", seed=i)]
    values = np.array([p.value for p in rows]).reshape(12, -1).mean(axis=0).tolist()
    rows += [replace(p, type=OVERALL, value=v) for p, v in zip(rows[: len(values)], values, strict=True)]
    here = fit_curves(rows)
    monkeypatch.setattr(_curve, "_TOGETHER", 5)
    apart = fit_curves(rows)
    monkeypatch.setattr(_curve, "_MANY", 10)
    told: list[tuple[int, int]] = []
    assert fit_curves(rows, told=lambda done, total: told.append((done, total))) == apart
    assert [c.type for c in apart] == [c.type for c in here]
    assert told == [(i, 26) for i in range(1, 27)]


def test_draws_have_the_moments_of_the_posterior() -> None:
    """One cell, component and gain, and no break: draws are from a known Gaussian, ahead of the data too."""
    found = data(np.array([0.1, 0.3, 0.2, 0.5, 0.4, 0.6]))
    one = replace(
        PRIOR,
        cells=np.array([[0.1, 0.05, 0.2, 0]]),
        cell_weight=np.ones(1),
        gains=np.array([[0.1, 0.2, 1.0]]),
        family_weight={f: float(f == "log-linear") or 1e-300 for f in FAMILIES},
        breaks=((0.0, 0.0), (0.0, 0.0)),
    )
    draws = Posterior(found, NOISE, one).sampler(slice(0, DRAWS)).draw(np.array([5.0, 6.0]))
    d = np.arange(7.0)
    kernel = 0.01 * wandering_slope(d, one.damping) + 0.0025 * wandering_level(d)
    kernel += 0.04 * np.outer(bend(d, 5.0), bend(d, 5.0)) + 0.04 * np.outer(d, d) + 1e3
    noisy = kernel[:6, :6] + 0.01 * found.runs + found.fixed
    gain = kernel[5:, :6] @ np.linalg.inv(noisy)
    mean = 0.1 * d[5:] + gain @ (found.z - 0.1 * d[:6])
    covariance = kernel[5:, 5:] - gain @ kernel[:6, 5:]
    np.testing.assert_allclose(draws.mean(axis=0), mean, atol=0.012)
    np.testing.assert_allclose(np.cov(draws.T), covariance, rtol=0.12, atol=1e-4)


def test_a_failed_run_is_named_and_left_out() -> None:
    rows = points(rising, sd=0.01)
    hurt = [replace(p, value=0.15) if (p.n_train, p.seed) == (8000, 1) else p for p in rows]
    (curve,), (clean,) = fit_curves(hurt), fit_curves(rows)
    assert [(f.n_train, f.seed, f.value) for f in curve.failed] == [(8000, 1, 0.15)]
    assert curve.failed[0].p > 0.9 and clean.failed == ()
    assert curve.verdict is not None and clean.verdict is not None
    assert curve.verdict.gain == pytest.approx(clean.verdict.gain, abs=0.01)


def test_a_lone_run_that_failed_in_the_middle_is_named() -> None:
    rows = [replace(p, value=0.2) if p.n_train == 4000 else p for p in points(rising, seeds=1, sd=0.005)]
    (curve,) = fit_curves(rows)
    assert [f.n_train for f in curve.failed] == [4000]


def test_the_next_run_is_less_certain_than_the_curve() -> None:
    (curve,) = fit_curves(points(rising, sd=0.02))
    assert curve.next_run is not None and curve.band is not None
    assert curve.next_run.n_train == 2 * 500 * 2**6 == round(curve.band.n[-1])
    assert curve.next_run.low < curve.band.low[-1] and curve.band.high[-1] < curve.next_run.high


def test_losses_and_scores_are_foretold_within_their_bounds() -> None:
    (loss,) = fit_curves(points(lambda k: 0.02 + 2 * 0.3**k, metric="loss", sd=0.003, rungs=4, seeds=1))
    (score,) = fit_curves(points(lambda k: 0.97 + 0.004 * k, sd=0.01, rungs=4, seeds=1))
    assert loss.next_run is not None and score.next_run is not None
    assert loss.next_run.low > 0 and 0 <= score.next_run.low <= score.next_run.high <= 1


def test_the_same_run_twice_is_an_error() -> None:
    rows = points(rising)
    with pytest.raises(AssayError, match="twice"):
        fit_curves([*rows, rows[3]])


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
    assert runs is None or (runs.n_train in (4000, 8000) and 0.5 <= runs.chance <= 1)


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
def test_answers_that_never_differ_have_a_note_and_no_verdict(level: float) -> None:
    (curve,) = fit_curves(points(lambda k: level, sd=0.0))
    assert (curve.refused, curve.verdict, curve.band) == ("constant", None, None)
    assert curve.notes == (("all_zero",) if level == 0 else ("all_equal",))


@pytest.mark.parametrize("level", [0.0, 1.0, 0.5, 57.0, -3.0])
def test_near_ties_and_scores_of_any_range_are_answered(level: float) -> None:
    rows = points(lambda k: level, sd=0.0)
    rows[0] = replace(rows[0], value=level + (1e-6 if level < 1 else -1e-6))
    (curve,) = fit_curves(rows)
    assert curve.verdict is not None and curve.band is not None
    assert all(map(math.isfinite, (*curve.band.low, *curve.band.high)))
    assert curve.verdict.p_rising < 0.9 and curve.verdict.p_falling < 0.9


def test_a_score_at_its_ceiling_is_named_and_asks_for_no_runs() -> None:
    (curve,) = fit_curves(points(lambda k: min(1.0, 0.6 + 0.1 * k), sd=0.0))
    assert curve.notes == ("ceiling",)
    assert curve.verdict is not None and curve.verdict.next_runs is None


@pytest.mark.parametrize("turned", [False, True])
def test_what_is_foretold_lies_within_its_interval(turned: bool) -> None:
    """Beside a bound draws are skewed: their mean may lie outside of what nine in ten of them span.

    The counts are those of code in the demo.
    """
    right = np.array([[0, 8, 15, 36, 36, 37], [0, 4, 19, 37, 37, 37], [1, 8, 19, 35, 37, 37]]) / 37
    scores = 1 - right if turned else right
    points = [
        Point("t", 200 * 2**k, s, "score", float(v), float(np.sqrt(v * (1 - v) / 37)), 37)
        for s, row in enumerate(scores)
        for k, v in enumerate(row)
    ]
    (curve,) = fit_curves(points)
    assert curve.verdict is not None
    assert curve.next_thousand is not None
    for found in (curve.verdict, curve.next_thousand):
        low, high = (found.gain_low, found.gain_high) if found is curve.verdict else (found.low, found.high)
        assert low <= found.gain <= high


def test_the_question_asked_is_kept_when_larger_runs_are_there() -> None:
    rows = points(rising, rungs=5)
    (before,), (after,) = fit_curves(rows[:12]), fit_curves(rows, asked=4000)
    assert before.verdict is not None and after.verdict is not None
    assert (before.verdict.n_from, before.verdict.n_to) == (4000, 8000)
    assert (after.verdict.n_from, after.verdict.n_to) == (4000, 8000)
    assert after.verdict.gain == pytest.approx(0.07, abs=0.02)
    (next_one,) = fit_curves(rows)
    assert next_one.verdict is not None and next_one.verdict.n_from == 8000


def test_no_run_is_proposed_that_the_pool_cannot_fill() -> None:
    rows = [replace(p, n_eval=None) for p in points(lambda k: 0.5 + 0.012 * k, rungs=4, seeds=2, sd=0.012)]
    (free,), (bound,) = fit_curves(rows), fit_curves(rows, pools={"random": 5000})
    assert free.verdict is not None and bound.verdict is not None
    assert free.verdict.word == bound.verdict.word == "undecided"
    for curve in (free, bound):
        runs = curve.verdict.next_runs if curve.verdict else None
        assert runs is None or runs.chance >= 0.5
        assert runs is None or runs.n_train in (4000, 8000)
    runs = bound.verdict.next_runs
    assert runs is None or runs.n_train <= 5000 or runs.wanted == runs.n_train - 5000


def test_a_metric_of_unknown_direction_is_refused() -> None:
    with pytest.raises(AssayError, match="direction of this metric"):
        fit_curves(points(rising, metric="wobble"))


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
@pytest.mark.long
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


NEAR_ZERO = {
    800: (0.9, 1.0, 1.1), 1600: (0.3, 0.25, 0.4), 3200: (0.05, 0.09, 0.02), 6400: (0.0009, 0.025, 0.002),
}  # fmt: skip


def near_zero(se: float) -> list[Point]:
    return [
        Point("extraction", n, seed, "loss", value, 40, se, own_share=0.5)
        for n, values in NEAR_ZERO.items()
        for seed, value in enumerate(values)
    ]


@pytest.mark.parametrize("se", [0.0, 0.004, 0.02])
def test_a_loss_near_zero_is_neither_failed_nor_foretold_beyond_what_was_seen(se: float) -> None:
    (curve,) = fit_curves(near_zero(se))
    assert not curve.failed, "ten times its siblings' loss, but a fortieth of where the ladder began"
    assert curve.next_run is not None and 0 <= curve.next_run.low <= curve.next_run.value < 0.2
    assert curve.next_run.high < 1.1
    assert curve.verdict is not None and abs(curve.verdict.gain) < 0.2


def test_a_run_that_lost_what_others_learned_is_still_failed_near_zero() -> None:
    failed = [replace(p, value=1.3) if (p.n_train, p.seed) == (6400, 1) else p for p in near_zero(0.004)]
    (curve,) = fit_curves(failed)
    assert [(f.n_train, f.seed) for f in curve.failed] == [(6400, 1)]


@given(
    start=st.floats(-6, 1), step=st.floats(-2.5, 0.5), scatter=st.floats(0.02, 2.5), share=st.floats(0, 0.5),
    seeds=st.integers(1, 3), stream=st.integers(0, 999),
)  # fmt: skip
@settings(max_examples=25)
def test_intervals_of_positive_losses_stay_in_reach(
    start: float, step: float, scatter: float, share: float, seeds: int, stream: int
) -> None:
    noise = np.random.default_rng(stream).standard_normal((5, seeds))
    values = np.exp(start + step * np.arange(5)[:, None] + scatter * noise)
    points = [
        Point("a", 64 * 2**k, s, "loss", float(values[k, s]), 100, share * float(values[k, s]))
        for k in range(5)
        for s in range(seeds)
    ]
    (curve,) = fit_curves(points)
    if curve.next_run is not None:
        assert 0 <= curve.next_run.low <= curve.next_run.high < 100 * values.max()


def test_progress_is_told_in_order_and_to_the_end() -> None:
    points = [
        Point(kind, 500 * 2**k, seed, "score", 0.3 + 0.05 * k + 0.01 * seed)
        for kind in ("a", "b", "c") for k in range(4) for seed in range(2)
    ]  # fmt: skip
    told: list[tuple[int, int]] = []
    fit_curves(points, told=lambda done, total: told.append((done, total)))
    assert told == [(k, 6) for k in range(1, 7)]
