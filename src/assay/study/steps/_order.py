"""Put the pool in the order in which an arm takes it; every prefix is a rung."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay import data, indicators, model, selection
from assay.core import AssayError
from assay.plan import Step, StepContext
from assay.study.steps._control import left_over, listed_ids
from assay.study.steps._score import models_of


def order_step(
    pool: Step,
    label: str,
    settings: Mapping[str, Any],
    inputs: Mapping[str, Step] = {},
    where: Mapping[str, Any] = {},
) -> Step:
    """Return the step that orders a pool; ``settings`` are the ``seed``, the ``rule`` and what it needs."""
    call, inputs = f"{__name__}:order_pool", {"pool": pool, **inputs}
    version = 3 if "vectors" in needs_of(settings["rule"]) else 2
    return Step("order", version, call, settings, inputs, where=where, label=label)


def needs_of(rule: str) -> tuple[str, ...]:
    """Return what an arm's rule selects by; the two that are of studies alone need nothing of the pool."""
    return () if rule in ("longest", "file") else selection.needs(rule)


def order_pool(context: StepContext) -> None:
    """Write the order in which an arm takes the samples of the pool; every prefix is a rung.

    Random order sorts by a digest of (seed, id), so that it depends on what the samples say and not on
    where they stood in a file; it leaves the control slice out.  A selection chooses among samples that leave
    a token to learn: the best and the worst by a score are often prompts that fill the context.  It is
    shuffled between one rung and the next: were the best always first, it would be a curriculum as well, and
    a comparison with random would be of both.
    """
    dataset = data.Dataset(context.inputs["pool"] / "dataset")
    config = context.config
    seed, rule = config["seed"], config["rule"]
    left = left_over(context.inputs.get("control"), len(dataset))
    if rule not in ("random", "balanced", "file"):
        left = left[model.TokenTable(context.inputs["tokens"]).learnable()[left]]
    ids, groups = (
        _at(values, left) for values in (dataset.column("id").to_pylist(), _groups(context, dataset))
    )
    if rule == "file":
        listed = _listed(context.where["file"], ids, config["rungs"][-1])
        chance = selection.pick(ids, "random", seed=seed)
        found = _shuffled(np.concatenate([listed, np.setdiff1d(chance, listed)]), chance, config["rungs"])
    elif rule in ("random", "balanced"):
        found = selection.pick(ids, rule, groups=groups, seed=seed)
    else:
        found = selection.pick(
            ids,
            "top" if rule == "longest" else rule,
            n=config["rungs"][-1],
            score=_at(_wanted(context, dataset), left),
            groups=groups,
            seed=seed,
            **{k: v if k == "targets" else _at(v, left) for k, v in _compared(context, dataset).items()},
        )
        found = _shuffled(found, selection.pick(ids, "random", seed=seed), config["rungs"])
    np.save(context.out / "order.npy", left[found])


def _at(values: Any, rows: NDArray[np.int64]) -> Any:
    """Return the values of some rows of the pool, of an array or a list; None where there are none."""
    if values is None or isinstance(values, np.ndarray):
        return None if values is None else values[rows]
    return [values[row] for row in rows]


def _listed(place: str, ids: list[str], wanted: int) -> NDArray[np.int64]:
    """Return the pool's rows of a file of samples or ids, in its order."""
    listed = listed_ids(place)
    rows = {sample: row for row, sample in enumerate(ids)}
    found = [rows[sample] for sample in dict.fromkeys(listed) if sample in rows]
    if len(found) < wanted:
        raise AssayError(
            "the file holds too few samples of the pool",
            place=place,
            value=f"{len(found):,} of {len(listed):,} are in the pool",
            expected=f"at least {wanted:,}, the largest rung",
        )
    return np.array(found, np.int64)


def _groups(context: StepContext, dataset: data.Dataset) -> Sequence[str]:
    """Return what is taken in turn; classes of length are equally large, by rank."""
    kind = context.config.get("groups", "source")
    if kind != "length":
        return [name or "unknown" for name in dataset.column(kind).to_pylist()]
    return selection.length_classes(model.TokenTable(context.inputs["tokens"]).lengths.astype(float))


def _wanted(context: StepContext, dataset: data.Dataset) -> NDArray[np.float64] | None:
    """Return how good each sample is, more is better: the length of its answer, or its indicator."""
    import polars

    if context.config["rule"] == "longest":
        return np.array([len(sample.answer or "") for sample in dataset], float)
    if "by" not in context.config:
        return None
    values = polars.read_parquet(context.inputs["scores"] / "scores.parquet")[context.config["by"]].to_numpy()
    found: NDArray[np.float64] = context.config["direction"] * values.astype(float)
    return found


def _compared(context: StepContext, dataset: data.Dataset) -> dict[str, Any]:
    """Return what the arm's rule compares samples by: embeddings, target samples, tags."""
    needs = needs_of(context.config["rule"])
    found: dict[str, Any] = {}
    if "tags" in needs:
        tags = indicators.Tags(dataset)
        found["tags"] = [tags.of(sample) for sample in dataset]
    if "vectors" in needs or "targets" in needs:
        tools = indicators.Tools(models_of(context.where))
        found["vectors"] = tools.embed(map(indicators.whole, dataset))
        if "targets" in needs:
            found["targets"] = tools.embed(map(indicators.whole, tools.target("of the arm")))
    return found


def _shuffled(order: NDArray[np.int64], chance: NDArray[np.int64], rungs: list[int]) -> NDArray[np.int64]:
    """Put the rows between one rung and the next in the order of ``chance``."""
    places = np.empty(len(order), np.int64)
    places[chance] = np.arange(len(order))
    edges = [0, *rungs, len(order)]
    blocks = [order[start:stop] for start, stop in pairwise(edges)]
    return np.concatenate([block[np.argsort(places[block])] for block in blocks])
