"""How a run was trained, by the names of one tool after another, in names of our own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from assay.results._values import Fact

_NAMES: Mapping[str, tuple[str, ...]] = {
    "n_train": ("n_train", "train_samples", "num_train_samples", "n_samples", "train_size", "num_examples"),
    "seed": ("seed",),
    "arm": ("arm",),
    "base": ("base", "base_model", "base_model_name_or_path", "model_name_or_path", "_name_or_path", "model"),
    "learning_rate": ("learning_rate", "lr"),
    "epochs": ("epochs", "num_train_epochs", "num_epochs"),
    "batch_size": ("batch_size", "total_train_batch_size", "effective_batch_size"),
    "schedule": ("schedule", "lr_scheduler_type", "lr_scheduler"),
    "max_length": ("max_length", "cutoff_len", "max_seq_length", "sequence_len"),
    "tuning": ("tuning", "finetuning_type", "train_type", "tuner_type", "peft_type"),
    "lora_rank": ("lora_rank", "lora_r", "r"),
    "lora_alpha": ("lora_alpha",),
    "weight_decay": ("weight_decay",),
    "optimizer": ("optimizer", "optim"),
    "packing": ("packing",),
    "template": ("template",),
    "quantization": ("quantization_bit", "load_in_4bit", "load_in_8bit"),
    "loss_type": ("loss_type", "loss"),
}
RECIPE = tuple(name for name in _NAMES if name not in ("n_train", "seed", "arm", "base", "loss_type"))
"""Settings that distinguish recipes."""


def facts_of(config: Mapping[str, Any]) -> dict[str, Fact]:
    """Return what a tool's settings say of a run, in our names; what is empty says nothing."""
    plain = {str(key).strip().lower().removeprefix("config."): value for key, value in config.items()}
    found: dict[str, Fact] = {}
    for ours, names in _NAMES.items():
        value = next((v for name in names if (v := _fact(plain.get(name))) is not None), None)
        if value is not None and ours != "loss_type":
            found[ours] = value
    device, steps = (plain.get(n) for n in ("per_device_train_batch_size", "gradient_accumulation_steps"))
    if "batch_size" not in found and (size := _number(device)) is not None:
        found["batch_size"] = int(size * (_number(steps) or 1))
    return found


def _fact(value: Any) -> Fact | None:
    """Return a setting as it compares: numbers as numbers, however they were written."""
    if (
        value is None
        or isinstance(value, list | tuple | dict | set)
        or str(value).strip() in ("", "None", "null")
    ):
        return None
    if isinstance(value, bool):
        return value
    number = _number(value)
    if number is not None:
        return int(number) if number.is_integer() else number
    text = str(value).strip()
    return {"true": True, "false": False}.get(text.lower(), text)


def _number(value: Any) -> float | None:
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return found if math.isfinite(found) else None
