"""Measure a model on the evaluation set: loss on references, answers of its own, and how fast it writes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from assay import data, model
from assay.core import Sample
from assay.plan import Estimate, Step, StepContext
from assay.study._config import MeasureConfig
from assay.study.steps._base import Base
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
    inputs = {"evaluation": evaluation}
    where: dict[str, Any] = {"vllm": runtime.vllm, "base": None if base is None else str(base.folder)}
    if isinstance(subject, Step):
        inputs["model"] = subject
    else:
        where["model"] = str(subject.folder)
        settings |= {"model": subject.digest, "base": None if base is None else base.digest}
    call = f"{__name__}:answer"
    return Step("answer", 2, call, settings, inputs, where=where, label=label, estimate=estimate)


def answer(context: StepContext) -> None:
    """Measure a model on the evaluation set; ``counts.json`` says how many items were cut or left out."""
    import polars

    config = context.config
    measure = MeasureConfig.of(config)
    made = context.inputs.get("model")
    folder = Path(context.where["model"]) if made is None else made / "model"
    items = list(data.Dataset(context.inputs["evaluation"] / "dataset"))
    table: dict[str, list[Any]] = {
        "item": [s.id for s in items],
        "type": [s.type or "untyped" for s in items],
    }
    counts = {"items": len(items), "without_reference": sum(s.answer is None for s in items)}
    model.set_threads(config["threads"])
    with OPENERS[config["backend"]](folder, context) as opened:
        losses: list[Any] = [None] * len(items)
        if measure.loss:
            losses = opened.reference_loss(items, max_tokens=measure.max_tokens, advance=context.progress)
            missing = sum(loss is None for loss in losses)
            counts |= {"too_long": missing - counts["without_reference"]}
            counts |= {"cut": sum(loss.cut for loss in losses if loss is not None)}
        for name in ("nats", "tokens", "n_bytes"):
            table[name] = [None if loss is None else getattr(loss, name) for loss in losses]
        decoding = measure.decoding(config.get("seed", 0))
        if measure.answers:
            answers = opened.answer(items, decoding, context.progress)
            table["answer"] = [a.text for a in answers]
            table["answer_tokens"] = [a.tokens for a in answers]
            table["ended"] = [a.ended for a in answers]
            counts |= {"unended": sum(not a.ended for a in answers)}
        if config.get("timed"):
            speed = _speed(opened, items[:_TIMED_ITEMS], replace(decoding, batch_size=1))
            facts = {"tokens_per_second": speed, "device": config["device"], "backend": config["backend"]}
            data.write_json(context.out / SPEED, facts)
    polars.DataFrame(table, infer_schema_length=None).write_parquet(context.out / ITEMS)
    data.write_json(context.out / COUNTS, counts)


def _speed(opened: Opened, items: Sequence[Sample], decoding: model.Decoding) -> float:
    """Return the tokens per second that the model writes, one prompt at a time, once it is warm."""
    opened.answer(items[:1], decoding)
    began = time.perf_counter()
    answers = opened.answer(items, decoding)
    tokens: int = sum(answer.tokens for answer in answers)
    return tokens / (time.perf_counter() - began)
