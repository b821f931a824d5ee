"""Score every sample of the pool with one indicator or rule."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from assay import data, indicators
from assay.plan import StepContext


def models_of(where: Mapping[str, Any]) -> indicators.Models:
    """Return the models of a step from their places."""
    models = ("base", "embedder", "second", "reward", "dialog", "target", "reference", "neighbour")
    names = (*models, "rater", "rater_url", "rater_budget")
    given = {name: where[name] for name in (*names, "template", "other_models")}
    return indicators.Models(**given, cache=Path(where["cache"]))


def score_pool(context: StepContext) -> None:
    """Measure one indicator or rule of every sample of the pool."""
    dataset = data.Dataset(context.inputs["pool"] / "dataset")

    def watch(done: int) -> None:
        context.progress(done, len(dataset), "sample")

    indicators.score(
        dataset,
        context.out / "scores.parquet",
        [context.where["by"]],
        models=models_of(context.where),
        watch=watch,
    )
