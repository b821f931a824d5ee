"""Searches find the valley, keep their budget, resume from what they were told, and say how sure they are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.core import AssayError
from assay.optimize import METHODS, Budget, Observation, Surface, searcher

LOW, HIGH = 1000, 100_000


def loss(size: float) -> float:
    """Return a curve with a first valley near 5,000, a bump, and a second, shallower descent."""
    u = np.log(size / LOW) / np.log(HIGH / LOW)
    return float(0.8 * np.exp(-9 * u) + 0.7 * np.exp(-((u - 0.65) ** 2) / 0.02) - 0.1 * u + 0.2)


SIZES = np.geomspace(LOW, HIGH, 500)
BEST = SIZES[int(np.argmin([loss(s) for s in SIZES]))]


def run(method: str, budget: Budget, noise: float = 0.0, count: int = 1, seed: int = 0) -> list[Observation]:
    search = searcher(method, LOW, HIGH, budget, seed=seed)
    rng = np.random.default_rng(seed)
    while sizes := search.ask(count):
        for size in sizes:
            search.tell(Observation(size, loss(size) + noise * rng.standard_normal()))
        assert len(search.observations) < 100
    return search.observations


@pytest.mark.parametrize("method", METHODS)
def test_every_method_stays_within_its_limits(method: str) -> None:
    seen = run(method, Budget(runs=9))
    assert 2 <= len(seen) <= 9 and all(LOW <= o.size <= HIGH for o in seen)
    samples = run(method, Budget(runs=30, samples=150_000))
    assert sum(o.size for o in samples) <= 150_000


def test_a_small_budget_still_reaches_from_end_to_end() -> None:
    assert {o.size for o in run("ladder", Budget(runs=5))} >= {LOW, HIGH}
    assert {o.size for o in run("ladder", Budget(samples=130_000))} >= {LOW, HIGH}
    with pytest.raises(AssayError, match="both ends of the range"):
        run("ladder", Budget(samples=50_000))


def test_money_and_hours_are_limits_too() -> None:
    budget = Budget(money=30.0, price_per_thousand=1.0)
    assert budget.allows([Observation(20_000, 1.0)], 10_000)
    assert not budget.allows([Observation(20_000, 1.0)], 10_001)
    spent = [Observation(5_000, 0.0, 0.5)]
    assert Budget(hours=1).allows(spent, 5_000) and not Budget(hours=1).allows(spent, 5_001)
    assert Budget(hours=1).allows([], 10**9), "nothing has been measured"
    both = Budget(money=10.0, price_per_thousand=0.5, price_per_hour=5.0)
    assert both.allows(spent, 5_000) and not both.allows(spent, 5_100)
    assert Budget().allows([], 10**9)


@pytest.mark.long
def test_the_default_finds_the_valley_through_noise() -> None:
    regrets = []
    for seed in range(10):
        search = searcher("ladder", LOW, HIGH, Budget(runs=8))
        for observation in run("ladder", Budget(runs=8), 0.03, seed=seed):
            search.tell(observation)
        regrets.append(loss(search.choice().size) - loss(BEST))
    assert np.mean(np.array(regrets) < 0.05) >= 0.9


def test_the_default_stops_when_more_runs_cannot_change_the_answer() -> None:
    assert len(run("ladder", Budget(runs=60))) < 25


def test_parallel_asking_gives_different_sizes() -> None:
    search = searcher("ladder", LOW, HIGH, Budget(runs=20))
    for size in search.ask(7):
        search.tell(Observation(size, loss(size)))
    assert len(search.observations) == 7
    wanted = search.ask(3)
    assert 1 < len(wanted) == len(set(wanted)) <= 3


@pytest.mark.parametrize("method", METHODS)
def test_a_search_resumes_from_what_it_was_told(method: str) -> None:
    whole = run(method, Budget(runs=8), seed=3)
    search = searcher(method, LOW, HIGH, Budget(runs=8), seed=3)
    for observation in whole[:4]:
        search.tell(observation)
    assert search.ask() == [whole[4].size]


@pytest.mark.long
def test_the_interval_holds_the_best_size() -> None:
    held = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        seen = [
            Observation(round(s), loss(s) + 0.03 * rng.standard_normal()) for s in np.geomspace(LOW, HIGH, 10)
        ]
        choice = Surface(LOW, HIGH, seen).choice()
        assert choice.low <= choice.size <= choice.high and choice.regret >= 0
        held += choice.low <= BEST <= choice.high
    assert held >= 17


def test_the_gain_is_where_something_can_be_learnt() -> None:
    seen = [Observation(s, loss(s)) for s in (1000, 3000, 10_000, 30_000, 100_000)] + [
        Observation(3100, loss(3100))
    ]
    surface = Surface(LOW, HIGH, seen)
    gain = surface.gain()
    at = {s: gain[int(np.abs(surface.sizes - s).argmin())] for s in (1000, 5500, 30_000)}
    assert at[5500] > at[1000] and at[5500] > at[30_000]


def test_what_cannot_be_searched_is_refused() -> None:
    with pytest.raises(AssayError, match="no such method"):
        searcher("guess", 1, 2, Budget())
    with pytest.raises(AssayError, match="empty search range"):
        searcher("grid", 10, 10, Budget())


@pytest.mark.parametrize("observed", [False, True])
@settings(max_examples=20, deadline=None)
@given(st.data())
def test_no_choice_lies_beyond_what_was_trained(observed: bool, data: st.DataObject) -> None:
    """However the loss goes on: a size that no run has seen is no finding."""
    sizes = data.draw(st.lists(st.integers(LOW, HIGH), min_size=4, max_size=8, unique=True))
    losses = data.draw(st.lists(st.floats(0.5, 4), min_size=len(sizes), max_size=len(sizes)))
    seen = [Observation(n, loss) for n, loss in zip(sizes, losses, strict=True)]
    choice = Surface(LOW, HIGH, seen).choice(observed=observed)
    assert min(sizes) <= choice.size <= max(sizes) and choice.low <= choice.size <= choice.high
    if observed:
        assert choice.size == min(seen, key=lambda o: o.loss).size
