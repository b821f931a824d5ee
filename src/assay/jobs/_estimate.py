"""Memory and time of a training run before it starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from assay import model
from assay.core import AssayError
from assay.study import machine_for, recipe_of


def estimate(
    base: str,
    *,
    recipe: str | None = None,
    set: Sequence[str] = (),
    samples: int = 50_000,
    tokens_per_sample: float = 250.0,
    devices: int = 1,
    gpu: str | None = None,
    memory: float | None = None,
    strategy: Literal["fsdp", "zero2", "zero3"] = "fsdp",
    offload: bool = False,
) -> model.TrainingEstimate:
    """Say before a training whether it fits, how long it takes, and the cheapest change with which it fits.

    Only the base's config.json is read; nothing is loaded or run. Time is a range: at 50 to 25 % of the
    devices' peak.

    Example: `assay estimate bigscience/bloom-7b1 --set dtype=bf16 --samples 200000 --devices 8 --memory 80`

        >>> found = assay.estimate("pocket", gpu="t4")
        >>> found.fits
        True

    Parameters
    ----------
    base
        `pocket`, a folder with config.json, or a Hugging Face id.
    recipe
        A preset: pocket, testbed, belle, belle-lora, alpaca or alpaca-lora (by default pocket for the
        pocket model, else belle).
    set
        A setting of the recipe, `adapter=lora`, `gradient_checkpointing=true`; may be repeated.
    samples
        Training samples; the recipe says how many passes are made.
    tokens_per_sample
        Their mean length.
    devices
        How many GPUs share the training.
    gpu
        A well-known one: t4, v100-16, v100-32, 3090, 4090, a100-40, l40s, a100-80, h100, h200; or cpu.
    memory
        Of one device, in GiB; without it and --gpu, the smallest well-known machine that fits.
    strategy
        How devices share it: fsdp, or DeepSpeed's zero2 or zero3.
    offload
        Keep what is shared out in the machine's memory.
    """
    launch = model.Launch(devices, strategy, offload)
    shape = model.find_shape(base)
    chosen = recipe_of(recipe or (model.POCKET if base == model.POCKET else "belle"), set)
    device = _device(gpu, memory)
    if device is None:
        device, launch = machine_for(shape, chosen, launch)
    tokens = samples * chosen.epochs * tokens_per_sample
    return model.estimate_training(shape, chosen, device, launch=launch, tokens=tokens)


def _device(gpu: str | None, memory: float | None) -> model.Device | None:
    """Return a device by name and memory; memory alone stands for the GPU of that size, as to speed."""
    if gpu is None and memory is None:
        return None
    if gpu is None:
        large = [d for d in model.DEVICES.values() if d.memory and d.memory >= (memory or 0)]
        near = [d for d in large if d.bf16 > d.fp32]
        found = min(near, key=lambda d: (d.memory or 0, d.bf16), default=model.DEVICES["h200"])
    elif gpu in model.DEVICES:
        found = model.DEVICES[gpu]
    else:
        raise AssayError("no such device", place="--gpu", value=gpu, expected=", ".join(model.DEVICES))
    return found if memory is None else replace(found, memory=memory)
