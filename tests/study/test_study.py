"""A study from end to end, with a real model and real training."""

from __future__ import annotations

import io
import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from assay import data, study
from assay.core import BASE_ARM, OVERALL, AssayError, Sample, StudyResult
from assay.data import synthetic
from assay.plan import Store
from assay.study.steps._order import _shuffled
from assay.view import print_value

Small = tuple[Path, StudyResult]


def points(folder: Path) -> str:
    return (folder / "report" / "points.csv").read_text()


def test_the_result_holds_every_measurement(small_study: Small) -> None:
    _, result = small_study
    kinds = {"classification", "code", OVERALL}
    for metric in ("score", "loss", "bits_per_byte"):
        cells = {(p.type, p.arm, p.n_train, p.seed) for p in result.points if p.metric == metric}
        expected = {(k, "random", n, s) for k in kinds for n in (32, 64, 128) for s in (0, 1)}
        assert cells == expected | {(k, BASE_ARM, 0, 0) for k in kinds}
    assert {(c.type, c.metric) for c in result.curves} == {
        (k, m) for k in kinds for m in ("score", "loss", "bits_per_byte")
    }
    assert all(c.verdict is not None for c in result.curves)
    assert result.answer is not None
    assert result.answer.n == 128


def test_training_lowers_the_loss(small_study: Small) -> None:
    _, result = small_study
    loss = {(p.arm, p.n_train): p.value for p in result.points if (p.type, p.metric) == (OVERALL, "loss")}
    assert loss["random", 128] < loss["random", 32] < loss[BASE_ARM, 0]


def test_overall_is_the_unweighted_mean_over_types(small_study: Small) -> None:
    _, result = small_study
    rows = [p for p in result.points if (p.n_train, p.seed, p.metric) == (64, 1, "loss")]
    values = {p.type: p.value for p in rows}
    assert values[OVERALL] == pytest.approx((values["classification"] + values["code"]) / 2)


def test_every_number_leads_to_its_run(small_study: Small) -> None:
    path, result = small_study
    store = Store(path.parent / "store", create=False)
    for point in result.points:
        assert store.has(point.run)
    assert {r.key for r in result.runs} == {p.run for p in result.points if p.arm != BASE_ARM}


def test_the_shared_ladder_costs_less_than_independent_runs(small_study: Small) -> None:
    _, result = small_study
    assert result.cost.independent_samples == 2 * (32 + 64 + 128)
    assert result.cost.trained_samples < 0.8 * result.cost.independent_samples
    assert result.cost.trained_samples == sum(r.trained_samples for r in result.runs)


def test_sample_answers_are_those_of_every_rung(small_study: Small) -> None:
    _, result = small_study
    assert {sheet.type for sheet in result.answers} == {"classification", "code"}
    for sheet in result.answers:
        assert [(a.arm, a.n_train) for a in sheet.answers] == [
            (BASE_ARM, 0), ("random", 32), ("random", 64), ("random", 128),
        ]  # fmt: skip


def test_again_everything_is_cached(small_study: Small) -> None:
    path, result = small_study

    def objects() -> dict[str, int]:
        return {str(p): p.stat().st_mtime_ns for p in path.parent.rglob("manifest.json")}

    before = objects()
    assert study.run(path) == result
    assert before and objects() == before
    plan = study.plan(path)
    assert plan.plan.total.to_do == 0
    assert plan.trained_samples == result.cost.trained_samples


def test_the_report_is_named_where_it_was_written(small_study: Small, tmp_path: Path) -> None:
    path, result = small_study
    moved = study.run(path, out=tmp_path / "elsewhere")
    assert moved == result and moved.report == str(tmp_path / "elsewhere")
    shown = io.StringIO()
    print_value(moved, Console(file=shown, width=400, color_system=None))
    assert str(tmp_path / "elsewhere" / "report.html") in shown.getvalue()


def test_a_plan_writes_nothing_and_counts_what_is_to_do(study_file: Callable[..., Path]) -> None:
    path = study_file()
    plan = study.plan(path)
    assert plan.plan.total.cached == 0
    assert plan.plan.total.to_do > 20
    assert plan.models == 6
    assert sorted(p.name for p in path.parent.iterdir()) == ["study.yaml"]


def test_one_more_rung_or_seed_reuses_all_runs(small_study: Small) -> None:
    path, _ = small_study
    more = study.plan(path, set=["ladder.seeds=3"])
    trained = next(row for row in more.plan.rows if row.name == "train")
    assert (trained.cached, trained.to_do) == (12, 6)
    where = study.plan(path, set=["where.pool=processes:7", "name=renamed"])
    to_do = {row.name: row.to_do for row in where.plan.rows}
    assert to_do["train"] == to_do["answer"] == 0


@pytest.mark.long
def test_pools_give_the_same_numbers(small_study: Small, study_file: Callable[..., Path]) -> None:
    path, _ = small_study
    other = study_file(where={"pool": "processes:2"})
    study.run(other)
    assert points(other.parent) == points(path.parent)


@pytest.mark.long
def test_kills_at_random_moments_change_nothing(small_study: Small, study_file: Callable[..., Path]) -> None:
    path, _ = small_study
    other = study_file(where={"pool": "processes:2"})
    command = [sys.executable, "-m", "assay", "study", "run", str(other), "--quiet"]

    def objects(folder: Path) -> int:
        return len(list(folder.glob("store/objects/*/*/manifest.json")))

    # The last third is left out: other tests may have added to the store of the first.
    for wanted in sorted(random.Random(5).sample(range(1, objects(path.parent) * 2 // 3), 2)):
        process = subprocess.Popen(
            command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while process.poll() is None and objects(other.parent) < wanted:
            time.sleep(0.01)
        process.kill()
        assert process.wait() == -signal.SIGKILL, "it was killed before its end"
    study.run(other)
    assert points(other.parent) == points(path.parent)
    store = Store(other.parent / "store", create=False)
    assert store.verify() == []


def jsonl(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path.name


def rows_of(n: int, seed: int, split: synthetic.Split = "train") -> list[dict[str, Any]]:
    found = []
    for planted in synthetic.generate(n, seed=seed, split=split, types=("classification",)):
        sample = planted.sample
        found.append({"instruction": sample.prompt[0].content, "input": "", "output": sample.answer})
    return found


def test_files_are_read_cleaned_and_compared_by_arm(study_file: Callable[..., Path], tmp_path: Path) -> None:
    items = rows_of(12, 1, "eval")
    pool = rows_of(90, 0)
    bad = [{"instruction": "Say nothing", "output": ""}, {"instruction": None, "output": "x"}]
    leaked = [{"instruction": items[0]["instruction"], "output": "good"}]
    files = [
        jsonl(tmp_path / "one.jsonl", pool[:50] + bad + leaked + pool[:5]),
        jsonl(tmp_path / "two.jsonl", pool[50:]),
    ]
    path = study_file(
        pool=files,
        evaluation=jsonl(tmp_path / "held out.jsonl", items),
        ladder={"rungs": [16, 32], "seeds": 2},
        arms={"longest": {"rule": "longest"}},
        language="zh",
    )
    result = study.run(path)
    one, two = result.pool.sources
    assert (one.rows, one.rejected, one.duplicates) == (58, 2, 5)
    assert result.pool.decontaminated == 1
    assert two.rejected == 0
    assert result.pool.samples == len({json.dumps(row) for row in pool})
    assert {arm.name for arm in result.arms} == {BASE_ARM, "random", "balanced", "longest"}
    full = max(p.n_train for p in result.points if p.arm == "random")
    assert full == result.pool.samples, "full data stands beside every selection"
    assert {(c.a, c.b) for c in result.comparisons} == {("balanced", "random"), ("longest", "random")}
    assert {p.type for p in result.points} == {"held out"}, "items without a type take their set's name"
    html = (tmp_path / "report" / "report.html").read_text()
    assert 'lang="zh-Hans"' in html


def test_the_order_of_rows_in_a_file_does_not_matter(study_file: Callable[..., Path], tmp_path: Path) -> None:
    pool = rows_of(64, 0)
    jsonl(tmp_path / "items.jsonl", rows_of(8, 1, "eval"))
    found = []
    for name, rows in (("a", pool), ("b", pool[::-1])):
        jsonl(tmp_path / "pool.jsonl", rows)
        path = study_file(
            name=name, pool="pool.jsonl", evaluation="items.jsonl", measure={"answers": False, "text": False},
            ladder={"rungs": [16, 32], "seeds": 1}, where={"out": str(tmp_path / name)},
        )  # fmt: skip
        result = study.run(path)
        found.append({(p.type, p.n_train, p.metric): p.value for p in result.points})
        assert all(c.refused == "few_rungs" for c in result.curves)
        assert result.answer is None
    assert found[0] == pytest.approx(found[1])


def test_a_rung_beyond_the_pool_is_refused(study_file: Callable[..., Path]) -> None:
    with pytest.raises(AssayError) as caught:
        study.run(study_file(ladder={"rungs": [32, 64, 5000]}))
    assert caught.value.place == "ladder.rungs"
    assert caught.value.value == 5000
    assert "full" in (caught.value.hint or "")


def test_a_pool_without_usable_rows_says_why(study_file: Callable[..., Path], tmp_path: Path) -> None:
    name = jsonl(tmp_path / "empty.jsonl", [{"instruction": "Hi", "output": ""}] * 3)
    with pytest.raises(AssayError, match="no usable sample"):
        study.run(study_file(pool=name))


@pytest.mark.parametrize(
    ("changes", "place", "word"),
    [
        ({"leader": {"rungs": [1]}}, "leader", "ladder"),
        ({"ladder": {"rungs": "many"}}, "ladder.rungs", "a list"),
        ({"ladder": {"rungs": [0, 5]}}, "ladder.rungs[0]", "at least 1"),
        ({"ladder": {"rungs": [10], "seeds": 0}}, "ladder.seeds", "at least 1"),
        ({"ladder": {"seeds": 2}}, "ladder", "rungs"),
        ({"recipe": "belly"}, "recipe", "belle"),
        ({"recipe": {"preset": "belle", "learning_rat": 1}}, "recipe.learning_rat", "learning_rate"),
        ({"recipe": {"learning_rate": "fast"}}, "recipe.learning_rate", "a number"),
        ({"pool": "absent.jsonl"}, "pool[0]", "absent.jsonl"),
        ({"pool": 7}, "pool", "path"),
        ({"evaluation": None}, "evaluation", "path"),
        ({"pool": {"testbed": {"sample": 5}}}, "pool.testbed.sample", "samples"),
        ({"measure": {"loss": False, "answers": False}}, "measure", "loss"),
        ({"measure": {"loss": "yes please"}}, "measure.loss", "true or false"),
        ({"name": "../up"}, "name", "folder"),
        ({"arms": {"base": {}}}, "arms.base", "another name"),
        ({"arms": {"best": {"rule": "magic"}}}, "arms.best.rule", "random"),
        ({"language": "fr"}, "language", "zh"),
        ({"base": "no/such/folder"}, "base", "pocket"),
        ({"where": {"pool": "threads:2"}}, "where.pool", "processes"),
    ],
)
def test_wrong_settings_name_their_place_and_the_mend(
    study_file: Callable[..., Path], changes: dict[str, Any], place: str, word: str
) -> None:
    with pytest.raises(AssayError) as caught:
        study.run(study_file(**changes))
    assert place in (caught.value.place or ""), caught.value
    assert word in str(caught.value), caught.value


def test_files_that_are_no_study_are_refused(tmp_path: Path) -> None:
    for name, text in {"a.yaml": "- 1", "b.yaml": "a: [", "c.yaml": ""}.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(AssayError):
            study.run(tmp_path / name)
    with pytest.raises(AssayError, match="no such file"):
        study.run(tmp_path / "absent.yaml")


def test_a_trained_sample_is_never_an_evaluation_item(small_study: Small) -> None:
    path, _ = small_study
    store = Store(path.parent / "store", create=False)
    folders = {}
    for key in store.completed():
        name = store.manifest(key)["name"]
        if name in ("read-pool", "read-evaluation"):
            folders[name] = store.path(key) / "dataset"
    pool: list[Sample] = list(data.Dataset(folders["read-pool"]))
    items: list[Sample] = list(data.Dataset(folders["read-evaluation"]))
    assert not {s.prompt for s in pool} & {s.prompt for s in items}


def test_arms_take_the_best_by_an_indicator(study_file: Callable[..., Path], tmp_path: Path) -> None:
    jsonl(tmp_path / "items.jsonl", rows_of(8, 1, "eval"))
    jsonl(tmp_path / "pool.jsonl", rows_of(64, 0))
    path = study_file(
        name="arms", pool="pool.jsonl", evaluation="items.jsonl", measure={"answers": False, "text": False},
        ladder={"rungs": [32], "seeds": 2}, baselines=False,
        arms={"ppl": {"rule": "top", "by": "ppl"}, "short": {"rule": "bottom", "by": "len_out"}},
    )  # fmt: skip
    result = study.run(path)
    assert {p.arm for p in result.points} == {BASE_ARM, "random", "ppl", "short"}
    assert {c.a for c in result.comparisons} == {"ppl", "short"}


@pytest.mark.parametrize(
    ("arm", "expected"),
    [
        ({"rule": "top"}, "arms.x.by"),
        ({"rule": "top", "by": "beauty"}, "mtld"),
        ({"rule": "longest", "by": "mtld"}, "rule: top"),
    ],
)
def test_arms_and_indicators_that_do_not_go_together_are_refused(
    arm: dict[str, str], expected: str, study_file: Callable[..., Path], tmp_path: Path
) -> None:
    jsonl(tmp_path / "items.jsonl", rows_of(8, 1, "eval"))
    jsonl(tmp_path / "pool.jsonl", rows_of(64, 0))
    path = study_file(pool="pool.jsonl", evaluation="items.jsonl", arms={"x": arm})
    with pytest.raises(AssayError, match=expected):
        study.run(path)


def test_selections_are_shuffled_within_a_rung() -> None:
    chance = np.array([3, 0, 4, 1, 5, 2])
    order = _shuffled(np.array([0, 1, 2, 3, 5, 4]), chance, [2, 4]).tolist()
    assert order == [0, 1, 3, 2, 4, 5], "within a rung, in random order"


def test_arms_of_every_kind_run(study_file: Callable[..., Path], tmp_path: Path) -> None:
    jsonl(tmp_path / "items.jsonl", rows_of(8, 1, "eval"))
    jsonl(tmp_path / "pool.jsonl", rows_of(64, 0))
    rule = {
        "name": "mine", "predicts": "rating", "direction": 1, "intercept": 0.0, "source": "test",
        "coefficients": {"len_out": 1.0},
    }  # fmt: skip
    (tmp_path / "rule.json").write_text(json.dumps(rule))
    arms = {
        "matched": {"rule": "quota", "by": "len_out", "groups": "length"},
        "mine": {"rule": "top", "by": "rule.json"},
        "knn": {"rule": "top", "by": "knn"},
        "cover": {"rule": "facility"},
        "like": {"rule": "target"},
        "deita": {"rule": "deita", "by": "compression"},
        "tags": {"rule": "tags"},
    }
    path = study_file(
        name="kinds", pool="pool.jsonl", evaluation="items.jsonl", measure={"answers": False, "text": False},
        ladder={"rungs": [16], "seeds": 1}, baselines=False, arms=arms,
        models={"embedder": "lexical", "target": ["items.jsonl"]},
    )  # fmt: skip
    result = study.run(path)
    assert {p.arm for p in result.points} == {BASE_ARM, "random", *arms}
