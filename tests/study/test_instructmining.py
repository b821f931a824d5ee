"""The published study from files in the layouts of its sources, with texts of our own."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForSeq2SeqLM, AutoModelForSequenceClassification, DebertaV2Config, T5Config

import assay
from assay import data, study
from assay.core import Sample
from assay.model import load_tokenizer, resolve_base

RECIPE = Path(__file__).resolve().parents[2] / "recipes/studies/instructmining.yaml"
SUBJECTS = ("tea", "bread", "rivers", "bridges", "maps", "clocks", "glass", "wool")


def lines(path: Path, rows: Iterable[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def answer(subject: str, n: int) -> str:
    return (
        f"First take {n} parts of {subject}. "
        + f"Then wait {n} minutes and look at the {subject} again. " * 3
    )


def alpaca(folder: Path, n: int) -> str:
    rows = (
        {"instruction": f"Describe {s} in {i} steps.", "input": "", "output": answer(s, i)}
        for i in range(n)
        for s in SUBJECTS
    )
    return lines(folder / "alpaca.jsonl", rows)


def open_assistant(folder: Path, n: int) -> str:
    """Trees of messages, the replies ranked."""

    def tree(i: int, subject: str) -> dict[str, Any]:
        replies = [
            {
                "message_id": f"r{i}{subject}{k}",
                "role": "assistant",
                "lang": "en",
                "rank": k,
                "replies": [],
                "text": f"Reply {k}: {answer(subject, i + k)}",
            }
            for k in range(2)
        ]
        prompt = {
            "message_id": f"p{i}{subject}",
            "role": "prompter",
            "lang": "en",
            "replies": replies,
            "text": f"Could you tell me about {subject}, number {i}?",
        }
        return {"message_tree_id": f"p{i}{subject}", "tree_state": "ready_for_export", "prompt": prompt}

    return lines(folder / "oasst.jsonl", (tree(i, s) for i in range(n) for s in SUBJECTS))


def stack_exchange(folder: Path, n: int) -> str:
    """Questions with scored answers."""

    def row(i: int, subject: str) -> dict[str, Any]:
        answers = [
            {"answer_id": k, "author": "a", "pm_score": k, "selected": k == 1, "text": answer(subject, i + k)}
            for k in range(2)
        ]
        return {"qid": i, "question": f"Why do {subject} behave so at {i} degrees?", "answers": answers}

    return lines(folder / "stack.jsonl", (row(i, s) for i in range(n) for s in SUBJECTS))


def wikihow(folder: Path, n: int) -> str:
    path = folder / "wikihow.csv"
    with path.open("w", newline="") as file:
        written = csv.DictWriter(file, ["headline", "title", "text"])
        written.writeheader()
        for i in range(n):
            written.writerows(
                {"headline": f"Use {s}.", "title": f"How to Use {s.title()} {i}", "text": answer(s, i)}
                for s in SUBJECTS
            )
    return str(path)


def open_orca(folder: Path, n: int) -> str:
    rows = (
        {
            "id": f"cot.{i}",
            "system_prompt": "You are a helper.",
            "question": f"What of {s} and {i}?",
            "response": answer(s, i),
        }
        for i in range(n)
        for s in SUBJECTS
    )
    return lines(folder / "orca.jsonl", rows)


def dolly(folder: Path, n: int) -> str:
    rows = (
        {
            "instruction": f"List facts {i} about {s}.",
            "context": f"{s} are old.",
            "response": answer(s, i),
            "category": "closed_qa",
        }
        for i in range(n)
        for s in SUBJECTS
    )
    return lines(folder / "dolly.jsonl", rows)


SOURCES = {
    "alpaca": alpaca,
    "openassistant": open_assistant,
    "stackexchange": stack_exchange,
    "wikihow": wikihow,
}
POOLS = {"openorca": open_orca, "dolly": dolly}
LAYOUTS = {"ranked-answers", "oasst-tree", "wikihow", "openorca"}

needs_layouts = pytest.mark.skipif(
    not {schema.name for schema in data.SCHEMAS} >= LAYOUTS if hasattr(data, "SCHEMAS") else True,
    reason="this version reads neither OpenAssistant's trees nor ranked answers, wikiHow and OpenOrca",
)


@needs_layouts
@pytest.mark.parametrize("name", [*SOURCES, *POOLS])
def test_every_row_of_a_published_layout_is_a_sample(name: str, tmp_path: Path) -> None:
    rows = list(data.read({**SOURCES, **POOLS}[name](tmp_path, 3)))
    assert all(isinstance(row, Sample) and row.answer for row in rows) and len(rows) >= 3 * len(SUBJECTS)


def evaluation(folder: Path, name: str, subject: str) -> str:
    """User-oriented instructions as self-instruct publishes them."""
    rows = (
        {
            "id": f"user_oriented_task_{i}",
            "motivation_app": "none",
            "instruction": f"Help {i} with {subject}.",
            "instances": [{"input": "", "output": answer(subject, i)}],
        }
        for i in range(8)
    )
    return lines(folder / f"{name}.jsonl", rows)


def critics(folder: Path) -> tuple[str, str]:
    """A reward model and a T5 of random weights, of the published critics' architectures."""
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"vocab_size": 4096, "pad_token_id": 0}
    small = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4}
    reward = AutoModelForSequenceClassification.from_config(DebertaV2Config(**sizes, **small, num_labels=1))
    config = T5Config(
        **sizes, d_model=32, d_kv=8, d_ff=64, num_layers=1, num_heads=4, decoder_start_token_id=0
    )
    for name, network in (("reward", reward), ("dialog", AutoModelForSeq2SeqLM.from_config(config))):
        network.save_pretrained(folder / name)
        load_tokenizer(resolve_base("pocket")).save_pretrained(folder / name)
    return str(folder / "reward"), str(folder / "dialog")


@pytest.mark.long
@needs_layouts
def test_the_published_study_runs_from_files_to_the_last_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything as the recipe has it but for sizes, base and critics; its 129 subsets are designed."""
    monkeypatch.chdir(tmp_path)
    pool = [make(tmp_path, 12) for make in SOURCES.values()]
    sets = [evaluation(tmp_path, *one) for one in (("main", "lamps"), ("fit", "ropes"), ("search", "wheels"))]
    reward, dialog = critics(tmp_path)
    changed = {
        "base": "pocket",
        "pool": pool,
        "evaluation": sets[0],
        "rule.evaluation": sets[1],
        "search.evaluation": sets[2],
        "ladder.rungs": [32],
        "ladder.seeds": 1,
        "recipe.preset": "pocket",
        "models.reward": reward,
        "models.dialog": dialog,
        "models.other_models": True,
        "models.embedder": "lexical",
        "rule.n": 16,
        "rule.trial": [16],
        "search.low": 8,
        "search.high": 32,
        "search.runs": 3,
        "search.full": False,
        "baselines": False,
        "measure.text": False,
        "recipe.epochs": 1,
        "where.pool": "inline",
    }
    config = study.load(RECIPE, [f"{key}={json.dumps(value)}" for key, value in changed.items()])
    plan = study.plan(config)
    assert any("Rule instructmining-v2: applied with reward" in str(note) for note in plan.notes)
    made = assay.rule.design(config)
    assert made.way == "mixtures" and made.runs == 129 and len(made.power) == 9
    assert all(power.spread > 0 for power in made.power), "sources differ in every indicator"

    fewer = replace(config, rule=replace(config.rule, runs=14))  # type: ignore[arg-type, type-var]
    found = assay.study.whole(fewer)
    assert found.rule is not None and found.search is not None
    slopes = {slope.name: slope for slope in found.rule.fitted.slopes}
    assert len(slopes) == 9 and all(0 <= slope.p <= 1 for slope in slopes.values())
    assert {c.a for c in found.rule.comparisons} == {"top", "top-matched", "bottom"}
    assert {row.name for row in found.study.arms} == {"base", "random", "selected"}
    assert found.search.found[0].method == "blendsearch" and 8 <= found.search.choice.size <= 32
    text = Path(found.page).read_text()
    assert "applied with reward" in text and found.rule.verdict in text
