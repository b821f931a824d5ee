"""Train one segment of a run: a part of a trunk, or the branch that ends a rung."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

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
    label: str,
    estimate: Estimate,
) -> Step:
    """Return the step that takes the optimizer steps [start, stop) of a run.

    ``inputs``: ``order``, ``tokens``, and ``state`` where the run has begun; ``n_train`` is None for a trunk,
    which runs of several sizes share.  ``device`` and ``launch`` are never identity.
    """
    settings = {"recipe": dataclasses.asdict(recipe), "base": base.digest, "seed": seed, "n_train": n_train}
    settings |= {"start": steps[0], "stop": steps[1]}
    if recipe.trainer != "full":
        settings["plugin"] = model.trainer_identity(recipe.trainer)
    where = {"base": str(base.folder), "device": device, "launch": dataclasses.asdict(launch)}
    call = f"{__name__}:train"
    return Step("train", 2, call, settings, inputs, where=where, label=label, estimate=estimate)


def train(context: StepContext) -> None:
    """Train one segment of a run: a part of a trunk, or the branch that ends a rung.

    Raises :class:`AssayError` where none of the run's samples has a token to learn.
    """
    config = context.config
    recipe = model.read_recipe(config["recipe"])
    table = model.TokenTable(context.inputs["tokens"])
    rows = np.load(context.inputs["order"] / "order.npy")
    n_train = config["n_train"] if config["n_train"] is not None else len(rows)
    if not any(table.row(int(row))[1][1:].any() for row in rows[:n_train]):
        raise nothing_to_learn(n_train, recipe.max_tokens)
    state = context.inputs.get("state")
    report = model.trainer(recipe.trainer, model.Launch(**context.where["launch"]))(
        model.Segment(recipe, config["seed"], n_train, config["start"], config["stop"]),
        base=Path(context.where["base"]),
        state=None if state is None else state / "state",
        table=table,
        order=rows,
        out=context.out,
        device=context.where["device"],
        advance=context.progress,
    )
    data.write_json(context.out / REPORT, dataclasses.asdict(report))
