"""Totals are kept, parts stay within what was measured, and equal is said to be as good where it is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from assay.core import AssayError
from assay.mixtures import Effect, MixEffects, MixRuns, allocate, compared, weights_of, worth

NAMES = ("math", "code", "cot")


def effects(gain: NDArray[np.float64], sd: float = 0.001, alike: float = 0.0) -> MixEffects:
    cells = tuple(
        Effect(a, b, a == b, float(g), float(g - 1.645 * sd), float(g + 1.645 * sd), float(g), sd, 0, 0, True)
        for a, row in zip(NAMES, gain, strict=True)
        for b, g in zip(NAMES, row, strict=True)
    )
    return MixEffects(NAMES, NAMES, False, 26, cells, (), (), (sd,) * 3, 20.0, 0.01, 0.0, alike)


@settings(max_examples=40, deadline=None)
@given(
    gain=st.lists(st.floats(-0.02, 0.05), min_size=9, max_size=9),
    base=st.lists(st.integers(50, 400), min_size=3, max_size=3), total=st.integers(30, 5000),
)  # fmt: skip
def test_a_total_is_kept_within_one_doubling_and_no_other_division_is_better(
    gain: list[float], base: list[int], total: int
) -> None:
    fit = effects(np.array(gain).reshape(3, 3))
    found = allocate(fit, dict(zip(NAMES, base, strict=True)), total)
    start = total * np.array(base) / sum(base)
    counts = np.array(found.counts, float)
    assert counts.sum() == total and (counts >= start / 2 - 1).all() and (counts <= 2 * start + 1).all()
    value, _ = worth(fit, dict.fromkeys(NAMES, 1.0))
    if (value <= 1e-6).any():
        return  # what harms is filled by a rule of thumb
    shares = np.random.default_rng(0).dirichlet(np.ones(3), 200) * total
    shares = shares[((shares >= start / 2 + 1) & (shares <= 2 * start - 1)).all(axis=1)]
    rounding = np.abs(value).sum() * 3 / counts.min()
    assert (value @ np.log2(counts) >= np.log2(shares) @ value - rounding).all()


def test_equal_is_as_good_where_all_are_worth_the_same() -> None:
    pool = {"pool": {"math": 8.0, "code": 4.0, "cot": 1.0}}
    same = allocate(effects(0.02 * np.eye(3)), dict.fromkeys(NAMES, 100), 300, others=pool)
    assert same.counts == (100, 100, 100)
    equal, own = same.against
    assert (equal.name, equal.word, equal.gain) == ("equal", "as good", 0.0)
    assert own.word == "beyond" and own.gain is None


def test_what_harms_gets_least_and_what_is_uncertain_is_undecided() -> None:
    gain = np.diag([0.04, 0.03, 0.0])
    gain[2, :2] = -0.05
    base = dict.fromkeys(NAMES, 100)
    sure = allocate(effects(gain), base, 300)
    assert sure.counts[2] == 50 and "cot" in sure.limited
    assert (
        sure.against[0].word == "better" and sure.against[0].low is not None and sure.against[0].low > 0.005
    )
    unsure = allocate(effects(gain, sd=0.1), base, 300)
    assert unsure.against[0].word == "undecided" and unsure.counts == sure.counts
    together = allocate(effects(gain, sd=0.01, alike=1.0), base, 300)
    apart = allocate(effects(gain, sd=0.01), base, 300)
    width = [a.against[0].high - a.against[0].low for a in (together, apart)]  # type: ignore[operator]
    assert width[0] == pytest.approx(width[1] * np.sqrt(3), rel=0.01), "errors that go together do not cancel"


def test_weights_and_the_pool_decide() -> None:
    fit, base = effects(0.03 * np.eye(3)), dict.fromkeys(NAMES, 100)
    found = allocate(fit, base, 300, weights={"math": 3.0, "code": 1.0})
    assert found.counts[0] > found.counts[1] > found.counts[2] == 50
    held = allocate(fit, base, 300, held={"math": 60, "code": 500, "cot": 500})
    assert held.counts[0] == 60 and "math" in held.limited
    with pytest.raises(AssayError, match="too few samples") as told:
        allocate(fit, base, 3000, held={"math": 300, "code": 300, "cot": 300})
    most = int(str(told.value).split("at most ")[1].split()[0].replace(",", ""))
    assert sum(allocate(fit, base, most, held=dict.fromkeys(NAMES, 300)).counts) == most
    for wrong in ({"poetry": 1.0}, {"math": -1.0}, {"math": 0.0}):
        with pytest.raises(AssayError, match="weights do not fit"):
            allocate(fit, base, 300, weights=wrong)
    assert weights_of(["math=2", "open qa=0.5"]) == {"math": 2.0, "open qa": 0.5}
    with pytest.raises(AssayError, match="not a name and a number"):
        weights_of(["math"])


@pytest.mark.parametrize(
    ("gain", "noise", "word"),
    [(0.05, 0.002, "better"), (-0.05, 0.002, "worse"), (0.0, 0.0004, "as good"), (0.0, 0.05, "undecided")],
)
def test_runs_say_whether_a_mixture_is_better(gain: float, noise: float, word: str) -> None:
    rng = np.random.default_rng(3)
    wave = noise * rng.standard_normal((4, 2, 2))
    wave -= wave.mean(axis=0)  # so that the means are the truth
    losses = np.exp(-(np.array([[gain, gain], [0.0, 0.0]]) + wave)).reshape(8, 2)
    runs = MixRuns(("a", "b"), ("a", "b"), np.ones((8, 2)), losses, True, tuple("abcdefgh"))
    (found,) = compared(runs, {"chosen": (3, 1), "equal": (2, 2)}, None, 0.005)
    assert found.word == word and found.gain == pytest.approx(gain, abs=1e-9) and found.low < found.high


def test_runs_are_weighed_as_asked() -> None:
    scores = np.array([[0.9, 0.1], [0.5, 0.5], [0.9, 0.1], [0.5, 0.5]]) + 0.001 * np.arange(4)[:, None]
    runs = MixRuns(("a", "b"), ("a", "b"), np.ones((4, 2)), scores, False, tuple("abcd"))
    (found,) = compared(runs, {"chosen": (3, 1), "equal": (2, 2)}, {"a": 1.0}, 0.005)
    assert found.gain == pytest.approx(0.399) and found.word == "better"


@pytest.mark.parametrize("mixtures", [2, 3, 5])
def test_where_nothing_differs_nine_studies_of_ten_say_nothing(mixtures: int) -> None:
    """Of trained mixtures that are alike, in few runs, whatever the number compared."""
    rng = np.random.default_rng(8)
    counts = {str(i): (1, 1) for i in range(mixtures)}
    said = 0
    for _ in range(600):
        values = 0.5 + 0.05 * rng.standard_normal((3 * mixtures, 1))
        runs = MixRuns(("a", "b"), ("a",), np.ones((3 * mixtures, 2)), values, False, ("",) * len(values))
        said += any(row.word in ("better", "worse") for row in compared(runs, counts, None, 0.005))
    assert said / 600 < 0.1


def test_losses_near_zero_are_not_taken_in_proportion() -> None:
    """One task under six names: whether a run has just learned it is no effect of a mixture."""
    levels = np.array([0.0002, 0.0012, 0.3, 0.004, 0.06, 0.0004, 0.12, 0.001, 0.18, 0.0007, 0.015, 0.0003])
    values = np.outer(levels, [1.0, 1.1, 0.9])
    runs = MixRuns(("a", "b"), tuple("xyz"), np.ones((12, 2)), values, True, ("",) * 12)
    assert np.ptp(runs.oriented()[:, 0]) < 2.6 < np.ptp(np.log(values[:, 0])) / 2
    given = {"chosen": (3, 1), "equal": (2, 2), "pool": (2, 2)}
    assert {row.word for row in compared(runs, given, None, 0.005)} == {"undecided"}


def test_other_losses_are_left_as_they_are() -> None:
    values = np.random.default_rng(0).uniform(0.5, 4.0, (20, 3))
    runs = MixRuns(("a", "b"), tuple("xyz"), np.ones((20, 2)), values, True, ("",) * 20)
    np.testing.assert_array_equal(runs.offsets, 0.0)
    np.testing.assert_array_equal(runs.oriented(), -np.log(values))
