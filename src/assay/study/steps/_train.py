"""Train one segment of a run: a part of a trunk, or the branch that ends a rung."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from assay import data, model
from assay.plan import StepContext


def train(context: StepContext) -> None:
    """Train one segment of a run: a part of a trunk, or the branch that ends a rung."""
    config = context.config
    recipe = model.read_recipe(config["recipe"])
    rows = np.load(context.inputs["order"] / "order.npy")
    n_train = config["n_train"] if config["n_train"] is not None else len(rows)
    state = context.inputs.get("state")
    report = model.trainer(recipe.trainer, model.Launch(**context.where["launch"]))(
        model.Segment(recipe, config["seed"], n_train, config["start"], config["stop"]),
        base=Path(context.where["base"]),
        state=None if state is None else state / "state",
        table=model.TokenTable(context.inputs["tokens"]),
        order=rows,
        out=context.out,
        device=context.where["device"],
        advance=context.progress,
    )
    data.write_json(context.out / "train.json", dataclasses.asdict(report))
