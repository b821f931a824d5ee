"""Several recipes: robust verdicts, the best recipe per size, and what repeated passes are worth."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay import curves
from assay.core import CurveResult, Point, Verdict
from assay.curves._repeats import effective, r_star_of, second_pass

SIZES = (100, 200, 400, 800, 1600)


def ladder(level: float, slope: float, seed: int, noise: float = 0.01, seeds: int = 2) -> list[Point]:
    """Losses of a power law with run noise, as measured on many items."""
    rng = np.random.default_rng(seed)
    drawn = np.exp(noise * rng.standard_normal((len(SIZES), seeds)))
    return [
        Point("overall", n, s, "loss", level * (n / 100) ** -slope * float(drawn[k, s]))
        for k, n in enumerate(SIZES)
        for s in range(seeds)
    ]


def verdict(word: str, kind: str = "math") -> CurveResult:
    found = Verdict(word, 0.1, 0.0, 0.2, 0.9, 0.1, 0.0, 0.01)  # type: ignore[arg-type]
    return CurveResult(kind, "random", "loss", None, found, {})


@pytest.mark.parametrize(
    ("words", "said", "shared"),
    [
        (("rising", "rising"), "robust", "rising"), (("rising", "falling", "undecided"), "depends", None),
        (("rising", "undecided"), "open", None), (("undecided", "undecided"), "open", None),
        (("plateau", "rising"), "depends", None),
    ],
)  # fmt: skip
def test_a_verdict_is_robust_only_where_all_recipes_say_the_same(
    words: tuple[str, ...], said: str, shared: str | None
) -> None:
    (found,) = curves.robustness({str(k): [verdict(word)] for k, word in enumerate(words)})
    assert (found.word, found.verdict) == (said, shared)
    assert list(found.by.values()) == list(words)


def test_a_recipe_without_a_curve_does_not_speak() -> None:
    refused = CurveResult("math", "random", "loss", None, None, {}, "few_rungs")
    assert curves.robustness({"a": [verdict("rising")], "b": [refused]}) == []


def test_the_envelope_takes_the_best_recipe_at_each_size() -> None:
    crossing = {"fast": ladder(3.0, 0.0, 1), "slow": ladder(3.4, 0.1, 2)}
    (found,) = curves.envelopes(crossing)
    assert [p.recipe for p in found.rungs] == ["fast", "fast", "slow", "slow", "slow"]
    assert found.verdict.word == "rising", "the better recipe goes on falling"
    assert all(p.low <= p.value <= p.high for p in found.rungs)
    assert (found.n_from, found.n_to) == (1600, 3200)


@pytest.mark.parametrize("recipes", [2, 5])
def test_the_interval_accounts_for_the_choice_among_equals(recipes: int) -> None:
    """Of recipes equal in truth the least measured value is too good; the interval holds the truth."""
    held = 0
    for study in range(12):
        tables = {str(k): ladder(3.0, 0.05, 100 * study + k, noise=0.02) for k in range(recipes)}
        (found,) = curves.envelopes(tables)
        held += sum(p.low <= 3.0 * (p.n / 100) ** -0.05 <= p.high for p in found.rungs)
    assert held >= 0.8 * 12 * len(SIZES)


def test_the_order_of_recipes_does_not_matter_to_the_choice() -> None:
    tables = {"a": ladder(3.0, 0.02, 1), "b": ladder(3.3, 0.08, 2), "c": ladder(4.0, 0.1, 3)}
    chosen = {
        tuple(p.recipe for p in curves.envelopes({k: tables[k] for k in order})[0].rungs)
        for order in itertools.permutations(tables)
    }
    assert len(chosen) == 1


@settings(max_examples=50)
@given(st.floats(0.1, 500), st.floats(1, 64), st.floats(1, 64))
def test_repeated_passes_are_worth_less_than_new_samples(r_star: float, one: float, more: float) -> None:
    few, many = sorted((one, more))
    at = np.array([r_star])
    assert effective(100, 1, at)[0] == 100
    assert effective(100, few, at)[0] <= effective(100, many, at)[0] + 1e-9
    assert effective(100, many, at)[0] <= min(100 * many, 100 * (1 + r_star)) + 1e-6
    assert r_star_of(second_pass(at))[0] == pytest.approx(r_star, rel=0.01)


def repeats(truth: float, seed: int) -> tuple[list[Point], list[curves.Repeated]]:
    """A ladder, and models of halves and quarters at equal steps under a known R*."""
    rng, points = np.random.default_rng(seed), ladder(4.0, 0.25, 100 + seed, noise=0.004, seeds=3)
    repeated = []
    for samples, passes in ((800, 2), (400, 4), (400, 2), (200, 4)):
        worth = effective(samples, passes, np.array([truth]))[0]
        values = 4.0 * (worth / 100) ** -0.25 * np.exp(0.004 * rng.standard_normal(3))
        repeated.append(curves.Repeated(samples, passes, values, 0.0))
    return points, repeated


@pytest.mark.parametrize("truth", [0.5, 4.0])
def test_the_worth_of_a_pass_is_found(truth: float) -> None:
    held, share = 0, float(second_pass(np.array([truth]))[0])
    for seed in range(8):
        found = curves.pass_worth(*repeats(truth, seed))
        assert found is not None
        held += found.low <= share <= found.high
        assert abs(found.share - share) < 0.15
        assert found.high - found.low < 0.3
        assert found.r_low <= found.r_star <= found.r_high
    assert held >= 6


def test_where_data_buy_nothing_nothing_is_said_of_repeats() -> None:
    points = ladder(3.0, 0.0, 3)
    found = curves.pass_worth(points, [curves.Repeated(800, 2, np.array([3.0, 3.01]), 0.0)])
    assert found is not None
    assert found.high - found.low > 0.7


def test_a_ladder_of_two_rungs_tells_nothing_of_repeats() -> None:
    points = [p for p in ladder(3.0, 0.1, 3) if p.n_train <= 200]
    assert curves.pass_worth(points, [curves.Repeated(100, 2, np.array([2.9]), 0.0)]) is None
