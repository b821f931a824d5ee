"""What is identity and what is not: of steps, and of whole studies of one name."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_study import jsonl, rows_of

from assay import model, study
from assay.core import AssayError, Sample, StudyResult
from assay.model import POCKET, Launch, Recipe, preset, resolve_base
from assay.plan import Estimate, Step, Store
from assay.study import MeasureConfig, read_config
from assay.study._graph import input_steps
from assay.study._measured import prepared
from assay.study.steps import Base, Runtime, answer_step, order_step, tokens_step, train_step
from assay.view import words
from packages import install

BASE = Base(resolve_base("pocket"), "0" * 64)
READ = Step("read-evaluation", 1, "", {"files": []})
POOL = Step("read-pool", 2, "", {"files": []})

OTHER: Mapping[str, Any] = {
    "schedule": "cosine", "dtype": "bf16", "template": "belle", "batching": "packed", "adapter": "lora",
    "trainer": "mine", "betas": (0.8, 0.9), "targets": ("a",), "cooldown": 0.3, "adapter_dropout": 0.1,
}  # fmt: skip
"""Other values of fields that are no plain numbers."""


@pytest.fixture(scope="module", autouse=True)
def trainer_of_mine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A trainer of a package: a name that nothing has is refused before it could be identity."""
    code = "from assay.model import train_full as MINE\n"
    entries = {"assay.trainers": {"mine": "MINE"}}
    folder = str(install(tmp_path_factory.mktemp("mine"), code, entries, name="mine", module="mine"))
    sys.path.insert(0, folder)
    yield
    sys.path.remove(folder)


def training(recipe: Recipe, **changes: Any) -> Step:
    settings = {"seed": 0, "n_train": 64, "steps": (0, 8), "device": "cpu", "launch": Launch(), "label": ""}
    inputs = {
        "tokens": tokens_step(BASE, recipe, POOL, Estimate()),
        "order": order_step(POOL, "", {"seed": 0, "rule": "random"}),
    }
    return train_step(BASE, recipe, inputs, **{**settings, "estimate": Estimate(), **changes})


@pytest.mark.parametrize("name", [f.name for f in dataclasses.fields(Recipe)])
def test_every_field_of_the_recipe_is_identity_of_a_training(name: str) -> None:
    recipe = preset(POCKET)
    value = getattr(recipe, name)
    other = OTHER.get(
        name, not value if isinstance(value, bool) else value + 1 if name not in OTHER else None
    )
    assert training(recipe).key != training(dataclasses.replace(recipe, **{name: other})).key


@given(
    st.sampled_from(["auto", "cpu", "cuda"]), st.integers(1, 9), st.sampled_from(["fsdp", "zero3"]), st.text()
)  # fmt: skip
def test_where_a_training_runs_is_not(device: str, processes: int, strategy: Any, label: str) -> None:
    one = training(preset(POCKET))
    other = training(preset(POCKET), device=device, launch=Launch(processes, strategy), label=label)
    assert one.key == other.key


RUNTIMES = st.builds(
    Runtime,
    st.sampled_from(["transformers", "vllm", "llama.cpp"]),
    st.sampled_from(["fp32", "bf16", "stored"]),
    st.sampled_from(["cpu", "cuda"]),
    st.sampled_from([None, "/opt/vllm/bin/python", "/usr/bin/python3"]),
)


@given(RUNTIMES, RUNTIMES)
def test_what_answers_is_identity_and_where_its_python_lies_is_not(one: Runtime, other: Runtime) -> None:
    def key(runtime: Runtime) -> str:
        return answer_step(READ, BASE, MeasureConfig(), runtime, estimate=Estimate()).key

    same = (one.backend, one.dtype, one.device) == (other.backend, other.dtype, other.device)
    assert (key(one) == key(other)) == same


MEASURES = st.builds(
    MeasureConfig, loss=st.booleans(), answers=st.booleans(), max_new_tokens=st.integers(1, 3),
    temperature=st.sampled_from([0.0, 0.7]), max_tokens=st.integers(7, 8),
    method=st.sampled_from(["auto", "chrf"]),
)  # fmt: skip


@given(MEASURES, MEASURES, st.integers(0, 2), st.integers(0, 2))
def test_only_what_moves_a_measurement_is_its_identity(
    one: MeasureConfig, other: MeasureConfig, seed: int, again: int
) -> None:
    """No decoding without answers, no seed without sampling, and scoring is a step of its own."""

    def counted(measure: MeasureConfig, seed: int) -> list[Any]:
        drawn = [measure.max_new_tokens, measure.temperature, measure.temperature and seed]
        return [measure.loss, measure.answers, measure.max_tokens, measure.answers and drawn]

    def key(measure: MeasureConfig, seed: int) -> str:
        runtime = Runtime("transformers", "fp32", "cpu")
        return answer_step(READ, BASE, measure, runtime, seed=seed, estimate=Estimate()).key

    assert (key(one, seed) == key(other, again)) == (counted(one, seed) == counted(other, again))
    assert MeasureConfig.of({**one.settings(), "seed": 1}).settings() == one.settings()


Small = tuple[Path, StudyResult]


def test_another_study_of_the_same_name_is_refused(
    small_study: Small, study_file: Callable[..., Path], tmp_path: Path
) -> None:
    path, result = small_study
    report = path.parent / "report"
    before = {p: p.read_bytes() for p in report.rglob("*") if p.is_file()}
    rest = {"out": str(report), "store": str(path.parent / "store")}
    recipe = {"preset": "testbed", "batch_size": 8}
    pool = {"testbed": {"samples": 150, "seed": 3, "types": ["code"]}}
    for changes, part in (({"recipe": recipe}, "recipe"), ({"pool": pool}, "pool"), ({"name": "b"}, "name")):
        other = study_file(**changes, where=rest)
        with pytest.raises(AssayError, match=f"differs in: {part}") as caught:
            study.run(other)
        assert caught.value.place == str(report) and "where.replace" in str(caught.value.hint)
        assert any("another study" in str(note) for note in study.plan(other).notes)
    assert {p: p.read_bytes() for p in report.rglob("*") if p.is_file()} == before
    assert result.name == json.loads((report / "study.json").read_text())["name"]


def test_a_study_that_grows_or_is_asked_otherwise_is_the_same(
    study_file: Callable[..., Path], tmp_path: Path
) -> None:
    small = {"ladder": {"rungs": [16, 32], "seeds": 1}, "measure": {"answers": False, "text": False}}
    study.run(study_file(**small))
    grown = {
        "ladder": {"rungs": [16, 32, 64], "seeds": 1},
        "measure": {"answers": True, "max_new_tokens": 4, "text": False},
    }
    found = study.run(study_file(**grown, question={"smallest_gain": 0.1}, language="zh"))
    assert {p.n_train for p in found.points} == {0, 16, 32, 64}
    store = Store(tmp_path / "store", create=False)
    assert list(store.roots()) == ["small"], "and wants its objects under one name"
    other = study_file(**small, recipe={"preset": "testbed", "batch_size": 8})
    with pytest.raises(AssayError, match="report of another study"):
        study.run(other)
    written = (tmp_path / "report" / "result.json").read_bytes()
    study.run(other, set=["where.replace=true"])
    assert (tmp_path / "report.1" / "result.json").read_bytes() == written, "nothing is lost"
    assert (tmp_path / "report" / "result.json").read_bytes() != written
    assert study.plan(other).plan.total.to_do == 0
    assert not any("another study" in str(note) for note in study.plan(other).notes)


def test_a_report_beside_its_store_is_not_moved_away(study_file: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text("{}")
    path = study_file(where={"out": str(tmp_path), "replace": True})
    with pytest.raises(AssayError, match="cannot be moved aside"):
        study.run(path)


def test_studies_of_one_name_are_kept_apart_in_a_store(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for owner in ("a" * 64, "b" * 64, "a" * 64):
        store.register("same", [Step("x", 1, "", {"owner": owner})], owner)
    roots = store.roots()
    assert set(roots) == {"same", "same bbbbbbbb"} and roots["same"] != roots["same bbbbbbbb"]


def test_a_map_is_identity_and_is_read_by(study_file: Callable[..., Path], tmp_path: Path) -> None:
    own = [{"q": row["instruction"], "a": {"text": row["output"]}, "type": "code"} for row in rows_of(40, 0)]
    jsonl(tmp_path / "pool.jsonl", own)
    config = read_config(
        study_file(pool=str(tmp_path / "pool.jsonl"), map={"pool": "prompt=q,answer=a.text"})
    )
    other = dataclasses.replace(config, map=study.MapConfig())
    (_, pool), (_, plain) = input_steps(config), input_steps(other)
    assert pool.config["map"] == {"prompt": "q", "answer": "a.text"} and "map" not in plain.config
    assert pool.key != plain.key
    ladder, _ = prepared(
        dataclasses.replace(config, where=study.WhereConfig("inline", str(tmp_path / "store")))
    )
    assert ladder.summary.samples > 30
    for wrong, said in (
        ({"pool": "prompt"}, "has no `=`|is no pair"),
        ({"evaluation": "prompt=q"}, "no fields to map"),
    ):
        with pytest.raises(AssayError, match=said) as caught:
            read_config(study_file(pool=str(tmp_path / "pool.jsonl"), map=wrong))
        assert caught.value.place == f"map.{next(iter(wrong))}"


def test_a_hub_id_stands_for_its_content(tmp_path: Path) -> None:
    """A local folder goes through the same loader as an id; its hash changes with what it holds."""
    folder = tmp_path / "own"
    folder.mkdir()
    jsonl(folder / "a.jsonl", [{"instruction": "a", "output": "b"}])
    first = study.place_digest(f"hf:{folder}")
    assert first == study.place_digest(f"hf:{folder}") and first.startswith(f"hf:{folder}@")
    jsonl(folder / "a.jsonl", [{"instruction": "a", "output": "other"}])
    assert study.place_digest(f"hf:{folder}") != first
    with pytest.raises(AssayError, match="could not be opened"):
        study.place_digest(f"hf:{tmp_path}/absent")


def test_what_length_takes_away_is_counted_and_said(study_file: Callable[..., Path], tmp_path: Path) -> None:
    items = rows_of(4, 1, "eval")
    items.append({"instruction": "word " * 200, "output": "late"})
    items.append({"instruction": "Count.", "output": "one two three " * 90})
    pool = [*rows_of(40, 0), {"instruction": "term " * 200, "output": "late"}]
    pool += [{"instruction": "Say it all.", "output": "and so on " * 90}]
    jsonl(tmp_path / "items.jsonl", items)
    jsonl(tmp_path / "pool.jsonl", pool)
    path = study_file(
        pool="pool.jsonl", evaluation="items.jsonl", ladder={"rungs": [16, "full"], "seeds": 1},
        recipe={"preset": "testbed", "batch_size": 16, "max_tokens": 96},
        measure={"answers": False, "max_tokens": 96}, language="zh",
    )  # fmt: skip
    result = study.run(path)
    n = result.pool.samples
    assert result.counts == {
        "samples": n, "cut": 2, "unlearnable": 1, "items": 6, "items_too_long": 1, "items_cut": 1,
    }  # fmt: skip
    notes = [words("zh").text(note) for note in study.plan(path).notes]
    assert "6 道评测题中有 1 道没有损失：提示词已占满 measure.max_tokens。" in notes
    assert f"数据池 {n} 条样本中有 2 条超过 recipe.max_tokens，已被截断。" in notes
    page = (tmp_path / "report" / "report.html").read_text()
    assert "6 道评测题中有 1 道没有损失" in page and f"{n} 条样本中有 2 条" in page


def test_a_study_that_learns_nothing_is_an_error(study_file: Callable[..., Path], tmp_path: Path) -> None:
    rows = [{"instruction": f"{i} " + "word " * 90, "output": "late"} for i in range(20)]
    jsonl(tmp_path / "pool.jsonl", rows)
    recipe = {"preset": "testbed", "batch_size": 8, "max_tokens": 32}
    path = study_file(pool="pool.jsonl", recipe=recipe, ladder={"rungs": [8], "seeds": 1})
    with pytest.raises(AssayError, match="no trainable token is left"):
        study.run(path)


@pytest.mark.parametrize(("rule", "direction"), [("bottom", -1), ("top", 1)])
def test_the_best_and_worst_by_a_score_leave_something_to_learn(
    rule: str, direction: int, study_file: Callable[..., Path], tmp_path: Path
) -> None:
    """The longest prompts fill the context: the bottom of a rule that likes short ones was no data at all."""
    full = [{"instruction": f"{i} " + "word " * 90, "output": "late"} for i in range(12)]
    room = [{"instruction": f"{i} " + "word " * (i % 9), "output": f"answer {i}"} for i in range(30)]
    jsonl(tmp_path / "pool.jsonl", full + room)
    short = {
        "name": "short", "predicts": "log loss", "direction": direction, "intercept": 0.0, "source": "test",
        "coefficients": {"len_in": 0.1},
    }  # fmt: skip
    (tmp_path / "short.json").write_text(json.dumps(short))
    result = study.run(
        study_file(
            pool="pool.jsonl", recipe={"preset": "testbed", "batch_size": 8, "max_tokens": 64},
            ladder={"rungs": [8], "seeds": 1}, measure={"answers": False, "text": False}, control=False,
            baselines=False, recipe_check=False, arms={"chosen": {"rule": rule, "by": "short.json"}},
        )
    )  # fmt: skip
    assert result.counts["unlearnable"] == 12
    overall = [point for point in result.points if (point.type, point.metric) == ("overall", "loss")]
    (own,) = [point for point in overall if point.arm == "chosen"]
    (none,) = [point for point in overall if point.n_train == 0]
    assert own.value != none.value, "something was learned"


def test_rows_with_something_to_learn_are_those_whose_mask_says_so(tmp_path: Path) -> None:
    tokenizer = model.load_tokenizer(model.resolve_base("pocket"))
    samples = [Sample.single("word " * n, "answer") for n in (1, 90, 3, 200)]
    model.write_tokens(tokenizer, samples, tmp_path, 64)
    table = model.TokenTable(tmp_path)
    own = [bool(table.row(row)[1][1:].any()) for row in range(len(table))]
    assert table.learnable().tolist() == own == [True, False, True, False]
