"""Low-rank adapters by peft: LoRA (Hu et al. 2021), DoRA (Liu et al. 2024), QLoRA (Dettmers et al. 2023).

An adapter is trained on a frozen base in the recipe's type, for QLoRA in NF4 with double quantization.
``frozen.json`` beside the adapter says which, so that merging starts from the very weights it was trained
on: QLoRA's are the dequantized ones, not those of the checkpoint.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from assay.core import AssayError
from assay.data import replacing_text
from assay.model.base._merge import quiet
from assay.model.base._resolve import ADAPTER, base_name, load_whole
from assay.model.train._recipe import Recipe

FROZEN = "frozen.json"


@dataclass(frozen=True, slots=True)
class Frozen:
    """How the base below an adapter is held: its type, and its quantization if it has one."""

    dtype: Literal["fp32", "bf16"] = "fp32"
    quantized: Literal["nf4"] | None = None


@quiet()
def adapted(base: Path, recipe: Recipe, seed: int, device: str) -> Any:
    """Return a peft model: the base frozen, and adapters drawn from ``seed``."""
    _need("peft", recipe.adapter)
    from peft import LoraConfig, get_peft_model

    model = load_frozen(base, Frozen(recipe.dtype, "nf4" if recipe.adapter == "qlora" else None), device)
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        lora_dropout=recipe.adapter_dropout,
        target_modules=list(recipe.targets) or "all-linear",
        use_dora=recipe.adapter == "dora",
    )
    torch.manual_seed(seed)
    try:
        return get_peft_model(model, config)
    except ValueError as error:
        raise AssayError(
            f"the base has no layers for the adapter ({error})",
            place="recipe.targets",
            value=", ".join(recipe.targets) or "all linear layers",
            expected="names of linear layers of the base, or nothing for all of them",
        ) from None


def load_frozen(base: Path, frozen: Frozen, device: str) -> Any:
    """Load a base as it is held below an adapter."""
    dtype = torch.bfloat16 if frozen.dtype == "bf16" else torch.float32
    if frozen.quantized is None:
        return load_whole(base, device, dtype=dtype)
    _need("bitsandbytes", "qlora")
    from transformers import BitsAndBytesConfig

    quantization = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type=frozen.quantized,
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )
    try:
        model = load_whole(base, device, dtype=dtype, quantization_config=quantization)
    except (ValueError, RuntimeError, NotImplementedError) as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        raise AssayError(
            f"the base cannot be held in 4 bits ({error})",
            place="recipe.adapter",
            value="qlora",
            expected="a base whose linear layers bitsandbytes can quantize on this device",
            hint="adapter: lora trains on the base in recipe.dtype",
        ) from None
    for layer in model.modules():
        # On some CPUs bitsandbytes would pack the weights anew at the first pass without gradients, and round
        # their scales to bf16: no longer the base that the adapter is trained on.
        if hasattr(layer, "support_avx512bf16_for_cpu"):
            layer.support_avx512bf16_for_cpu = False
    return model


def write_adapter(
    model: Any, base: Path, recipe: Recipe, folder: Path, weights: Mapping[str, Tensor] | None = None
) -> None:
    """Write the adapter of a peft model alone; ``weights`` by name where the model does not hold them."""
    model.active_peft_config.base_model_name_or_path = base_name(base) or ""
    # peft would look the base up, on the hub if need be, to see whether its embeddings were resized.
    model.save_pretrained(folder, state_dict=weights, save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)
    frozen = Frozen(recipe.dtype, "nf4" if recipe.adapter == "qlora" else None)
    with replacing_text(folder / FROZEN) as file:
        file.write(json.dumps(asdict(frozen)) + "\n")


@quiet()
def load_merged(folder: Path, base: Path | None, device: str, attention: str | None = None) -> Any:
    """Load an adapter and add it into the weights of its base, in fp32."""
    if base is None:
        raise AssayError(
            "an adapter without its base",
            place=str(folder),
            expected="the base model that it was trained on",
            hint="`load_model(folder, base=...)`",
        )
    _need("peft", "lora")
    from peft import PeftModel

    path = folder / FROZEN
    frozen = Frozen(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else Frozen()
    model = load_frozen(base, frozen, device)
    if frozen.quantized is not None:
        model = model.dequantize()
    model = model.float()
    if attention is not None:
        model.set_attn_implementation(attention)
    try:
        return PeftModel.from_pretrained(model, folder).merge_and_unload().eval()
    except (ValueError, RuntimeError) as error:
        raise AssayError(
            f"the adapter does not fit the base ({type(error).__name__})",
            place=str(folder / ADAPTER),
            value=str(base),
            expected="the base model that it was trained on",
        ) from None


def _need(package: str, adapter: str) -> None:
    if find_spec(package) is None:
        raise AssayError(
            f"adapter {adapter} needs the package {package}",
            place="recipe.adapter",
            value=adapter,
            expected=f"{package} installed",
            hint='pip install "instruct-assay[scale]"',
        )
