"""How alike the gradients of a type's hardest samples are, before anything is trained."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay import data, model
from assay.core import Sample, digest, read_json
from assay.plan import Estimate, Step, StepContext
from assay.study.steps._base import Base

UNTYPED = "untyped"
AGREEMENT = "agreement.json"
FEWEST_SAMPLES = 8
"""Samples below which a median over pairs says nothing."""
_DRAWS = 500


@dataclass(frozen=True, slots=True)
class AgreeSettings:
    """What decides a measurement: Je and Raffel 2025, section 4, with limits on what is read.

    ``drawn`` samples out of the ``share`` of a type that the base is least sure of, of which at most ``most``
    are answered, with ``max_new_tokens`` each.
    """

    drawn: int = 32
    share: float = 0.1
    most: int = 1000
    max_new_tokens: int = 32
    max_tokens: int = 1024
    template: str = "auto"


@dataclass(frozen=True, slots=True)
class Agreement:
    """The median cosine of a type's gradients with its 90 % interval, None with a ``reason``; and the passes.

    ``samples`` of the type are there, ``answered`` were answered in ``answer_tokens`` tokens, ``drawn`` went
    through a forward and a backward pass of ``gradient_tokens`` tokens.
    """

    type: str
    samples: int
    answered: int
    drawn: int
    cosine: float | None
    low: float | None
    high: float | None
    answer_tokens: int
    gradient_tokens: int
    reason: str = ""


def agreement_step(base: Base, pool: Step, kind: str, settings: AgreeSettings, estimate: Estimate) -> Step:
    """Return the step that measures one type of a pool (``untyped``: samples without one)."""
    own = {"type": kind, "base": base.digest, "threads": 1, **asdict(settings)}
    return Step(
        "agreement", 2, f"{__name__}:agreement", own, {"pool": pool}, where={"base": str(base.folder)},
        label=kind, estimate=estimate,
    )  # fmt: skip


def read_agreement(folder: Path) -> Agreement:
    """Return what the step wrote."""
    return Agreement(**read_json(folder / AGREEMENT))


def agreement(context: StepContext) -> None:
    """Answer a type's samples, draw from those that the base is least sure of, compare their gradients."""
    config = context.config
    settings = AgreeSettings(**{name: config[name] for name in AgreeSettings.__dataclass_fields__})
    dataset = data.Dataset(context.inputs["pool"] / "dataset")
    own = [s for s in dataset if (s.type or UNTYPED) == config["type"] and s.answer]
    model.set_threads(config["threads"])
    found = measure(own, config["type"], Path(context.where["base"]), settings, context)
    data.write_json(context.out / AGREEMENT, asdict(found))


def measure(
    own: list[Sample], kind: str, base: Path, settings: AgreeSettings, context: StepContext
) -> Agreement:
    """Return the agreement of one type's samples."""
    if len(own) < FEWEST_SAMPLES:
        reason = f"fewer than {FEWEST_SAMPLES} samples"
        return Agreement(kind, len(own), 0, 0, None, None, None, 0, 0, reason)
    tokenizer = model.load_tokenizer(base, None if settings.template == "auto" else settings.template)
    network = model.load_model(base, model.pick_device())
    read = sorted(own, key=lambda s: digest(["agreement", s.id]))[: settings.most]
    decoding = model.Decoding(settings.max_new_tokens)
    sure = model.answer_confidence(network, tokenizer, read, decoding, context.progress)
    hard = [read[i] for i in np.argsort(sure, kind="stable")]
    hard = hard[: max(int(settings.share * len(read)), min(settings.drawn, len(read)))]
    drawn = sorted(hard, key=lambda s: digest(["drawn", s.id]))[: settings.drawn]
    found = model.loss_gradients(
        network, tokenizer, drawn, max_tokens=settings.max_tokens, advance=context.progress
    )
    counts = (_tokens(tokenizer, read, settings), found.tokens)
    if len(found.rows) < FEWEST_SAMPLES:
        reason = f"fewer than {FEWEST_SAMPLES} samples whose prompt fits"
        return Agreement(kind, len(own), len(read), len(found.rows), None, None, None, *counts, reason)
    low, high = _interval(found.sketches @ found.sketches.T)
    middle = float(np.median(found.cosines()))
    return Agreement(kind, len(own), len(read), len(found.rows), middle, low, high, *counts)


def _tokens(tokenizer: Any, read: list[Sample], settings: AgreeSettings) -> int:
    prompts = model.encode_prompts(tokenizer, [s.prompt for s in read])
    return sum(len(row) + settings.max_new_tokens for row in prompts)


def _interval(products: NDArray[np.float32]) -> tuple[float, float]:
    """Return the bounds of the median over pairs, by a bootstrap over samples (90 %); no pair of a twin."""
    rng, n = np.random.default_rng(0), len(products)
    medians = []
    for _ in range(_DRAWS):
        rows = rng.integers(0, n, n)
        first, second = np.triu_indices(n, 1)
        pairs = rows[first] != rows[second]
        medians.append(np.median(products[rows[first[pairs]], rows[second[pairs]]]))
    low, high = np.quantile(medians, (0.05, 0.95)).tolist()
    return low, high
