"""Double the data or the model: coverage under known truths, words, corrections, what to run next."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest

from assay.core import OVERALL, Point, Upgrade, UpgradeCost
from assay.curves import Neighbours, upgrades
from assay.curves._table import ladders
from assay.curves._upgrade import seed_correlation

SIZES = (1000, 2000, 4000, 8000)
Truth = Callable[[float], float]
TRUTHS: dict[str, Truth] = {
    "power": lambda n: 1.5 + 0.4 * (n / 1000) ** -0.35,
    "linear": lambda n: 2.0 - 0.05 * math.log2(n / 1000),
    "hinge": lambda n: 1.8 - 0.07 * max(0.0, math.log2(n / 3000)),
    "plateau": lambda n: 1.6 + 0.3 * math.exp(-n / 1500),
}


@dataclass(frozen=True)
class World:
    """Two bases with known truths: losses, ``lift`` the larger one's lead, noise of runs and of items."""

    truth: Truth
    lift: float = 0.05
    sd: float = 0.006
    rho: float = 0.0
    items: float = 0.01
    kinds: tuple[str, ...] = (OVERALL, "math", "code")
    sizes: tuple[int, ...] = SIZES
    seeds: int = 3
    ratio: float = 3.0

    def measure(self, stream: int = 0) -> Neighbours:
        rng = np.random.default_rng([stream, 7])
        small, large, paired = [], [], {}
        for k, kind in enumerate(self.kinds):
            common, own = rng.normal(0, [2 * self.items, self.items])
            for n in self.sizes:
                paired[kind, "random", "loss", n] = self.items
                for seed in range(self.seeds):
                    error = rng.normal(0, self.sd)
                    other = self.rho * error + math.sqrt(1 - self.rho**2) * rng.normal(0, self.sd)
                    level = self.truth(n) - 0.05 * k + common
                    row = Point(kind, n, seed, "loss", level + error, 200, 2 * self.items, own_share=0.05)
                    small.append(row)
                    large.append(replace(row, value=level - self.lift + own + other))
        costs = {("random", n): UpgradeCost(n, 2 * n, self.ratio * n, self.ratio) for n in self.sizes}
        return Neighbours("small", "large", small, large, paired, costs)


def asked(*worlds: Neighbours, kind: str = OVERALL, n: int = SIZES[-1]) -> Upgrade:
    return next(row for row in upgrades(worlds) if (row.type, row.n_train) == (kind, n))


@pytest.mark.parametrize("rho", [0.0, 0.7])
@pytest.mark.parametrize("name", TRUTHS)
def test_intervals_hold_the_truth_at_least_as_often_as_they_say(name: str, rho: float) -> None:
    world = World(TRUTHS[name], rho=rho)
    held: dict[tuple[int, str], list[bool]] = {}
    for stream in range(10):
        for row in upgrades([world.measure(stream)]):
            data = world.truth(row.n_train) - world.truth(2 * row.n_train)
            contrast = row.per_cost
            assert contrast is not None
            for part, interval, true in (
                ("data", (row.data.low, row.data.high), data),
                ("model", (row.model.low, row.model.high), world.lift),
                ("absolute", (row.absolute.low, row.absolute.high), world.lift - data),
                ("per cost", (contrast.low, contrast.high), world.lift / row.cost.ratio - data),
            ):
                held.setdefault((row.n_train, part), []).append(interval[0] <= true <= interval[1])
    assert len(held) == 8, "the largest size, and the largest whose double was measured"
    # 30 trials a cell, 240 in all (standard error 0.02): benchmarks/upgrade_coverage.py runs more.
    assert min(float(np.mean(inside)) for inside in held.values()) >= 0.75, held
    assert float(np.mean([x for inside in held.values() for x in inside])) >= 0.87


def test_seeds_that_err_alike_on_both_bases_are_seen_and_narrow_the_interval() -> None:
    apart, alike = (World(TRUTHS["linear"], rho=rho, items=0.0, seeds=4) for rho in (0.0, 0.9))
    found = []
    for world in (apart, alike):
        rows = [world.measure(stream) for stream in range(5)]
        found.append(
            np.mean([seed_correlation(ladders(r.small_points), ladders(r.large_points)) for r in rows])
        )
    assert found[0] < 0.25
    assert found[1] > 0.6
    width = [
        np.mean([r.model.high - r.model.low for s in range(5) for r in upgrades([w.measure(s)])])
        for w in (apart, alike)
    ]
    assert width[1] < 0.8 * width[0]


@pytest.mark.parametrize(
    ("lift", "slope", "word", "per_cost"),
    [
        (0.30, 0.02, "model", "model"),
        (0.12, 0.08, "model", "data"),
        (0.01, 0.08, "data", "data"),
        (0.0, 0.0, "neither", "neither"),
    ],
)
def test_the_answer_follows_the_gains_and_their_cost(
    lift: float, slope: float, word: str, per_cost: str
) -> None:
    world = World(lambda n: 2.0 - slope * math.log2(n), lift=lift, sd=0.001, items=0.001, ratio=5.0)
    row = asked(world.measure(), n=4000)
    assert row.measured
    assert row.per_cost is not None
    assert (row.absolute.word, row.per_cost.word) == (word, per_cost)
    assert row.next_runs is None


def test_equal_gains_that_are_known_well_are_either() -> None:
    world = World(lambda n: 2.0 - 0.05 * math.log2(n), lift=0.05, sd=0.0005, items=0.0005)
    assert asked(world.measure(), n=4000).absolute.word == "either"


def test_an_open_question_names_the_runs_and_runs_settle_it() -> None:
    world = World(TRUTHS["power"], lift=0.07, sd=0.01, items=0.001)
    row = asked(world.measure(2))
    assert row.absolute.word == "undecided"
    assert row.next_runs is not None
    assert row.next_runs.chance > 0.5
    assert {run.base for run in row.next_runs.runs} <= {"small", "large"}
    assert all(run.n_train == (16000 if run.base == "small" else 8000) for run in row.next_runs.runs)
    longer = replace(world, sizes=(*SIZES, 16000), seeds=6)
    settled = asked(longer.measure(2), n=8000)
    assert settled.absolute.high - settled.absolute.low < row.absolute.high - row.absolute.low


def test_where_items_hide_the_answer_more_of_them_are_asked_for() -> None:
    world = World(TRUTHS["linear"], lift=0.09, sd=0.0005, items=0.03)
    row = asked(world.measure(1), n=4000)
    assert row.absolute.word == "undecided"
    assert row.next_runs is not None
    assert row.next_runs.items > 1


def test_headlines_are_corrected_by_holm_and_the_rest_by_bh() -> None:
    worlds = [World(TRUTHS["power"]).measure(stream) for stream in (0, 1)]
    rows = upgrades([replace(w, small=f"s{i}", large=f"l{i}") for i, w in enumerate(worlds)])
    first = [row for row in rows if row.absolute.correction == "holm"]
    assert {(row.small, row.type, row.n_train) for row in first} == {(s, OVERALL, 8000) for s in ("s0", "s1")}
    low, high = sorted(first, key=lambda row: row.absolute.p)
    assert low.absolute.p_adjusted == pytest.approx(min(1.0, 2 * low.absolute.p))
    assert high.absolute.p_adjusted >= low.absolute.p_adjusted


def test_items_that_were_not_paired_count_in_full() -> None:
    paired = World(TRUTHS["power"]).measure()
    apart = replace(paired, item_se={})
    near, far = (asked(world) for world in (paired, apart))
    assert far.model.high - far.model.low > 1.5 * (near.model.high - near.model.low)


@pytest.mark.parametrize(
    ("sizes", "seeds", "expected"),
    [(SIZES[:2], 3, []), (SIZES, 1, []), ((1000, 3000, 9000), 2, [9000]), (SIZES, 2, [8000, 4000])],
)
def test_what_cannot_be_known_has_no_row(sizes: Sequence[int], seeds: int, expected: list[int]) -> None:
    world = World(TRUTHS["power"], kinds=("math",), sizes=tuple(sizes), seeds=seeds)
    assert [row.n_train for row in upgrades([world.measure()])] == expected


def test_a_larger_base_that_trains_no_dearer_has_no_gain_per_cost() -> None:
    row = asked(World(TRUTHS["power"], ratio=1.0).measure())
    assert row.per_cost is None
    assert row.absolute.word != "data"


def test_a_measured_doubling_is_the_difference_of_the_runs_and_has_the_curve_beside_it() -> None:
    world = World(TRUTHS["power"], sd=0.02).measure(3)
    rows = [row for row in upgrades([world]) if row.type == OVERALL]
    measured = next(row for row in rows if row.measured)
    n = measured.n_train
    means = [
        np.mean([p.value for p in world.small_points if p.type == OVERALL and p.n_train == k])
        for k in (n, 2 * n)
    ]
    assert measured.data.gain == pytest.approx(means[0] - means[1], abs=1e-9)
    assert measured.curve is not None and measured.curve.gain != pytest.approx(measured.data.gain, abs=1e-4)
    assert measured.absolute.value == pytest.approx(measured.model.gain - measured.data.gain, abs=1e-9)
    assert next(row for row in rows if not row.measured).curve is None


@pytest.mark.parametrize(("data", "model"), [(1.0, 3.0), (2.0, 1.0), (2.0, 0.5), (0.9, 3.0)])
def test_no_gain_is_divided_by_training_that_is_not_added(data: float, model: float) -> None:
    world = World(TRUTHS["power"]).measure()
    costs = {key: UpgradeCost(key[1], data * key[1], model * key[1], 3.0) for key in world.costs}
    found = upgrades([replace(world, costs=costs)])
    assert found and all(row.per_cost is None and row.cost.ratio is None for row in found)
