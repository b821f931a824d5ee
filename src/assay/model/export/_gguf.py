"""A Hugging Face model folder as one GGUF file for llama.cpp: f16 tensor by tensor, then q8_0 or q4_K.

Tensor names and keys are those of the ``gguf`` package; quantization is llama.cpp's own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, get_args

import torch

from assay.core import (
    AssayError,
    Say,
    read_json,
    say,
)
from assay.data import replacing
from assay.model.base import load_tokenizer
from assay.model.export._gguf_vocabulary import gguf_vocabulary, probes, write_vocabulary
from assay.model.inference import quantize_gguf, tokenizer_agreement

Advance = Callable[[float, float, str], None]
GgufKind = Literal["f16", "q8_0", "q4_k"]

# llama.cpp's name of each architecture.
_FAMILIES = {
    "llama": "LLAMA",
    "mistral": "LLAMA",
    "qwen2": "QWEN2",
    "qwen3": "QWEN3",
    "bloom": "BLOOM",
    "gpt_neox": "GPTNEOX",
    "gemma": "GEMMA",
    "gemma2": "GEMMA2",
    "gemma3_text": "GEMMA3",
}
# What a kind stores matrices as where the length of their rows is a multiple of the number given.
_STORED = {"q8_0": (("q8_0",), 32), "q4_k": (("q4_k", "q6_k"), 256)}
# Of every how many layers one attends to the whole text: fixed in llama.cpp.
_WINDOWED = {"gemma2": 2, "gemma3_text": 6}
_BUFFERS = (".attention.bias", ".attention.masked_bias", ".rotary_emb.inv_freq")
_BLOOM_CONTEXT = 2048
# llama.cpp always caps the logits of Gemma 2; none comes near this.
_NO_CAP = 1e6


@dataclass(frozen=True, slots=True)
class GgufFile:
    """A written GGUF file.

    ``tensors`` counts tensors by llama.cpp's name of their type; ``agreement`` is the share of some 200
    prompts, English and Chinese, which llama.cpp's tokenizer encodes as the Hugging Face tokenizer does
    (None where llama.cpp is not installed); ``notes`` say what is not as in the folder.
    """

    path: Path
    kind: GgufKind
    n_bytes: int
    tensors: dict[str, int]
    agreement: float | None
    notes: tuple[Say, ...]


@dataclass(frozen=True, slots=True)
class _Tensor:
    """A tensor to write: vectors and norms in f32, matrices in f16."""

    name: str
    shape: tuple[int, ...]
    read: Callable[[], torch.Tensor]

    @property
    def dtype(self) -> torch.dtype:
        whole = len(self.shape) == 1 or self.name.endswith("_norm.weight")
        return torch.float32 if whole else torch.float16


def write_gguf(
    folder: Path,
    out: Path,
    kind: GgufKind = "f16",
    advance: Advance = lambda done, total, unit: None,
) -> GgufFile:
    """Write the model of ``folder`` to the file ``out`` and return what was written.

    The folder holds safetensors (sharded or not) of Llama, Mistral, Qwen 2 or 3, BLOOM, GPT-NeoX or Gemma 1
    to 3, and its tokenizer; merge an adapter first (:func:`assay.model.merge`).  One tensor is in memory at
    a time.  ``q8_0`` and ``q4_k`` (llama.cpp's Q4_K_M) go through an f16 file beside ``out``.  Raises
    :class:`AssayError` for an architecture, a setting or a tokenizer that llama.cpp would compute differently
    or not at all, and where the extra ``gguf`` is not installed.
    """
    if kind not in get_args(GgufKind):
        raise AssayError("unknown kind", place="gguf", value=kind, expected=", ".join(get_args(GgufKind)))
    if find_spec("gguf") is None:
        raise AssayError("gguf is not installed", value=kind, hint='pip install "instruct-assay[gguf]"')
    tokenizer = load_tokenizer(folder)
    with replacing(out) as partial:
        if kind == "f16":
            notes = _write_f16(folder, tokenizer, partial, advance)
        else:
            with TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as work:
                whole = Path(work) / "f16.gguf"
                notes = _write_f16(folder, tokenizer, whole, advance)
                quantize_gguf(whole, partial, kind)
    tensors = _types(out)
    notes += _fallbacks(kind, tensors)
    share = _agreement(out, tokenizer)
    if share is not None and share < 1:
        notes.append(say("note.gguf.tokenizer", share=share))
    return GgufFile(out, kind, out.stat().st_size, tensors, share, tuple(notes))


def _agreement(path: Path, tokenizer: Any) -> float | None:
    if find_spec("llama_cpp") is None:
        return None
    return tokenizer_agreement(path, tokenizer, probes())


def _types(path: Path) -> dict[str, int]:
    from gguf import GGUFReader

    kinds = Counter(tensor.tensor_type.name.lower() for tensor in GGUFReader(path).tensors)
    return dict(sorted(kinds.items()))


def _fallbacks(kind: str, tensors: dict[str, int]) -> list[Say]:
    """Say which matrices llama.cpp stored otherwise, as their rows do not fill its blocks."""
    usual, block = _STORED.get(kind, (("f16",), 1))
    others = {name: n for name, n in tensors.items() if name not in ("f32", *usual)}
    if not others:
        return []
    count = sum(tensors.get(name, 0) for name in usual)
    return [say("note.gguf.blocks", kind=kind, block=block, count=count, others=others)]


def _write_f16(folder: Path, tokenizer: Any, out: Path, advance: Advance) -> list[Say]:
    """Write the f16 file and return notes."""
    import gguf
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(folder)
    _refuse(config, folder)
    architecture = gguf.MODEL_ARCH[_FAMILIES[config.model_type]]
    with _tensors(folder, config, architecture) as tensors:
        rows = next(t.shape[0] for t in tensors if t.name == "token_embd.weight")
        vocabulary = gguf_vocabulary(tokenizer, rows)
        writer = gguf.GGUFWriter(out, gguf.MODEL_ARCH_NAMES[architecture])
        try:
            writer.add_name(folder.resolve().name)
            writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
            writer.add_vocab_size(rows)
            _write_shape(writer, config)
            write_vocabulary(writer, vocabulary, tokenizer)
            _write_tensors(writer, tensors, advance)
        finally:
            writer.close()
    return [*vocabulary.notes, *_notes(config)]


def _write_tensors(writer: Any, tensors: list[_Tensor], advance: Advance) -> None:
    for tensor in tensors:
        example = torch.empty(0, dtype=tensor.dtype)
        n_bytes = example.itemsize * torch.Size(tensor.shape).numel()
        writer.add_tensor_info(tensor.name, tensor.shape, example.numpy().dtype, n_bytes)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for done, tensor in enumerate(tensors, start=1):
        weights = tensor.read().to(tensor.dtype).contiguous()
        if not torch.isfinite(weights).all():
            raise AssayError(
                "a weight is not finite in f16",
                place=tensor.name,
                expected=f"values within ±{torch.finfo(torch.float16).max:.0f}",
            )
        writer.write_tensor_data(weights.numpy())
        advance(done, len(tensors), "tensor")


def _refuse(config: Any, folder: Path) -> None:
    """Raise for what llama.cpp would compute otherwise than transformers does."""
    if config.model_type not in _FAMILIES:
        raise AssayError(
            "export to GGUF does not support this architecture",
            place=str(folder / "config.json"),
            value=config.model_type,
            expected=", ".join(_FAMILIES),
        )
    if getattr(config, "quantization_config", None) is not None:
        raise AssayError(
            "the weights are quantized already",
            place=str(folder),
            expected="weights in bf16, f16 or f32",
            hint="give the folder that was quantized",
        )
    for name, allowed in _computed(config).items():
        found = getattr(config, name, None)
        if found is not None and found not in allowed:
            raise AssayError(
                "llama.cpp computes this differently",
                place=f"{folder / 'config.json'}: {name}",
                value=found,
                expected=" or ".join(map(str, allowed)) or "none",
            )


def _computed(config: Any) -> dict[str, list[Any]]:
    """Return the values that llama.cpp takes for granted in this architecture, by setting."""
    kind = config.model_type
    fixed: dict[str, list[Any]] = {"use_sliding_window": [False], "use_bidirectional_attention": [False]}
    if kind in ("llama", "mistral", "qwen2", "qwen3"):
        fixed["hidden_act"] = ["silu"]
    if kind == "qwen2":
        fixed["head_dim"] = [config.hidden_size // config.num_attention_heads]
    if kind == "bloom":
        fixed["apply_residual_connection_post_layernorm"] = [False]
    if kind == "gpt_neox":
        fixed |= {"attention_bias": [True], "tie_word_embeddings": [False]}
        fixed["hidden_act"] = ["gelu", "gelu_new", "gelu_fast", "gelu_pytorch_tanh"]
    if kind in ("gemma", "gemma2"):
        fixed["tie_word_embeddings"] = [True]
    if kind in _WINDOWED:
        every, layers = _WINDOWED[kind], config.num_hidden_layers
        names = ("full_attention", "sliding_attention")
        # llama.cpp knows the 27B models, which divide otherwise, by their depth.
        large = layers == {"gemma2": 46, "gemma3_text": 62}[kind]
        fixed |= {
            "hidden_activation": ["gelu_pytorch_tanh"],
            "layer_types": [[names[(layer + 1) % every != 0] for layer in range(layers)]],
            "query_pre_attn_scalar": [
                config.hidden_size // config.num_attention_heads if large else config.head_dim
            ],
        }
    if kind == "gemma3_text":
        fixed["attn_logit_softcapping"] = []
    return fixed


def _notes(config: Any) -> list[Say]:
    window = getattr(config, "sliding_window", None)
    if config.model_type == "mistral" and window is not None:
        return [say("note.gguf.window", window=window)]
    return []


def _write_shape(writer: Any, config: Any) -> None:
    """Write the keys of the architecture from the configuration."""
    heads, width = config.num_attention_heads, config.hidden_size
    writer.add_block_count(config.num_hidden_layers)
    writer.add_embedding_length(width)
    writer.add_head_count(heads)
    writer.add_head_count_kv(getattr(config, "num_key_value_heads", None) or heads)
    writer.add_feed_forward_length(getattr(config, "intermediate_size", None) or 4 * width)
    if config.model_type == "bloom":
        writer.add_context_length(getattr(config, "seq_length", None) or _BLOOM_CONTEXT)
        writer.add_layer_norm_eps(config.layer_norm_epsilon)
        return
    writer.add_context_length(config.max_position_embeddings)
    head = getattr(config, "head_dim", None) or width // heads
    writer.add_key_length(head)
    writer.add_value_length(head)
    if config.model_type == "gpt_neox":
        writer.add_layer_norm_eps(config.layer_norm_eps)
        writer.add_parallel_residual(config.use_parallel_residual)
    else:
        writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    if config.model_type in _WINDOWED:
        writer.add_sliding_window(config.sliding_window)
    if config.model_type == "gemma2":
        writer.add_attn_logit_softcapping(config.attn_logit_softcapping or _NO_CAP)
        writer.add_final_logit_softcapping(config.final_logit_softcapping or _NO_CAP)
    elif getattr(config, "final_logit_softcapping", None):
        writer.add_final_logit_softcapping(config.final_logit_softcapping)
    _write_rope(writer, config, head)


def _write_rope(writer: Any, config: Any, head: int) -> None:
    import gguf

    rope = _rope(config)
    writer.add_rope_freq_base(rope["rope_theta"])
    if "sliding_attention" in config.rope_parameters:
        writer.add_rope_freq_base_swa(config.rope_parameters["sliding_attention"]["rope_theta"])
    writer.add_rope_dimension_count(int(head * rope.get("partial_rotary_factor", 1.0)))
    kind = rope.get("rope_type", "default")
    if kind in ("linear", "yarn"):
        writer.add_rope_scaling_type(gguf.RopeScalingType(kind))
        writer.add_rope_scaling_factor(rope["factor"])
    if kind == "yarn":
        writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
    known = ("default", "linear", "yarn", *(["llama3"] if config.model_type in ("llama", "mistral") else []))
    if kind not in known or rope.get("attention_factor") is not None:
        raise AssayError(
            "llama.cpp does not support this rotary scaling for this architecture",
            place="config.json: rope_parameters",
            value=dict(rope),
            expected=", ".join(known) + " without attention_factor",
        )


def _rope(config: Any) -> dict[str, Any]:
    """Return the rotary settings of the layers that attend to the whole text."""
    found: dict[str, Any] = config.rope_parameters.get("full_attention", config.rope_parameters)
    return found


@contextmanager
def _tensors(folder: Path, config: Any, architecture: Any) -> Iterator[list[_Tensor]]:
    """Give the tensors to write, each to be read from its safetensors file when its turn comes."""
    import gguf
    from safetensors import safe_open

    names = gguf.get_tensor_name_map(architecture, config.num_hidden_layers)
    tensors = _rope_factors(config)
    with ExitStack() as stack:
        for path in _shards(folder):
            weights = stack.enter_context(safe_open(path, "pt"))
            for source in weights.keys():  # noqa: SIM118 - no mapping, it has keys() only
                if source.endswith(_BUFFERS) or (source == "lm_head.weight" and config.tie_word_embeddings):
                    continue
                name = names.get_name(source.removeprefix("transformer."), try_suffixes=(".weight", ".bias"))
                if name is None:
                    raise AssayError("GGUF has no name for this tensor", place=path.name, value=source)
                shape = tuple(weights.get_slice(source).get_shape())
                tensors.append(_Tensor(name, shape, _reader(weights, source, config)))
        yield tensors


def _reader(weights: Any, source: str, config: Any) -> Callable[[], torch.Tensor]:
    return lambda: _arranged(weights.get_tensor(source).float(), source, config)


def _shards(folder: Path) -> list[Path]:
    index = folder / "model.safetensors.index.json"
    if index.exists():
        files = sorted(set(read_json(index)["weight_map"].values()))
        # A name from the index never leads out of the folder.
        paths = [folder / Path(name).name for name in files]
        missing = [path.name for path in paths if not path.exists()]
        if missing:
            raise AssayError("a shard is missing", place=str(folder), value=missing[0], expected=index.name)
        return paths
    if (folder / "model.safetensors").exists():
        return [folder / "model.safetensors"]
    adapter = (folder / "adapter_config.json").exists()
    raise AssayError(
        "the adapter's base model is missing" if adapter else "no safetensors weights",
        place=str(folder),
        expected="model.safetensors, or its shards with an index",
        hint="merge the adapter first" if adapter else None,
    )


def _arranged(weights: torch.Tensor, source: str, config: Any) -> torch.Tensor:
    """Return ``weights`` in the order that llama.cpp reads."""
    kind, name = config.model_type, source.rsplit(".", 1)[0]
    arranged: torch.Tensor = weights
    if kind in ("llama", "mistral") and name.endswith(("q_proj", "k_proj")):
        # Rotary pairs (i, i + half) of transformers become neighbours.
        heads = config.num_attention_heads if name.endswith("q_proj") else config.num_key_value_heads
        arranged = weights.unflatten(0, (heads, 2, -1)).transpose(1, 2)
    elif kind in ("bloom", "gpt_neox") and name.endswith("query_key_value"):
        # Query, key and value of each head in turn become all queries, all keys, all values.
        arranged = weights.unflatten(0, (config.num_attention_heads, 3, -1)).transpose(0, 1)
    elif kind.startswith("gemma") and name.endswith("norm"):
        arranged = weights + 1
    return arranged.reshape(weights.shape)


def _rope_factors(config: Any) -> list[_Tensor]:
    """Return the divisors of Llama 3's rotary frequencies as a tensor, where the model scales them so."""
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    if config.model_type not in ("llama", "mistral") or _rope(config).get("rope_type") != "llama3":
        return []
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    plain = _rope(config)["rope_theta"] ** -(torch.arange(0, head, 2).float() / head)
    scaled, _ = ROPE_INIT_FUNCTIONS["llama3"](config)
    return [_Tensor("rope_freqs.weight", tuple(plain.shape), lambda: plain / scaled)]
