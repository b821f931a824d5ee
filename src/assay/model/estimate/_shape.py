"""The shape of a base model from its ``config.json`` alone: sizes of layers, and the exact number of weights.

No torch here: estimates come before anything is loaded.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.core import AssayError
from assay.model.base import POCKET, resolve_base


@dataclass(frozen=True, slots=True)
class Linear:
    """A matrix of a block, with or without a bias; ``reads`` names its input."""

    name: str
    d_in: int
    d_out: int
    bias: bool
    reads: str

    @property
    def parameters(self) -> int:
        """Weights and bias."""
        return self.d_in * self.d_out + self.bias * self.d_out


@dataclass(frozen=True, slots=True)
class Family:
    """What tells one family's blocks from another's.

    ``layer_norm``: with bias, not RMSNorm; ``norms`` of the width of the model in a block; ``fused``: one
    matrix for queries, keys and values; ``gated``: three matrices in the feed-forward part, not two;
    ``head_norms``: norms of queries and keys; ``matrix``: attention weights are held whole (no fused kernel);
    the rest are the defaults of configs that leave a key out.
    """

    layer_norm: bool = False
    norms: int = 2
    fused: bool = False
    gated: bool = True
    head_norms: bool = False
    matrix: bool = False
    tied: bool = False
    head_dim: int | None = None
    qkv_bias: bool = False
    all_bias: bool = False
    soft_cap: float | None = None


FAMILIES: Mapping[str, Family] = {
    "llama": Family(),
    "mistral": Family(),
    "qwen2": Family(qkv_bias=True),
    "qwen3": Family(head_norms=True, head_dim=128),
    "gemma": Family(tied=True, head_dim=256),
    "gemma2": Family(norms=4, matrix=True, tied=True, head_dim=256, soft_cap=30.0),
    "gemma3_text": Family(norms=4, head_norms=True, tied=True, head_dim=256),
    "bloom": Family(layer_norm=True, fused=True, gated=False, matrix=True, tied=True, all_bias=True),
    "gpt_neox": Family(layer_norm=True, fused=True, gated=False, all_bias=True),
}
"""Families by ``model_type``: Llama 1 to 3, Mistral, Qwen 2 and 3, Gemma 1 to 3, BLOOM, GPT-NeoX (Pythia)."""

_OTHER_NAMES = {
    "hidden_size": ("n_embed",),
    "num_hidden_layers": ("n_layer",),
    "num_attention_heads": ("n_head",),
}


@dataclass(frozen=True, slots=True)
class Shape:
    """A causal language model: ``width`` of the hidden states, ``heads`` of ``head_dim``, and its matrices.

    ``linears`` are those of one block; ``capped``: the logits pass a soft cap, so that the head cannot be
    applied apart from the model.
    """

    family: Family
    model_type: str
    width: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    inner: int
    vocabulary: int
    tied: bool
    capped: bool
    parallel: bool
    linears: tuple[Linear, ...]

    @property
    def linear_parameters(self) -> int:
        """Weights of the matrices of all blocks, which adapters stand beside."""
        return self.layers * sum(linear.parameters for linear in self.linears)

    @property
    def table(self) -> int:
        """Weights of the embedding table, and of the head where it is one's own."""
        return self.vocabulary * self.width

    @property
    def parameters(self) -> int:
        """All weights, each counted once."""
        norm = self.width * (2 if self.family.layer_norm else 1)
        # BLOOM norms the embeddings as well.
        norms = self.layers * self.family.norms + 1 + (self.model_type == "bloom")
        head_norms = 2 * self.head_dim * self.layers if self.family.head_norms else 0
        tables = self.table * (1 if self.tied else 2)
        return self.linear_parameters + norms * norm + head_norms + tables

    @property
    def multiplied(self) -> int:
        """Weights that a token is multiplied with: all but the embedding table, which is looked up."""
        return self.parameters - (0 if self.tied else self.table)

    def targets(self, names: tuple[str, ...]) -> tuple[Linear, ...]:
        """Return the matrices of a block that adapters of these names stand beside; all for no names."""
        return tuple(linear for linear in self.linears if not names or linear.name in names)


def find_shape(name: str) -> Shape:
    """Return the shape of ``pocket``, a folder, or a hub id, of which ``config.json`` alone is fetched."""
    if name == POCKET or Path(name).expanduser().is_dir() or name.count("/") != 1 or name[0] in "./~":
        return read_shape(resolve_base(name))
    from huggingface_hub import hf_hub_download

    try:
        return read_shape(Path(hf_hub_download(name, "config.json")).parent)
    except AssayError:
        raise
    except Exception as error:
        raise AssayError(
            f"the configuration could not be fetched ({type(error).__name__})", place="base", value=name,
            expected="a Hugging Face id that can be reached, or is in the cache",
            hint="check the spelling and the network, or give a local folder with config.json",
        ) from None  # fmt: skip


def read_shape(folder: Path) -> Shape:
    """Return the shape of a model folder; raise :class:`AssayError` for a family that is not known."""
    place = folder / "config.json"
    try:
        config: dict[str, Any] = json.loads(place.read_text(encoding="utf-8"))
        kind = str(config.get("model_type"))
    except (OSError, ValueError, AttributeError) as error:
        raise AssayError(
            f"the configuration cannot be read ({type(error).__name__})", place=str(place),
            expected="a model folder with config.json",
        ) from None  # fmt: skip
    if kind not in FAMILIES:
        raise AssayError(
            "no estimate for models of this type", place=f"{place}: model_type", value=kind,
            expected=", ".join(FAMILIES),
        )  # fmt: skip
    return _shape(config, FAMILIES[kind], kind, str(place))


def _shape(config: Mapping[str, Any], family: Family, kind: str, place: str) -> Shape:
    def size(name: str) -> int:
        found = next((config[n] for n in (name, *_OTHER_NAMES.get(name, ())) if config.get(n)), None)
        if type(found) is not int or found < 1:
            raise AssayError("not a size", place=f"{place}: {name}", value=found, expected="1 or more")
        return found

    width, heads = size("hidden_size"), size("num_attention_heads")
    kv_heads = heads if family.fused or not config.get("num_key_value_heads") else size("num_key_value_heads")
    head_dim = width // heads if family.fused else config.get("head_dim") or family.head_dim or width // heads
    inner = 4 * width if kind == "bloom" else size("intermediate_size")
    bias = bool(config.get("attention_bias", family.all_bias))
    q, kv = heads * head_dim, kv_heads * head_dim
    attention: tuple[Linear, ...]
    if family.fused:
        attention = (
            Linear("query_key_value", width, 3 * width, bias, "attention"),
            Linear("dense", width, width, bias, "heads"),
        )
    else:
        attention = (
            Linear("q_proj", width, q, bias or family.qkv_bias, "attention"),
            Linear("k_proj", width, kv, bias or family.qkv_bias, "attention"),
            Linear("v_proj", width, kv, bias or family.qkv_bias, "attention"),
            Linear("o_proj", q, width, bias, "heads"),
        )
    names = ("gate_proj", "up_proj", "down_proj") if family.gated else ("dense_h_to_4h", "dense_4h_to_h")
    mlp_bias = bool(config.get("mlp_bias", family.all_bias))
    rising = tuple(Linear(name, width, inner, mlp_bias, "mlp") for name in names[:-1])
    return Shape(
        family=family,
        model_type=kind,
        width=width,
        layers=size("num_hidden_layers"),
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        inner=inner,
        vocabulary=size("vocab_size"),
        tied=bool(config.get("tie_word_embeddings", family.tied)),
        capped=bool(config.get("final_logit_softcapping", family.soft_cap)),
        parallel=kind == "gpt_neox" and bool(config.get("use_parallel_residual", True)),
        linears=(*attention, *rising, Linear(names[-1], inner, width, mlp_bias, "inner")),
    )
