"""Low-rank adapters by peft: LoRA (Hu et al. 2021), DoRA (Liu et al. 2024), QLoRA (Dettmers et al. 2023).

An adapter is trained on a frozen base in the recipe's type, for QLoRA in NF4 with double quantization.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from assay.core import AssayError, read_json
from assay.data import replacing_text
from assay.model.base import ADAPTER, FROZEN, Frozen, base_name, load_frozen, need_package, quiet
from assay.model.train._recipe import Recipe


@quiet()
def adapted(base: Path, recipe: Recipe, seed: int, device: str) -> Any:
    """Return a peft model: the base frozen, and adapters drawn from ``seed``."""
    need_package("peft", recipe.adapter)
    from peft import LoraConfig, get_peft_model

    model = load_frozen(base, _frozen(recipe), device)
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
        if "use_dora" in str(error):
            raise AssayError(
                "DoRA has no form for experts", place="recipe.adapter", value=recipe.adapter,
                expected="lora, or targets without the experts",
                hint="set recipe.targets to the matrices of the attention: [q_proj, k_proj, v_proj, o_proj]",
            ) from None  # fmt: skip
        raise AssayError(
            f"the base has no layers that the adapter targets ({error})",
            place="recipe.targets",
            value=", ".join(recipe.targets) or "all linear layers",
            expected="names of linear layers of the base, or nothing for all of them",
        ) from None


def write_adapter(
    model: Any, base: Path, recipe: Recipe, folder: Path, weights: Mapping[str, Tensor] | None = None
) -> None:
    """Write the adapter of a peft model alone; ``weights`` by name where the model does not hold them."""
    model.active_peft_config.base_model_name_or_path = base_name(base) or ""
    # peft would look the base up, on the hub if need be, to see whether its embeddings were resized.
    model.save_pretrained(folder, state_dict=weights, save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)
    with replacing_text(folder / FROZEN) as file:
        file.write(json.dumps(asdict(_frozen(recipe))) + "\n")


def copy_adapter(weights: Path, base: Path, recipe: Recipe, folder: Path) -> None:
    """Write the adapter that another trainer left in ``weights``, with the name of its base."""
    config = read_json(weights / ADAPTER, hint="copy the run's folder out back whole")
    folder.mkdir(parents=True, exist_ok=True)
    for path in weights.glob("adapter_model*.safetensors"):
        shutil.copyfile(path, folder / path.name)
    with replacing_text(folder / ADAPTER) as file:
        file.write(json.dumps({**config, "base_model_name_or_path": base_name(base) or ""}, indent=2) + "\n")
    with replacing_text(folder / FROZEN) as file:
        file.write(json.dumps(asdict(_frozen(recipe))) + "\n")


def _frozen(recipe: Recipe) -> Frozen:
    return Frozen(recipe.dtype, "nf4" if recipe.adapter == "qlora" else None)
