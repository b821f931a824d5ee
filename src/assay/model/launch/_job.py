"""A job: the folder with all that the processes of a training read, written from the recipe.

``job.json`` (what to train), ``order.npy``, ``accelerate.yaml`` and for ZeRO ``deepspeed.json``.  The
launcher reads the same files as the processes it starts, so that what a file says is what is done.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from assay.core import AssayError
from assay.data import replacing_text
from assay.model.launch._settings import Launch
from assay.model.train import Indices, Recipe, Segment

JOB = "job.json"
ACCELERATE = "accelerate.yaml"
DEEPSPEED = "deepspeed.json"


def accelerate_config(recipe: Recipe, launch: Launch, layers: list[str], folder: Path) -> dict[str, Any]:
    """Return accelerate's settings; ``layers``: classes of the model's layers, the units of sharding."""
    alone = launch.machines == 1
    config: dict[str, Any] = {
        "compute_environment": "LOCAL_MACHINE",
        "distributed_type": "FSDP" if launch.strategy == "fsdp" else "DEEPSPEED",
        "mixed_precision": "bf16" if recipe.dtype == "bf16" else "no",
        "num_processes": launch.processes,
        "num_machines": launch.machines,
        "machine_rank": 0,
        "main_process_ip": launch.address,
        "main_process_port": 0 if alone else launch.port,  # 0: one that is free
        "same_network": True,
        "rdzv_backend": "static",
        "main_training_function": "main",
        "use_cpu": False,
    }
    if launch.strategy == "fsdp":
        config["fsdp_config"] = {
            "fsdp_version": 2,
            "fsdp_auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
            "fsdp_transformer_layer_cls_to_wrap": ",".join(layers),
            "fsdp_reshard_after_forward": True,
            "fsdp_offload_params": launch.offload,
            "fsdp_activation_checkpointing": False,  # the recipe's gradient_checkpointing is the model's own
            "fsdp_cpu_ram_efficient_loading": False,  # processes load one after the other instead
            "fsdp_state_dict_type": "SHARDED_STATE_DICT",
        }
    else:
        del config["mixed_precision"]  # it is in DeepSpeed's own file
        config["deepspeed_config"] = {
            "deepspeed_config_file": str(folder / DEEPSPEED),
            "deepspeed_multinode_launcher": "standard",
            "zero3_init_flag": False,
        }
    return config


def deepspeed_config(recipe: Recipe, launch: Launch) -> dict[str, Any]:
    """Return DeepSpeed's settings: bf16 with fp32 weights in the optimizer, or fp32 throughout.

    Micro-batches hold tokens, not samples, so the trainer marks the end of each optimizer batch itself;
    the samples below are what a process sees of a batch.
    """
    stage = 2 if launch.strategy == "zero2" else 3
    zero: dict[str, Any] = {"stage": stage, "contiguous_gradients": True, "overlap_comm": True}
    if launch.offload:
        zero["offload_optimizer"] = {"device": "cpu", "pin_memory": True}
        if stage == 3:
            zero["offload_param"] = {"device": "cpu", "pin_memory": True}
    return {
        "train_micro_batch_size_per_gpu": math.ceil(recipe.batch_size / launch.processes),
        "gradient_accumulation_steps": 1,
        "gradient_clipping": recipe.clip_norm,
        "bf16": {"enabled": recipe.dtype == "bf16"},
        "zero_optimization": zero,
        # torch's AdamW, as in every other run; DeepSpeed's own would be compiled at run time.
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "steps_per_print": 2**31,
        "wall_clock_breakdown": False,
    }


def layer_classes(base: Path) -> list[str]:
    """Return the classes of a base's layers, which no device border may cut, as transformers names them."""
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, AutoConfig

    config = AutoConfig.from_pretrained(base)
    known = type(config) in MODEL_FOR_CAUSAL_LM_MAPPING
    names = MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]._no_split_modules if known else None
    if not names:
        raise AssayError(
            "transformers does not say what the layers of this model are",
            place=str(base),
            value=config.model_type,
            expected="a causal model with _no_split_modules",
            hint="where.launch.processes: 1 trains it on one device",
        )
    return sorted(names)


def write_job(folder: Path, launch: Launch, segment: Segment, order: Indices, **paths: str | None) -> None:
    """Write all files of a job; a job that was there before leaves no trace."""
    folder.mkdir(parents=True, exist_ok=True)
    for stale in ("progress.json", "report.json", "log.txt", *(p.name for p in folder.glob("error-*.json"))):
        (folder / stale).unlink(missing_ok=True)
    np.save(folder / "order.npy", order)
    recipe = segment.recipe
    layers = layer_classes(Path(str(paths["base"])))
    _write(folder / JOB, {"segment": asdict(segment), "strategy": launch.strategy, **paths})
    config = accelerate_config(recipe, launch, layers, folder)
    with replacing_text(folder / ACCELERATE) as file:
        yaml.safe_dump(config, file, sort_keys=False)
    if launch.strategy != "fsdp":
        _write(folder / DEEPSPEED, deepspeed_config(recipe, launch))


def _write(path: Path, data: Mapping[str, Any]) -> None:
    with replacing_text(path) as file:
        json.dump(data, file, indent=1)


def read_log(folder: Path) -> str:
    """Return what the launcher and the processes printed; nothing where there is no ``log.txt``."""
    path = folder / "log.txt"
    return path.read_text(encoding="utf-8", errors="replace").strip() if path.exists() else ""
