"""Measure a model on the evaluation set: loss on references, and its own answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from assay import data, model
from assay.plan import StepContext


def answer(context: StepContext) -> None:
    """Measure a model on the evaluation set: loss on references and answers of its own."""
    import polars

    config = context.config
    trained = context.inputs.get("model")
    base = Path(context.where["base"])
    folder = base if trained is None else trained / "model"
    model.set_threads(config["threads"])
    network = model.load_model(folder, model.pick_device(context.where["device"]), base=base)
    tokenizer = model.load_tokenizer(folder, config["template"])
    items = list(data.Dataset(context.inputs["evaluation"] / "dataset"))
    table: dict[str, list[Any]] = {
        "item": [s.id for s in items],
        "type": [s.type or "untyped" for s in items],
    }
    losses = (
        model.reference_loss(
            network, tokenizer, items, max_tokens=config["max_tokens"], advance=context.progress
        )
        if config["loss"]
        else [None] * len(items)
    )
    for name in ("nats", "tokens", "n_bytes"):
        table[name] = [None if loss is None else getattr(loss, name) for loss in losses]
    if config["answers"]:
        decoding = model.Decoding(
            config["max_new_tokens"], config["temperature"], config["top_p"], config["seed"]
        )
        python = model.vllm_python(context.where.get("vllm"))
        if python is None:
            answers = model.answer(network, tokenizer, items, decoding, advance=context.progress)
        else:
            del network  # vLLM wants the GPU for itself
            answers = model.vllm_answer(
                python,
                folder,
                items,
                decoding,
                context.out / "scratch" / "vllm",
                base=base,
                template=config["template"],
                advance=context.progress,
            )
        table["answer"] = [a.text for a in answers]
        table["answer_tokens"] = [a.tokens for a in answers]
        table["ended"] = [a.ended for a in answers]
    polars.DataFrame(table, infer_schema_length=None).write_parquet(context.out / "items.parquet")
