"""Models that Tinker trains in Assay's own order, by its own recipe: the run, then losses and answers."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from assay import data, llm, model
from assay.core import Sample, read_json, to_json
from assay.plan import Estimate, Step, StepContext
from assay.study._config import MeasureConfig
from assay.study.steps._base import Base
from assay.study.steps._hosted import MODEL, Hosted, hosted_of
from assay.study.steps._measure import measured
from assay.study.steps._open import Opened
from assay.study.steps._tokenize import nothing_to_learn
from assay.study.steps._train import REPORT

JOURNAL = "losses.jsonl"


def tinker_step(
    hosted: Hosted, base: Base, recipe: model.Recipe, inputs: Mapping[str, Step], *, seed: int, n_train: int,
    n_bytes: float, label: str,
) -> Step:  # fmt: skip
    """Return the step that has ``n_train`` samples of an order trained on, of ``n_bytes`` each at most."""
    settings = {"recipe": dataclasses.asdict(recipe), "base": base.digest, "seed": seed, "n_train": n_train}
    samples = recipe.samples_in(n_train, 0, recipe.steps(n_train))
    price, tokens = llm.training_price(hosted.base, hosted.config), round(samples * n_bytes)
    estimate = Estimate(
        tokens=tokens, paid=True, kind=f"{hosted.base} tune",
        money=None if price is None or price.train is None else tokens * price.train / 1e6,
        currency="USD" if price is None else price.currency,
    )  # fmt: skip
    call = f"{__name__}:train"
    return Step("tinker", 1, call, settings, inputs, where=hosted.where, label=label, estimate=estimate)


def train(context: StepContext) -> None:
    """Have a run trained: ``model.json`` names the model, ``train.json`` says what was done."""
    config, hosted, began = context.config, hosted_of(context.where), time.monotonic()
    recipe, n_train = model.read_recipe(config["recipe"]), config["n_train"]
    table = model.TokenTable(context.inputs["tokens"])
    order = np.load(context.inputs["order"] / "order.npy")
    rows = _learnable(table, order[:n_train])
    if not rows:
        raise nothing_to_learn(n_train, recipe.max_tokens)
    steps = [
        [int(row) for row in recipe.batch(order, n_train, config["seed"], step) if int(row) in rows]
        for step in range(recipe.steps(n_train))
    ]
    course = _course(recipe, table, steps, seed=config["seed"], n_train=n_train)
    journal = context.out / "scratch" / JOURNAL
    journal.parent.mkdir(parents=True, exist_ok=True)
    with llm.Tinker(hosted.base, hosted.config, calls=Path(hosted.calls), run=hosted.run) as tinker:
        found = tinker.train(context.out.name, course, journal=journal, advance=context.progress)
    tokens = found.tokens or 0
    context.used.update({"tokens": float(tokens)} | ({} if found.money is None else {"money": found.money}))
    data.write_json(context.out / MODEL, to_json(found))
    learned = sum(rows[row] for step in steps for row in step)
    report = model.TrainReport(
        len(steps), recipe.samples_in(n_train, 0, len(steps)), tokens, learned, tokens,
        time.monotonic() - began, hosted.base.split("/")[0], found.losses, 0,
    )  # fmt: skip
    data.write_json(context.out / REPORT, to_json(dataclasses.asdict(report)))


def _learnable(table: model.TokenTable, rows: Sequence[int]) -> dict[int, int]:
    """Return the learned tokens of each row that has any: one without moves nothing, and would be paid."""
    counts = ((int(row), int(table.row(int(row))[1][1:].sum())) for row in rows)
    return {row: count for row, count in counts if count}


def _course(
    recipe: model.Recipe, table: model.TokenTable, steps: Sequence[Sequence[int]], *, seed: int, n_train: int
) -> llm.Course:
    adam = {"beta1": recipe.betas[0], "beta2": recipe.betas[1], "eps": recipe.eps}
    adam |= {"weight_decay": recipe.weight_decay, "grad_clip_norm": recipe.clip_norm}
    return llm.Course(
        [int(table.lengths[step].sum()) for step in steps],
        lambda step: ([table.row(row) for row in steps[step]], recipe.learning_rate_at(step, n_train)),
        {"rank": recipe.rank, "seed": seed}, adam,
    )  # fmt: skip


def tinker_answer_step(
    hosted: Hosted, base: Base, evaluation: Step, tuned: Step | None, measure: MeasureConfig, *,
    template: str, seed: int, label: str, items: int, read: float,
) -> Step:  # fmt: skip
    """Return the step that measures a model at Tinker, or the base, on items of ``read`` tokens at most."""
    settings = measure.settings() | {"base": base.digest, "template": template}
    if measure.answers:
        settings["seed"] = seed if measure.temperature else 0
    inputs = {"evaluation": evaluation, **({} if tuned is None else {"model": tuned})}
    price = llm.training_price(hosted.base, hosted.config)
    passes, written = measure.loss + measure.answers, measure.max_new_tokens * measure.answers + measure.loss
    estimate = Estimate(
        seconds=items / 10, tokens=items * (passes * read + written), paid=items > 0, kind=hosted.base,
        money=None if price is None else price.of(round(items * passes * read), items * written),
        currency="USD" if price is None else price.currency,
    )  # fmt: skip
    where = {**hosted.where, "tokenizer": str(base.folder)}
    call = f"{__name__}:answer"
    return Step("tinker-answer", 1, call, settings, inputs, where=where, label=label, estimate=estimate)


def answer(context: StepContext) -> None:
    """Measure a model on the evaluation set, as :func:`assay.study.steps.answer_step` does."""
    with _opened(context) as opened:
        measured(context, opened)


@contextmanager
def _opened(context: StepContext) -> Iterator[Opened]:
    hosted, made = hosted_of(context.where), context.inputs.get("model")
    tokenizer = model.load_tokenizer(Path(context.where["tokenizer"]), context.config["template"])
    path = None if made is None else str(read_json(made / MODEL)["model"])
    with llm.Tinker(hosted.base, hosted.config, calls=Path(hosted.calls), run=hosted.run) as tinker:
        there = _There(tinker, path, tokenizer)
        try:
            yield Opened(there.reference_loss, there.answer)
        finally:
            context.used.update({"tokens": float(tinker.spent.tokens), "money": tinker.spent.money})


@dataclasses.dataclass(frozen=True, slots=True)
class _There:
    """A model at Tinker, with the tokenizer that is used here."""

    tinker: llm.Tinker
    path: str | None
    tokenizer: Any

    def reference_loss(
        self, items: Sequence[Sample], *, max_tokens: int, advance: Callable[[float, float, str], None]
    ) -> list[model.ItemLoss | None]:
        """Return what :func:`assay.model.reference_loss` does, of a model at Tinker."""
        rows = model.encode(self.tokenizer, items, max_tokens)
        usable = [i for i, s in enumerate(items) if s.answer is not None and any(rows[i].learned[1:])]
        places = {i: [p for p, learned in enumerate(rows[i].learned) if learned and p] for i in usable}
        asked = [llm.Asked(rows[i].ids, scored=len(rows[i].ids) - places[i][0]) for i in usable]
        found: list[model.ItemLoss | None] = [None] * len(items)
        for i, one, reply in zip(usable, asked, self.tinker.ask(self.path, asked, advance), strict=True):
            scores, before = json.loads(reply.text), len(one.ids) - one.scored
            nats = -sum(scores[place - before] for place in places[i])
            n_bytes = len((items[i].answer or "").encode("utf-8", "replace"))
            found[i] = model.ItemLoss(items[i].id, nats, len(places[i]), n_bytes, rows[i].cut)
        return found

    def answer(
        self, items: Sequence[Sample], decoding: model.Decoding,
        advance: Callable[[float, float, str], None],
    ) -> list[model.Answer]:  # fmt: skip
        """Return what :func:`assay.model.answer` does, of a model at Tinker."""
        stops = model.stop_ids(self.tokenizer)
        asked = [
            llm.Asked(
                tuple(ids), decoding.max_new_tokens, decoding.temperature, decoding.top_p, decoding.seed,
                tuple(stops),
            )
            for ids in model.encode_prompts(self.tokenizer, [item.prompt for item in items])
        ]  # fmt: skip
        replies = self.tinker.ask(self.path, asked, advance)
        return [self._answer(item, stops, reply) for item, reply in zip(items, replies, strict=True)]

    def _answer(self, item: Sample, stops: Sequence[int], reply: llm.Reply) -> model.Answer:
        ids = json.loads(reply.text)
        kept = ids[: next((place for place, token in enumerate(ids) if token in stops), None)]
        text = self.tokenizer.decode(kept, skip_special_tokens=True)
        return model.Answer(item.id, text.strip(), len(ids), reply.ended == "stop")
