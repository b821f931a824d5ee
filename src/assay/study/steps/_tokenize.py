"""Tokenize the pool once per tokenizer and length limit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from assay import data, model
from assay.core import AssayError, Sample, read_json
from assay.plan import Estimate, Step, StepContext
from assay.study.steps._base import Base

COUNTS = "counts.json"


def tokens_step(base: Base, recipe: model.Recipe, pool: Step, estimate: Estimate) -> Step:
    """Return the step that tokenizes the pool."""
    settings = {"base": base.digest, "max_tokens": recipe.max_tokens, "template": recipe.template}
    where = {"base": str(base.folder)}
    return Step(
        "tokenize", 1, f"{__name__}:tokenize", settings, {"pool": pool}, where=where, label="pool",
        estimate=estimate,
    )  # fmt: skip


def tokenize(context: StepContext) -> None:
    """Tokenize the pool for one tokenizer and length limit; ``counts.json`` says what was cut.

    Raises :class:`AssayError` where no row has a token left to learn.
    """
    tokenizer = model.load_tokenizer(Path(context.where["base"]), context.config["template"])
    dataset = data.Dataset(context.inputs["pool"] / "dataset")

    def counted() -> Iterator[Sample]:
        for done, sample in enumerate(dataset):
            if done % 1000 == 0:
                context.progress(done, len(dataset), "sample")
            yield sample

    counts = model.write_tokens(tokenizer, counted(), context.out, context.config["max_tokens"])
    if counts["unlearnable"] == counts["rows"]:
        raise nothing_to_learn(counts["rows"], context.config["max_tokens"])
    data.write_json(context.out / COUNTS, counts)


def sample_counts(tokens: Path) -> dict[str, int]:
    """Return, from a folder of tokens, the ``samples``, those ``cut`` and those ``unlearnable``."""
    counts: dict[str, int] = read_json(tokens / COUNTS)
    return {"samples": counts["rows"], "cut": counts["cut"], "unlearnable": counts["unlearnable"]}


def nothing_to_learn(rows: int, max_tokens: int) -> AssayError:
    """Return the error for samples that leave no token to learn."""
    return AssayError(
        "no trainable token is left",
        place="recipe.max_tokens",
        value=f"{max_tokens}, which the prompts of all {rows:,} samples fill",
        expected="samples whose answers begin within recipe.max_tokens",
        hint="raise recipe.max_tokens, or leave out samples with long prompts",
    )
