"""Estimates where a user meets them: the verb, and the plan of a study."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest

import assay
from assay import model, study
from assay.core import AssayError
from assay.view import said, value_markdown

BLOOM = {"model_type": "bloom", "hidden_size": 4096, "n_layer": 30, "n_head": 32, "vocab_size": 250880}


@pytest.fixture
def bloom(tmp_path: Path) -> str:
    (tmp_path / "config.json").write_text(json.dumps(BLOOM), encoding="utf-8")
    return str(tmp_path)


def test_the_verb_needs_a_configuration_alone(bloom: str) -> None:
    found = assay.estimate(bloom, set=["dtype=bf16"], samples=2_000_000, devices=8, memory=80)
    assert found.fits and found.device == "a100-80" and found.devices == 8
    assert said(found.said()).startswith("7.1B full, 8×80 GB fsdp: fits (")
    smaller = assay.estimate(bloom, set=["dtype=bf16", "adapter=qlora"], gpu="4090")
    assert smaller.method == "QLoRA" and smaller.needs.trained < 0.01 * smaller.needs.parameters


def test_without_a_device_it_is_the_smallest_that_fits(bloom: str) -> None:
    found = assay.estimate(bloom, set=["dtype=bf16", "adapter=lora", "gradient_checkpointing=true"])
    assert found.fits and found.devices == 1
    less = assay.estimate(bloom, set=["dtype=bf16", "adapter=lora"], memory=(found.memory or 0) / 2)
    assert not less.fits and less.change is not None


def test_what_cannot_be_estimated_says_why(bloom: str) -> None:
    with pytest.raises(AssayError, match="no such device"):
        assay.estimate(bloom, gpu="a101")
    with pytest.raises(AssayError) as caught:
        assay.estimate(bloom, set=["adaptor=lora"])
    assert caught.value.hint == "did you mean `adapter`?"


def test_a_plan_says_what_the_largest_run_takes(tmp_path: Path) -> None:
    config = study.read_config(Path(str(files("assay.study") / "demo.yaml")))
    where = replace(config.where, device="cpu", store=str(tmp_path))
    found = study.plan(replace(config, where=where))
    (largest,) = found.largest
    assert said(largest.said()).startswith("1.3M full, cpu: ") and said(largest.said()).endswith("min")
    assert not found.pool_read and "Largest run: 1.3M full" in value_markdown(found)


def test_a_plan_counts_the_judges_calls_from_the_items(
    study_file: Callable[..., Path], tmp_path: Path
) -> None:
    items = [{"instruction": f"Say {n} in words.", "output": "words", "type": "open_qa"} for n in range(37)]
    (tmp_path / "eval.jsonl").write_text("".join(json.dumps(row) + "\n" for row in items))
    path = study_file(
        evaluation="eval.jsonl", judge={"model": "openai/gpt-4o-mini", "repeats": 2, "max_tokens": 100}
    )
    plan = study.plan(path).plan
    (judge,) = (row for row in plan.rows if row.name == "judge")
    models = judge.to_do
    assert models == 7 and judge.seconds == pytest.approx(models * 37 * 2 / 10)
    least = models * 37 * 2 * 100
    assert judge.tokens is not None and least < judge.tokens < 8 * least
    assert 0.6 * least / 1e6 < judge.money["USD"] < 0.6 * judge.tokens / 1e6
    assert plan.forecast.money == judge.money and "USD" in value_markdown(study.plan(path))
    unpriced = study.plan(path, set=["judge.model=openai/nobody-knows"])
    assert unpriced.plan.forecast.unpriced == models and "price unknown" in value_markdown(unpriced)


def test_weights_are_counted_whatever_type_they_are_stored_in(tmp_path: Path) -> None:
    pocket = model.resolve_base("pocket")
    counted = model.count_weights(pocket)
    shape = model.read_shape(pocket)
    assert counted is not None and counted[0] == shape.parameters
    (tmp_path / "pytorch_model.bin").write_bytes(bytes(600))
    for config, weights in (({"torch_dtype": "float16"}, 300), ({"dtype": "bfloat16"}, 300), ({}, 150)):
        (tmp_path / "config.json").write_text(json.dumps(config))
        assert model.count_weights(tmp_path) == (weights, 600)
    (tmp_path / "pytorch_model.bin").unlink()
    (tmp_path / "model.safetensors").write_bytes(b"\x05\x00\x00\x00\x00\x00\x00\x00not{}")
    assert model.count_weights(tmp_path) is None


def test_a_plan_prices_the_hours_and_says_what_shares_a_training(study_file: Callable[..., Path]) -> None:
    path = study_file(where={"price_per_hour": 3.0, "currency": "EUR", "launch": {"processes": 2}})
    found = study.plan(path)
    assert found.plan.forecast.money["EUR"] == pytest.approx(found.plan.forecast.wall / 1200)
    (largest,) = found.largest
    assert "2×" in said(largest.said()) and "fsdp" in said(largest.said())
    with pytest.raises(AssayError, match="cannot parse the cap"):
        study.plan(study_file(where={"cap": "plenty"}))
