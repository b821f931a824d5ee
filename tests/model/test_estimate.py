"""Estimates against transformers' own models: exact numbers of weights, and torch's count of memory."""

from __future__ import annotations

import json
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from assay.core import AssayError
from assay.model import (
    DEVICES,
    Launch,
    Recipe,
    estimate_training,
    read_shape,
    smallest_machine,
    training_memory,
)
from assay.view import said

ROOT = Path(__file__).resolve().parents[2]


def llama(
    width: int, layers: int, heads: int, inner: int, vocabulary: int = 32000, **more: Any
) -> dict[str, Any]:
    return {
        "model_type": "llama", "hidden_size": width, "num_hidden_layers": layers,
        "num_attention_heads": heads, "intermediate_size": inner, "vocab_size": vocabulary,
        "tie_word_embeddings": False, **more,
    }  # fmt: skip


REAL: dict[str, tuple[dict[str, Any], int | None]] = {
    # As the models' own pages and papers count them; None where no source gives the number to the weight.
    "Llama-2-7B": (llama(4096, 32, 32, 11008), 6_738_415_616),
    "Llama-2-13B": (llama(5120, 40, 40, 13824), 13_015_864_320),
    "Llama-2-70B": (llama(8192, 80, 64, 28672, num_key_value_heads=8), 68_976_648_192),
    "Llama-3-8B": (llama(4096, 32, 32, 14336, 128256, num_key_value_heads=8), 8_030_261_248),
    "Llama-3.2-1B": (
        llama(2048, 16, 32, 8192, 128256, num_key_value_heads=8, head_dim=64, tie_word_embeddings=True),
        1_235_814_400,
    ),
    "BLOOM-560m": ({"model_type": "bloom", "hidden_size": 1024, "n_layer": 24, "n_head": 16,
                    "vocab_size": 250880}, 559_214_592),
    "BLOOM-7b1": ({"model_type": "bloom", "hidden_size": 4096, "n_layer": 30, "n_head": 32,
                   "vocab_size": 250880}, 7_069_016_064),
    "BLOOM": ({"model_type": "bloom", "n_embed": 14336, "n_layer": 70, "num_attention_heads": 112,
               "vocab_size": 250880}, 176_247_271_424),
    "Qwen2-7B": ({**llama(3584, 28, 28, 18944, 152064, num_key_value_heads=4), "model_type": "qwen2"},
                 7_615_616_512),
    "Qwen3-8B": ({**llama(4096, 36, 32, 12288, 151936, num_key_value_heads=8, head_dim=128),
                  "model_type": "qwen3"}, 8_190_735_360),
    "Mistral-7B": ({**llama(4096, 32, 32, 14336, num_key_value_heads=8), "model_type": "mistral"},
                   7_241_732_096),
    "Pythia-6.9B": ({**llama(4096, 32, 32, 16384, 50432), "model_type": "gpt_neox"}, 6_857_302_016),
    "Gemma-2B": ({"model_type": "gemma", "hidden_size": 2048, "num_hidden_layers": 18,
                  "num_attention_heads": 8, "num_key_value_heads": 1, "head_dim": 256,
                  "intermediate_size": 16384, "vocab_size": 256000}, 2_506_172_416),
    "Gemma-2-9B": ({"model_type": "gemma2", "hidden_size": 3584, "num_hidden_layers": 42,
                    "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 256,
                    "intermediate_size": 14336, "vocab_size": 256000}, 9_241_705_984),
    "Gemma-3-1B": ({"model_type": "gemma3_text", "hidden_size": 1152, "num_hidden_layers": 26,
                    "num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 256,
                    "intermediate_size": 6912, "vocab_size": 262144}, 999_885_952),
    "Mixtral-8x7B": ({**llama(4096, 32, 32, 14336, num_key_value_heads=8), "model_type": "mixtral",
                      "num_local_experts": 8, "num_experts_per_tok": 2}, 46_702_792_704),
    "Qwen3-30B-A3B": ({**llama(2048, 48, 32, 6144, 151936, num_key_value_heads=4, head_dim=128),
                       "model_type": "qwen3_moe", "moe_intermediate_size": 768, "num_experts": 128,
                       "num_experts_per_tok": 8}, 30_532_122_624),
    "gpt-oss-20b": ({**llama(2880, 24, 64, 2880, 201088, num_key_value_heads=8, head_dim=64),
                     "model_type": "gpt_oss", "num_local_experts": 32, "num_experts_per_tok": 4},
                    20_914_757_184),
    "Phi-2": ({**llama(2560, 32, 32, 10240, 51200), "model_type": "phi"}, 2_779_683_840),
    "Phi-3-mini": ({**llama(3072, 32, 32, 8192, 32064), "model_type": "phi3", "pad_token_id": 0},
                   3_821_079_552),
    "Phi-4": ({**llama(5120, 40, 40, 17920, 100352, num_key_value_heads=10), "model_type": "phi3",
               "pad_token_id": 0}, 14_659_507_200),
    "OLMo-2-7B": ({**llama(4096, 32, 32, 11008, 100352), "model_type": "olmo2"}, 7_298_617_344),
    "GPT-2": ({"model_type": "gpt2", "vocab_size": 50257, "n_embd": 768, "n_layer": 12, "n_head": 12},
              124_439_808),
    "GPT-2 XL": ({"model_type": "gpt2", "vocab_size": 50257, "n_embd": 1600, "n_layer": 48, "n_head": 25},
                 1_557_611_200),
    "with biases": (llama(64, 2, 4, 96, 500, attention_bias=True, mlp_bias=True), None),
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "active"), [("Mixtral-8x7B", 12.9), ("Qwen3-30B-A3B", 3.3), ("gpt-oss-20b", 3.6)]
)
def test_a_token_passes_the_experts_that_are_chosen(name: str, active: float, tmp_path: Path) -> None:
    """As the models' own pages count active weights, in billions; gpt-oss's leaves the embedding out."""
    shape = read_shape(folder(tmp_path, REAL[name][0]))
    counted = shape.multiplied + (0 if name == "gpt-oss-20b" else shape.table)
    assert counted / 1e9 == pytest.approx(active, abs=0.06)


def test_blocks_of_two_kinds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(AssayError, match="only some blocks have experts"):
        read_shape(folder(tmp_path, {**REAL["Qwen3-30B-A3B"][0], "mlp_only_layers": [0]}))


def folder(tmp_path: Path, config: dict[str, Any]) -> Path:
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("name", REAL)
def test_weights_are_counted_exactly(name: str, tmp_path: Path) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.pytorch_utils import Conv1D

    config, published = REAL[name]
    shape = read_shape(folder(tmp_path, config))
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(tmp_path))
    linears = [m for m in model.modules() if type(m) in (torch.nn.Linear, Conv1D)]
    assert shape.parameters == sum(p.numel() for p in model.parameters())
    assert published is None or shape.parameters == published
    blocks = sum(p.numel() for m in linears if m is not model.get_output_embeddings() for p in m.parameters())
    assert shape.linear_parameters == blocks


@pytest.mark.parametrize("family", ["llama", "llama3", "bloom", "qwen", "mistral", "neox", "gemma"])
def test_checkpoints_as_transformers_saves_them(family: str, tiny: Callable[[str], Path]) -> None:
    from safetensors import safe_open

    place = tiny(family)
    with safe_open(place / "model.safetensors", "pt") as weights:
        held = sum(weights.get_tensor(name).numel() for name in weights.keys())  # noqa: SIM118
    assert read_shape(place).parameters == held


def test_an_unknown_family_is_named(tmp_path: Path) -> None:
    with pytest.raises(AssayError, match="no estimate for models of this type") as caught:
        read_shape(folder(tmp_path, {"model_type": "mamba", "hidden_size": 8}))
    assert caught.value.value == "mamba" and "bloom" in str(caught.value.expected)
    with pytest.raises(AssayError, match="not a size") as caught:
        read_shape(folder(tmp_path, {**llama(64, 2, 4, 96), "intermediate_size": None}))
    assert str(caught.value.place).endswith("intermediate_size")


@pytest.mark.parametrize(
    ("model", "recipe"),
    [
        ("BLOOM-1b1", Recipe(dtype="bf16")),
        ("Llama-3.2-1B", Recipe(dtype="bf16", adapter="lora", gradient_checkpointing=True)),
        ("Gemma-3-1B", Recipe()),
        ("Mistral-7B", Recipe(dtype="bf16", gradient_checkpointing=True)),
        ("Qwen2-7B", Recipe(dtype="bf16", adapter="dora")),
        ("Gemma-2-2B", Recipe(dtype="bf16")),
        ("Phi-3-mini", Recipe(dtype="bf16")),
        ("GPT-2-XL", Recipe()),
        ("Qwen3-30B-A3B", Recipe(dtype="bf16", adapter="lora")),
        ("gpt-oss-20b", Recipe(dtype="bf16", adapter="lora")),
    ],
    ids=lambda value: value if isinstance(value, str) else value.adapter,
)
def test_memory_is_what_torch_counts_at_real_widths(
    model: str, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(ROOT)
    from benchmarks import memory_estimate

    config = memory_estimate.CONFIGS[model]
    layers = "n_layer" if "n_layer" in config else "num_hidden_layers"
    config = {**config, layers: 2}  # for the time it takes; all layers are in the benchmark
    count = memory_estimate.measured(config, recipe)
    guess = memory_estimate.estimated(config, recipe)
    assert guess.peak == pytest.approx(count["peak"], rel=0.1)
    assert guess.activations == pytest.approx(count["added"], rel=0.15)
    assert guess.weights + guess.gradients + guess.moments == pytest.approx(count["held"], rel=0.02)


@pytest.mark.parametrize("family", ["llama", "bloom", "qwen", "neox", "gemma"])
@pytest.mark.parametrize("adapter", ["none", "lora", "dora"])
def test_saved_for_backward_is_what_autograd_saves(
    family: str, adapter: str, tiny: Callable[[str], Path]
) -> None:
    import torch

    from assay.model.train import build_model, causal

    recipe = Recipe(adapter=adapter, max_tokens=96, micro_tokens=480, rank=4)
    model = build_model(tiny(family), recipe, 0, "cpu")
    ids = torch.zeros(5, 96, dtype=torch.long)
    own = {p.untyped_storage().data_ptr() for p in model.parameters()}
    packed: list[weakref.ref[torch.Tensor]] = []

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        packed.append(weakref.ref(tensor))
        return tensor

    inner = causal(model)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        out = getattr(inner, inner.base_model_prefix)(input_ids=ids, use_cache=False)
    # What is still held: DoRA saves for a graph that it drops at once.
    storages = {
        t.untyped_storage().data_ptr(): t.untyped_storage() for ref in packed if (t := ref()) is not None
    }
    saved = sum(storage.nbytes() for place, storage in storages.items() if place not in own)
    assert out.last_hidden_state.requires_grad
    shape = read_shape(tiny(family))
    from assay.model.estimate._estimate import saved_for_backward

    assert saved_for_backward(shape, recipe) == pytest.approx(saved, rel=0.15)


def shape_of(tmp_path: Path, name: str) -> Any:
    return read_shape(folder(tmp_path, REAL[name][0]))


def test_the_sentence_says_what_fits_and_what_would(tmp_path: Path) -> None:
    shape = shape_of(tmp_path, "BLOOM-7b1")
    recipe = Recipe(dtype="bf16")
    fits = estimate_training(shape, recipe, DEVICES["a100-80"], launch=Launch(8), tokens=2e9)
    assert fits.fits and fits.change is None
    assert said(fits.said()).startswith("7.1B full, 8×80 GB fsdp: fits (") and said(fits.said()).endswith(
        " h"
    )
    alone = estimate_training(shape, recipe, DEVICES["a100-80"])
    assert not alone.fits and alone.hours is None
    for part in ("does not fit", "devices (fsdp)", "adapter lora"):
        assert part in said(alone.said())
    larger = estimate_training(shape, recipe, DEVICES["h200"])
    assert said(larger.said()).endswith("use gradient checkpointing")
    nothing = replace(DEVICES["t4"], memory=0.5)
    assert "no change" in said(estimate_training(shape, replace(recipe, adapter="qlora"), nothing).said())


def test_what_is_said_to_fit_does_fit(tmp_path: Path) -> None:
    """The change named is the cheapest: with it the training fits, and half the devices would not do."""
    shape, recipe = shape_of(tmp_path, "Llama-2-7B"), Recipe(dtype="bf16", gradient_checkpointing=True)
    found = estimate_training(shape, recipe, DEVICES["4090"]).change
    assert found is not None
    devices = int(found.split()[0])
    enough = estimate_training(shape, recipe, DEVICES["4090"], launch=Launch(devices))
    short = estimate_training(shape, recipe, DEVICES["4090"], launch=Launch(devices // 2))
    assert enough.fits and not short.fits


def test_memory_falls_with_what_saves_it(tmp_path: Path) -> None:
    shape, recipe = shape_of(tmp_path, "Llama-2-7B"), Recipe(dtype="bf16")

    def peak(launch: Launch | None = None, **changes: Any) -> float:
        return training_memory(shape, replace(recipe, **changes), launch).peak

    assert peak(gradient_checkpointing=True) < peak()
    assert peak(offload_activations=True) < peak()
    assert peak(micro_tokens=1024) < peak() < peak(micro_tokens=4096)
    assert peak(adapter="qlora") < peak(adapter="lora") < peak(adapter="dora") < peak()
    assert peak(Launch(8)) < peak(Launch(4)) < peak()
    assert peak(Launch(8, "zero3")) < peak(Launch(8, "zero2")) < peak()
    assert peak(Launch(8, offload=True)) < peak(Launch(8))


def test_the_smallest_machine_is_the_first_that_fits(tmp_path: Path) -> None:
    shape = shape_of(tmp_path, "Llama-2-7B")
    found = smallest_machine(shape, Recipe(dtype="bf16", adapter="qlora", gradient_checkpointing=True))
    assert found is not None and found[0].memory == 24 and found[1].processes == 1
    found = smallest_machine(shape, Recipe(dtype="bf16"))
    assert found is not None and (found[0].memory or 0) * found[1].processes > 100
    assert smallest_machine(shape_of(tmp_path, "BLOOM"), Recipe()) is None


def test_time_goes_with_tokens_weights_and_devices(tmp_path: Path) -> None:
    shape, recipe = shape_of(tmp_path, "Llama-2-7B"), Recipe(dtype="bf16")

    def hours(tokens: float = 1e9, devices: int = 8, **changes: Any) -> tuple[float, float]:
        launch = Launch(devices)
        found = estimate_training(
            shape, replace(recipe, **changes), DEVICES["a100-80"], launch=launch, tokens=tokens
        )
        assert found.hours is not None
        return found.hours

    low, high = hours()
    # 6 x 6.6e9 weights x 1e9 tokens at half of 8 x 312 TFLOP/s is 8.8 h; attention within rows adds little.
    assert 8.8 < low < 9.3 and high == pytest.approx(2 * low)
    assert hours(2e9)[0] == pytest.approx(2 * low) and hours(devices=4)[0] == pytest.approx(2 * low)
    assert hours(adapter="lora")[0] < low < hours(gradient_checkpointing=True)[0]
