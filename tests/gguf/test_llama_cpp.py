"""llama.cpp against transformers on the same weights: logits, losses, answers, tokens; what it quantizes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from assay.core import AssayError, Sample
from assay.data.synthetic import generate
from assay.model import (
    Decoding,
    GgufModel,
    answer,
    encode,
    load_model,
    load_tokenizer,
    reference_loss,
    resolve_base,
    write_gguf,
)

pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed: make test-gguf")

FAMILIES = ("llama", "llama3", "bloom", "qwen", "mistral", "neox", "gemma")
Tiny = Callable[..., Path]


@pytest.fixture(scope="module")
def items() -> list[Sample]:
    return [planted.sample for planted in generate(24, seed=3, split="eval")]


def copied(folder: Path, to: Path, **settings: Any) -> Path:
    shutil.copytree(folder, to)
    config = json.loads((to / "config.json").read_text())
    (to / "config.json").write_text(json.dumps({**config, **settings}))
    return to


def remade(folder: Path, to: Path, kind: str, **settings: Any) -> Path:
    """Random weights of another architecture with the tokenizer and the common shape of ``folder``."""
    import transformers

    shutil.copytree(folder, to)
    shape = json.loads((to / "config.json").read_text())
    kept = (
        "vocab_size hidden_size intermediate_size num_hidden_layers num_attention_heads num_key_value_heads "
        "max_position_embeddings bos_token_id eos_token_id pad_token_id"
    ).split()
    common = {name: shape[name] for name in kept if name in shape} | {"initializer_range": 0.1}
    config = transformers.AutoConfig.for_model(kind, **(common | settings))
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config)
    # Norms away from 1, biases away from 0: an error in them would not show else.
    for name, value in model.named_parameters():
        if "norm" in name or name.endswith("bias"):
            torch.nn.init.normal_(value, mean=0.0 if "gemma" in kind else 1.0, std=0.1)
    model.save_pretrained(to)
    return to


def check(folder: Path, out: Path, items: Sequence[Sample], short: int = 0) -> None:
    """Hold the f16 file to transformers: logits of a text (cut at ``short``), losses of all items."""
    made = write_gguf(folder, out)
    tokenizer, model = load_tokenizer(folder), load_model(folder).eval()
    assert made.agreement == 1.0
    rows = encode(tokenizer, items, 512)
    with GgufModel(made.path, tokenizer) as other:
        for row in rows[:6]:
            ids = row.ids[: short or None]
            with torch.no_grad():
                expected = model(torch.tensor([ids])).logits[0].numpy()
            found = other.logits(ids, range(len(ids)))
            spread = expected.std()
            assert np.abs(found - expected).max() < 0.03 * spread
        if short:
            return
        before = reference_loss(model, tokenizer, items, max_tokens=512)
        after = other.reference_loss(items, max_tokens=512)
        for one, two in zip(before, after, strict=True):
            assert one is not None and two is not None
            assert (one.item, one.tokens, one.n_bytes) == (two.item, two.tokens, two.n_bytes)
            assert two.nats / two.tokens == pytest.approx(one.nats / one.tokens, abs=1e-2)
        decoding = Decoding(max_new_tokens=8)
        pairs = zip(answer(model, tokenizer, items, decoding), other.answer(items, decoding), strict=True)
        assert sum(one == two for one, two in pairs) >= len(items) - 3


@pytest.mark.parametrize("family", FAMILIES)
def test_families(tiny: Tiny, tmp_path: Path, items: list[Sample], family: str) -> None:
    # llama.cpp has no window for Mistral: equal within it, and the export says so.
    check(tiny(family), tmp_path / "model.gguf", items, short=32 if family == "mistral" else 0)


def test_mistral_without_a_window(tiny: Tiny, tmp_path: Path, items: list[Sample]) -> None:
    check(copied(tiny("mistral"), tmp_path / "m", sliding_window=None), tmp_path / "model.gguf", items)


@pytest.mark.parametrize(
    "rope",
    [
        {"rope_type": "linear", "factor": 2.0},
        {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64},
        {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
         "original_max_position_embeddings": 64},
    ],
    ids=lambda rope: rope["rope_type"],
)  # fmt: skip
def test_rotary_scaling(tiny: Tiny, tmp_path: Path, items: list[Sample], rope: dict[str, Any]) -> None:
    settings = {"rope_parameters": {"rope_theta": 10000.0, **rope}}
    check(copied(tiny("llama3"), tmp_path / "m", **settings), tmp_path / "model.gguf", items)


@pytest.mark.parametrize(
    ("family", "kind", "settings"),
    [
        ("llama3", "llama", {"attention_bias": True, "head_dim": 32}),
        ("qwen", "qwen2", {}),
        ("qwen", "qwen3", {"head_dim": 32}),
        ("gemma", "gemma", {"head_dim": 32}),
        ("gemma", "gemma3_text", {"head_dim": 32, "query_pre_attn_scalar": 32, "num_hidden_layers": 7,
                                  "sliding_window": 16}),
        ("neox", "gpt_neox", {"use_parallel_residual": False, "rotary_pct": 0.5}),
        ("bloom", "bloom", {"n_head": 8, "n_layer": 3}),
    ],
)  # fmt: skip
def test_other_shapes(
    tiny: Tiny, tmp_path: Path, items: list[Sample], family: str, kind: str, settings: dict[str, Any]
) -> None:
    check(remade(tiny(family), tmp_path / "m", kind, **settings), tmp_path / "model.gguf", items)


def test_gemma_without_caps(tiny: Tiny, tmp_path: Path, items: list[Sample]) -> None:
    caps = {"attn_logit_softcapping": None, "final_logit_softcapping": None}
    check(copied(tiny("gemma"), tmp_path / "m", **caps), tmp_path / "model.gguf", items)


def test_names_of_old_bloom_checkpoints(tiny: Tiny, tmp_path: Path, items: list[Sample]) -> None:
    from safetensors.torch import load_file, save_file

    folder = copied(tiny("bloom"), tmp_path / "m")
    weights = load_file(folder / "model.safetensors")
    bare = {name.removeprefix("transformer."): value for name, value in weights.items()}
    save_file(bare, folder / "model.safetensors", {"format": "pt"})
    check(folder, tmp_path / "model.gguf", items)


def test_pocket_answers_as_in_transformers(tmp_path: Path) -> None:
    folder = resolve_base("pocket")
    items = [planted.sample for planted in generate(240, seed=5, split="eval")]
    assert {item.language for item in items} == {"en", "zh"}
    made = write_gguf(folder, tmp_path / "pocket.gguf")
    assert made.agreement is not None and 0.99 <= made.agreement < 1
    assert any(note.key == "note.gguf.tokenizer" for note in made.notes)
    tokenizer, decoding = load_tokenizer(folder), Decoding(max_new_tokens=24)
    with GgufModel(made.path, tokenizer) as model:
        found = model.answer(items, decoding)
    expected = answer(load_model(folder), tokenizer, items, decoding)
    same = sum(one == two for one, two in zip(expected, found, strict=True))
    assert same >= 0.95 * len(items), f"{same} of {len(items)} answers are the same"


def test_quantized_files(tiny: Tiny, tmp_path: Path, items: list[Sample]) -> None:
    folder = tiny("llama3", 256)
    tokenizer = load_tokenizer(folder)
    before = reference_loss(load_model(folder), tokenizer, items)
    sizes, added = [], []
    for kind in ("f16", "q8_0", "q4_k"):
        made = write_gguf(folder, tmp_path / f"{kind}.gguf", kind)
        assert made.notes == () and made.agreement == 1.0
        sizes.append(made.n_bytes)
        with GgufModel(made.path, tokenizer) as model:
            after = model.reference_loss(items)
            answers = model.answer(items[:4], Decoding(max_new_tokens=6))
        pairs = zip(before, after, strict=True)
        added.append(float(np.mean([abs(b.nats - a.nats) / a.tokens for a, b in pairs if a and b])))
        assert [a.item for a in answers] == [item.id for item in items[:4]] and all(a.tokens for a in answers)
    # Bits a weight are 16, 8.5 and 4.5 to 6.6; the vocabulary is a part of the file that stays.
    assert sizes[1] < 0.6 * sizes[0] and sizes[2] < 0.42 * sizes[0]
    assert added[0] < added[1] < added[2] and added[1] < 0.05 and added[2] < 0.5
    assert len(list(tmp_path.iterdir())) == 3


def test_rows_that_q4_k_does_not_fit_are_told(tmp_path: Path) -> None:
    made = write_gguf(resolve_base("pocket"), tmp_path / "pocket.gguf", "q4_k")
    assert any("a multiple of 256: this holds for 0 matrices" in str(note) for note in made.notes)
    assert "q4_k" not in made.tensors and sum(made.tensors.values()) == 38


def test_sampling_is_decided_by_the_seed(tmp_path: Path, items: list[Sample]) -> None:
    folder = resolve_base("pocket")
    with GgufModel(write_gguf(folder, tmp_path / "p.gguf").path, load_tokenizer(folder)) as model:
        drawn = [
            [a.text for a in model.answer(items[:6], Decoding(8, temperature=1.0, top_p=0.9, seed=seed))]
            for seed in (0, 0, 1)
        ]
    assert drawn[0] == drawn[1] != drawn[2]


def test_what_is_missing_or_too_long_has_no_loss(tmp_path: Path) -> None:
    folder = resolve_base("pocket")
    rows = [Sample.single("good", "answer"), Sample.single("long " * 40, "answer")]
    with GgufModel(write_gguf(folder, tmp_path / "p.gguf").path, load_tokenizer(folder)) as model:
        kept, cut = model.reference_loss(rows, max_tokens=20)
    assert kept is not None and kept.nats > 0
    assert cut is None


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.gguf").write_bytes(b"GGUF" + bytes(64))
    with pytest.raises(AssayError, match="cannot read the file") as error:
        GgufModel(tmp_path / "bad.gguf", None)
    assert "bad.gguf" in str(error.value)
