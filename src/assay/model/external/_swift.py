"""ms-swift: rows of ids and labels as a conversation, read by a template of ours that it is told of.

Its rows are conversations and its templates write them; a template that is registered by a file of its own
(``external_plugins``) takes the ids and labels from the two turns and adds nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from assay.model.external._settings import ExternalRun, refuse, trainer_arguments

PLUGIN = "rows.py"

PLUGIN_TEXT = '''"""The template of rows that are ids and labels: two turns, each a list of numbers."""

import json

from swift.template import Template, TemplateMeta, register_template


class Rows(Template):
    def _encode(self, inputs):
        ids, labels = (json.loads(turn["content"]) for turn in inputs.messages)
        return {"input_ids": ids, "labels": labels, "loss_scale": None}


register_template(TemplateMeta("handed", prefix=[], prompt=["{{QUERY}}"], chat_sep=[], template_cls=Rows))
'''


def swift_row(row: Mapping[str, list[int]]) -> dict[str, Any]:
    """Return a row of ids and labels as the template takes it."""
    turns = (("user", row["input_ids"]), ("assistant", row["labels"]))
    return {"messages": [{"role": role, "content": json.dumps(numbers)} for role, numbers in turns]}


def swift_config(run: ExternalRun) -> dict[str, Any]:
    """Return the settings of ``swift sft``."""
    recipe = run.recipe
    if recipe.offload_activations:
        refuse("ms-swift", "offload_activations", True, "false")
    whole = recipe.adapter == "none"
    return {
        "model": "base",
        # Of several of its kinds with one architecture it takes none by itself.
        **({"model_type": run.family} if run.family else {}),
        "external_plugins": PLUGIN,
        "template": "handed",
        "dataset": "data/train.jsonl",
        "dataset_shuffle": False,
        "train_dataloader_shuffle": False,
        "split_dataset_ratio": 0.0,
        # Rows were cut already; by its own default longer ones would be left out.
        "max_length": recipe.max_tokens,
        "truncation_strategy": "right",
        "packing": False,
        "torch_dtype": "float32" if whole or recipe.dtype == "fp32" else "bfloat16",
        "tuner_type": "full" if whole else "lora",
        "add_version": False,
        **trainer_arguments(run),
        "bf16": recipe.dtype == "bf16",
        "fp16": False,
        "use_liger_kernel": recipe.liger,
        **({} if whole else _adapter(run)),
    }


def _adapter(run: ExternalRun) -> dict[str, Any]:
    recipe = run.recipe
    quantized = {"quant_method": "bnb", "quant_bits": 4, "bnb_4bit_quant_type": "nf4"}
    return {
        "lora_rank": recipe.rank,
        "lora_alpha": recipe.alpha,
        "lora_dropout": recipe.adapter_dropout,
        "target_modules": list(recipe.targets) or ["all-linear"],
        "use_dora": recipe.adapter == "dora",
        **(quantized if recipe.adapter == "qlora" else {}),
    }
