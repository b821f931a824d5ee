"""Memory and time of a training on this machine, and of a study's largest rung."""

from __future__ import annotations

from pathlib import Path

from assay import llm, model
from assay.core import AssayError
from assay.study._graph import Ladder

# Smaller models are trained where no GPU is.
_SMALL = 1e8


def machine_for(
    shape: model.Shape, recipe: model.Recipe, launch: model.Launch
) -> tuple[model.Device, model.Launch]:
    """Return the smallest well-known machine on which the training fits, and how to launch it there."""
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
    if llm.is_hosted(ladder.config.base):
        return None
    try:
        shape = model.read_shape(ladder.base.folder)
    except AssayError:
        return None
    recipe, where = ladder.config.recipe, ladder.config.where
    tokens = ladder.sizes.tokens_per_sample * recipe.epochs * max(max(ladder.rungs(a)) for a in ladder.arms)
    device, launch = None if where.device == "cpu" else model.this_gpu(), where.launch
    if device is None and (where.device == "cpu" or shape.parameters < _SMALL):
        device = model.DEVICES["cpu"]
    if device is None:
        device, launch = machine_for(shape, recipe, launch)
    return model.estimate_training(shape, recipe, device, launch=launch, tokens=tokens)
