"""Memory and time of a training before it starts: for one base and recipe, and for a study's largest rung."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from assay import model
from assay.core import AssayError
from assay.study._config import recipe_of
from assay.study._graph import Ladder

# Smaller models are trained where no GPU is.
_SMALL = 1e8


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
        device, launch = _smallest(shape, chosen, launch)
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


def _smallest(
    shape: model.Shape, recipe: model.Recipe, launch: model.Launch
) -> tuple[model.Device, model.Launch]:
    if launch.processes > 1:
        return model.DEVICES["a100-80"], launch
    return model.smallest_machine(shape, recipe) or (model.DEVICES["h200"], launch)


def estimate_here(
    base: Path, recipe: model.Recipe, tokens: float, device: str, launch: model.Launch | None
) -> model.TrainingEstimate | None:
    """Estimate a training on ``tokens`` on this machine; None for a base whose family has no estimate."""
    try:
        shape = model.read_shape(base)
    except AssayError:
        return None
    found = (None if device == "cpu" else model.this_gpu()) or model.DEVICES["cpu"]
    return model.estimate_training(shape, recipe, found, launch=launch or model.Launch(), tokens=tokens)


def estimate_ladder(ladder: Ladder) -> model.TrainingEstimate | None:
    """Estimate the training on a study's largest rung; None for a base whose family has no estimate.

    On this machine's GPU, else on the CPU where it is asked for or the model is small, else on the smallest
    well-known machine that fits.
    """
    try:
        shape = model.read_shape(ladder.base)
    except AssayError:
        return None
    recipe, where = ladder.config.recipe, ladder.config.where
    tokens = ladder.sizes.tokens_per_sample * recipe.epochs * max(max(ladder.rungs(a)) for a in ladder.arms)
    device, launch = None if where.device == "cpu" else model.this_gpu(), where.launch
    if device is None and (where.device == "cpu" or shape.parameters < _SMALL):
        device = model.DEVICES["cpu"]
    if device is None:
        device, launch = _smallest(shape, recipe, launch)
    return model.estimate_training(shape, recipe, device, launch=launch, tokens=tokens)
