"""The work of each step of an export: merge, calibrate, quantize, measure."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from assay import data, model, selection
from assay.core import AssayError, Sample
from assay.plan import StepContext
from assay.study.steps import Tally, iterate

MODEL = "model"
_SPEED_ITEMS = 16


def merged(context: StepContext) -> None:
    """Write the model as one folder of safetensors."""
    base = context.where["base"]
    model.merge(
        Path(context.where["model"]),
        context.out / MODEL,
        base=None if base is None else Path(base),
        dtype=context.config["dtype"],
        shard=context.config["shard"],
        template=context.config["template"],
    )


def calibration(context: StepContext) -> None:
    """Choose the samples that GPTQ is calibrated on: at random among those with an answer, by seed."""
    if "pool" in context.inputs:
        pool = list(data.Dataset(context.inputs["pool"] / "dataset"))
    else:
        rows = iterate(context.config, context.where, Tally(), lambda row: None, context.progress)
        pool = list({sample.id: sample for _, sample in rows if sample.answer}.values())
    order = selection.pick([sample.id for sample in pool], "random", seed=context.config["seed"])
    chosen = [pool[row] for row in order[: context.config["samples"]].tolist()]
    if not chosen:
        raise AssayError("no sample to calibrate on", place="--calibration", expected="samples with answers")
    data.write_dataset(chosen, context.out / "dataset")


def gptq(context: StepContext) -> None:
    """Quantize the whole model by GPTQ."""
    config = context.config
    model.set_threads(config["threads"])
    settings = {"max_tokens": config["max_tokens"]}
    source = context.inputs["source"] / MODEL
    samples = list(data.Dataset(context.inputs["calibration"] / "dataset"))
    if config["by"] == "gptqmodel":
        made = model.quantize_gptqmodel(source, context.out / MODEL, config["bits"], samples, **settings)
    else:
        device = model.pick_device(context.where["device"])
        made = model.quantize_gptq(
            source, context.out / MODEL, config["bits"], samples,
            device=device, shard=config["shard"], advance=context.progress, **settings,
        )  # fmt: skip
    data.write_json(context.out / "quantized.json", dataclasses.asdict(made))


def gguf(context: StepContext) -> None:
    """Write the whole model as a GGUF file, with a Modelfile for Ollama and the tokenizer for the chat."""
    source, folder = context.inputs["source"] / MODEL, context.out / MODEL
    folder.mkdir(exist_ok=True)
    made = model.write_gguf(
        source, folder / f"model-{context.config['kind']}.gguf", context.config["kind"], context.progress
    )
    data.write_json(context.out / "gguf.json", {"agreement": made.agreement, "notes": made.notes})
    model.write_modelfile(source, made.path)
    model.load_tokenizer(source).save_pretrained(folder)


def measure(context: StepContext) -> None:
    """Measure an exported model as a study measures its own: loss, answers; and how fast it writes."""
    import polars

    config = context.config
    model.set_threads(config["threads"])
    items = list(data.Dataset(context.inputs["evaluation"] / "dataset"))
    decoding = model.Decoding(
        config["max_new_tokens"], config["temperature"], config["top_p"], config["seed"]
    )
    table: dict[str, list[Any]] = {
        "item": [item.id for item in items],
        "type": [item.type or "untyped" for item in items],
    }
    with _opened(context) as opened:
        losses: list[Any] = [None] * len(items)
        if config["loss"]:
            losses = opened.reference_loss(items, max_tokens=config["max_tokens"], advance=context.progress)
        for name in ("nats", "tokens", "n_bytes"):
            table[name] = [None if loss is None else getattr(loss, name) for loss in losses]
        if config["answers"]:
            table["answer"] = [a.text for a in opened.answer(items, decoding, context.progress)]
        speed = _speed(opened, items[:_SPEED_ITEMS], dataclasses.replace(decoding, batch_size=1))
    polars.DataFrame(table, infer_schema_length=None).write_parquet(context.out / "items.parquet")
    data.write_json(
        context.out / "speed.json",
        {"tokens_per_second": speed, "device": opened.device, "backend": opened.backend},
    )


@dataclass(frozen=True, slots=True)
class _Opened:
    """A model ready to be measured: two functions of items, whatever runs it."""

    backend: str
    device: str
    reference_loss: Callable[..., list[Any]]
    answer: Callable[..., list[Any]]


@contextmanager
def _opened(context: StepContext) -> Iterator[_Opened]:
    """Open what an export wrote as others will: a folder in transformers, a GGUF file in llama.cpp."""
    folder = context.inputs["export"] / MODEL
    tokenizer = model.load_tokenizer(folder)
    if gguf := sorted(folder.glob("*.gguf")):
        with model.GgufModel(gguf[0], tokenizer) as opened:
            yield _Opened("llama.cpp", "cpu", opened.reference_loss, opened.answer)
        return
    device = model.pick_device(context.where["device"])
    network = model.load_exported(folder, device)
    loss, answer = (
        partial(model.reference_loss, network, tokenizer),
        partial(model.answer, network, tokenizer),
    )
    yield _Opened("transformers", device, loss, answer)


def _speed(opened: _Opened, items: Sequence[Sample], decoding: model.Decoding) -> float:
    """Return the tokens a second that the model writes, one prompt at a time, once it is warm."""
    opened.answer(items[:1], decoding)
    began = time.perf_counter()
    answers = opened.answer(items, decoding)
    tokens: int = sum(answer.tokens for answer in answers)
    return tokens / (time.perf_counter() - began)
