"""Estimates where a user meets them: the verb, and the plan of a study."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest

import assay
from assay import study
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
