"""A fine-tuned model as one folder that others can load: safetensors shards, chat template, end marks."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from assay.core import AssayError
from assay.model.base._load import load_model, load_tokenizer
from assay.model.tokens import AUTO, stop_ids

ExportDtype = Literal["bf16", "fp16", "fp32"]
SHARD = "5GB"


def merge(
    folder: Path,
    out: Path,
    *,
    base: Path | None = None,
    dtype: ExportDtype = "bf16",
    shard: str = SHARD,
    template: str = AUTO,
) -> None:
    """Write the model of ``folder`` to ``out``, an adapter merged into its ``base``.

    Weights are rounded once, from fp32 to ``dtype``, and written as safetensors files of at most ``shard``
    each; ``template`` is the recipe's.  Raises :class:`AssayError` where a weight is too large for ``dtype``.
    """
    import torch

    network = load_model(folder, base=base)
    kind = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}[dtype]
    too_large = [n for n, p in network.named_parameters() if not torch.isfinite(p.detach().to(kind)).all()]
    if too_large:
        raise AssayError(
            f"weights outside the range of {dtype}", place=str(folder), value=", ".join(too_large),
            expected="finite weights", hint="export in bf16, which reaches as far as fp32",
        )  # fmt: skip
    save(network, folder, out, kind, shard, template)


def save(
    network: Any, folder: Path, out: Path, dtype: Any, shard: str, template: str = AUTO, **options: Any
) -> None:
    """Write a model in ``dtype`` with the tokenizer of ``folder``; ``options`` go to ``save_pretrained``."""
    network = network.to(dtype)
    network.config.dtype = dtype
    tokenizer = dress(network, folder, template)
    network.save_pretrained(out, max_shard_size=shard, **options)
    tokenizer.save_pretrained(out)


def dress(network: Any, folder: Path, template: str = AUTO) -> Any:
    """Return the tokenizer of ``folder`` with its chat template, and give the model its end marks.

    A tokenizer without a template gets the plain one that the model was trained with, so that others render
    the same prompts.
    """
    tokenizer = load_tokenizer(folder, template)
    network.generation_config.eos_token_id = stops = stop_ids(tokenizer)
    if network.generation_config.pad_token_id is None:
        pad = tokenizer.pad_token_id
        network.generation_config.pad_token_id = stops[0] if pad is None else pad
    return tokenizer
