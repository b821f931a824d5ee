"""Next thousand, best size, reach, trunk correlation, double descent, balance points, corrections, power."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from assay.core import OVERALL, AssayError, Point
from assay.curves import (
    FREE_FORMS,
    FreeForm,
    balance_points,
    benjamini_hochberg,
    compare_arms,
    curve_power,
    double_descent,
    fit_curves,
    free_form,
    holm,
    own_share,
    read_curves,
    verdicts_between,
)
from assay.curves._descent import _Design
from assay.curves._free import FreeCurve
from assay.curves._table import ladders, run_covariance, trunk_correlation

SIZES = (1000, 2000, 4000, 8000, 16000, 32000, 64000, 128000)
Truth = Callable[[float], float]


def losses(
    truth: Truth,
    *,
    seeds: range = range(3),
    sizes: tuple[int, ...] = SIZES,
    sd: float = 0.006,
    arm: str = "random",
    kind: str = "math",
    stream: int = 0,
) -> list[Point]:
    rng = np.random.default_rng([stream, seeds.start, len(arm)])
    return [
        Point(kind, n, s, "loss", truth(n) + float(rng.normal(0, sd)), arm=arm) for n in sizes for s in seeds
    ]


def power_law(n: float) -> float:
    return 1.0 + 0.3 * (n / 1000) ** -0.3


def bumpy(n: float) -> float:
    return power_law(n) + 0.1 * math.exp(-((math.log2(n / 16000)) ** 2))


def test_the_next_thousand_is_a_part_of_the_next_doubling() -> None:
    (curve,) = fit_curves(losses(power_law))
    assert curve.next_thousand is not None and curve.verdict is not None
    assert (curve.next_thousand.n_from, curve.next_thousand.n_to) == (128000, 129000)
    true = power_law(128000) - power_law(129000)
    assert curve.next_thousand.low <= true <= curve.next_thousand.high
    assert curve.next_thousand.gain < curve.verdict.gain


def test_small_ladders_have_no_next_thousand() -> None:
    (curve,) = fit_curves(losses(power_law, sizes=(100, 200, 400, 800)))
    assert curve.next_thousand is None


def test_the_best_size_of_a_valley_is_interior() -> None:
    def valley(n: float) -> float:
        return 1.0 + 0.05 * math.log2(n / 8000) ** 2

    (curve,) = fit_curves(losses(valley))
    assert curve.best is not None and curve.best.word == "interior"
    assert curve.best.low <= 8000 <= curve.best.high
    assert curve.best.n is not None and 4000 <= curve.best.n <= 8500


def test_a_falling_loss_has_no_interior_optimum() -> None:
    (curve,) = fit_curves(losses(power_law))
    assert curve.best is not None and curve.best.word == "no interior optimum"
    assert curve.best.high == 128000


def test_reach_goes_to_four_times_and_no_further() -> None:
    near, far = (fit_curves(losses(power_law), reach=reach)[0] for reach in (2.0, 4.0))
    assert near.band is not None and far.band is not None
    assert (near.band.n[-1], far.band.n[-1]) == (256000, 512000)
    assert near.verdict == far.verdict or near.verdict is not None
    for reach in (1.0, 4.5, math.nan):
        with pytest.raises(AssayError, match="2 to 4 times"):
            fit_curves(losses(power_law), reach=reach)


def test_seeds_that_err_alike_are_seen_to() -> None:
    rng = np.random.default_rng(3)
    alone = losses(power_law, seeds=range(8))
    offset = {s: float(rng.normal(0, 0.01)) for s in range(8)}
    alike = [replace(p, value=p.value + offset[p.seed]) for p in alone]
    assert trunk_correlation(ladders(alone)) < 0.15
    assert trunk_correlation(ladders(alike)) > 0.4


def test_the_covariance_of_rung_means_is_that_of_simulated_trunks() -> None:
    """Means over shared seeds covary by rho exp(-d / 0.5) / seeds; over other seeds they do not."""
    rows = losses(power_law, seeds=range(4), sizes=(1000, 4000, 16000))
    (ladder,) = ladders(rows)
    covariance = run_covariance(ladder, 0.6)
    near = 0.6 * np.exp(-np.array([[0, 0.5, 1], [0.5, 0, 0.5], [1, 0.5, 0]]) / 0.5)
    np.fill_diagonal(near, 1)
    np.testing.assert_allclose(covariance, near / 4)
    moved = [replace(p, seed=p.seed + 10) if p.n_train == 16000 else p for p in rows]
    (apart,) = ladders(moved)
    assert run_covariance(apart, 0.6)[0, 2] == 0


def test_holm_and_benjamini_hochberg_equal_their_definitions() -> None:
    p = [0.01, 0.04, 0.03, 0.005, 0.8]
    # By hand: sorted .005 .01 .03 .04 .8 times 5 4 3 2 1, running maximum.
    np.testing.assert_allclose(holm(p), [0.04, 0.09, 0.09, 0.025, 0.8])
    # Sorted times 5 / rank, running minimum from the right.
    np.testing.assert_allclose(benjamini_hochberg(p), [0.025, 0.05, 0.05, 0.025, 0.8])
    assert len(holm([])) == len(benjamini_hochberg([])) == 0


def test_headlines_are_corrected_by_holm_and_the_rest_by_bh() -> None:
    arms = {"random": 0.0, "a": 0.03, "b": 0.0}
    rows = [
        point
        for arm, lift in arms.items()
        for kind in (OVERALL, "math", "code")
        for point in losses(lambda n, x=lift: power_law(n) - x, arm=arm, kind=kind, stream=sum(arm.encode()))  # type: ignore[misc]
    ]
    found = compare_arms(rows)
    headlines = [c for c in found if c.correction == "holm"]
    assert {(c.a, c.type, c.n_train) for c in headlines} == {("a", OVERALL, 128000), ("b", OVERALL, 128000)}
    assert all(c.p_adjusted >= c.p for c in found)
    assert next(c for c in headlines if c.a == "a").word == "better"


def test_the_statistic_is_the_largest_rise_of_any_pair() -> None:
    design = _Design(np.array([1.0, 2.0, 1.0, 0.5]), math.inf)
    values = np.array([3.0, 1.0, 4.0, 2.0])
    by_hand = max(
        (values[j] - values[i]) / math.hypot(design.error[i], design.error[j])
        for i in range(4)
        for j in range(i + 1, 4)
    )
    assert design.statistic(values) == pytest.approx(by_hand)
    assert design.steepest(values) == (1, 2)


def test_a_bump_is_nominated_and_fresh_seeds_confirm_it() -> None:
    screen = losses(bumpy)
    (found,) = double_descent(screen)
    assert found.word == "nominated" and found.fresh_seeds == 4
    assert found.valley is not None and found.peak is not None and found.valley < 16000 <= found.peak <= 32000
    assert found.descends_again
    fresh = losses(bumpy, seeds=range(10, 14), sizes=(found.valley, found.peak))
    (confirmed,) = double_descent([*screen, *fresh])
    assert confirmed.word == "confirmed" and confirmed.p_fresh is not None and confirmed.p_fresh < 0.05
    flat = [replace(p, value=power_law(p.n_train)) for p in fresh]
    (refuted,) = double_descent([*screen, *flat])
    assert refuted.word in ("not seen", "cannot tell")


def test_four_rungs_of_one_seed_cannot_tell() -> None:
    (found,) = double_descent(losses(bumpy, seeds=range(1), sizes=SIZES[:4]))
    assert (found.word, found.reason) == ("cannot tell", "no_replicates")
    (weak,) = double_descent(losses(power_law, seeds=range(1), sizes=SIZES[:4]), sd=0.006)
    assert (weak.word, weak.reason) == ("cannot tell", "weak")
    (short,) = double_descent(losses(bumpy, sizes=SIZES[:3]))
    assert (short.word, short.reason) == ("cannot tell", "few_rungs")


def test_a_strong_ladder_without_a_bump_says_so() -> None:
    (found,) = double_descent(losses(power_law, seeds=range(6), sd=0.001))
    assert found.word == "not seen" and found.visible_rise is not None


def test_the_double_descent_test_keeps_its_level() -> None:
    """Monotone truths of three kinds, 8 x 1 with known noise: false nominations at 0.05."""
    truths: list[Truth] = [power_law, lambda n: 1.0, lambda n: 1.3 if n < 8000 else 1.0]
    false = [
        double_descent(losses(truth, seeds=range(1), stream=i), sd=0.006)[0].word == "nominated"
        for i in range(40)
        for truth in truths
    ]
    assert np.mean(false) <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / len(false))


def test_arms_meet_where_they_were_built_to() -> None:
    def selected(n: float) -> float:
        return power_law(n) - 0.08 * max(0.0, 1 - math.log2(n / 1000) / 5)

    rows = losses(power_law) + losses(selected, arm="best")
    (found,) = balance_points(rows, smallest_relative_gain=0.02, pools={"best": 150_000})
    assert found.word == "meet" and found.n is not None and 8000 <= found.n <= 64000
    assert found.by_construction is False
    (trapped,) = balance_points(rows, smallest_relative_gain=0.02, pools={"best": 30_000})
    assert trapped.by_construction is True
    assert balance_points(rows, smallest_relative_gain=0.02)[0].by_construction is None


def test_an_arm_that_is_always_better_stays_ahead() -> None:
    rows = losses(power_law) + losses(lambda n: power_law(n) - 0.05, arm="best")
    (found,) = balance_points(rows)
    assert found.word == "a stays ahead" and found.n is None


def test_equal_arms_meet_at_once_and_short_ladders_are_left_out() -> None:
    rows = losses(power_law, seeds=range(6)) + losses(power_law, seeds=range(6), arm="best")
    (found,) = balance_points(rows, smallest_relative_gain=0.02)
    assert found.word == "meet" and found.n == 1000
    assert balance_points(losses(power_law) + losses(power_law, arm="best", sizes=SIZES[:2])) == []


def test_free_forms_hold_their_own_truth() -> None:
    (curve,) = fit_curves(losses(power_law), form=free_form("power"))
    assert curve.families == {"power": 1.0} and curve.band is not None
    assert curve.band.low[-1] <= power_law(256000) <= curve.band.high[-1]
    (broken,) = fit_curves(losses(bumpy), form=free_form("bnsl"))
    assert broken.verdict is not None and all(map(math.isfinite, broken.band.mean if broken.band else ()))


def test_sampling_by_importance_equals_the_chain() -> None:
    (ladder,) = ladders(losses(power_law))
    curve = FreeCurve(ladder, FREE_FORMS["power"], 0.006, 0.3, 0.0)
    chain = curve.draw(np.array([256000.0]))
    mode, covariance = curve._mode()
    curve._parameters = curve._weighted(mode, covariance)
    weighted = curve.draw(np.array([256000.0]))
    np.testing.assert_allclose(
        np.quantile(chain, (0.05, 0.5, 0.95)), np.quantile(weighted, (0.05, 0.5, 0.95)), atol=0.002
    )


def test_unknown_forms_say_which_there_are() -> None:
    with pytest.raises(AssayError, match="bnsl, power"):
        free_form("cubic")


def test_a_users_own_form_is_one_value() -> None:
    line = FreeForm(
        "line", lambda x, p: p[..., 0, None] + p[..., 1, None] * np.log(x), (0.0, 0.1), (1.0, 1.0)
    )
    (curve,) = fit_curves(losses(lambda n: 2 - 0.05 * math.log(n)), form=line)
    assert curve.verdict is not None and curve.verdict.word == "rising"


def test_power_equals_the_closed_form_and_grows_with_items() -> None:
    small, large = (
        curve_power(SIZES[:5], n_eval=n, run_sd=0.01, item_sd=0.3, wanted=0.04) for n in (100, 1000)
    )
    own = 2 * 0.4 * 0.3**2
    reach = norm.ppf(0.975) + norm.ppf(0.8)
    assert small.detectable == pytest.approx(reach * math.sqrt(2 * 0.01**2 / 3 + own / 100))
    assert large.detectable < small.detectable < small.detectable_holm
    assert large.p_rising > small.p_rising
    assert curve_power(SIZES[:5], run_sd=0.1).items_wanted is None


@pytest.mark.long
def test_the_items_wanted_are_enough() -> None:
    wanted = curve_power(SIZES[:5], wanted=0.05, seeds=3).items_wanted
    assert wanted is not None
    assert curve_power(SIZES[:5], n_eval=wanted, seeds=3).detectable <= 0.05
    assert curve_power(SIZES[:5], n_eval=wanted - 1, seeds=3).detectable > 0.05


def test_one_call_reads_all() -> None:
    rows = losses(power_law) + losses(lambda n: power_law(n) - 0.05, arm="best")
    reading = read_curves(rows, price=20.0, hours=0.5)
    assert len(reading.curves) == len(reading.descents) == len(reading.worth) == 2
    assert len(reading.balances) == 1 and len(reading.comparisons) == len(SIZES)
    top = reading.worth[0]
    assert top.per_money == top.gain.gain / 20 and top.hours == 0.5
    assert read_curves(rows).worth[0].per_money is None


def test_a_curve_that_only_gets_worse_is_no_double_descent() -> None:
    (found,) = double_descent(losses(lambda n: 2.0 + 0.05 * math.log2(n / 1000)))
    assert found.word == "worsens" and found.peak == SIZES[-1] and not found.descends_again


def test_a_verdict_between_two_sizes_is_about_that_step() -> None:
    flat_late = losses(lambda n: 1.0 + 0.3 * math.exp(-n / 3000))
    early = verdicts_between(flat_late, 1000, 8000)["math", "random", "loss"]
    late = verdicts_between(flat_late, 64000, 128000)["math", "random", "loss"]
    assert early.word == "rising" and abs(early.gain - 0.194) < 0.015
    assert late.word in ("plateau", "undecided") and abs(late.gain) < 0.005
    with pytest.raises(AssayError, match="outside of what was measured"):
        verdicts_between(flat_late, 500, 8000)


def test_the_own_share_of_items_is_found_again() -> None:
    """Items whose values share one part and have another that fades over the ladder, as the model assumes."""
    rng = np.random.default_rng(0)
    sizes = np.array([1000.0, 2000, 4000, 8000, 16000, 32000])
    u = np.linspace(0, 1, 6)
    near = np.exp(-((u[:, None] - u[None, :]) ** 2) / (2 * 0.5**2))
    for share in (0.1, 0.5):
        covariance = (1 - share) + share * near
        values = rng.multivariate_normal(np.zeros(6), covariance, size=4000)
        assert own_share(values, sizes) == pytest.approx(share, rel=0.15)
    assert own_share(np.ones((10, 3)), sizes[:3]) is None
    assert own_share(np.ones((2, 3)), sizes[:3]) is None


def test_a_measured_share_of_items_narrows_the_gain() -> None:
    rows = [replace(p, se=0.03, n_eval=250) for p in losses(power_law)]
    paired = [replace(p, own_share=0.02) for p in rows]
    apart = [replace(p, own_share=0.9) for p in rows]
    widths = []
    for points in (paired, apart):
        (curve,) = fit_curves(points)
        assert curve.verdict is not None
        widths.append(curve.verdict.gain_high - curve.verdict.gain_low)
    assert widths[0] < widths[1]


def test_next_runs_have_their_cost() -> None:
    rows = losses(lambda n: 1.0, seeds=range(1), sizes=SIZES[:4], sd=0.02)
    reading = read_curves(rows, hours=0.25)
    verdict = reading.curves[0].verdict
    assert verdict is not None and verdict.next_runs is not None
    runs = verdict.next_runs
    assert runs.passes == runs.n_train * runs.seeds and runs.hours == pytest.approx(runs.passes / 4000)
