"""The control slice: out of every training, stable, measured at every rung; and the recipe check."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay import recipe, study
from assay.core import (
    AssayError,
    BestRate,
    Cause,
    Control,
    DataSummary,
    Elsewhere,
    RateLoss,
    RecipeCheck,
    Shift,
    StudyResult,
)
from assay.plan import Step, Store
from assay.study._bases import study_ladders
from assay.study._check import FURTHER, SHARE, CheckPlan, _further, planned
from assay.study._control import control_size
from assay.study._graph import Ladder, input_steps
from assay.study._run import read_summary
from assay.study.steps._control import shares
from assay.study.steps._result import _excluded
from assay.view import headline, value_markdown

Ran: TypeAlias = tuple[Path, StudyResult]
SETTINGS: dict[str, Any] = {
    "control": 20, "recipe_check": False, "ladder": {"rungs": [16, 32, 48], "seeds": 1},
    "recipe": {"preset": "pocket", "batch_size": 4, "warmup_steps": 2, "learning_rate": 0.05},
    "measure": {"answers": False, "text": False},
}  # fmt: skip


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, writer: Callable[..., Path]) -> Ran:
    path = writer(tmp_path_factory.mktemp("control"), **SETTINGS)
    found = study.run(path)
    assert isinstance(found, StudyResult)
    return path, found


def ladder_of(path: Path, *changes: str) -> tuple[Ladder, Store]:
    config = study.load(path, changes)
    store = Store(Path(config.where.store))
    evaluation, pool = input_steps(config)
    return study_ladders(config, evaluation, pool, read_summary(store, pool))[""], store


def test_no_model_is_trained_on_the_slice(ran: Ran) -> None:
    ladder, store = ladder_of(ran[0])
    assert ladder.control is not None
    rows = set(np.load(store.path(ladder.control.key) / "control.npy").tolist())
    order = np.load(store.path(ladder.order("random", 0).key) / "order.npy").tolist()
    assert len(rows) == 20
    assert rows.isdisjoint(order)
    assert rows | set(order) == set(range(ladder.summary.samples)), "nothing else is lost"


def test_every_rung_and_the_untrained_model_are_measured_on_it(ran: Ran) -> None:
    control = ran[1].control
    assert control is not None
    cells = {(m.part, m.n_train) for m in control.means}
    assert cells == {(part, n) for part in ("control", "training") for n in (0, 16, 32, 48)}
    assert {m.samples for m in control.means if m.part == "training"} == {16}, "seen by the smallest rung too"
    assert all(point.type != "control" for point in ran[1].points), "it is no type and never enters overall"
    written = ran[0].parent / "report"
    for name in ("report.md", "report.html"):
        assert "Recipe or data?" in (written / name).read_text(encoding="utf-8")


def keys(step: Step) -> set[str]:
    return {step.key} | {key for other in step.inputs.values() for key in keys(other)}


def test_the_slice_changes_only_the_keys_of_what_is_trained(ran: Ran) -> None:
    own, without = (ladder_of(ran[0], *changes)[0] for changes in ((), ("control=false",)))
    assert own.tokens().key == without.tokens().key
    assert own.pool.key == without.pool.key
    assert own.runs()[0].answer.key == without.runs()[0].answer.key, "the untrained model"
    assert own.order("random", 0).key != without.order("random", 0).key
    assert without.control is None
    assert all(run.held is None for run in without.runs())
    assert own.control is not None
    assert own.control.key not in keys(without.runs()[-1].answer)


def test_a_study_of_several_epochs_at_a_wild_rate_blames_no_data(ran: Ran) -> None:
    """The rate is thirty times too large: the first sentence may not say that the data hurt."""
    assert "hurts" not in headline(ran[1], "en")
    assert all(cause.word != "data" for cause in ran[1].causes)


@pytest.fixture(scope="module")
def check(ran: Ran) -> RecipeCheck:
    return recipe.check(ran[0])


def test_the_check_finds_a_rate_below_a_wild_one(check: RecipeCheck) -> None:
    assert check.outside
    assert check.chosen is not None
    assert check.chosen.learning_rate < check.own
    assert check.measured_on == "control"
    assert {row.word for row in check.rates if row.learning_rate >= check.own} == {"diverged"}
    assert "The study's learning rate of 5e-2 diverges" in value_markdown(check)
    assert "学习率 5e-2 在" in value_markdown(replace(check, language="zh"))


def test_the_study_s_own_rate_costs_the_check_nothing(ran: Ran, check: RecipeCheck) -> None:
    ladder, store = ladder_of(ran[0])
    plan = planned(ladder, None)
    assert plan is not None
    assert plan.samples == 4 * 32, "four further rates at the middle rung"
    further = len(check.rates) - len(plan.rates)
    assert check.samples == plan.samples + further * 32, (
        "and those beyond the lowest, while that was the best"
    )
    assert further in range(1, FURTHER + 1) and check.chosen is not None
    assert further == FURTHER or check.chosen.edge is None
    assert all(
        store.has(step.key) for run in ladder.runs() if run.branch for step in (*run.trunk, run.branch)
    )


def test_a_rate_that_is_far_too_low_is_named_with_a_better_one(ran: Ran) -> None:
    store = ladder_of(ran[0])[1]
    objects = store.root / "objects"
    before = {path.name for path in objects.glob("*/*")}
    found = recipe.check(ran[0], set=["recipe.learning_rate=1e-6"], share=0.6)
    assert found.too_low and found.chosen is not None and found.regret_interval is not None
    assert found.chosen.learning_rate > 20e-6
    assert len(found.rates) == 2 + FURTHER, "one higher rate, and further ones while the highest is the best"
    kept = {key for keys in store.roots().values() for key in keys}
    assert {path.name for path in objects.glob("*/*")} - before <= kept, "also what earlier checks trained"
    assert 0 < found.regret_interval[0] < (found.regret or 0) < found.regret_interval[1]
    for language, said in (("en", "The learning rate of 1e-6 is too low: at"), ("zh", "学习率 1e-6 过低")):
        shown = replace(ran[1], causes=(), recipe_check=found, language=language)
        assert headline(shown, language).startswith(said)


def short_check(best: float, p: float) -> RecipeCheck:
    chosen = (BestRate(24, best, best / 2, best * 2),)
    return RecipeCheck(1e-3, "control", (), chosen, "unknown", 0.1, p, False, 100, 0.1, short=True)


@pytest.mark.parametrize(
    ("best", "p", "suspected"),
    [(9e-3, 0.95, True), (9e-3, 0.8, False), (1.5e-3, 0.95, False), (3e-4, 0.95, False)],
)
def test_a_short_check_suspects_a_rate_that_is_far_below_its_best(
    best: float, p: float, suspected: bool
) -> None:
    ladder = unread()
    config = replace(ladder.config, recipe=replace(ladder.config.recipe, learning_rate=1e-3))
    ladder = Ladder(config, ladder.evaluation, ladder.pool, summary(600))
    found = _further(ladder, CheckPlan("random", (1e-3,), (24,), 24, 0.1, 2), short_check(best, p))
    assert (found is not None) == suspected
    if found is not None:
        assert found.rates == (1e-3, 3e-3) and not found.short


@pytest.mark.parametrize("edge", ["low", "high"])
def test_a_best_rate_at_the_edge_has_no_interval(edge: Any) -> None:
    tried = RateLoss(3e-3, 24, 3.2, 0.0)
    check = replace(short_check(3e-3, 0.6), rates=(tried,), best=(BestRate(24, 3e-3, 3e-3, 3e-3, edge),))
    shown = value_markdown(check, "en")
    assert f"(the {edge}est rate tried)" in shown and "[3e-3" not in shown.replace("\\", "")


@pytest.mark.parametrize("short", [False, True])
def test_a_rate_that_is_better_on_the_pool_alone_is_said_first(short: bool) -> None:
    tried = RateLoss(3e-3, 24, 3.2, 0.0)
    check = replace(short_check(3e-3, 0.95), rates=(tried,), short=short, disagrees=(3.86, 3.93))
    head = value_markdown(check, "en").splitlines()[0].replace("\\", "")
    assert "3e-3 [1.5e-3, 6e-3] is better than the study's 1e-3 on samples of the pool" in head
    assert "worse on the evaluation set (loss 3.930, at the study's own 3.860)" in head
    assert "best estimate" not in value_markdown(check, "en")
    assert "在评测集上却更差" in value_markdown(replace(check, language="zh"), "zh")


def test_a_short_check_whose_lowest_rate_is_far_better_looks_lower() -> None:
    best = (BestRate(24, 1e-3 / 3, 1e-3 / 3, 1e-3 / 3, "low"),)
    check = RecipeCheck(1e-3, "control", (), best, "unknown", 0.9, 1.0, True, 72, 0.1, short=True)
    found = _further(unread(), CheckPlan("random", (1e-3 / 3, 1e-3, 9e-3), (24,), 72, 0.1, 2), check)
    assert found is not None and found.short
    assert found.rates[0] == pytest.approx(1e-3 / 9) and found.samples == 72 + 24


@pytest.mark.parametrize(
    ("size", "edge", "p", "outside", "rates", "then"),
    [
        (16, None, 0.7, False, (1e-3, 3e-3), 32), (32, None, 0.7, False, (1e-3, 3e-3), 48),
        (48, None, 0.7, False, None, None), (16, None, 0.4, False, None, None),
        (16, "high", 0.6, False, (1e-3, 3e-3, 9e-3), 16), (16, None, 0.95, True, None, None),
    ],
)  # fmt: skip
def test_a_higher_rate_that_seems_better_is_tried_until_it_is_certain(
    size: int, edge: Any, p: float, outside: bool, rates: tuple[float, ...] | None, then: int | None
) -> None:
    ladder = unread()
    config = replace(ladder.config, recipe=replace(ladder.config.recipe, learning_rate=1e-3, warmup_steps=0))
    ladder = Ladder(config, ladder.evaluation, ladder.pool, summary(600))
    best = (BestRate(size, 3e-3, 1e-3, 9e-3, edge),)
    check = RecipeCheck(1e-3, "control", (), best, "unknown", 0.1, p, outside, 16, 0.1)
    plan = CheckPlan("random", (1e-3, 3e-3), (size,), 16, 0.1)
    found = _further(ladder, plan, check)
    assert (None if found is None else found.rates) == (rates and pytest.approx(rates))
    if found is not None:
        assert found.sizes == (then,)
        assert found.samples > plan.samples, "the report counts what was tried before"


@cache
def unread() -> Ladder:
    """A ladder over a pool that nobody has read."""
    config = study.parse_config({
        "name": "unread", "pool": {"testbed": {"samples": 600}},
        "evaluation": {"testbed": {"samples": 9, "seed": 1}},
        **SETTINGS,
    })  # fmt: skip
    return Ladder(config, *input_steps(config), summary(600))


def summary(samples: int) -> DataSummary:
    return DataSummary((), samples, {}, {}, {}, {"p50": 20.0})


@pytest.mark.parametrize(
    ("pool", "rungs", "control", "size"),
    [
        (10_000, [500, 8000], True, 200), (1500, [200, 1200], True, 150), (150, [100], True, 0),
        (1500, [1450], True, 50), (1500, [1490], True, 0), (1500, [1490], 100, 100), (9000, [500], False, 0),
        (9000, ["full"], True, 200),
    ],
)  # fmt: skip
def test_the_slice_makes_room_for_the_rungs(
    study_file: Callable[..., Path], pool: int, rungs: list[Any], control: Any, size: int
) -> None:
    config = study.load(study_file(ladder={"rungs": rungs}, control=control))
    assert control_size(config, summary(pool)) == size


@pytest.mark.parametrize("control", [5, -1, 0])
def test_a_slice_too_small_to_say_anything_is_refused(study_file: Callable[..., Path], control: int) -> None:
    with pytest.raises(AssayError, match="control"):
        study.load(study_file(control=control))


@settings(max_examples=20, deadline=None)
@given(st.dictionaries(st.text(min_size=1, max_size=3), st.integers(1, 500), min_size=1), st.integers(1, 300))
def test_types_share_the_slice_in_proportion(counts: dict[str, int], samples: int) -> None:
    found, whole = shares(counts, samples), sum(counts.values())
    assert sum(found.values()) == min(samples, whole)
    for kind, n in found.items():
        assert abs(n - min(samples, whole) * counts[kind] / whole) < 1
        assert n <= counts[kind]


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(5, 400), min_size=2, max_size=7, unique=True), st.integers(1, 4))
def test_a_check_before_a_ladder_stays_within_its_share(rungs: list[int], seeds: int) -> None:
    ladder = unread()
    config = replace(ladder.config, ladder=study.LadderConfig(tuple(sorted(rungs)), seeds))
    many = Ladder(config, ladder.evaluation, ladder.pool, summary(600))
    plan = planned(many)
    if plan is not None:
        assert plan.share <= SHARE
        upwards = plan.rates == (config.recipe.learning_rate, 3 * config.recipe.learning_rate)
        assert 3 <= len(plan.rates) <= 5 or upwards
        assert config.recipe.learning_rate in plan.rates
        assert all(plan.recipe(config.recipe, 1e-3).steps(n) >= 8 for n in plan.sizes)


def named(word: str, harm: str, control: float) -> Cause:
    shifts = tuple(
        Shift(curve, "loss", 16, 48, gain, gain - 0.1, gain + 0.1, 0.5, 0.5)  # type: ignore[arg-type]
        for curve, gain in (("evaluation", -0.3), ("control", control), ("training", 0.4))
    )
    return Cause(word, 0.97, word, harm, "random", shifts)  # type: ignore[arg-type]


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize(
    ("word", "harm", "control", "english"),
    [
        ("recipe", "falling", -0.2, "The recipe, not the data, makes the model worse: from 16 to 48"),
        ("overfitting", "below_base", -0.2, "The recipe overfits"),
        ("data", "falling", 0.2, "and not because of the recipe"),
        ("data", "below_base", 0.2, "leaves the model worse than before"),
        ("data", "plateau", 0.2, "but not this task"),
        ("open", "falling", 0.2, "it is open whether the data or the recipe"),
        ("recipe", "plateau", -0.2, "The recipe is the limit"),
    ],
)
def test_the_first_sentence_names_the_cause(
    ran: Ran, word: str, harm: str, control: float, english: str, language: str
) -> None:
    result = replace(ran[1], causes=(named(word, harm, control),), language=language)
    said = headline(result, language)
    assert language != "en" or english in said
    assert "0.200" in said or word == "open"
    assert word == "data" or "hurts" not in said


@pytest.mark.parametrize(
    ("matched", "outside", "harms", "word"),
    [
        (40, None, (), "data"), (40, False, (), "data"), (40, True, (), "open"), (0, None, (), "open"),
        (0, False, (), "open"), (0, None, (0.02,), "recipe"), (0, None, (0.99, 0.01), "recipe"),
        (0, None, (0.99, 0.6), "data"), (0, None, (0.99, 0.4), "open"), (40, True, (0.99,), "data"),
    ],
)  # fmt: skip
def test_the_data_are_blamed_only_where_the_recipe_is_excluded(
    matched: int, outside: bool | None, harms: tuple[float, ...], word: str
) -> None:
    """``harms``: how likely the largest rung does harm under each other recipe."""
    check = None
    if outside is not None:
        check = RecipeCheck(1e-3, "evaluation", (), (), "unknown", 0.1, 0.9, outside, 100, 0.1)
    shifts = (Shift("evaluation", "loss", 16, 48, 0.0, -0.1, 0.1, 1 - p, p) for p in harms)
    elsewhere = tuple(Elsewhere(f"{k}e-4", one) for k, one in enumerate(shifts, 1))
    cause = replace(named("data", "falling", 0.2), elsewhere=elsewhere)
    assert _excluded(cause, Control(60, matched), check).word == word


@pytest.mark.parametrize(
    ("matched", "gain", "word"), [(0, -0.02, "data"), (0, 0.2, "recipe"), (40, 0.2, "recipe")]
)
def test_data_that_do_no_good_at_any_rate_make_the_model_forget(
    ran: Ran, matched: int, gain: float, word: str
) -> None:
    """Nothing in the pool is like the evaluation set; another rate does no harm, and no good or some."""
    harmless = Shift("evaluation", "loss", 16, 48, 0.0, -0.1, 0.1, 0.5, 0.02)
    since = Shift("evaluation", "loss", 0, 48, gain, gain - 0.05, gain + 0.05, 0.5, 0.5)
    cause = replace(named("data", "falling", 0.2), elsewhere=(Elsewhere("5e-4", harmless, 0.8, since),))
    control = Control(60, matched)
    found = _excluded(cause, control, None)
    assert found.word == word
    for language, forgets, helps in (
        ("en", "makes the model forget", "the same"),
        ("zh", "使模型遗忘", "同样的"),
    ):
        result = replace(ran[1], causes=(found,), control=control, language=language)
        assert (forgets if word == "data" else helps) in headline(result, language)


def test_the_noise_of_batches_is_no_instability() -> None:
    from assay.study.steps._rates import diverged, unstable

    falling = [6.0 - 0.2 * step for step in range(20)]
    hard = [*falling[:3], 7.3, *falling[4:]]
    for calm in (None, falling, hard):
        assert not unstable(falling, calm) and not unstable(hard, calm), "one batch of hard rows"
        assert unstable([*falling[:10], *[8.5] * 10], calm)
    assert diverged([*falling, *[9.5] * 5]) and diverged([*falling[:8], *[float("nan")] * 12])
    assert not diverged([*falling, *falling])


@given(seed=st.integers(0, 10_000), scatter=st.floats(0.1, 1.5))
def test_batches_that_are_hard_at_every_rate_are_no_instability(seed: int, scatter: float) -> None:
    """However batches scatter, a training that does as well as a calm one on each is not unstable."""
    from assay.study.steps._rates import unstable

    draws = np.random.default_rng(seed)
    batches = 3 + scatter * draws.normal(size=100)
    noise = 0.02 * draws.normal(size=(2, 100))
    calm, faster = batches + noise[0], batches - np.linspace(0, 0.5, 100) + noise[1]
    assert not unstable(faster.tolist(), calm.tolist())
    assert unstable((faster + 2.0 * (np.arange(100) // 25 == 2)).tolist(), calm.tolist())
