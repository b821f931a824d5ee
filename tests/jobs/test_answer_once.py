"""Answers of one model through the steps of a study: weights, items and runtime are identity."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from test_train_once import rows, write

import assay
from assay import model
from assay.core import AssayError
from assay.plan import Store


def answer(folder: Path | str, place: Path, out: Path, store: Path, tokens: int = 4) -> assay.Answered:
    return assay.answer(str(folder), str(place), out, max_new_tokens=tokens, store=store)


def objects(store: Path) -> set[str]:
    return set(Store(store, create=False).completed())


@pytest.fixture
def pocket(tmp_path: Path) -> Path:
    """A copy of the pocket model, to be changed."""
    return shutil.copytree(model.resolve_base("pocket"), tmp_path / "pocket")


def test_weights_and_items_decide_whether_it_answers_again(tmp_path: Path, pocket: Path) -> None:
    place, out, store = write(tmp_path / "items.jsonl", rows(6)), tmp_path / "a.jsonl", tmp_path / "store"
    first = answer(pocket, place, out, store)
    written, known = out.read_bytes(), objects(store)
    assert answer(pocket, place, out, store) == first and out.read_bytes() == written
    assert objects(store) == known, "nothing is done twice"
    moved = shutil.copytree(pocket, tmp_path / "elsewhere")
    answer(moved, place, out, store)
    assert objects(store) == known, "where a model lies does not matter"
    raw = bytearray((pocket / "model.safetensors").read_bytes())
    raw[-2000:] = bytes(2000)
    (pocket / "model.safetensors").write_bytes(raw)
    other = answer(pocket, place, out, store)
    assert other.loss != first.loss and len(objects(store)) == len(known) + 2, "answered and judged anew"
    changed = rows(6)
    changed[0]["output"] = "blue"
    write(place, changed)
    answer(pocket, place, out, store)
    assert len(objects(store)) == len(known) + 5, "and read anew"
    assert len(out.read_text().splitlines()) == 6


def test_every_item_is_answered_or_named(tmp_path: Path) -> None:
    asked = [*rows(3), {"instruction": "word " * 1200, "output": "x"}]
    asked.append({"instruction": "Say it all.", "output": "and so on " * 500})
    items: list[Any] = [{"question": row["instruction"], "std_answer": row["output"]} for row in asked]
    items += [items[0], "{broken", {"question": "And without a reference?", "std_answer": ""}]
    place, out = write(tmp_path / "items.jsonl", items), tmp_path / "a.jsonl"
    found = answer("pocket", place, out, tmp_path / "store")
    assert found.items == 6 == len(out.read_text().splitlines())
    assert {name: found.counts[name] for name in ("rejected", "duplicates", "without_reference")} == {
        "rejected": 1, "duplicates": 1, "without_reference": 1,
    }  # fmt: skip
    assert (found.counts["too_long"], found.counts["cut"]) == (1, 1)
    (row,) = (tmp_path / "a.jsonl.rejected.jsonl").read_text().splitlines()
    assert json.loads(row)["line"] == 7
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert sum(line["nats"] is None for line in lines) == 2, "a missing loss is none, never nought"
    assert found.counts["unended"] == sum(not line["ended"] for line in lines)


def test_an_answer_never_overwrites_what_is_not_its_own(tmp_path: Path) -> None:
    place, store = write(tmp_path / "items.jsonl", rows(2)), tmp_path / "store"
    before = place.read_bytes()
    with pytest.raises(AssayError, match="is an input"):
        answer("pocket", place, place, store)
    (tmp_path / "mine.jsonl").write_text("mine")
    with pytest.raises(AssayError, match="not written"):
        answer("pocket", place, tmp_path / "mine.jsonl", store)
    assert place.read_bytes() == before and not store.exists(), "told before any work"


def test_vllm_is_asked_where_it_is_named_and_its_absence_is_said(tmp_path: Path) -> None:
    """Losses are computed first, by transformers; the answers are then a job of vLLM's own python."""
    place, store = write(tmp_path / "items.jsonl", rows(2)), tmp_path / "store"
    with pytest.raises(AssayError, match="vLLM cannot be imported"):
        assay.answer(
            "pocket", str(place), tmp_path / "a.jsonl", max_new_tokens=4, temperature=0.0, seed=0,
            vllm=sys.executable, store=store,
        )  # fmt: skip
    (job,) = store.glob("work/*/scratch/vllm/job.json")
    asked = json.loads(job.read_text())
    assert len(asked["prompts"]) == 2 and asked["dtype"] == "bfloat16"
    assert not (tmp_path / "a.jsonl").exists()


def test_a_gguf_file_without_its_tokenizer_is_refused(tmp_path: Path) -> None:
    place = write(tmp_path / "items.jsonl", rows(2))
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    with pytest.raises(AssayError, match="without its tokenizer"):
        answer(tmp_path / "m.gguf", place, tmp_path / "a.jsonl", tmp_path / "store")
