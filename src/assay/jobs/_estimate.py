"""Memory and time of a training run before it starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from assay import model
from assay.core import AssayError
from assay.study import machine_for, recipe_of


def estimate_base(
    base: str,
    *,
    recipe: str | None,
    changes: Sequence[str],
    samples: int,
    tokens_per_sample: float,
    launch: model.Launch,
    gpu: str | None,
    memory: float | None,
) -> model.TrainingEstimate:
    """Estimate a training of ``base``, of which the configuration alone is read (or fetched).

    ``changes`` are settings of the recipe, ``key=value``; ``memory`` in GiB of one device stands above
    that of ``gpu``.  Without both, and one process, it is the smallest well-known machine that fits.
    """
    shape = model.find_shape(base)
    chosen = recipe_of(recipe or (model.POCKET if base == model.POCKET else "belle"), changes)
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
