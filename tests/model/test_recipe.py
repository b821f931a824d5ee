from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.core import AssayError
from assay.model import PRESETS, Recipe, preset

recipes = st.builds(
    Recipe,
    batch_size=st.integers(1, 9),
    epochs=st.integers(1, 3),
    schedule=st.sampled_from(["constant", "wsd", "cosine"]),
    warmup_steps=st.integers(0, 3),
    cooldown=st.floats(0.05, 1.0),
)


@given(recipes, st.integers(1, 60), st.integers(0, 3))
def test_each_pass_takes_every_sample_once(recipe: Recipe, n_train: int, seed: int) -> None:
    order = np.random.default_rng(1).permutation(80)
    per_pass = recipe.steps(n_train) // recipe.epochs
    for epoch in range(recipe.epochs):
        steps = range(epoch * per_pass, (epoch + 1) * per_pass)
        taken = np.concatenate([recipe.batch(order, n_train, seed, s) for s in steps])
        assert sorted(taken) == sorted(order[:n_train])


@given(recipes, st.integers(1, 60), st.integers(0, 60), st.integers(0, 3))
def test_shared_steps_are_the_same_in_every_larger_run(recipe: Recipe, n: int, more: int, seed: int) -> None:
    order = np.random.default_rng(1).permutation(200)
    for step in range(recipe.shared_steps(n)):
        assert np.array_equal(recipe.batch(order, n, seed, step), recipe.batch(order, n + more, seed, step))
        if step < recipe.shared_steps(n + more):
            assert recipe.learning_rate_at(step, n) == recipe.learning_rate_at(step, n + more)
    assert recipe.shared_steps(n) <= recipe.shared_steps(n + more)


@given(recipes, st.integers(1, 60), st.data())
def test_sample_counts_add_up(recipe: Recipe, n_train: int, data: st.DataObject) -> None:
    total = recipe.steps(n_train)
    cut = data.draw(st.integers(0, total))
    order = np.arange(n_train)
    assert recipe.samples_in(n_train, 0, total) == recipe.epochs * n_train
    counted = sum(len(recipe.batch(order, n_train, 0, s)) for s in range(cut))
    assert recipe.samples_in(n_train, 0, cut) == counted
    assert recipe.samples_in(n_train, cut, total) == recipe.epochs * n_train - counted


def test_belle_preset_is_the_paper_s() -> None:
    belle = PRESETS["belle"]
    assert (belle.batch_size, belle.epochs, belle.learning_rate) == (64, 2, 3e-6)
    assert (belle.schedule, belle.weight_decay) == ("constant", 0.001)
    assert {belle.learning_rate_at(s, 1000) for s in range(belle.steps(1000))} == {3e-6}


def test_wsd_cools_down_to_near_zero() -> None:
    recipe = preset("pocket", warmup_steps=0, cooldown=0.2, batch_size=1)
    rates = [recipe.learning_rate_at(s, 100) for s in range(100)]
    assert rates[:80] == [recipe.learning_rate] * 80
    assert all(a > b for a, b in pairwise(rates[80:]))
    assert 0 < rates[-1] < 0.03 * recipe.learning_rate


@pytest.mark.parametrize(
    "bad", [{"batch_size": 0}, {"epochs": 0}, {"learning_rate": 0.0}, {"cooldown": 0.0}, {"warmup_steps": -1}]
)
def test_bad_values_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(AssayError, match="out of range") as caught:
        Recipe(**bad)  # type: ignore[arg-type]
    assert caught.value.place == f"recipe.{next(iter(bad))}"


def test_ladder_savings_of_the_methods() -> None:
    """BELLE's ladder at 2 epochs: 5.8 of 7.6; ten log rungs at 1 epoch: about half (methods, section 4)."""

    def ratio(recipe: Recipe, rungs: list[int]) -> float:
        trunk = max(recipe.samples_in(n, 0, recipe.shared_steps(n)) for n in rungs)
        private = sum(recipe.samples_in(n, recipe.shared_steps(n), recipe.steps(n)) for n in rungs)
        return (trunk + private) / (recipe.epochs * sum(rungs))

    assert ratio(PRESETS["belle"], [200_000, 600_000, 1_000_000, 2_000_000]) <= 0.77
    log_rungs = [round(1000 * 100 ** (i / 9)) for i in range(10)]
    assert ratio(preset("pocket", batch_size=64, warmup_steps=0), log_rungs) <= 0.55
