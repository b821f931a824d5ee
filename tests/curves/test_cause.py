"""Recipe or data: laws of the three curves and of the check of the learning rate."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay import curves
from assay.core import Cause, CurveName


def paired(curve: CurveName, gains: list[float], level: float = 4.0, se: float = 0.005) -> curves.Paired:
    """A curve of losses whose seeds move by ``gains``, positive for better."""
    start = np.full(len(gains), level)
    return curves.Paired(curve, "loss", 200, 800, start, start - np.array(gains), se)


def read(
    evaluation: float, control: float, training: float, harm: str = "falling", repeated: bool = False
) -> Cause:
    both = [paired(name, [gain, gain * 0.9]) for name, gain in
            (("evaluation", evaluation), ("control", control), ("training", training))]  # fmt: skip
    return curves.cause(harm, "random", *both, repeated=repeated, smallest_relative_gain=0.005)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("control", "training", "harm", "repeated", "word"),
    [
        (0.2, 0.3, "falling", False, "data"),
        (-0.2, -0.1, "falling", False, "recipe"),
        (-0.2, 0.3, "falling", False, "recipe"),
        (-0.2, 0.3, "falling", True, "overfitting"),
        (-0.2, -0.3, "below_base", True, "recipe"),
        (0.0, 0.3, "falling", False, "open"),
        (0.2, 0.3, "plateau", False, "data"),
    ],
)
def test_control_and_training_name_the_cause(
    control: float, training: float, harm: str, repeated: bool, word: str
) -> None:
    assert read(-0.2, control, training, harm, repeated).word == word


def test_on_a_plateau_a_loss_that_stands_still_is_no_change() -> None:
    found = read(0.0, 0.0, 0.0, "plateau")
    assert found.likeliest == "exhausted"


gain = st.floats(-1, 1)


@given(gain, gain, gain, st.booleans(), st.sampled_from(["falling", "below_base", "plateau"]))
def test_a_cause_is_named_only_with_its_probability(
    evaluation: float, control: float, training: float, repeated: bool, harm: str
) -> None:
    found = read(evaluation, control, training, harm, repeated)
    assert 0 <= found.probability <= 1
    assert (found.word == "open") == (found.probability < curves.DECIDED)
    assert repeated or found.likeliest != "overfitting", "nothing is learned by heart in one pass"
    moved = found.shifts[1]
    assert found.word != "data" or moved.gain > 0
    assert found.word not in ("recipe", "overfitting") or moved.gain < 0


@given(st.lists(gain, min_size=1, max_size=5), st.floats(0.001, 1))
def test_a_shift_is_symmetric(gains: list[float], se: float) -> None:
    up = curves.shift(paired("control", gains, se=se))
    down = curves.shift(paired("control", [-g for g in gains], se=se))
    assert up.p_better == pytest.approx(down.p_worse)
    assert up.low == pytest.approx(-down.high)
    assert up.p_better + up.p_worse == pytest.approx(1)
    assert curves.shift(paired("control", gains, se=2 * se)).low <= up.low + 1e-12, "more error, wider"


def test_a_score_is_better_when_it_rises() -> None:
    start, end = np.array([0.5, 0.5]), np.array([0.4, 0.4])
    assert curves.shift(curves.Paired("evaluation", "score", 1, 2, start, end, 0.01)).gain < 0
    assert curves.below_base(curves.Paired("evaluation", "score", 0, 2, start, end, 0.01))


def test_the_reference_is_the_best_before_or_the_half() -> None:
    means = {0: 4.0, 200: 3.6, 400: 3.8, 800: 3.9}
    assert curves.reference("falling", means, "loss") == 200
    assert curves.reference("falling", means, "score") == 0
    assert curves.reference("below_base", means, "loss") == 0
    assert curves.reference("plateau", means, "loss") == 400


def tried(losses: list[float], n: int = 500, rates: list[float] | None = None) -> curves.Tried:
    rates = rates or [1e-4 * 3**k for k in range(len(losses))]
    return curves.Tried(n, np.array(rates), np.array(losses), np.full(len(losses), 0.002))


def bowl(best: float, depth: float = 0.3) -> list[float]:
    x = np.log([1e-4 * 3**k for k in range(5)])
    return list(3 + depth * (x - np.log(best)) ** 2)


@given(st.floats(2e-4, 4e-3))
def test_the_best_rate_of_a_bowl_is_found_between_those_tried(best: float) -> None:
    found = curves.best_rate(tried(bowl(best)))
    assert found.learning_rate == pytest.approx(best, rel=1e-6)
    assert found.low <= best * 1.05
    assert found.high >= best / 1.05
    assert found.edge is None


def test_an_end_that_is_best_is_said_to_be_an_end() -> None:
    assert curves.best_rate(tried([3.0, 3.2, 3.4])).edge == "low"
    assert curves.best_rate(tried([3.4, 3.2, 3.0])).edge == "high"


def test_the_best_rate_moves_only_beyond_its_error() -> None:
    high, low, flat = (tried(losses) for losses in (bowl(2e-3), bowl(4e-4), [3.0] * 5))
    assert curves.moves(high, low) == "falls"
    assert curves.moves(low, high) == "rises"
    assert curves.moves(high, high) == "stays"
    assert curves.moves(high, flat) == "unknown"


def test_regret_is_that_of_the_study_s_own_rate() -> None:
    one = tried([3.0, 3.2, 3.4], rates=[1e-4, 3e-4, 9e-4])
    assert curves.regret(one, 1e-4, 0.005) == curves.Regret(0.0, 0.0, 0.0, 0.0)
    found = curves.regret(one, 9e-4, 0.005)
    assert found.gap == pytest.approx(0.4)
    assert found.low < found.gap < found.high
    assert found.p > 0.99
    with pytest.raises(ValueError, match="not among"):
        curves.regret(one, 2e-4, 0.005)
