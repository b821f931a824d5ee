"""Effects tried again at a second size, and how much runs differ by themselves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from assay.core import AssayError
from assay.mixtures import (
    Confirmation,
    Confirmed,
    Effect,
    MixEffects,
    MixPage,
    MixRuns,
    at_most,
    confirm_effects,
    confirm_levels,
    fit_effects,
    largest,
    mix_design,
    mix_power,
    noise_seen,
    run_noise,
)
from assay.view import value_html, value_markdown

NAMES = ("math", "code", "rewrite")
SD = 0.01


def found(seed: int = 0, *, loss: bool = False) -> MixEffects:
    """Math hurts rewrite; no other pair acts."""
    gamma = np.diag([0.05, 0.05, 0.05])
    gamma[0, 2] = -0.06
    return fit_effects(runs(mix_design(dict.fromkeys(NAMES, 100), centres=4).levels, gamma, seed, loss=loss))


def runs(levels: NDArray[np.float64], gamma: NDArray[np.float64], seed: int, *, loss: bool) -> MixRuns:
    rng = np.random.default_rng(seed)
    y = 0.5 + levels @ gamma + rng.normal(0, SD, (len(levels), 3))
    values = np.exp(-y) if loss else y
    return MixRuns(NAMES, NAMES, 100 * 2.0**levels, values, loss, tuple(f"r{i}" for i in range(len(levels))))


def again(harm: float, seed: int, *, loss: bool = False, most: int = 1) -> tuple[Confirmed, ...]:
    first = largest(found(loss=loss), most)
    parts = tuple(dict.fromkeys(e.part for e in first))
    levels = confirm_levels(len(parts), 4 if len(parts) == 1 else 2)
    gamma = np.zeros((len(parts), 3))
    gamma[parts.index("math"), 2] = harm
    table = runs(np.pad(levels, ((0, 0), (0, 3 - len(parts)))), np.pad(gamma, ((0, 3 - len(parts)), (0, 0))),
                 seed, loss=loss)  # fmt: skip
    own = MixRuns(parts, NAMES, table.counts[:, : len(parts)], table.values, loss, table.labels)
    return confirm_effects(first, own, levels)


def test_what_is_shown_is_tried_first_then_what_is_nearest_to_it() -> None:
    effects = largest(found(), 3)
    assert (effects[0].part, effects[0].type) == ("math", "rewrite") and effects[0].shown
    assert not any(e.own for e in effects) and [e.p for e in effects[1:]] == sorted(e.p for e in effects[1:])


@pytest.mark.parametrize("loss", [False, True])
@pytest.mark.parametrize(
    ("harm", "words"),
    [(-0.06, {"confirmed"}), (0.06, {"contradicted"}), (0.0, {"smaller", "open"})],
)
def test_an_effect_holds_turns_or_goes(harm: float, words: set[str], loss: bool) -> None:
    said = [again(harm, seed, loss=loss)[0] for seed in range(20)]
    # Of an effect that is gone one in ten passes a level of 5 % on one side or the other.
    assert sum(one.word in words for one in said) >= 15
    held = [one.low <= harm <= one.high for one in said]
    assert sum(held) >= 14, "the interval holds the truth in nine cases of ten"


def test_effects_that_are_none_are_rarely_confirmed() -> None:
    rows = [one for seed in range(60) for one in again(-0.06, 100 + seed, most=3) if one.part != "math"]
    assert len(rows) >= 60 and sum(one.word == "confirmed" for one in rows) <= 0.08 * len(rows)


def test_one_part_needs_more_runs_than_two_cells() -> None:
    with pytest.raises(AssayError, match="too few runs") as told:
        confirm_levels(1, 1)
    assert told.value.expected == "at least 2" and len(confirm_levels(1, 2)) == 4


def test_losses_of_a_second_size_are_read_on_the_scale_of_the_first() -> None:
    """Where something was added to losses near zero, an effect is a share of the same sum at both sizes."""
    first = largest(found(loss=True), 1)
    gamma = np.zeros((3, 3))
    gamma[0, 2] = -0.06
    levels = np.hstack([confirm_levels(1, 10), np.zeros((20, 2))])
    whole = runs(levels, gamma, 5, loss=True)
    near = replace(whole, values=whole.values - 0.5, near_zero=(0.5,) * 3)
    (same,) = confirm_effects(first, near, levels[:, :1])
    (other,) = confirm_effects(first, replace(near, near_zero=(0.0,) * 3), levels[:, :1])
    assert same.low < -0.06 < same.high and other.again < -0.2


def test_the_page_says_what_held_and_at_which_size() -> None:
    rows = again(-0.06, 3)
    page = MixPage("mine", found(), Confirmation(rows, False, 2000, 1000, 8))
    said = value_markdown(page)
    assert "1 of the 1 effects that were tried again hold at 2,000 samples" in said and "holds" in said
    assert "assay mix confirm" in value_markdown(MixPage("mine", found())) and "2,000" in value_html(page)


@given(sd=st.floats(0.001, 0.3), seed=st.integers(0, 1000))
def test_noise_is_that_of_the_runs_whatever_the_scale(sd: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    groups = [rng.normal(mean, sd, (5, 4)) for mean in (0.1, 0.6)]
    seen, freedom = run_noise(groups)
    assert freedom >= 8 and sd / 3 < seen.mean() < 3 * sd
    twice, _ = run_noise([2 * group for group in groups])
    assert twice == pytest.approx(2 * seen)


def test_a_power_is_kept_by_the_fit() -> None:
    """Of effects as large as the design promises to find among all pairs, most are found."""
    design = mix_design(dict.fromkeys(NAMES, 100), centres=4)
    (seen, *_) = noise_seen(mix_power(design, 1.0, 3), NAMES, "score", [SD] * 3)
    assert seen.among is not None
    gamma = np.diag([0.05, 0.05, 0.05])
    gamma[0, 2] = seen.among
    fits = [fit_effects(runs(design.levels, gamma, seed, loss=False)) for seed in range(40)]
    hits = [e for fit in fits for e in fit.effects if (e.part, e.type) == ("math", "rewrite") and e.shown]
    assert 0.6 * len(fits) <= len(hits)


def test_no_repeats_tell_no_noise_and_few_tell_it_badly() -> None:
    with pytest.raises(AssayError, match="twice"):
        run_noise([np.ones((1, 3))])
    assert at_most(1) > at_most(3) > at_most(30) > 1


def test_an_effect_keeps_its_first_figures() -> None:
    (one,) = again(-0.06, 1)
    assert isinstance(one.first, Effect) and one.first.gain < 0 and one.first.shown
