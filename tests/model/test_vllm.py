"""Answers by vLLM, as far as they go without it: what it is handed, what comes back, what is resumed."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from assay.core import AssayError, Message, Sample
from assay.model import (
    Decoding,
    answer,
    encode_prompts,
    load_model,
    load_tokenizer,
    stop_ids,
    vllm_answer,
    vllm_python,
)

ITEMS = [
    Sample(messages=(Message("user", text),), origin=f"q:{n}")
    for n, text in enumerate(["Name a colour of the sky.", "天空是什么颜色？", "2 + 3 = ?"])
]


def test_a_python_without_vllm_is_a_clear_error(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    with pytest.raises(AssayError, match=r"vLLM cannot be imported \(No module named 'vllm'\)") as caught:
        vllm_answer(sys.executable, tiny("qwen"), ITEMS, Decoding(8), tmp_path)
    assert caught.value.value == sys.executable


def test_vllm_is_handed_the_prompts_that_transformers_gets(
    tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = tiny("llama3")
    with pytest.raises(AssayError):
        vllm_answer(sys.executable, folder, ITEMS, Decoding(8), tmp_path)
    job = json.loads((tmp_path / "job.json").read_text())
    tokenizer = load_tokenizer(folder)
    assert [ids for _, ids, _ in job["prompts"]] == encode_prompts(tokenizer, [i.prompt for i in ITEMS])
    assert job["sampling"] == {"temperature": 0.0, "top_p": 1.0, "stop_token_ids": stop_ids(tokenizer)}
    assert job["model"] == str(folder) and job["seed"] is None
    assert all(len(ids) + most <= job["length"] for _, ids, most in job["prompts"])


def test_finished_answers_are_not_asked_for_again(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    """The ids that transformers generates, as the worker writes them, come back as the same answers."""
    folder, decoding = tiny("bloom"), Decoding(12)
    network, tokenizer = load_model(folder), load_tokenizer(folder)
    expected = answer(network, tokenizer, ITEMS, decoding)
    from assay.model.inference._evaluate import _generate

    stops = stop_ids(tokenizer)
    prompts = encode_prompts(tokenizer, [item.prompt for item in ITEMS])
    lines = [
        json.dumps({"number": n, "ids": _generate(network, stops, [ids], decoding, 0)[0]})
        for n, ids in enumerate(prompts)
    ]
    answers = tmp_path / "answers.jsonl"
    answers.write_text("\n".join([*lines[:2], lines[2][:9]]), encoding="utf-8")
    with pytest.raises(AssayError, match="cannot be imported"):
        vllm_answer(sys.executable, folder, ITEMS, decoding, tmp_path)
    job = json.loads((tmp_path / "job.json").read_text())
    assert [number for number, _, _ in job["prompts"]] == [2]
    with answers.open("a", encoding="utf-8") as file:  # as the worker goes on after the cut line
        file.write(lines[2] + "\n")
    assert vllm_answer(sys.executable, folder, ITEMS, decoding, tmp_path) == expected


def test_an_adapter_is_merged_first(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model

    base, adapter = tiny("llama"), tmp_path / "adapter"
    config = LoraConfig(task_type="CAUSAL_LM", target_modules="all-linear", init_lora_weights=False)
    get_peft_model(load_model(base), config).save_pretrained(adapter)
    load_tokenizer(base).save_pretrained(adapter)
    with pytest.raises(AssayError, match="cannot be imported"):
        vllm_answer(sys.executable, adapter, ITEMS, Decoding(8), tmp_path / "scratch", base=base)
    job = json.loads((tmp_path / "scratch" / "job.json").read_text())
    assert job["model"].endswith("merged") and (Path(job["model"]) / "model.safetensors").exists()


def test_where_vllm_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ASSAY_VLLM_PYTHON", raising=False)
    assert vllm_python(None) is None and vllm_python(sys.executable) == sys.executable
    monkeypatch.setenv("ASSAY_VLLM_PYTHON", "/nowhere/python")
    with pytest.raises(AssayError, match="no such python") as caught:
        vllm_python(None)
    assert caught.value.place == "ASSAY_VLLM_PYTHON"
