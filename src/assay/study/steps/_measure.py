"""Measure a model on the evaluation set: loss on references, answers of its own, and how fast it writes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from assay import data, model
from assay.core import Sample, read_json
from assay.plan import Advance, Estimate, Step, StepContext
from assay.study._config import MeasureConfig
from assay.study.steps._base import Base, subject_of
from assay.study.steps._open import OPENERS, Opened, Runtime
from assay.study.steps._tokenize import COUNTS

ITEMS, SPEED = "items.parquet", "speed.json"
_TIMED_ITEMS = 16


def answer_step(
    evaluation: Step,
    subject: Step | Base,
    measure: MeasureConfig,
    runtime: Runtime,
    *,
    base: Base | None = None,
    seed: int = 0,
    threads: int = 1,
    template: str = "auto",
    timed: bool = False,
    label: str = "",
    estimate: Estimate,
) -> Step:
    """Return the step that measures a model, whoever asks: a study, a single job or an export.

    ``subject`` is the step that made the model, or the model itself; ``base`` the one below it where it is an
    adapter.  What computes the answers and in which type is identity, as it moves them; ``timed`` adds the
    tokens per second that it writes.
    """
    settings: dict[str, Any] = {**measure.settings(), **runtime.settings()}
    settings |= {"template": template, "threads": threads}
    if measure.answers:
        settings["seed"] = seed if measure.temperature else 0
    if timed:
        settings["timed"] = timed
    measured = subject_of(subject, base)
    settings |= measured.settings
    inputs, where = {"evaluation": evaluation, **measured.inputs}, {"vllm": runtime.vllm, **measured.where}
    call = f"{__name__}:answer"
    return Step("answer", 2, call, settings, inputs, where=where, label=label, estimate=estimate)


def answer(context: StepContext) -> None:
    """Measure a model on the evaluation set; ``counts.json`` says how many items were cut or left out."""
    config, made = context.config, context.inputs.get("model")
    folder = Path(context.where["model"]) if made is None else made / "model"
    model.set_threads(config["threads"])
    with OPENERS[config["backend"]](folder, context) as opened:
        items = measured(context, opened)
        if config.get("timed"):
            decoding = replace(MeasureConfig.of(config).decoding(config.get("seed", 0)), batch_size=1)
            speed = _speed(opened, items[:_TIMED_ITEMS], decoding)
            facts = {"tokens_per_second": speed, "device": config["device"], "backend": config["backend"]}
            data.write_json(context.out / SPEED, facts)


def measured(context: StepContext, opened: Opened) -> list[Sample]:
    """Write the table and the counts of an opened model's measurements; return the items."""
    import polars

    config, measure = context.config, MeasureConfig.of(context.config)
    items = list(data.Dataset(context.inputs["evaluation"] / "dataset"))
    table, counts = _losses(opened, items, measure, context.progress)
    if measure.answers:
        answers = opened.answer(items, measure.decoding(config.get("seed", 0)), advance=context.progress)
        for column, name in (("answer", "text"), ("answer_tokens", "tokens"), ("ended", "ended")):
            table[column] = [getattr(given, name) for given in answers]
        counts["unended"] = sum(not given.ended for given in answers)
    polars.DataFrame(table, infer_schema_length=None).write_parquet(context.out / ITEMS)
    data.write_json(context.out / COUNTS, counts)
    return items


def _losses(
    opened: Opened, items: Sequence[Sample], measure: MeasureConfig, advance: Advance
) -> tuple[dict[str, list[Any]], dict[str, int]]:
    """Return columns that say which item it is and its loss, and what was left out or cut."""
    counts = {"items": len(items), "without_reference": sum(item.answer is None for item in items)}
    losses: list[model.ItemLoss | None] = [None] * len(items)
    if measure.loss:
        losses = opened.reference_loss(items, max_tokens=measure.max_tokens, advance=advance)
        counts["too_long"] = losses.count(None) - counts["without_reference"]
        counts["cut"] = sum(loss.cut for loss in losses if loss is not None)
    table: dict[str, list[Any]] = {"item": [item.id for item in items]}
    table["type"] = [item.type or "untyped" for item in items]
    for name in ("nats", "tokens", "n_bytes"):
        table[name] = [None if loss is None else getattr(loss, name) for loss in losses]
    return table, counts


def item_counts(measured: Path) -> dict[str, int]:
    """Return, from a folder of measurements, the ``items``, ``items_too_long`` and ``items_cut``."""
    counts: dict[str, int] = read_json(measured / COUNTS)
    lost = {f"items_{name}": counts[name] for name in ("too_long", "cut") if name in counts}
    return {"items": counts["items"], **lost}


def _speed(opened: Opened, items: Sequence[Sample], decoding: model.Decoding) -> float:
    """Return the tokens per second that the model writes, one prompt at a time, once it is warm."""
    opened.answer(items[:1], decoding)
    began = time.perf_counter()
    answers = opened.answer(items, decoding)
    tokens: int = sum(answer.tokens for answer in answers)
    return tokens / (time.perf_counter() - began)
