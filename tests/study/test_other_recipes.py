"""The recipe as a factor of the ladder, fewer samples at equal steps, and the run that decides on a cause."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from assay import plan as planning
from assay import study, view
from assay.core import AssayError, StudyResult
from assay.model import Recipe
from assay.plan import Store, parse_pool
from assay.study._bases import study_ladders
from assay.study._config import other_recipes
from assay.study._graph import Ladder, input_steps
from assay.study._recipes import variants
from assay.study._run import read_summary
from assay.view import headline, value_markdown

SETTINGS: dict[str, Any] = {
    "control": 20, "recipe_check": False, "ladder": {"rungs": [16, 32, 64], "seeds": 1},
    "recipe": {"preset": "testbed", "batch_size": 4, "warmup_steps": 2},
    "measure": {"answers": False, "text": False},
    "question": {"recipes": ["lr/3", "lr", {"epochs": 2}], "steps_or_samples": True},
}  # fmt: skip


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, writer: Callable[..., Path]) -> tuple[Path, StudyResult]:
    path = writer(tmp_path_factory.mktemp("recipes"), **SETTINGS)
    found = study.run(path)
    assert isinstance(found, StudyResult)
    return path, found


def config(**question: Any) -> study.StudyConfig:
    data = {"pool": {"testbed": {"samples": 200}}, "evaluation": {"testbed": {"samples": 8, "seed": 1}}}
    return study.parse_config({"name": "other", **data, **SETTINGS, "question": question})


def test_recipes_are_rates_shares_of_the_rate_or_fields() -> None:
    given = ["lr/3", "lr", "lr * 2", 1e-3, "2e-3", {"epochs": 3}, {"adapter": "lora", "learning_rate": 1e-2}]
    found = other_recipes(config(recipes=given))
    assert list(found) == ["5e-4", "3e-3", "1e-3", "2e-3", "epochs=3", "1e-2 adapter=lora"]
    assert found["5e-4"].learning_rate == pytest.approx(5e-4)
    assert found["epochs=3"] == replace(config().recipe, epochs=3)


@pytest.mark.parametrize(
    ("recipes", "place"),
    [
        (["lr/0"], r"question.recipes\[0\]"), (["fast"], r"question.recipes\[0\]"),
        ([1e-3, 1e-3], r"question.recipes\[1\]"), ([{"max_tokens": 9}], r"question.recipes\[0\].max_tokens"),
        ([{"rate": 1e-3}], r"question.recipes\[0\].rate"), ([-1.0], "learning_rate"),
    ],
)  # fmt: skip
def test_what_is_no_recipe_is_refused_with_its_place(recipes: list[Any], place: str) -> None:
    with pytest.raises(AssayError, match=place):
        config(recipes=recipes)


@pytest.mark.parametrize(
    ("changes", "alike"),
    [
        ({"epochs": 3}, True), ({"cooldown": 0.5}, True), ({"schedule": "constant"}, True),
        ({"schedule": "cosine"}, False), ({"learning_rate": 1e-4}, False), ({"warmup_steps": 3}, False),
        ({"batch_size": 8}, False), ({"weight_decay": 0.5}, False),
    ],
)  # fmt: skip
def test_recipes_share_a_trunk_only_where_it_is_the_same(changes: dict[str, Any], alike: bool) -> None:
    own = Recipe(batch_size=4, epochs=1, schedule="wsd", warmup_steps=2)
    assert own.begins_like(replace(own, **changes)) == alike


def ladder_of(path: Path) -> tuple[Ladder, Store]:
    own = study.load(path)
    store = Store(Path(own.where.store))
    evaluation, pool = input_steps(own)
    return study_ladders(own, evaluation, pool, read_summary(store, pool))[""], store


def test_a_run_that_goes_on_from_a_shared_trunk_is_the_run_on_its_own(ran: tuple[Path, StudyResult]) -> None:
    ladder, store = ladder_of(ran[0])
    (more,) = [one for one in variants(ladder) if one.name == "epochs=2" and one.kind == "recipe"]
    assert any(run.trunk for run in more.runs)
    alone = Ladder(
        more.ladder.config, ladder.evaluation, ladder.pool, ladder.summary, more.ladder.arms, chooser=ladder
    )
    shared, own = more.runs[-1].branch, list(alone.seed_runs("random", 0))[-1].branch
    assert shared is not None
    assert own is not None
    assert shared.key != own.key
    planning.run([own], store, parse_pool("inline"))
    weights = [(store.path(s.key) / "model" / "model.safetensors").read_bytes() for s in (shared, own)]
    assert weights[0] == weights[1]


def test_the_ladder_itself_is_the_same_with_and_without_other_recipes(ran: tuple[Path, StudyResult]) -> None:
    plain = dict(yaml.safe_load(ran[0].read_text()))
    del plain["question"]
    own, other = study.parse_config(plain, str(ran[0].parent)), study.load(ran[0])
    keys = []
    for one in (own, other):
        evaluation, pool = input_steps(one)
        summary = read_summary(Store(Path(other.where.store)), pool)
        keys.append([run.answer.key for run in Ladder(one, evaluation, pool, summary).runs()])
    assert keys[0] == keys[1]


def test_the_plan_says_what_they_take(ran: tuple[Path, StudyResult]) -> None:
    shown = value_markdown(study.plan(ran[0]))
    assert "Models under other recipes (5e-4, epochs=2): 6, for" in shown
    assert "Models of fewer samples at equal steps (epochs=2, epochs=4): 1, for" in shown
    assert study.plan(ran[0]).models == 10 == len(ran[1].every_run), "32 in two passes is both"
    assert ran[1].cost.trained_samples == sum(run.trained_samples for run in ran[1].every_run)
    assert study.plan(ran[0]).trained_samples == ran[1].cost.trained_samples


def test_verdicts_curves_and_the_envelope_stand_side_by_side(ran: tuple[Path, StudyResult]) -> None:
    found = ran[1].recipes
    assert found is not None
    assert found.own == "1.5e-3 epochs=1"
    assert [one.name for one in found.ladders] == ["5e-4", "epochs=2"]
    assert found.ladders[1].changes == {"epochs": 2}
    robust = found.of("overall", "random", "loss")
    assert robust is not None
    assert set(robust.by) == {found.own, "5e-4", "epochs=2"}
    best = found.envelope("overall", "random", "loss")
    assert best is not None
    assert [point.n for point in best.rungs] == [16, 32, 64]
    report = (ran[0].parent / "report" / "report.md").read_text(encoding="utf-8")
    assert "Does the verdict depend on the recipe?" in report
    assert "best per size" in report
    assert "Steps or samples?" in report
    page = (ran[0].parent / "report" / "report.html").read_text(encoding="utf-8")
    assert "one curve per recipe and the best per size" in page
    chinese = value_markdown(replace(ran[1], language="zh"))
    assert "recipe" in headline(ran[1], "en") + value_markdown(ran[1])
    assert "各档位最佳" in chinese or "配方" in chinese


def test_samples_are_told_from_steps_at_equal_steps(ran: tuple[Path, StudyResult]) -> None:
    found = ran[1].steps_or_samples
    assert found is not None
    rows = [(r.n_train, r.samples, r.passes) for r in found.rows if (r.type, r.metric) == ("overall", "loss")]
    assert rows == [(32, 16, 2), (64, 16, 4), (64, 32, 2)]
    own = {p.n_train: p.value for p in ran[1].points if (p.type, p.metric) == ("overall", "loss")}
    for row in found.rows:
        assert 0.8 < row.tokens < 1.25
        if (row.type, row.metric) == ("overall", "loss"):
            assert row.by_steps is not None
            whole = own[row.samples] - own[row.n_train]
            assert row.by_steps.gain + row.by_samples.gain == pytest.approx(whole), "the parts are the whole"
    assert "overall loss" in found.worth


def test_the_words_follow_from_the_verdicts(ran: tuple[Path, StudyResult]) -> None:
    found = ran[1].recipes
    assert found is not None
    assert ran[1].answer is not None
    key = ran[1].answer.arm, ran[1].answer.metric
    first = found.robustness[0]
    for word, by, english, chinese in (
        ("robust", {"a": "rising", "b": "rising"}, "This holds under all 2 recipes", "结论相同"),
        ("depends", {"a": "rising", "b": "falling"}, "depends on the recipe: rising under a", "取决于配方"),
        ("open", {"a": "rising", "b": "undecided"}, "Whether this depends on the recipe is open", "尚无结论"),
    ):  # fmt: skip
        row = replace(first, type="overall", arm=key[0], metric=key[1], word=word, by=by)
        for language, text in (("en", english), ("zh", chinese)):
            result = replace(ran[1], recipes=replace(found, robustness=(row,)), language=language)
            assert text in value_markdown(result)
    assert view.plain_json(ran[1])["recipes"]["own"] == found.own


def test_a_training_that_diverges_under_another_recipe_is_a_finding(
    study_file: Callable[..., Path],
) -> None:
    wild = {**SETTINGS, "question": {"recipes": [1000.0]}, "ladder": {"rungs": [16, 32, 48], "seeds": 1}}
    path = study_file(**wild)
    found = study.run(path)
    assert isinstance(found, StudyResult)
    assert found.recipes is not None
    (other,) = found.recipes.ladders
    assert other.diverged
    assert "trainings diverged" in (path.parent / "report" / "report.md").read_text(encoding="utf-8")


@pytest.mark.long
def test_a_selection_of_long_samples_meets_random_ones_of_as_many_tokens(
    tmp_path: Path, writer: Callable[..., Path]
) -> None:
    changes = {
        "arms": {"longest": {"rule": "longest"}},
        "baselines": False,
        "ladder": {"rungs": [4, 8, 16], "seeds": 1},
    }
    path = writer(tmp_path, **SETTINGS | {"question": {"steps_or_samples": True}, **changes})
    assert "as many tokens as each selection (longest): at most 1 further training," in value_markdown(
        study.plan(path)
    )
    found = study.run(path)
    assert isinstance(found, StudyResult) and found.steps_or_samples is not None
    (row,) = [r for r in found.steps_or_samples.tokens if (r.type, r.metric) == ("overall", "loss")]
    assert (row.arm, row.n_train) == ("longest", 16)
    assert row.samples > 16, "long samples have more tokens"
    assert row.tokens == pytest.approx(1, abs=0.1)
    assert (row.equal_samples.n_from, row.equal_tokens.n_from) == (16, row.samples)
    (more,) = [run for run in found.steps_or_samples.runs if run.n_train == row.samples]
    assert more.arm == "random" and more in found.every_run
    assert found.answer is not None
    chosen = replace(found, answer=replace(found.answer, arm="longest", metric="loss", choice="better"))
    assert f"{row.samples} random samples" in value_markdown(chosen)
    for language, shown in (("en", "Selection over random, equal tokens"), ("zh", "词元数相同")):
        page = view.page_markdown(view.report(replace(found, language=language)))
        assert shown in page
