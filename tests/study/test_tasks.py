"""Tasks and benchmarks in a study: as its evaluation, or watched beside it; real harnesses where they are."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from assay import study
from assay.core import OVERALL, AssayError, StudyResult
from assay.study._config import parse_config
from assay.study.steps._abilities import HARNESSES, harness_failure

LM_EVAL, INSPECT = "ASSAY_LM_EVAL_PYTHON", "ASSAY_INSPECT_PYTHON"
TASK = """task: tiny
dataset_path: json
dataset_kwargs: {data_files: {test: tiny.jsonl}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{q}}"
doc_to_target: "{{gold}}"
doc_to_choice: "{{choices}}"
metric_list:
  - {metric: acc, aggregation: mean, higher_is_better: true}
"""
INSPECT_TASK = """
from inspect_ai import Task, task
from inspect_ai.dataset import Sample
from inspect_ai.scorer import includes
from inspect_ai.solver import generate

@task
def vowels():
    samples = [Sample(id=c, input=f"Say {c}", target=c) for c in "aeiou"]
    return Task(samples, solver=generate(), scorer=includes())
"""


def sets(folder: Path) -> Path:
    """Write a benchmark of choices and one of numbers."""
    held = folder / "held"
    held.mkdir()
    choices = [
        {"question": f"{n} and one more?", "A": n + 1, "B": n + 2, "C": n + 3, "answer": "A"}
        for n in range(9)
    ]
    numbers = [{"question": f"Twice {n}?", "answer": f"#### {2 * n}"} for n in range(5)]
    for name, rows in (("more", choices), ("twice", numbers)):
        (held / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (held / "tiny.jsonl").write_text(
        "".join(json.dumps({"q": f"{n}:", "choices": ["a", "b"], "gold": n % 2}) + "\n" for n in range(6))
    )
    (held / "tiny.yaml").write_text(TASK)
    return held


def config(folder: Path, **changes: Any) -> dict[str, Any]:
    few: dict[str, Any] = {"types": ["math"], "languages": ["en"]}
    return {
        "name": "tasks", "pool": {"testbed": {"samples": 60, **few}}, "control": False,
        "evaluation": {"testbed": {"samples": 6, "seed": 1, **few}}, "recipe_check": False,
        "ladder": {"rungs": [8, 16], "seeds": 1}, "recipe": {"preset": "testbed", "batch_size": 8},
        "measure": {"answers": False, "text": False}, **changes,
    }  # fmt: skip


def test_benchmarks_as_the_evaluation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each set is a type, overall is their mean, and what two models share of an item's error is known."""
    monkeypatch.chdir(tmp_path)
    sets(tmp_path)
    asked = {"sets": ["more", "twice"], "data": "held", "limit": 4, "max_new_tokens": 4}
    result = study.run(config(tmp_path, evaluation=asked), pool="inline")
    assert isinstance(result, StudyResult)
    points = {(p.type, p.n_train): p for p in result.points}
    assert {kind for kind, _ in points} == {OVERALL, "more", "twice"} and len(points) == 9
    assert all(p.metric == "score" and 0 <= p.value <= 1 for p in result.points)
    assert points["more", 8].n_eval == points["twice", 8].n_eval == 4
    both = [points[kind, 8].value for kind in ("more", "twice")]
    assert points[OVERALL, 8].value == pytest.approx(sum(both) / 2)
    assert result.abilities is None


def test_benchmarks_beside_the_evaluation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is watched has curves of its own, each item its own baseline, and never enters overall."""
    monkeypatch.chdir(tmp_path)
    sets(tmp_path)
    watched = {"sets": ["held/more.jsonl", "held/twice.jsonl"], "choices": "answers", "max_new_tokens": 4}
    measure = {"answers": False, "text": False, "abilities": watched}
    result = study.run(config(tmp_path, measure=measure), pool="inline")
    assert isinstance(result, StudyResult) and result.abilities is not None
    assert {p.type for p in result.points} == {"math"}
    assert {(s.text, s.n_train) for s in result.abilities.shifts} == {
        (name, n) for name in ("more", "twice") for n in (8, 16)
    }
    value = {(p.type, p.n_train): p.value for p in result.abilities.points}
    for shift in result.abilities.shifts:
        moved = value[shift.text, shift.n_train] - value[shift.text, 0]
        assert shift.rise == pytest.approx(moved) and shift.low <= shift.rise <= shift.high
    assert "Abilities" in Path("runs/tasks/report.md").read_text()


def test_what_is_asked_for_must_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (LM_EVAL, INSPECT):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(AssayError, match="wrong type"):
        parse_config(config(tmp_path, evaluation={"limit": 3}))
    with pytest.raises(AssayError, match="no such file"):
        study.plan(config(tmp_path, evaluation={"sets": ["nowhere"]}))
    with pytest.raises(AssayError, match="no such python"):
        study.plan(config(tmp_path, evaluation={"lm_eval": ["tiny"]}, where={"harness": "/nowhere/python"}))


@pytest.mark.parametrize(
    ("said", "offline", "hint"),
    [
        ("ConnectionError: Couldn't reach 'openai/gsm8k' on the Hub (LocalEntryNotFoundError)", False, "hub"),
        ("ConnectionError: Couldn't reach 'openai/gsm8k' on the Hub (OfflineModeIsEnabled)", True, "folder"),
        ("KeyError: \"Spec 'nosuch' is not a registered task/group/tag name\"", True, "its output"),
    ],
)
def test_a_harness_that_ends_badly_says_what_to_do(
    tmp_path: Path, said: str, offline: bool, hint: str
) -> None:
    """The words are those of lm-evaluation-harness 0.4.13 without a network."""
    log = tmp_path / "log.txt"
    log.write_text(f"Traceback (most recent call last):\n{said}\n", "utf-8")
    error = harness_failure(HARNESSES["lm_eval"], log, 1, offline=offline)
    assert said in error.problem and error.place == "evaluation.lm_eval"
    assert hint in str(error.hint).split(": ")[0] and str(log) in str(error.hint)


@pytest.mark.long
@pytest.mark.skipif(LM_EVAL not in os.environ, reason=f"{LM_EVAL} names no environment")
@pytest.mark.parametrize("adapter", ["none", "lora"])
def test_lm_evaluation_harness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, adapter: str) -> None:
    monkeypatch.chdir(tmp_path)
    sets(tmp_path)
    asked = {"lm_eval": ["tiny"], "data": "held", "limit": 5}
    recipe = {"preset": "testbed", "batch_size": 8, "adapter": adapter, "rank": 4}
    result = study.run(config(tmp_path, evaluation=asked, recipe=recipe), pool="inline")
    assert isinstance(result, StudyResult)
    assert {(p.type, p.n_eval) for p in result.points} == {("tiny", 5)}


@pytest.mark.long
@pytest.mark.skipif(INSPECT not in os.environ, reason=f"{INSPECT} names no environment")
def test_inspect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "task.py").write_text(INSPECT_TASK)
    asked = {"inspect": "task.py", "max_new_tokens": 4}
    result = study.run(config(tmp_path, evaluation=asked), pool="inline")
    assert isinstance(result, StudyResult)
    assert {(p.type, p.n_eval) for p in result.points} == {("vowels", 5)}
