"""Axolotl, on rows of ids and labels (its data sets without a ``type``)."""

from __future__ import annotations

from typing import Any

from assay.model.external._settings import ExternalRun, optimizer, refuse, schedule


def axolotl_config(run: ExternalRun) -> dict[str, Any]:
    """Return the settings of ``axolotl train``."""
    recipe = run.recipe
    for name in ("liger", "offload_activations"):
        if getattr(recipe, name):
            refuse("axolotl", name, True, "false")
    own = optimizer(run)
    return {
        "base_model": "base",
        "datasets": [{"path": "data/train.jsonl", "ds_type": "json", "split": "train", "type": None}],
        "dataset_prepared_path": "prepared",
        "val_set_size": 0,
        # Its sampler goes from top to bottom where the order is a curriculum.
        "shuffle_merged_datasets": False,
        "curriculum_sampling": True,
        "sequence_len": recipe.max_tokens,
        "sample_packing": False,
        "pad_to_sequence_len": False,
        "micro_batch_size": run.per_device,
        "gradient_accumulation_steps": run.accumulation,
        "num_epochs": 1,
        "optimizer": own.pop("optim"),
        **own,
        **{name.removesuffix("_type"): value for name, value in schedule(run).items()},
        "bf16": recipe.dtype == "bf16",
        "fp16": False,
        "tf32": False,
        "gradient_checkpointing": recipe.gradient_checkpointing,
        "seed": run.seed,
        "output_dir": "out",
        "logging_steps": 1,
        "save_steps": run.save_every,
        "save_total_limit": 1,
        **({} if recipe.adapter == "none" else _adapter(run)),
    }


def _adapter(run: ExternalRun) -> dict[str, Any]:
    recipe = run.recipe
    targets = (
        {"lora_target_modules": list(recipe.targets)} if recipe.targets else {"lora_target_linear": True}
    )
    return {
        "adapter": "qlora" if recipe.adapter == "qlora" else "lora",
        "load_in_4bit": recipe.adapter == "qlora",
        "lora_r": recipe.rank,
        "lora_alpha": recipe.alpha,
        "lora_dropout": recipe.adapter_dropout,
        "peft_use_dora": recipe.adapter == "dora",
        **targets,
    }
