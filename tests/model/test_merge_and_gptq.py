"""Merged folders and GPTQ: every family reloads elsewhere, renders the same prompts, and loses little."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from assay.core import AssayError, Message, Sample
from assay.data import synthetic
from assay.model import (
    Decoding,
    answer,
    load_exported,
    load_model,
    load_tokenizer,
    merge,
    open_chat,
    quantize_gptq,
    quantize_gptqmodel,
    reference_loss,
    render,
    stop_ids,
)
from assay.model.export._gptq import GPTQMODEL_PYTHON, group_size
from tiny_models import FAMILIES

Tiny = Callable[..., Path]
TALK = (Message("user", "你好, what is 2+2?"), Message("assistant", "4，四。"), Message("user", "So?"))


@pytest.fixture(scope="module")
def items() -> list[Sample]:
    return [planted.sample for planted in synthetic.generate(16, seed=1, split="eval")]


@pytest.fixture(scope="module")
def calibration() -> list[Sample]:
    return [planted.sample for planted in synthetic.generate(24, seed=0)]


def loss(network: Any, folder: Path, items: list[Sample]) -> float:
    found = [row for row in reference_loss(network, load_tokenizer(folder), items) if row is not None]
    return sum(row.nats for row in found) / sum(row.tokens for row in found)


def as_others(tokenizer: Any) -> str:
    """What other tools render: the template in the folder, called as transformers' documentation says."""
    turns = [{"role": message.role, "content": message.content} for message in TALK]
    text: str = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    return text


@pytest.mark.parametrize("family", FAMILIES)
def test_a_merged_folder_is_the_model(family: str, tiny: Tiny, tmp_path: Path, items: list[Sample]) -> None:
    folder = tiny(family)
    merge(folder, tmp_path / "whole", dtype="fp32", shard="100KB")
    before = loss(load_model(folder), folder, items)
    assert loss(load_exported(tmp_path / "whole"), tmp_path / "whole", items) == pytest.approx(
        before, abs=1e-6
    )
    assert len(list((tmp_path / "whole").glob("*.safetensors"))) > 1, "shards by size"
    own, written = load_tokenizer(folder), load_tokenizer(tmp_path / "whole")
    assert as_others(written) == render(own, TALK, generation_prompt=True)
    marks = json.loads((tmp_path / "whole" / "generation_config.json").read_text())["eos_token_id"]
    assert (marks if isinstance(marks, list) else [marks]) == stop_ids(own)


def test_weights_are_rounded_to_the_type_asked_for(tiny: Tiny, tmp_path: Path, items: list[Sample]) -> None:
    folder = tiny("llama")
    for dtype, kind in (("bf16", torch.bfloat16), ("fp16", torch.float16)):
        merge(folder, tmp_path / dtype, dtype=dtype)  # type: ignore[arg-type]
        network = load_exported(tmp_path / dtype)
        assert {p.dtype for p in network.parameters()} == {kind}
        assert loss(network, folder, items) == pytest.approx(
            loss(load_model(folder), folder, items), abs=0.02
        )


def test_a_weight_that_fp16_cannot_hold_is_named(tiny: Tiny, tmp_path: Path) -> None:
    network = load_model(tiny("llama"))
    with torch.no_grad():
        network.model.norm.weight[0] = 1e5
    network.save_pretrained(tmp_path / "loud")
    load_tokenizer(tiny("llama")).save_pretrained(tmp_path / "loud")
    with pytest.raises(AssayError, match="outside the range of fp16") as error:
        merge(tmp_path / "loud", tmp_path / "out", dtype="fp16")
    assert error.value.value == "model.norm.weight"


@pytest.mark.parametrize(
    ("family", "dora"), [*((family, False) for family in FAMILIES), ("llama", True), ("bloom", True)]
)
def test_a_merged_adapter_loses_nothing(
    family: str, dora: bool, tiny: Tiny, tmp_path: Path, items: list[Sample]
) -> None:
    from peft import LoraConfig, get_peft_model

    base = tiny(family)
    config = LoraConfig(task_type="CAUSAL_LM", r=4, target_modules="all-linear", use_dora=dora)
    torch.manual_seed(1)
    network = get_peft_model(load_model(base), config)
    for name, weight in network.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.3)
    network.save_pretrained(tmp_path / "adapter")
    load_tokenizer(base).save_pretrained(tmp_path / "adapter")
    before, without = loss(network, base, items), loss(load_model(base), base, items)
    merge(tmp_path / "adapter", tmp_path / "out", base=base, dtype="fp32")
    after = loss(load_exported(tmp_path / "out"), tmp_path / "out", items)
    moved = abs(before - without)
    assert abs(after - before) <= 0.005 * moved, "merging costs next to nothing of what the adapter does"


@pytest.mark.parametrize(("family", "bits"), [(f, bits) for f in FAMILIES for bits in (4, 8)])
def test_gptq_reloads_and_stays_near(
    family: str, bits: Any, tiny: Tiny, tmp_path: Path, items: list[Sample], calibration: list[Sample]
) -> None:
    folder, seen = tiny(family), []
    made = quantize_gptq(folder, tmp_path / "q", bits, calibration, advance=lambda *row: seen.append(row))
    assert (made.bits, made.group, made.samples) == (bits, 64, 24) and made.tokens > 24
    assert seen[-1] == (made.layers, made.layers, "layer")
    config = json.loads((tmp_path / "q" / "config.json").read_text())["quantization_config"]
    (weights,) = [group["weights"] for group in config["config_groups"].values()]
    assert (weights["num_bits"], weights["group_size"]) == (bits, 64)
    assert set(made.kept) <= set(config["ignore"])
    network, tokenizer = load_exported(tmp_path / "q"), load_tokenizer(tmp_path / "q")
    before = loss(load_model(folder), folder, items)
    assert loss(network, tmp_path / "q", items) == pytest.approx(before, abs=0.02 if bits == 8 else 0.1)
    answers = answer(network, tokenizer, items[:4], Decoding(max_new_tokens=4))
    assert len(answers) == 4 and all(row.tokens for row in answers)
    chat = open_chat(tmp_path / "q")
    pieces = list(chat.stream(chat.prompt(items[0].prompt, 4), Decoding(max_new_tokens=4)))
    assert pieces[-1].ended and pieces[-1].tokens <= 4
    whole, small = (sum(p.stat().st_size for p in f.glob("*.safetensors")) for f in (folder, tmp_path / "q"))
    assert small < whole / 2
    assert as_others(tokenizer) == render(load_tokenizer(folder), TALK, generation_prompt=True)


def test_gptq_is_better_than_rounding(
    tiny: Tiny, tmp_path: Path, items: list[Sample], calibration: list[Sample]
) -> None:
    """Against plain rounding to the same grid, outputs of a layer on real inputs change less."""
    folder = tiny("llama")
    quantize_gptq(folder, tmp_path / "q", 4, calibration)
    whole, quantized = load_model(folder), load_exported(tmp_path / "q")
    seen: list[torch.Tensor] = []
    layer = whole.model.layers[0].mlp.down_proj
    layer.register_forward_hook(lambda module, given, made: seen.append(given[0].flatten(0, -2)))
    loss(whole, folder, calibration)
    inputs, weight = torch.cat(seen), layer.weight
    groups = weight.detach().reshape(len(weight), -1, 64)
    scale = groups.abs().amax(-1, keepdim=True) / 7.5
    rounded = ((groups / scale).round().clamp(-8, 7) * scale).reshape(weight.shape)
    by_gptq = quantized.model.layers[0].mlp.down_proj.weight.float()

    def error(other: torch.Tensor) -> float:
        return float(((inputs @ (other - weight).T) ** 2).sum())

    assert error(by_gptq) < error(rounded)


def test_a_group_divides_every_row() -> None:
    assert group_size([4096, 11008]) == 128
    assert group_size([128, 352]) == 32
    assert group_size([64]) == 64
    assert group_size([100, 200]) == -1, "a scale a row"


def test_what_is_missing_is_named(
    tiny: Tiny, tmp_path: Path, calibration: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(AssayError, match="no sample to calibrate"):
        quantize_gptq(tiny("llama"), tmp_path / "q", 4, [])
    monkeypatch.delenv(GPTQMODEL_PYTHON, raising=False)
    with pytest.raises(AssayError, match=GPTQMODEL_PYTHON):
        quantize_gptqmodel(tiny("llama"), tmp_path / "q", 4, calibration)
    monkeypatch.setenv(GPTQMODEL_PYTHON, sys.executable)
    with pytest.raises(AssayError, match="gptqmodel failed") as error:
        quantize_gptqmodel(tiny("llama"), tmp_path / "q", 4, calibration)
    assert "gptqmodel" in str(error.value.value)
    monkeypatch.setitem(sys.modules, "llmcompressor", None)
    with pytest.raises(AssayError, match=r"instruct-assay\[quantize\]"):
        quantize_gptq(tiny("llama"), tmp_path / "q", 4, calibration)
