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
    """Estimate whether a training run fits in memory, its time, and the cheapest change that fits.

    Reads only config.json; nothing is loaded or run. Time is a range, at 50 to 25 % of peak FLOPS.

    Example: `assay estimate bigscience/bloom-7b1 --set dtype=bf16 --samples 200000 --devices 8 --memory 80`

        >>> found = assay.estimate("pocket", gpu="t4")
        >>> found.fits
        True

    Parameters
    ----------
    base
        `pocket`, a folder with config.json, or a Hugging Face id.
    recipe
        Preset: pocket, testbed, belle, belle-lora, alpaca or alpaca-lora; the default depends on the base.
    set
        Override a setting of the recipe, `key=value` (`adapter=lora`); may be repeated.
    samples
        Number of training samples; the recipe sets the number of epochs.
    tokens_per_sample
        Mean length of a sample, in tokens.
    devices
        Number of GPUs.
    gpu
        GPU model: t4, v100-16, v100-32, 3090, 4090, a100-40, l40s, a100-80, h100, h200; or cpu.
    memory
        Memory per device, in GiB; without it and `--gpu`, the smallest known machine that fits is chosen.
    strategy
        Sharding strategy: fsdp, or DeepSpeed's zero2 or zero3.
    offload
        Keep sharded state in host memory.
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
