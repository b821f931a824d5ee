"""The shape of a base model from its ``config.json`` alone: sizes of layers, and the exact number of weights.

No torch here: estimates come before anything is loaded.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
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
class Experts:
    """The feed-forward part of a block as ``count`` experts, of which a token passes ``chosen``.

    Each has a gate, a rise and a fall of width ``inner``; a router of one row for each expert chooses.
    ``bias``: experts and router have biases; ``adapted``: adapters on all layers stand beside them too.
    """

    count: int
    chosen: int
    width: int
    inner: int
    bias: bool
    adapted: bool

    @property
    def each(self) -> int:
        """Weights of one expert."""
        return 3 * self.width * self.inner + self.bias * (2 * self.inner + self.width)

    @property
    def router(self) -> int:
        """Weights of the router."""
        return self.count * (self.width + self.bias)

    @property
    def parameters(self) -> int:
        """Weights of all experts of a block and their router."""
        return self.count * self.each + self.router

    def adapters(self, rank: int) -> int:
        """Weights of low-rank adapters beside the experts of a block and their router, as peft makes them."""
        # Gate and rise are one matrix, of twice the rank.
        rise, fall = 2 * (self.width + 2 * self.inner), self.inner + self.width
        return self.adapted * rank * (self.count * (rise + fall) + self.width + self.count)

    @property
    def saved(self) -> int:
        """Numbers that autograd saves of an expert's token, in widths of ``inner``."""
        # gpt-oss clamps gate and rise and has its own activation (its model card, section 2.2).
        return 10 if self.bias else 4


@dataclass(frozen=True, slots=True)
class Family:
    """What tells one family's blocks from another's.

    ``layer_norm``: with bias, not RMSNorm; ``norms`` of the width of the model in a block; ``fused``: one
    matrix for queries, keys and values; ``gated``: three matrices in the feed-forward part, not two;
    ``head_norms``: norms of queries and keys, of each head or (``whole_norms``) of all heads together;
    ``matrix``: attention weights are held whole (no fused kernel); ``names`` of the matrices: those before
    the heads, the one after them, the rising ones and the falling one; ``head_bias``: the head has a bias;
    ``sinks``: one weight a head beside the scores; the rest are the defaults of configs that leave a key out.
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
    whole_norms: bool = False
    head_bias: bool = False
    sinks: bool = False
    experts: bool = False
    names: tuple[str, str, str, str] = ("q_proj k_proj v_proj", "o_proj", "gate_proj up_proj", "down_proj")


_NEOX = ("query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h")
_PHI3 = ("qkv_proj", "o_proj", "gate_up_proj", "down_proj")
_PHI = ("q_proj k_proj v_proj", "dense", "fc1", "fc2")
_GPT2 = ("c_attn", "c_proj", "c_fc", "c_proj")
FAMILIES: Mapping[str, Family] = {
    "llama": Family(),
    "mistral": Family(),
    "qwen2": Family(qkv_bias=True),
    "qwen3": Family(head_norms=True, head_dim=128),
    "gemma": Family(tied=True, head_dim=256),
    "gemma2": Family(norms=4, matrix=True, tied=True, head_dim=256, soft_cap=30.0),
    "gemma3_text": Family(norms=4, head_norms=True, tied=True, head_dim=256),
    "granite": Family(),
    "olmo2": Family(head_norms=True, whole_norms=True),
    "phi3": Family(fused=True, names=_PHI3),
    "phi": Family(layer_norm=True, norms=1, gated=False, all_bias=True, head_bias=True, names=_PHI),
    "mixtral": Family(experts=True),
    "qwen3_moe": Family(head_norms=True, head_dim=128, experts=True),
    "gpt_oss": Family(all_bias=True, sinks=True, experts=True, head_dim=64),
    "bloom": Family(True, 2, True, False, matrix=True, tied=True, all_bias=True, names=_NEOX),
    "gpt_neox": Family(True, 2, True, False, all_bias=True, names=_NEOX),
    "gpt2": Family(True, 2, True, False, matrix=True, tied=True, all_bias=True, names=_GPT2),
}
"""Families by ``model_type``: Llama 1 to 3, Mistral and Mixtral, Qwen 2 and 3 (with experts too), Gemma 1 to
3, Granite, OLMo 2, Phi 1 to 4, gpt-oss, BLOOM, GPT-NeoX (Pythia), GPT-2."""

_OTHER_NAMES = {
    "hidden_size": ("n_embed", "n_embd"),
    "num_hidden_layers": ("n_layer",),
    "num_attention_heads": ("n_head",),
    "intermediate_size": ("n_inner",),
    "num_local_experts": ("num_experts",),
}


@dataclass(frozen=True, slots=True)
class Shape:
    """A causal language model: ``width`` of the hidden states, ``heads`` of ``head_dim``, and its matrices.

    ``linears`` are those of one block, without the ``experts`` that some have; ``capped``: the logits pass a
    soft cap or the head has a bias, so that it cannot be applied apart from the model; ``positions`` with an
    embedding of their own.
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
    experts: Experts | None = None
    positions: int = 0

    @property
    def linear_parameters(self) -> int:
        """Weights of the matrices of all blocks, which adapters stand beside."""
        return self.layers * sum(linear.parameters for linear in self.linears)

    @property
    def expert_parameters(self) -> int:
        """Weights of all experts and routers."""
        return self.layers * self.experts.parameters if self.experts else 0

    @property
    def table(self) -> int:
        """Weights of the embedding table, and of the head where it is one's own."""
        return self.vocabulary * self.width

    @property
    def parameters(self) -> int:
        """All weights, each counted once."""
        family, heads, kv = self.family, self.heads, self.kv_heads
        norm = self.width * (2 if family.layer_norm else 1)
        # BLOOM norms the embeddings as well.
        norms = self.layers * family.norms + 1 + (self.model_type == "bloom")
        per_norm = (heads + kv if family.whole_norms else 2) * self.head_dim
        beside = self.layers * (family.head_norms * per_norm + family.sinks * heads)
        tables = self.table * (1 if self.tied else 2) + self.positions * self.width
        head_bias = self.vocabulary * family.head_bias
        blocks = self.linear_parameters + self.expert_parameters
        return blocks + norms * norm + beside + tables + head_bias

    @property
    def multiplied(self) -> int:
        """Weights that a token is multiplied with: not what is looked up, nor experts that are not chosen."""
        idle = (
            self.layers * (self.experts.count - self.experts.chosen) * self.experts.each
            if self.experts
            else 0
        )
        looked_up = (0 if self.tied else self.table) + self.positions * self.width
        return self.parameters - looked_up - idle

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
    except (OSError, ValueError, AttributeError, RecursionError) as error:
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
    even = family.fused and family.layer_norm  # one matrix of three equal parts
    kv_heads = heads if even or not config.get("num_key_value_heads") else size("num_key_value_heads")
    head_dim = width // heads if even else config.get("head_dim") or family.head_dim or width // heads
    wide = kind == "bloom" or (kind == "gpt2" and not config.get("n_inner"))
    experts = _experts(config, family, kind, size, place) if family.experts else None
    inner = 4 * width if wide else experts.chosen * experts.inner if experts else size("intermediate_size")
    bias = bool(config.get("attention_bias", family.all_bias))
    q, kv = heads * head_dim, kv_heads * head_dim
    before, after, rises, fall = family.names
    sizes = {"q_proj": q, "k_proj": kv, "v_proj": kv}
    attention = tuple(
        Linear(name, width, sizes.get(name, q + 2 * kv), bias or family.qkv_bias, "attention")
        for name in before.split()
    )
    attention += (Linear(after, q, width, bias, "heads"),)
    feed: tuple[Linear, ...] = ()
    if experts is None:
        mlp_bias = bool(config.get("mlp_bias", family.all_bias))
        names = rises.split()
        each = inner * (1 + family.gated) // len(names)
        feed = tuple(Linear(name, width, each, mlp_bias, "mlp") for name in names)
        feed += (Linear(fall, inner, width, mlp_bias, "inner"),)
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
        capped=bool(config.get("final_logit_softcapping", family.soft_cap)) or family.head_bias,
        parallel=kind == "phi" or (kind == "gpt_neox" and bool(config.get("use_parallel_residual", True))),
        linears=(*attention, *feed),
        experts=experts,
        positions=config.get("n_positions", 1024) if kind == "gpt2" else 0,
    )


def _experts(
    config: Mapping[str, Any], family: Family, kind: str, size: Callable[[str], int], place: str
) -> Experts:
    """Return the experts of a block; raise :class:`AssayError` where blocks differ."""
    if config.get("mlp_only_layers") or config.get("decoder_sparse_step", 1) != 1:
        raise AssayError(
            "no estimate for models of which only some blocks have experts",
            place=f"{place}: mlp_only_layers, decoder_sparse_step",
            value=config.get("mlp_only_layers") or f"decoder_sparse_step {config['decoder_sparse_step']}",
            expected="experts in every block",
        )  # fmt: skip
    inner = size("moe_intermediate_size" if kind == "qwen3_moe" else "intermediate_size")
    count, chosen = size("num_local_experts"), size("num_experts_per_tok")
    return Experts(count, chosen, size("hidden_size"), inner, family.all_bias, adapted=kind != "gpt_oss")
