"""Measure what a model knows of plain text, before and after training: the loss on paragraphs."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

from assay import data, model
from assay.core import AssayError, Say, say
from assay.plan import Estimate, Step, StepContext
from assay.study._config import MeasureConfig
from assay.study.steps._base import Base, subject_of
from assay.study.steps._open import Runtime
from assay.study.steps._read import expand, place_digest
from assay.study.steps._replay import as_sample

TEXT = "text.parquet"
_OWN = ("en", "zh")
FEWEST_PARTS = 2
"""Of one paragraph there is no error."""


def text_places(measure: MeasureConfig, folder: Path) -> dict[str, str]:
    """Return the plain texts of a study by name: the built-in ones, or the user's files by theirs."""
    if measure.text is False:
        return {}
    if measure.text is True:
        return {name: str(files("assay.study") / "text" / f"{name}.txt") for name in _OWN}
    found = {Path(place).stem: place for place in expand(measure.text, folder, "measure.text")}
    if len(found) < len(measure.text):
        raise AssayError("two texts have one name", place="measure.text", value=list(measure.text),
                         expected="files of unlike names")  # fmt: skip
    return found


def text_step(
    places: dict[str, str],
    subject: Step | Base,
    measure: MeasureConfig,
    runtime: Runtime,
    *,
    base: Base | None,
    threads: int,
    template: str,
    label: str,
    estimate: Estimate,
) -> Step:
    """Return the step that measures a model's loss on plain texts, by transformers in fp32."""
    settings: dict[str, Any] = {
        "texts": {name: place_digest(place) for name, place in places.items()},
        "max_tokens": measure.max_tokens, "threads": threads, "device": runtime.device, "template": template,
    }  # fmt: skip
    measured = subject_of(subject, base)
    settings |= measured.settings
    inputs, where = measured.inputs, {"texts": dict(places), **measured.where}
    return Step("text", 2, f"{__name__}:text", settings, inputs, where=where, label=label, estimate=estimate)


def text(context: StepContext) -> None:
    """Write nats and tokens of each paragraph, after the start mark alone: no template, no end mark."""
    import polars

    config, made, base = context.config, context.inputs.get("model"), context.where["base"]
    folder = Path(context.where["model"]) if made is None else made / "model"
    model.set_threads(config["threads"])
    tokenizer = model.load_tokenizer(folder, config["template"])
    network = model.load_model(folder, config["device"], base=None if base is None else Path(base))
    rows: list[dict[str, Any]] = []
    for name in config["texts"]:
        samples = [as_sample(part) for part in data.read_texts(context.where["texts"][name])]
        losses = model.answer_loss(
            network, tokenizer, samples, given="nothing", max_tokens=config["max_tokens"]
        )
        encoded = model.encode_answers(tokenizer, samples, config["max_tokens"], given="nothing")
        own = [
            {"text": name, "part": part, "nats": loss.nats, "tokens": loss.tokens, "cut": row.cut}
            for part, (loss, row) in enumerate(zip(losses, encoded, strict=True)) if loss is not None
        ]  # fmt: skip
        if len(own) < FEWEST_PARTS:
            raise AssayError(
                "the text has too few paragraphs to tell how sure its loss is",
                place=context.where["texts"][name], value=len(own),
                expected="two paragraphs or more, one a line, or rows with a field text",
            )  # fmt: skip
        rows += own
    schema = {
        "text": polars.String, "part": polars.Int64, "nats": polars.Float64, "tokens": polars.Int64,
        "cut": polars.Boolean,
    }  # fmt: skip
    polars.DataFrame(rows, schema=schema).write_parquet(context.out / TEXT)


def cut_parts(measured: Any) -> list[Say]:
    """Return a note for each text of which paragraphs were longer than ``max_tokens``."""
    found = [(name, own["cut"]) for (name,), own in measured.group_by("text", maintain_order=True)]
    return [
        say("note.text.cut", text=n, n=int(cut.sum()), of=len(cut), setting="measure.max_tokens")
        for n, cut in found
        if cut.any()
    ]
