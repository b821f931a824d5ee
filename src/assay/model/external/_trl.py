"""TRL's supervised fine-tuning, ``trl sft``: rows of ids and labels are taken as they are."""

from __future__ import annotations

from typing import Any

from assay.model.external._settings import ExternalRun, trainer_arguments


def trl_config(run: ExternalRun) -> dict[str, Any]:
    """Return the settings of ``python -m trl.scripts.sft --config``."""
    recipe = run.recipe
    whole = recipe.adapter == "none"
    return {
        "model_name_or_path": "base",
        # What is trained stays in fp32; a frozen base is held in the recipe's type.
        "dtype": "float32" if whole or recipe.dtype == "fp32" else "bfloat16",
        "dataset_name": "data",
        # Rows were cut already; with a limit rows without a label would be dropped as well.
        "max_length": None,
        "packing": False,
        "train_sampling_strategy": "sequential",
        **trainer_arguments(run),
        "bf16": recipe.dtype == "bf16",
        "loss_type": "nll",
        "activation_offloading": recipe.offload_activations,
        "use_liger_kernel": recipe.liger,
        **({} if whole else _adapter(run)),
    }


def _adapter(run: ExternalRun) -> dict[str, Any]:
    recipe = run.recipe
    quantized = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "use_bnb_nested_quant": True}
    return {
        "use_peft": True,
        "lora_r": recipe.rank,
        "lora_alpha": recipe.alpha,
        "lora_dropout": recipe.adapter_dropout,
        "lora_target_modules": list(recipe.targets) or ["all-linear"],
        "use_dora": recipe.adapter == "dora",
        **(quantized if recipe.adapter == "qlora" else {}),
    }
