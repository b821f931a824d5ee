"""Tokenize the pool once per tokenizer and length limit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from assay import data, model
from assay.core import Sample
from assay.plan import StepContext


def tokenize(context: StepContext) -> None:
    """Tokenize the pool for one tokenizer and length limit."""
    tokenizer = model.load_tokenizer(Path(context.where["base"]), context.config["template"])
    dataset = data.Dataset(context.inputs["pool"] / "dataset")

    def counted() -> Iterator[Sample]:
        for done, sample in enumerate(dataset):
            if done % 1000 == 0:
                context.progress(done, len(dataset), "sample")
            yield sample

    counts = model.write_tokens(tokenizer, counted(), context.out, context.config["max_tokens"])
    data.write_json(context.out / "counts.json", counts)
