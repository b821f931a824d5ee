"""Designs keep size, tokens and sources; fits equal independent ones; a designed rule finds true quality."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from numpy.typing import NDArray
from scipy.stats import spearmanr

from assay.core import AssayError
from assay.regression import (
    bends,
    least_squares,
    linearity,
    mixtures,
    power,
    rank_correlation,
    ridge,
    slopes,
    stepwise,
    tilted,
)

Array = NDArray[np.float64]
Pool = tuple[Array, list[str], Array]


@pytest.fixture(scope="module")
def pool() -> tuple[Array, list[str], Array]:
    """20,000 rows of four sources: four indicators, source names, lengths."""
    rng = np.random.default_rng(0)
    source = rng.integers(0, 4, 20_000)
    values = rng.normal(size=(20_000, 4)) + source[:, None] * np.array([0.5, -0.3, 0.0, 0.2])
    values[:300, 2] = np.nan
    return values, [f"s{s}" for s in source], rng.lognormal(4, 1, 20_000)


NAMES = ("a", "b", "c", "d")


def test_tilted_subsets_differ_in_indicators_alone(pool: Pool) -> None:
    values, sources, lengths = pool
    design = tilted(values, NAMES, 1000, strata=sources, lengths=lengths)
    assert len(design.rows) == 32 and not design.whitened
    own = np.array(sources)
    shares = np.array([[np.mean(own[rows] == f"s{k}") for k in range(4)] for rows in design.rows])
    assert np.ptp(shares, axis=0).max() < 0.01
    tokens = np.array([lengths[rows].sum() for rows in design.rows])
    assert tokens.std() / tokens.mean() < 0.05
    for rows in design.rows:
        assert len(set(rows.tolist())) == 1000 and np.isfinite(values[rows]).all()
    # Each indicator's mean follows its own tilt and no other's.
    seen = np.corrcoef(design.levels.T, design.means.T)[:4, 4:]
    assert np.diag(seen).min() > 0.95 and np.abs(seen - np.diag(np.diag(seen))).max() < 0.2
    random_spread = 1 / np.sqrt(1000)
    assert design.means.std(axis=0).min() > 5 * random_spread
    again = tilted(values, NAMES, 1000, strata=sources, lengths=lengths)
    assert all((a == b).all() for a, b in zip(design.rows, again.rows, strict=True))


def test_doubled_tilts_go_twice_as_far_and_show_a_bend(pool: Pool) -> None:
    values, sources, lengths = pool
    design = tilted(values, NAMES, 1000, strata=sources, lengths=lengths, doubled=6)
    assert len(design.rows) == 38 and (np.abs(design.levels[32:]) == 2).all()
    reach = np.abs(design.means[32:]).mean() / np.abs(design.means[:32]).mean()
    assert 1.5 < reach < 2.2
    rng = np.random.default_rng(9)
    plain = 0.1 * design.means[:, 0] + 0.002 * rng.normal(size=38)
    bent = plain + 0.2 * design.means[:, 1] ** 2
    ratios = []
    for losses in (plain, bent):
        found = ridge(design.means[:32], losses[:32], NAMES)
        ratios.append(linearity(found, design.means[32:], losses[32:]).ratio)
    assert ratios[0] < 2 < ratios[1]


def test_collinear_indicators_are_whitened(pool: Pool) -> None:
    values, sources, lengths = pool
    twin = values[:, 0] + 0.3 * np.random.default_rng(1).normal(size=len(values))
    table = np.column_stack([values[:, 0], twin])
    design = tilted(table, ("a", "twin"), 500, strata=sources, lengths=lengths)
    assert design.whitened
    # Without it the two would move together in every subset.
    plain = tilted(table, ("a", "twin"), 500, strata=sources, lengths=lengths, whiten=False)
    spread, flat = (np.linalg.eigvalsh(np.cov(d.means.T))[0] for d in (design, plain))
    assert spread > 3 * flat, "the direction in which they differ is tilted too"


def test_mixtures_move_with_sources(pool: Pool) -> None:
    values, sources, _ = pool
    design = mixtures(values, NAMES, 1000, sources=sources, runs=40)
    shares = np.array([np.mean([sources[i] == "s0" for i in rows]) for rows in design.rows])
    assert shares.std() > 0.1
    assert np.corrcoef(shares, design.means[:, 0])[0, 1] < -0.5


def test_power_is_known_before_anything_runs(pool: Pool) -> None:
    values, sources, lengths = pool
    design = tilted(values, NAMES, 1000, strata=sources, lengths=lengths)
    told = power(design, 0.008)
    rng = np.random.default_rng(2)
    found = []
    for _ in range(400):
        losses = told[0].detectable * design.means[:, 0] + 0.008 * rng.normal(size=32)
        found.append(least_squares(design.means, losses, NAMES).p[0] < 0.05)
    assert 0.7 < np.mean(found) < 0.9
    mixed = power(mixtures(values, NAMES, 1000, sources=sources, runs=32), 0.008)
    assert told[3].error < mixed[3].error


def test_least_squares_equals_statsmodels_and_a_closed_form() -> None:
    rng = np.random.default_rng(3)
    table, losses = rng.normal(size=(40, 3)), rng.normal(size=40)
    found = least_squares(table, losses, ("a", "b", "c"))
    design = np.column_stack([np.ones(40), table])
    inverse = np.linalg.inv(design.T @ design)
    beta = inverse @ design.T @ losses
    residuals = losses - design @ beta
    noise = residuals @ residuals / 36
    np.testing.assert_allclose([found.intercept, *found.coefficients], beta, atol=1e-8)
    np.testing.assert_allclose(found.errors, np.sqrt(noise * np.diag(inverse))[1:], atol=1e-8)
    theirs = sm.OLS(losses, design).fit()
    np.testing.assert_allclose(found.p, theirs.pvalues[1:], atol=1e-8)
    assert found.r2 == pytest.approx(theirs.rsquared, abs=1e-8)
    from statsmodels.stats.outliers_influence import variance_inflation_factor

    wanted = [variance_inflation_factor(design, i) for i in (1, 2, 3)]
    np.testing.assert_allclose(found.inflation, wanted, rtol=1e-8)


def test_stepwise_keeps_what_matters() -> None:
    rng = np.random.default_rng(4)
    table = rng.normal(size=(60, 5))
    losses = 0.5 * table[:, 1] - 0.4 * table[:, 3] + 0.1 * rng.normal(size=60)
    assert set(stepwise(table, losses, tuple("abcde")).names) >= {"b", "d"}
    noise = stepwise(table, rng.normal(size=60), tuple("abcde"))
    assert len(noise.names) >= 1


def test_leave_one_out_is_what_it_says() -> None:
    rng = np.random.default_rng(5)
    table = rng.normal(size=(25, 4)) * np.array([1, 10, 0.1, 3])
    losses = table @ np.array([0.2, 0.02, 1.0, 0.0]) + 0.3 * rng.normal(size=25)
    found = ridge(table, losses, NAMES)
    # The closed form holds centring and scaling fixed, as they are part of the columns.
    scaled = (table - table.mean(axis=0)) / table.std(axis=0)
    errors = []
    for row in range(25):
        keep = np.arange(25) != row
        design = np.column_stack([np.ones(24), scaled[keep]])
        gram = design.T @ design + found.penalty * np.diag([0, 1, 1, 1, 1])
        beta = np.linalg.solve(gram, design.T @ losses[keep])
        errors.append(losses[row] - beta[0] - scaled[row] @ beta[1:])
    assert found.error == pytest.approx(float(np.sqrt(np.mean(np.square(errors)))), rel=1e-6)
    others = (losses.sum() - losses) / 24
    assert found.rank == pytest.approx(float(spearmanr(losses - errors - others, losses).statistic), abs=1e-9)
    assert found.signs[0] > 0.9 and found.signs[2] > 0.9
    assert all(
        low <= c <= high for low, c, high in zip(found.low, found.coefficients, found.high, strict=True)
    )


@pytest.mark.long
def test_a_rule_of_noise_does_not_rank_upside_down() -> None:
    rng = np.random.default_rng(8)
    ranks = [ridge(rng.normal(size=(24, 3)), rng.normal(size=24), ("a", "b", "c")).rank for _ in range(60)]
    assert abs(np.mean(ranks)) < 0.25


def test_repeats_of_a_row_count_once() -> None:
    rng = np.random.default_rng(6)
    table, losses = rng.normal(size=(12, 2)), rng.normal(size=12)
    groups = [str(i) for i in range(12)] * 2
    twice = ridge(np.vstack([table, table]), np.r_[losses, losses], ("a", "b"), groups=groups)
    assert abs(twice.rank) <= 1 and twice.low[0] < 0 < twice.high[0], "noise stays noise when it is repeated"


def test_opposite_slopes_between_and_within_sources_are_seen() -> None:
    rng = np.random.default_rng(7)
    shares = rng.dirichlet(np.ones(3), 80)
    level = shares @ np.array([0.0, 1.0, 2.0])
    own = 0.3 * rng.normal(size=80)
    column = level + own
    losses = -0.5 * level + 0.4 * own + 0.02 * rng.normal(size=80)
    (found,) = slopes(column[:, None], losses, ("a",), shares)
    assert found.between < 0 < found.within and not found.agree
    (same,) = slopes(column[:, None], -0.5 * column + 0.02 * rng.normal(size=80), ("a",), shares)
    assert same.agree and same.within == pytest.approx(-0.5, abs=0.05)


def test_slopes_are_compared_only_where_both_parts_vary(pool: Pool) -> None:
    values, sources, lengths = pool
    kinds = sorted(set(sources))
    own = np.array(sources)
    rng = np.random.default_rng(11)
    compared = []
    for design in (
        tilted(values, NAMES, 1000, strata=sources, lengths=lengths),
        mixtures(values, NAMES, 1000, sources=sources, runs=40),
    ):
        shares = np.array([[np.mean(own[rows] == kind) for kind in kinds] for rows in design.rows])
        losses = design.means @ np.array([0.1, 0.0, 0.0, 0.0]) + 0.01 * rng.normal(size=len(design.rows))
        compared.append(slopes(design.means, losses, NAMES, shares, least=2 / np.sqrt(1000)))
    assert compared == [(), ()], "tilts hold the sources' shares, mixtures hold what is within them"


@pytest.mark.parametrize("correlation", [0.4, 0.8])
def test_slopes_of_collinear_indicators_are_covered(correlation: float) -> None:
    """100 draws of 8 indicators: 90 % intervals hold weak and strong slopes, and are narrower."""
    true = np.array([0.03, -0.02, 0.01, 0.005, 0.005, -0.005, 0.0025, 0.0])
    mixed = np.linalg.cholesky(np.full((8, 8), correlation) + (1 - correlation) * np.eye(8))
    rng = np.random.default_rng(3)
    inside: dict[str, list[Array]] = {"ridge": [], "plain": []}
    width = {"ridge": 0.0, "plain": 0.0}
    for _ in range(100):
        table = rng.normal(size=(32, 8)) @ mixed.T
        losses = table @ true + 0.03 * rng.normal(size=32)
        fits = {"ridge": ridge(table, losses, "abcdefgh"), "plain": least_squares(table, losses, "abcdefgh")}
        for name, fit in fits.items():
            low, high = np.array(fit.low), np.array(fit.high)
            inside[name].append((low <= true) & (true <= high))
            width[name] += (high - low).mean()
    weak, strong = np.mean(inside["ridge"], axis=0)[3:], np.mean(inside["ridge"], axis=0)[:3]
    assert weak.mean() >= 0.86
    assert strong.mean() >= 0.88, "at the whole penalty .85 are held"
    assert 0.86 <= np.mean(inside["plain"]) <= 0.94
    assert width["ridge"] <= width["plain"]


def test_a_square_is_seen_where_it_is_and_only_there(pool: Pool) -> None:
    values, sources, lengths = pool
    design = tilted(values, NAMES, 1000, strata=sources, lengths=lengths, doubled=8)
    rng = np.random.default_rng(12)
    false, seen = 0, 0
    for _ in range(40):
        plain = 0.1 * design.means[:, 0] + 0.005 * rng.normal(size=40)
        false += any(bend.shown for bend in bends(design.means, design.squares, plain, NAMES))
        found = bends(design.means, design.squares, plain + 0.12 * design.squares[:, 1], NAMES)
        seen += found[1].shown
        assert found[1].square == pytest.approx(0.12, abs=5 * found[1].error)
    assert false <= 6 and seen >= 35


def test_a_column_that_never_moves_has_no_slope() -> None:
    rng = np.random.default_rng(13)
    table = np.column_stack([rng.normal(size=20), np.full(20, 3.0)])
    found = least_squares(table, table[:, 0] + 0.1 * rng.normal(size=20), ("a", "still"))
    assert found.coefficients[1] == 0 and found.p[1] == 1 and found.low[1] == -np.inf
    assert found.p[0] < 0.001 and found.low[0] < 1 < found.high[0]
    assert least_squares(table[:, 1:], table[:, 0], ("still",)).r2 == 0


@pytest.mark.parametrize(
    ("table", "losses", "problem"),
    [(np.ones((4, 2)), np.ones(4), "too few runs"), (np.ones((9, 2)), np.ones(8), "does not fit"),
     (np.full((9, 2), np.nan), np.ones(9), "no value")],
)  # fmt: skip
def test_tables_that_cannot_be_fitted_are_refused(table: Array, losses: Array, problem: str) -> None:
    with pytest.raises(AssayError, match=problem):
        ridge(table, losses, ("a", "b"))


def test_a_pool_too_small_for_its_subsets_is_refused(pool: Pool) -> None:
    values, sources, lengths = pool
    with pytest.raises(AssayError, match="too few samples"):
        tilted(values[:1000], NAMES, 800, strata=sources[:1000], lengths=lengths[:1000])
    with pytest.raises(AssayError, match="too many indicators"):
        tilted(np.ones((50, 16)), [str(i) for i in range(16)], 5, strata=["a"] * 50, lengths=[1.0] * 50)


def test_pairs_balance_a_few_runs(pool: Pool) -> None:
    values, sources, lengths = pool
    design = tilted(values, NAMES, 1000, strata=sources, lengths=lengths, runs=6, paired=True)
    assert (design.levels[::2] == -design.levels[1::2]).all()
    assert np.abs(design.levels.mean(axis=0)).max() == 0
    assert np.abs(design.means.mean(axis=0)).max() < 0.3 * design.means.std(axis=0).max()


@pytest.mark.parametrize("true", [0.0, 0.7])
def test_the_interval_of_a_rank_correlation_holds_it(true: float) -> None:
    """Of 12 pairs of a bivariate normal, whose rank correlation is 6/pi asin(r/2) at any size."""
    rng = np.random.default_rng(3)
    r = 2 * np.sin(np.pi * true / 6)
    found = []
    for _ in range(2000):
        x, y = rng.normal(size=(2, 12))
        made = rank_correlation(x, r * x + np.sqrt(1 - r**2) * y)
        assert made is not None and made.low <= made.value <= made.high and made.n == 12
        found.append(made.low <= true <= made.high)
    assert 0.86 < np.mean(found) < 0.95


def test_a_rank_correlation_is_spearmans_or_nothing() -> None:
    x, y = np.random.default_rng(1).normal(size=(2, 20))
    found = rank_correlation(x, y)
    assert found is not None and found.value == pytest.approx(spearmanr(x, y).statistic)
    assert rank_correlation(x, np.ones(20)) is None and rank_correlation(x[:4], y[:4]) is None
    one = rank_correlation(x, x)
    assert one is not None and one.high == one.value == pytest.approx(1) and one.low < 1
