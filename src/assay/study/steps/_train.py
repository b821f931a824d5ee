"""Train one segment of a run: a part of a trunk, or the branch that ends a rung."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from assay import data, model
from assay.plan import Estimate, Step, StepContext
from assay.study.steps._base import Base
from assay.study.steps._tokenize import nothing_to_learn

REPORT = "train.json"


def train_step(
    base: Base,
    recipe: model.Recipe,
    inputs: Mapping[str, Step],
    *,
    seed: int,
    n_train: int | None,
    steps: tuple[int, int],
    device: str,
    launch: model.Launch,
    environment: str | None = None,
    label: str,
    estimate: Estimate,
) -> Step:
    """Return the step that takes the optimizer steps [start, stop) of a run.

    ``inputs``: ``order``, ``tokens``, and ``state`` where the run has begun; ``n_train`` is None for a trunk,
    which runs of several sizes share.  ``device``, ``launch`` and ``environment`` are never
    identity.
    """
    settings = {"recipe": dataclasses.asdict(recipe), "base": base.digest, "seed": seed, "n_train": n_train}
    settings |= {"start": steps[0], "stop": steps[1]}
    if recipe.trainer != "full":
        settings["plugin"] = model.trainer_identity(recipe)
    where: dict[str, Any] = {"base": str(base.folder), "device": device, "environment": environment}
    where |= {"launch": dataclasses.asdict(launch)}
    call = f"{__name__}:train"
    return Step("train", 2, call, settings, inputs, where=where, label=label, estimate=estimate)


def received_step(step: Step, folder: Path) -> Step:
    """Return a step of :func:`train_step` that takes a run from ``folder``; its key is the same."""
    where = {**step.where, "folder": str(folder.resolve())}
    return dataclasses.replace(step, call=f"{__name__}:take", where=where)


def train(context: StepContext) -> None:
    """Train one segment of a run: a part of a trunk, or the branch that ends a rung.

    Raises :class:`AssayError` where none of the run's samples has a token to learn.
    """
    segment, table, rows = _asked(context)
    launch, environment = model.Launch(**context.where["launch"]), context.where["environment"]
    state = context.inputs.get("state")
    report = model.trainer(segment.recipe.trainer, launch, environment)(
        segment,
        base=Path(context.where["base"]),
        state=None if state is None else state / "state",
        table=table,
        order=rows,
        out=context.out,
        device=context.where["device"],
        advance=context.progress,
    )
    data.write_json(context.out / REPORT, dataclasses.asdict(report))


def take(context: StepContext) -> None:
    """Take a run that another trainer made elsewhere, as if it had been trained here.

    Raises :class:`AssayError` where it is not what this study handed over, or not there.
    """
    segment, table, rows = _asked(context)
    report = model.receive(
        model.external_tool(segment.recipe.trainer),
        Path(context.where["folder"]),
        segment,
        base=Path(context.where["base"]),
        table=table,
        order=rows,
        out=context.out,
    )
    data.write_json(context.out / REPORT, dataclasses.asdict(report))


def _asked(context: StepContext) -> tuple[model.Segment, model.TokenTable, Any]:
    """Return what is to be trained, the pool's tokens, and the order of its rows."""
    config = context.config
    recipe = model.read_recipe(config["recipe"])
    table = model.TokenTable(context.inputs["tokens"])
    rows = np.load(context.inputs["order"] / "order.npy")
    n_train = config["n_train"] if config["n_train"] is not None else len(rows)
    if not any(table.row(int(row))[1][1:].any() for row in rows[:n_train]):
        raise nothing_to_learn(n_train, recipe.max_tokens)
    return model.Segment(recipe, config["seed"], n_train, config["start"], config["stop"]), table, rows
