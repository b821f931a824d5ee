"""GGUF files read back by the gguf package: every tensor, the keys, the vocabulary; what is refused."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assay.core import AssayError
from assay.model import load_model, load_tokenizer, resolve_base, write_gguf

gguf = pytest.importorskip("gguf", reason="gguf is not installed: the extra gguf or quantize")

FAMILIES = ("llama", "llama3", "bloom", "qwen", "mistral", "neox", "gemma")
Tiny = Callable[..., Path]


@pytest.fixture(autouse=True)
def no_llama_cpp(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests are of the files alone; tests/gguf holds them to llama.cpp."""
    monkeypatch.setitem(sys.modules, "llama_cpp", None)


def keys(path: Path) -> dict[str, Any]:
    return {name: field.contents() for name, field in gguf.GGUFReader(path).fields.items()}


def tensors(path: Path) -> dict[str, np.ndarray]:
    return {tensor.name: np.array(tensor.data) for tensor in gguf.GGUFReader(path).tensors}


def paired(rows: np.ndarray, heads: int) -> np.ndarray:
    """Rotary pair i of a head: rows i and i + half in transformers, 2i and 2i + 1 in llama.cpp."""
    out = np.empty_like(rows)
    size = len(rows) // heads
    for head in range(heads):
        for i in range(size // 2):
            for half in (0, 1):
                out[head * size + half * size // 2 + i] = rows[head * size + 2 * i + half]
    return out


def fused(rows: np.ndarray, heads: int) -> np.ndarray:
    """All queries, keys and values in turn, as a head's query, key and value in turn."""
    out = np.empty_like(rows)
    size = len(rows) // heads // 3
    for part in range(3):
        for head in range(heads):
            start = (head * 3 + part) * size
            out[start : start + size] = rows[(part * heads + head) * size : (part * heads + head + 1) * size]
    return out


def undone(family: str, name: str, rows: np.ndarray, config: Any) -> np.ndarray:
    if family in ("llama", "llama3", "mistral"):
        if "attn_q" in name:
            return paired(rows, config.num_attention_heads)
        if "attn_k" in name:
            return paired(rows, config.num_key_value_heads)
    if "attn_qkv" in name:
        return fused(rows, config.num_attention_heads)
    return rows - 1 if family == "gemma" and "norm" in name else rows


@pytest.mark.parametrize("family", FAMILIES)
def test_every_weight_is_in_the_file(tiny: Tiny, tmp_path: Path, family: str) -> None:
    folder = tiny(family)
    made = write_gguf(folder, tmp_path / "model.gguf")
    model = load_model(folder)
    names = gguf.get_tensor_name_map(
        gguf.MODEL_ARCH[
            {"bloom": "BLOOM", "qwen": "QWEN2", "neox": "GPTNEOX", "gemma": "GEMMA2"}.get(family, "LLAMA")
        ],
        2,
    )
    expected = {
        names.get_name(name.removeprefix("transformer."), (".weight", ".bias")): value.detach().numpy()
        for name, value in model.named_parameters()
    }
    found = tensors(made.path)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        rows = undone(family, name, found[name].astype(np.float32), model.config)
        whole = value.ndim == 1
        assert found[name].dtype == (np.float32 if whole else np.float16)
        np.testing.assert_allclose(rows, value, rtol=0 if whole else 2**-11, atol=1e-7)
    assert made.tensors == {
        "f16": sum(value.ndim > 1 for value in expected.values()),
        "f32": sum(value.ndim == 1 for value in expected.values()),
    }
    assert made.n_bytes == made.path.stat().st_size
    assert made.agreement is None


@pytest.mark.parametrize(
    ("family", "expected"),
    [
        ("llama", {"llama.context_length": 512, "add_bos_token": True, "add_space_prefix": False}),
        ("llama3", {"llama.rope.freq_base": 500000.0, "pre": "llama-bpe", "add_bos_token": True}),
        ("bloom", {"bloom.feed_forward_length": 256, "pre": "bloom", "add_bos_token": False}),
        ("qwen", {"qwen2.attention.head_count_kv": 2, "pre": "qwen2", "add_bos_token": False}),
        ("mistral", {"llama.attention.key_length": 16, "model": "llama", "add_space_prefix": True}),
        ("neox", {"gptneox.rope.dimension_count": 4, "pre": "gpt-2", "gptneox.use_parallel_residual": True}),
        ("gemma", {"gemma2.attention.sliding_window": 32, "gemma2.attn_logit_softcapping": 5.0,
                   "gemma2.final_logit_softcapping": 3.0, "gemma2.attention.key_length": 32,
                   "add_space_prefix": False}),
    ],
)  # fmt: skip
def test_keys_are_those_of_the_configuration(
    tiny: Tiny, tmp_path: Path, family: str, expected: dict[str, Any]
) -> None:
    found = keys(write_gguf(tiny(family), tmp_path / "model.gguf").path)
    for name, value in expected.items():
        assert found[name if "." in name else f"tokenizer.ggml.{name}"] == value
    assert found["general.file_type"] == 1


@pytest.mark.parametrize("family", FAMILIES)
def test_vocabulary_is_the_tokenizers(tiny: Tiny, tmp_path: Path, family: str) -> None:
    folder = tiny(family)
    found = keys(write_gguf(folder, tmp_path / "model.gguf").path)
    tokenizer = load_tokenizer(folder)
    pieces, types = found["tokenizer.ggml.tokens"], found["tokenizer.ggml.token_type"]
    rows = load_model(folder).get_input_embeddings().weight.shape[0]
    assert len(pieces) == len(types) == rows
    assert pieces[: len(tokenizer)] == tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    assert set(types[len(tokenizer) :]) <= {gguf.TokenType.UNUSED}
    marks = {i for i, added in tokenizer.added_tokens_decoder.items() if added.special}
    special = (gguf.TokenType.CONTROL, gguf.TokenType.UNKNOWN)
    assert {i for i, kind in enumerate(types) if kind in special} == marks
    assert found["tokenizer.ggml.eos_token_id"] == tokenizer.eos_token_id
    if found["tokenizer.ggml.model"] == "llama":
        assert types.count(gguf.TokenType.BYTE) == 256
        assert len(found["tokenizer.ggml.scores"]) == rows
    else:
        assert all(len(pair.split(" ")) == 2 for pair in found["tokenizer.ggml.merges"])


def test_template_is_the_one_the_model_was_trained_with(tiny: Tiny, tmp_path: Path) -> None:
    own = keys(write_gguf(tiny("qwen"), tmp_path / "own.gguf").path)
    assert own["tokenizer.chat_template"] == load_tokenizer(tiny("qwen")).chat_template
    plain = keys(write_gguf(tiny("bloom"), tmp_path / "plain.gguf").path)
    assert "### Instruction:" in plain["tokenizer.chat_template"]


def test_the_mark_that_ends_a_turn_is_not_always_the_end_of_text(tiny: Tiny, tmp_path: Path) -> None:
    found = keys(write_gguf(tiny("gemma"), tmp_path / "model.gguf").path)
    pieces = found["tokenizer.ggml.tokens"]
    assert pieces[found["tokenizer.ggml.eot_token_id"]] == "<end_of_turn>"
    assert pieces[found["tokenizer.ggml.eos_token_id"]] == "<eos>"


def test_shards_give_the_same_file(tiny: Tiny, tmp_path: Path) -> None:
    folder = tmp_path / "sharded"
    load_model(tiny("llama")).save_pretrained(folder, max_shard_size="100KB")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tiny("llama") / name, folder)
    assert len(list(folder.glob("*.safetensors"))) > 1
    one = tensors(write_gguf(tiny("llama"), tmp_path / "one.gguf").path)
    many = tensors(write_gguf(folder, tmp_path / "many.gguf").path)
    assert one.keys() == many.keys()
    assert all((one[name] == many[name]).all() for name in one)


def test_pocket_has_the_nearest_split_rule_and_says_so(tmp_path: Path) -> None:
    made = write_gguf(resolve_base("pocket"), tmp_path / "pocket.gguf")
    assert keys(made.path)["tokenizer.ggml.pre"] == "qwen2"
    assert any("no pre-tokenizer equal to this tokenizer's" in str(note) for note in made.notes)


def test_tied_heads_are_written_once(tiny: Tiny, tmp_path: Path) -> None:
    assert "output.weight" not in tensors(write_gguf(tiny("qwen"), tmp_path / "tied.gguf").path)
    assert "output.weight" in tensors(write_gguf(tiny("llama"), tmp_path / "own.gguf").path)


def test_llama3_frequencies_are_those_of_transformers(tiny: Tiny, tmp_path: Path) -> None:
    folder = copied(tiny("llama3"), tmp_path / "scaled", rope_parameters=LLAMA3_ROPE)
    found = tensors(write_gguf(folder, tmp_path / "model.gguf").path)["rope_freqs.weight"]
    scaled = load_model(folder).model.rotary_emb.inv_freq.numpy()
    plain = load_model(tiny("llama3")).model.rotary_emb.inv_freq.numpy()
    np.testing.assert_allclose(plain / found, scaled, rtol=1e-5)
    assert not np.allclose(found, 1)


LLAMA3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}


def copied(folder: Path, to: Path, **settings: Any) -> Path:
    """Copy a checkpoint with changed settings."""
    shutil.copytree(folder, to)
    config = json.loads((to / "config.json").read_text())
    (to / "config.json").write_text(json.dumps({**config, **settings}))
    return to


@pytest.mark.parametrize(
    ("family", "settings", "says"),
    [
        ("llama", {"hidden_act": "relu"}, "hidden_act"),
        ("llama", {"quantization_config": {"quant_method": "gptq", "bits": 4}}, "quantized already"),
        ("llama", {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}}, "rotary"),
        ("qwen", {"rope_parameters": LLAMA3_ROPE}, "rotary"),
        ("qwen", {"use_sliding_window": True}, "use_sliding_window"),
        ("bloom", {"apply_residual_connection_post_layernorm": True}, "differently"),
        ("neox", {"tie_word_embeddings": True}, "tie_word_embeddings"),
        ("gemma", {"query_pre_attn_scalar": 8}, "query_pre_attn_scalar"),
        ("gemma", {"layer_types": ["full_attention", "full_attention"]}, "layer_types"),
    ],
)
def test_settings_that_llama_cpp_computes_otherwise_are_refused(
    tiny: Tiny, tmp_path: Path, family: str, settings: dict[str, Any], says: str
) -> None:
    folder = copied(tiny(family), tmp_path / "changed", **settings)
    with pytest.raises(AssayError) as error:
        write_gguf(folder, tmp_path / "model.gguf")
    assert says in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["changed"]


def test_unknown_architectures_are_refused_with_what_is_known(tiny: Tiny, tmp_path: Path) -> None:
    folder = copied(tiny("llama"), tmp_path / "opt", model_type="opt")
    with pytest.raises(AssayError, match="does not support this") as error:
        write_gguf(folder, tmp_path / "model.gguf")
    assert "bloom" in str(error.value) and "gemma3_text" in str(error.value)


def test_unknown_tokenizers_are_refused(tiny: Tiny, tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    folder = copied(tiny("llama3"), tmp_path / "words")
    words = Tokenizer(models.WordLevel({"a": 0, "b": 1, "[UNK]": 2}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.add_special_tokens(["<|eot_id|>"])
    words.save(str(folder / "tokenizer.json"))
    with pytest.raises(AssayError, match="kind of tokenizer") as error:
        write_gguf(folder, tmp_path / "model.gguf")
    assert "WordLevel" in str(error.value) and "byte-level BPE" in str(error.value)


def test_weights_beyond_f16_are_refused_and_leave_nothing(tiny: Tiny, tmp_path: Path) -> None:
    model = load_model(tiny("llama"))
    model.model.layers[1].mlp.up_proj.weight.data[3, 3] = 1e5
    folder = copied(tiny("llama"), tmp_path / "large")
    model.save_pretrained(folder)
    with pytest.raises(AssayError, match=r"blk\.1\.ffn_up\.weight: a weight is not finite in f16"):
        write_gguf(folder, tmp_path / "model.gguf")
    assert [path.name for path in tmp_path.iterdir()] == ["large"]


def test_adapters_and_lost_shards_are_named(tiny: Tiny, tmp_path: Path) -> None:
    adapter = copied(tiny("llama"), tmp_path / "adapter")
    (adapter / "model.safetensors").unlink()
    with pytest.raises(AssayError, match="no safetensors weights"):
        write_gguf(adapter, tmp_path / "model.gguf")
    (adapter / "adapter_config.json").write_text("{}")
    with pytest.raises(AssayError, match="merge the adapter first"):
        write_gguf(adapter, tmp_path / "model.gguf")
    index = {"weight_map": {"lm_head.weight": "../../model.safetensors"}}
    (adapter / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(AssayError, match="a shard is missing"):
        write_gguf(adapter, tmp_path / "model.gguf")


def test_without_llama_cpp_there_is_f16_only(tiny: Tiny, tmp_path: Path) -> None:
    from assay.model.inference._llama_cpp import _library

    _library.cache_clear()
    with pytest.raises(AssayError, match=r"instruct-assay\[gguf\]"):
        write_gguf(tiny("llama"), tmp_path / "model.gguf", "q8_0")
    assert list(tmp_path.iterdir()) == []


def test_unknown_kinds_are_refused(tiny: Tiny, tmp_path: Path) -> None:
    with pytest.raises(AssayError, match="f16, q8_0, q4_k"):
        write_gguf(tiny("llama"), tmp_path / "model.gguf", "q2_k")  # type: ignore[arg-type]


def test_progress_counts_tensors(tiny: Tiny, tmp_path: Path) -> None:
    seen: list[tuple[float, float, str]] = []
    made = write_gguf(tiny("llama"), tmp_path / "model.gguf", advance=lambda *step: seen.append(step))
    total = sum(made.tensors.values())
    assert seen == [(n, total, "tensor") for n in range(1, total + 1)]
