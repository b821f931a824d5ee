"""LLaMA-Factory's supervised fine-tuning, on a tokenized data set that it finds beside its settings."""

from __future__ import annotations

from typing import Any

from assay.model.external._settings import ExternalRun, refuse, trainer_arguments

TOKENIZED = "tokenized"


def llamafactory_config(run: ExternalRun) -> dict[str, Any]:
    """Return the settings of ``llamafactory-cli train``."""
    recipe = run.recipe
    if recipe.offload_activations:
        refuse("LLaMA-Factory", "offload_activations", True, "false")
    whole = recipe.adapter == "none"
    arguments = trainer_arguments(run)
    return {
        "model_name_or_path": "base",
        "stage": "sft",
        "do_train": True,
        "finetuning_type": "full" if whole else "lora",
        "template": "empty",
        # A name must be there; the tokenized set takes its place.
        "dataset": "handed",
        "tokenized_path": TOKENIZED,
        "disable_shuffling": True,
        **arguments,
        "disable_gradient_checkpointing": not arguments.pop("gradient_checkpointing"),
        "bf16": recipe.dtype == "bf16",
        "enable_liger_kernel": recipe.liger,
        "plot_loss": False,
        **({} if whole else _adapter(run)),
    }


def _adapter(run: ExternalRun) -> dict[str, Any]:
    recipe = run.recipe
    quantized = {"quantization_bit": 4, "quantization_type": "nf4", "double_quantization": True}
    return {
        "lora_rank": recipe.rank,
        "lora_alpha": recipe.alpha,
        "lora_dropout": recipe.adapter_dropout,
        "lora_target": ",".join(recipe.targets) or "all",
        "use_dora": recipe.adapter == "dora",
        **(quantized if recipe.adapter == "qlora" else {}),
    }
