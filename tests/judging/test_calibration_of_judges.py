"""Agreement, bias, prediction-powered means and power against independent oracles."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import cohen_kappa_score

from assay.core import AssayError, canonical_json, to_json
from assay.judging import (
    Judgement,
    Label,
    agreement,
    calibrate,
    choose_repeats,
    cohen_kappa,
    compare_judgements,
    items_wanted,
    judge_noise,
    length_bias,
    paired_sd,
    partial_spearman,
    people_differences,
    position_bias,
    ppi_mean,
    visible_effect,
)

RNG = np.random.default_rng(7)


def ratings(n: int = 300, levels: int = 5, seed: int = 0) -> tuple[list[int], list[int]]:
    rng = np.random.default_rng(seed)
    a = rng.integers(0, levels, n)
    b = np.clip(a + rng.integers(-1, 2, n), 0, levels - 1)
    return a.tolist(), b.tolist()


def test_kappa_is_sklearns() -> None:
    a, b = ratings()
    assert cohen_kappa(a, b) == pytest.approx(cohen_kappa_score(a, b))
    assert cohen_kappa(a, b, quadratic=True) == pytest.approx(cohen_kappa_score(a, b, weights="quadratic"))
    words = [["no", "yes"][x > 2] for x in a], [["no", "yes"][x > 2] for x in b]
    assert cohen_kappa(*words) == pytest.approx(cohen_kappa_score(*words))
    assert cohen_kappa([1, 1], [1, 1]) is None
    assert cohen_kappa([0, 1, 0, 1], [1, 0, 1, 0]) == pytest.approx(-1)


def test_correlations_are_scipys_with_intervals_around_them() -> None:
    a, b = ratings(seed=3)
    found = agreement(a, b)
    assert found.spearman and found.kendall and found.pearson
    assert found.spearman.value == pytest.approx(stats.spearmanr(a, b).statistic)
    assert found.kendall.value == pytest.approx(stats.kendalltau(a, b).statistic)
    assert found.spearman.low < found.spearman.value < found.spearman.high
    assert found.equal == np.mean(np.array(a) == np.array(b))
    # Fisher's interval is near for a bivariate sample of this size.
    z, half = math.atanh(found.pearson.value), 1.645 / math.sqrt(len(a) - 3)
    assert found.pearson.low == pytest.approx(math.tanh(z - half), abs=0.03)
    assert found.pearson.high == pytest.approx(math.tanh(z + half), abs=0.03)
    assert agreement([1, 1, 1], [1, 2, 3]).spearman is None


def test_clusters_widen_the_interval() -> None:
    rng = np.random.default_rng(1)
    a = np.repeat(rng.normal(size=20), 10) + rng.normal(size=200) * 0.1
    b = np.repeat(rng.normal(size=20), 10) + a
    alone = agreement(a, b).spearman
    grouped = agreement(a, b, clusters=[f"{i // 10}" for i in range(200)]).spearman
    assert alone and grouped and (grouped.high - grouped.low) > 2 * (alone.high - alone.low)


def test_the_slope_on_length_is_that_of_clustered_least_squares() -> None:
    rng = np.random.default_rng(5)
    n = 240
    lengths = rng.integers(20, 2000, n)
    people = rng.random(n)
    clusters = rng.integers(0, 40, n)
    judged = people + 0.03 * np.log2(lengths) + rng.normal(0, 0.1, n) + 0.05 * (clusters % 2)
    found = length_bias(judged, people, lengths, clusters=[str(c) for c in clusters])
    import statsmodels.api as sm

    oracle = sm.OLS(judged - people, sm.add_constant(np.log2(lengths))).fit(
        cov_type="cluster", cov_kwds={"groups": clusters}, use_t=True
    )
    low, high = oracle.conf_int(0.1)[1]
    assert found is not None
    assert (found.slope.value, found.slope.low, found.slope.high) == pytest.approx(
        (oracle.params[1], low, high)
    )
    assert found.slope.low <= 0.03 <= found.slope.high
    assert length_bias(judged, people, np.full(n, 100)) is None


def test_partial_spearman_is_the_correlation_of_residual_ranks() -> None:
    rng = np.random.default_rng(2)
    given = rng.normal(size=200)
    a, b = given + rng.normal(size=200), given + rng.normal(size=200)
    ranks = [stats.rankdata(x) for x in (a, b, given)]
    import statsmodels.api as sm

    design = sm.add_constant(ranks[2])
    left = [sm.OLS(r, design).fit().resid for r in ranks[:2]]
    assert partial_spearman(a, b, given) == pytest.approx(np.corrcoef(*left)[0, 1])
    assert partial_spearman(a, b, np.ones(200)) is None


def test_position_bias_counts_leanings() -> None:
    fair = position_bias(["first", "second", "tie"], ["second", "first", "tie"])
    assert (fair.consistent, fair.first, fair.second, fair.p) == (1.0, 0, 0, 1.0)
    leaning = position_bias(["first"] * 8 + ["tie"] * 2, ["first"] * 8 + ["first", "second"])
    assert (leaning.first, leaning.second, leaning.consistent) == (9, 1, 0.0)
    assert leaning.p == pytest.approx(stats.binomtest(9, 10).pvalue)


def test_ppi_is_the_formula_of_its_paper() -> None:
    """Angelopoulos, Duchi & Zrnic 2023, equations of the mean, written out anew."""
    rng = np.random.default_rng(11)
    n, m = 60, 900
    truth = rng.random(n + m)
    judged = np.clip(truth + rng.normal(0.1, 0.15, n + m), 0, 1)
    y, f, rest = truth[:n], judged[:n], judged[n:]
    found = ppi_mean(y, f, rest, level=0.95)
    pooled = np.r_[f, rest]
    power = (np.mean(y * f) - y.mean() * f.mean()) * n / (n - 1) / ((1 + n / m) * pooled.var(ddof=1))
    power = min(max(power, 0), 1)
    mean = power * rest.mean() + np.mean(y - power * f)
    # One degree of freedom goes to the estimate of λ.
    variance = power**2 * rest.var(ddof=1) / m + (y - power * f).var(ddof=2) / n
    assert found.power == pytest.approx(power)
    assert found.mean == pytest.approx(mean)
    assert found.se == pytest.approx(math.sqrt(variance))
    assert found.high - found.mean == pytest.approx(stats.t.ppf(0.975, n - 2) * math.sqrt(variance))
    assert found.se < 0.75 * found.labels_se


def test_ppi_saves_what_theory_says() -> None:
    """Var = Var(Y)/n·(1 − ρ²N/(N + n)) at λ*."""
    rng = np.random.default_rng(4)
    n, m, rho = 4000, 40_000, 0.7
    y = rng.normal(size=n + m)
    f = rho * y + math.sqrt(1 - rho**2) * rng.normal(size=n + m)
    found = ppi_mean(y[:n], f[:n], f[n:])
    ratio = found.se**2 / found.labels_se**2
    assert ratio == pytest.approx(1 - rho**2 * m / (m + n), rel=0.05)


@pytest.mark.parametrize("kind", ["even", "rare", "skewed"])
def test_thirty_labels_cover_what_is_said(kind: str) -> None:
    """0.88 or more of 90 %, which three standard errors of 600 draws may hide."""
    rng = np.random.default_rng(6)
    f, noise = rng.normal(size=(2, 50_000))
    y = 0.6 * f + 0.8 * noise
    people, judged = {
        "even": (0.5 + 0.18 * y, 0.5 + 0.18 * f),
        "rare": ((y > 1).astype(float), (f > 0.8).astype(float)),
        "skewed": (np.exp(y - 2.5), np.exp(f - 2.5)),
    }[kind]
    people, judged = np.clip(people, 0, 1), np.clip(judged, 0, 1)
    held = 0
    for _ in range(600):
        one, other = rng.integers(0, len(y), 30), rng.integers(0, len(y), 500)
        found = ppi_mean(people[one], judged[one], judged[other], bounds=(0, 1))
        assert 0 <= found.low <= found.mean <= found.high <= 1
        held += found.low <= people.mean() <= found.high
    assert held / 600 >= 0.88 - 3 * math.sqrt(0.88 * 0.12 / 600)


def test_ppi_ends() -> None:
    y, f, rest = [0.1, 0.9, 0.4, 0.6], [0.2, 0.8, 0.4, 0.7], [0.5, 0.6]
    alone = ppi_mean(y, f, [])
    assert alone.power == 0 and alone.mean == pytest.approx(0.5)
    assert alone.se == pytest.approx(np.std(y, ddof=1) / 2) == pytest.approx(alone.labels_se)
    classic = ppi_mean(y, f, rest, power=1.0)
    assert classic.mean == pytest.approx(np.mean(rest) + np.mean(np.array(y) - np.array(f)))
    flat = ppi_mean(y, [0.5] * 4, [0.5] * 9)
    assert flat.power == 0 and flat.correlation is None
    with pytest.raises(ValueError, match="at least two"):
        ppi_mean([1], [1], rest)


def test_ppi_clusters_count_labelled_and_other_rows_together() -> None:
    rng = np.random.default_rng(8)
    base = np.repeat(rng.normal(size=60), 10)
    y = base + rng.normal(0, 0.3, 600)
    f = base + rng.normal(0, 0.3, 600)
    names = [str(i // 10) for i in range(600)]
    pick = np.arange(600) % 2 == 0
    loose = ppi_mean(y[pick], f[pick], f[~pick])
    own = [name for name, p in zip(names, pick, strict=True) if p]
    other = [name for name, p in zip(names, pick, strict=True) if not p]
    tight = ppi_mean(y[pick], f[pick], f[~pick], clusters=own, clusters_only=other)
    assert tight.mean == loose.mean and tight.se > 1.8 * loose.se


@pytest.mark.parametrize(("n", "wanted"), [(60, (0.86, 0.94)), (200, (0.87, 0.93))])
def test_ppi_intervals_hold_what_they_promise(n: int, wanted: tuple[float, float]) -> None:
    rng = np.random.default_rng(12)
    hits = 0
    for _ in range(800):
        y = rng.integers(0, 5, n + 600) / 4
        f = np.clip(y + rng.choice([-0.25, 0, 0.25], n + 600), 0, 1)
        found = ppi_mean(y[:n], f[:n], f[n:])
        hits += found.low <= 0.5 <= found.high
    assert wanted[0] <= hits / 800 <= wanted[1]


def test_judge_noise_is_the_pooled_deviation() -> None:
    rng = np.random.default_rng(3)
    truth = rng.normal(0.5, 0.2, 400)
    rows = [[float(t + e) for e in rng.normal(0, 0.1, 3)] for t in truth]
    found = judge_noise(rows)
    assert found.low < 0.1 < found.high and found.items == 400
    # One-way random effects, as the textbook has it.
    within = np.mean([np.var(row, ddof=1) for row in rows])
    assert found.sd == pytest.approx(math.sqrt(within))
    between = np.var([np.mean(row) for row in rows], ddof=1) - within / 3
    assert found.item_sd == pytest.approx(math.sqrt(between))
    assert judge_noise([[1.0, None, 1.0], [0.0, 0.0]]).sd == 0
    with pytest.raises(AssayError, match="repeats"):
        judge_noise([[1.0], [0.5, None]])


def test_the_number_of_repeats_is_the_cheapest() -> None:
    for noise, paired, cost in [(0.15, 0.18, 1.0), (0.05, 0.18, 1.0), (0.3, 0.2, 5.0), (0.2, 0.1, 10.0)]:
        found = choose_repeats(noise, paired, cost_ratio=cost)
        costs = {k: (cost + k) * (paired**2 + 2 * noise**2 / k) for k in range(1, 11)}
        assert found.repeats == min(costs, key=costs.__getitem__)
        assert found.best == pytest.approx(math.sqrt(cost * 2 * noise**2 / paired**2))
    assert choose_repeats(0.0, 0.2).repeats == 1
    assert choose_repeats(0.2, 0.0).repeats == 10


@pytest.mark.parametrize(
    ("sd", "plain", "corrected"), [(0.18, 636, 1114), (0.25, 1227, 2148), (0.45, 3974, 6957)]
)
def test_items_wanted_are_those_of_the_closed_form(sd: float, plain: int, corrected: int) -> None:
    assert items_wanted(0.02, sd) == plain
    assert items_wanted(0.02, sd, comparisons=12) == pytest.approx(corrected, abs=1)
    assert visible_effect(plain, sd) == pytest.approx(0.02, rel=2e-3)


def test_repeats_save_items_as_published() -> None:
    """With ω = .18, three replies instead of one cut n by 9 % at judge sd .05, and by 39 % at .15."""
    for noise, saved in ((0.05, 0.09), (0.15, 0.39)):
        one, three = (items_wanted(0.02, 0.18, judge_sd=noise, repeats=k) for k in (1, 3))
        assert 1 - three / one == pytest.approx(saved, abs=0.01)
    assert paired_sd(0.20, 0.58) == pytest.approx(0.183, abs=1e-3)


def rows(scores: list[float | None], kind: str = "math", group: int | None = None) -> list[Judgement]:
    groups = [None if group is None else f"{kind}{i // group}" for i in range(len(scores))]
    return [Judgement(f"{kind}{i}", kind, groups[i], "m", s) for i, s in enumerate(scores)]


def test_paired_differences_are_paired_t_tests() -> None:
    rng = np.random.default_rng(6)
    b = rng.random(80)
    a = b + rng.normal(0.05, 0.15, 80)
    (found,) = compare_judgements(rows(a.tolist()), rows(b.tolist()))
    oracle = stats.ttest_rel(a, b)
    interval = oracle.confidence_interval(0.9)
    assert found.difference == pytest.approx(np.mean(a - b))
    assert found.p == pytest.approx(oracle.pvalue) == found.p_adjusted
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.items_wanted == items_wanted(0.03, float(np.std(a - b, ddof=1)))


def test_paired_differences_by_type_are_corrected_and_keep_count() -> None:
    rng = np.random.default_rng(9)
    a = rows(rng.random(40).tolist()) + rows(rng.random(40).tolist(), "code", 4) + rows([None], "cot")
    b = [Judgement(r.item, r.type, r.group, "m", 0.5) for r in a[1:]]
    found = {row.type: row for row in compare_judgements(a, b)}
    assert (found["math"].n, found["math"].left_out) == (39, 1)
    assert (found["cot"].n, found["cot"].left_out, found["cot"].difference) == (0, 1, None)
    tested = sorted((row.p, row.p_adjusted) for row in found.values() if row.p is not None)
    assert len(tested) == 3 and tested[0][1] == pytest.approx(min(1, 3 * tested[0][0]))
    means = [found[kind].difference for kind in ("math", "code")]
    assert found["overall"].difference == pytest.approx(np.mean(means))
    errors = [found[kind].se for kind in ("math", "code")]
    assert found["overall"].se == pytest.approx(math.hypot(*errors) / 2, rel=0.03)


def test_types_with_few_labels_stay_in_judge_units() -> None:
    rng = np.random.default_rng(10)
    truth = {"math": rng.random(400), "code": rng.random(400)}
    judged = [
        Judgement(f"{kind}{i}", kind, None, "m", float(np.clip(t + 0.2, 0, 1)))
        for kind, values in truth.items()
        for i, t in enumerate(values)
    ]
    labels = [Label(f"math{i}", float(truth["math"][i]), who) for i in range(60) for who in ("a", "b")]
    labels += [Label(f"code{i}", float(truth["code"][i])) for i in range(20)]
    found = {
        row.type: row for row in calibrate(judged, labels, {j.item: 50 + i for i, j in enumerate(judged)})
    }
    assert (found["math"].units, found["math"].labels, found["math"].wanted) == ("people", 60, 0)
    assert (found["code"].units, found["code"].labels, found["code"].wanted) == ("judge", 20, 30)
    assert found["overall"].units == "judge" and found["overall"].estimate is None
    people, judge_mean = found["math"].estimate, found["math"].judge_mean
    assert people and judge_mean and people.low < truth["math"].mean() < people.high < judge_mean
    assert found["math"].people_alpha == 1.0 and found["code"].people_alpha is None
    assert found["math"].agreement and found["math"].agreement.difference == pytest.approx(0.18, abs=0.03)
    with pytest.raises(AssayError, match="not judged"):
        calibrate(judged, [Label("elsewhere", 1.0)])
    with pytest.raises(AssayError, match=r"\[0, 1\]"):
        calibrate(judged, [Label("math0", 5.0)])


def test_differences_in_peoples_units() -> None:
    rng = np.random.default_rng(14)
    truth = {name: np.clip(rng.normal(mean, 0.2, 500), 0, 1) for name, mean in (("a", 0.6), ("b", 0.5))}
    judged = {
        # The judge is lenient to a alone.
        name: rows(np.clip(t + rng.normal(0.1 * (name == "a"), 0.1, 500), 0, 1).tolist())
        for name, t in truth.items()
    }
    labels = {name: [Label(f"math{i}", float(t[i])) for i in range(120)] for name, t in truth.items()}
    (found,) = people_differences(judged["a"], judged["b"], labels["a"], labels["b"])
    y = (truth["a"] - truth["b"])[:120]
    f = np.array([x.score - z.score for x, z in zip(judged["a"], judged["b"], strict=True)])  # type: ignore[operator]
    assert found.estimate == ppi_mean(
        y, f[:120], f[120:], clusters=[f"math{i}" for i in range(120)],
        clusters_only=[f"math{i}" for i in range(120, 500)], bounds=(-1, 1),
    )  # fmt: skip
    assert found.estimate is not None
    wanted = float((truth["a"] - truth["b"]).mean())
    assert found.estimate.low < wanted < found.estimate.high < f.mean()
    few = people_differences(judged["a"], [*judged["b"][:-1]], labels["a"][:20], labels["b"])
    assert (few[0].labels, few[0].wanted, few[0].left_out, few[0].estimate) == (20, 30, 1, None)


def test_results_have_a_canonical_form() -> None:
    """Numbers of numpy have none: a report with one could not be printed as JSON."""
    rng = np.random.default_rng(3)
    judged = rows(rng.random(60).round(1).tolist())
    labels = [Label(f"math{i}", round(float(rng.random()), 1), f"p{k}") for i in range(60) for k in range(2)]
    lengths = {f"math{i}": i + 1 for i in range(60)}
    found = calibrate(judged, labels, lengths)
    assert found[0].agreement is not None and found[0].length is not None
    assert json.loads(canonical_json(found)) == to_json(found)
    assert "np.float64" not in repr(found)
