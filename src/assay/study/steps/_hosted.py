"""Models that their provider fine-tunes: one job for each run, and answers by the tuned model."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from assay import data, llm
from assay.core import AssayError, Sample, read_json, say, to_json
from assay.plan import Estimate, Step, StepContext, local_folder
from assay.study._config import MeasureConfig, StudyConfig
from assay.study.steps._measure import ITEMS
from assay.study.steps._tokenize import COUNTS
from assay.study.steps._train import REPORT

MODEL = "model.json"
_LABELS = ("messages", "tools")
"""What a provider takes of a row; it refuses what it does not know."""


@dataclass(frozen=True, slots=True)
class Hosted:
    """A base at its provider, with how it is reached: what a step of it needs."""

    base: str
    config: llm.TuneConfig
    calls: str
    run: str

    @classmethod
    def of(cls, config: StudyConfig) -> Hosted:
        """Return the base of a study; paths start from the study file's folder, replies are in its store."""
        own, prices = config.hosted, config.hosted.prices
        if prices is not None:
            own = replace(own, prices=Path(config.folder) / prices)
        return cls(config.base, own, str(local_folder(config.where.store) / "calls"), f"hosted {config.name}")

    @property
    def where(self) -> dict[str, Any]:
        """Return it as plain data that is never identity."""
        plain = {**asdict(self.config), "prices": self.config.prices and str(self.config.prices)}
        return {"hosted": plain, "calls": self.calls, "run": self.run, "base": self.base}


def hosted_of(where: Mapping[str, Any]) -> Hosted:
    """Return the base that :attr:`Hosted.where` wrote down."""
    plain = dict(where["hosted"])
    plain["prices"] = plain["prices"] and Path(plain["prices"])
    return Hosted(where["base"], llm.TuneConfig(**plain), where["calls"], where["run"])


def message_row(sample: Sample) -> dict[str, Any]:
    """Return a sample as a provider reads it: its conversation alone."""
    return {name: value for name, value in data.to_row(sample, "messages").items() if name in _LABELS}


def tune_step(
    hosted: Hosted, pool: Step, order: Step, *, seed: int, n_train: int, n_bytes: float, label: str
) -> Step:
    """Return the step that has the first ``n_train`` samples of an order trained on, of ``n_bytes`` each."""
    settings = {"base": hosted.base, **hosted.config.identity(), "seed": seed, "n_train": n_train}
    tokens, money = llm.training_most(hosted.base, hosted.config, round(n_train * n_bytes))
    price = llm.training_price(hosted.base, hosted.config)
    estimate = Estimate(
        tokens=tokens, money=money, currency="USD" if price is None else price.currency, paid=True,
        kind=f"{hosted.base} tune",
    )  # fmt: skip
    call, inputs = f"{__name__}:tune", {"pool": pool, "order": order}
    return Step("tune", 1, call, settings, inputs, where=hosted.where, label=label, estimate=estimate)


def tune(context: StepContext) -> None:
    """Have a run fine-tuned: ``model.json`` names the model, ``train.json`` says what was trained on."""
    config, hosted, began = context.config, hosted_of(context.where), time.monotonic()
    rows = np.load(context.inputs["order"] / "order.npy")[: config["n_train"]]
    file = context.out / "scratch" / "train.jsonl"
    file.parent.mkdir(parents=True, exist_ok=True)
    _write(data.Dataset(context.inputs["pool"] / "dataset").take(rows.tolist()), file)
    with llm.Tuner(hosted.base, hosted.config, calls=Path(hosted.calls), run=hosted.run) as tuner:
        found = tuner.tune(context.out.name, file, seed=config["seed"], advance=context.progress)
    tokens = found.tokens or 0
    context.used.update({"tokens": float(tokens)} | ({} if found.money is None else {"money": found.money}))
    data.write_json(context.out / MODEL, to_json(found))
    report = {
        "steps": max((step for step, _ in found.losses), default=0), "samples": config["epochs"] * len(rows),
        "tokens": tokens, "learned_tokens": tokens, "padded_tokens": tokens, "micro_tokens": 0,
        "seconds": time.monotonic() - began, "device": hosted.base.split("/")[0], "trace": found.losses,
        "notes": [] if found.attempt == 1 else [say("note.hosted.again", attempts=found.attempt)],
    }  # fmt: skip
    report |= {} if found.batch_size is None else {"batch_size": found.batch_size}
    data.write_json(context.out / REPORT, to_json(report))


def _write(samples: Iterable[Sample], file: Path) -> None:
    """Write rows as they are sent, each text with a UTF-8 form."""
    with file.open("w", encoding="utf-8", errors="replace", newline="\n") as out:
        for sample in samples:
            out.write(json.dumps(message_row(sample), ensure_ascii=False) + "\n")


def hosted_answer_step(
    hosted: Hosted, evaluation: Step, tuned: Step | None, measure: MeasureConfig, *, seed: int, label: str,
    items: int, tokens: float,
) -> Step:  # fmt: skip
    """Return the step in which a tuned model, or the base, answers ``items`` items of ``tokens`` each."""
    settings = measure.settings() | {"base": hosted.base, "revision": hosted.config.revision}
    settings["seed"] = seed if measure.temperature else 0
    inputs = {"evaluation": evaluation, **({} if tuned is None else {"model": tuned})}
    name = hosted.base if tuned is None else llm.tuned_name(hosted.base)
    local = llm.is_local(hosted.base, hosted.config.base_url)
    price = llm.find_price(name, hosted.config.prices, local=local)
    read, written = items * tokens, items * measure.max_new_tokens
    estimate = Estimate(
        seconds=items / 10, tokens=read + written, paid=items > 0, kind=name,
        money=None if price is None else price.of(round(read), written),
        currency="USD" if price is None else price.currency,
    )  # fmt: skip
    call = f"{__name__}:answer"
    return Step(
        "hosted-answer", 1, call, settings, inputs, where=hosted.where, label=label, estimate=estimate
    )


def answer(context: StepContext) -> None:
    """Have every item answered: the table of :func:`assay.study.steps.answer_step` without losses."""
    import polars

    config, hosted = context.config, hosted_of(context.where)
    measure = MeasureConfig.of(config)
    items = list(data.Dataset(context.inputs["evaluation"] / "dataset"))
    made = context.inputs.get("model")
    name = hosted.base if made is None else str(read_json(made / MODEL)["model"])
    texts = _answers(context, hosted, name, items, measure)
    table: dict[str, list[Any]] = {"item": [item.id for item in items]}
    table["type"] = [item.type or "untyped" for item in items]
    table |= {column: [None] * len(items) for column in ("nats", "tokens", "n_bytes")}
    table |= {"answer": [one.text for one in texts], "answer_tokens": [one.tokens_out for one in texts]}
    table["ended"] = [one.ended == "stop" for one in texts]
    polars.DataFrame(table, infer_schema_length=None).write_parquet(context.out / ITEMS)
    counts = {"items": len(items), "without_reference": sum(item.answer is None for item in items)}
    data.write_json(context.out / COUNTS, counts | {"unended": table["ended"].count(False)})


def _answers(
    context: StepContext, hosted: Hosted, name: str, items: Sequence[Sample], measure: MeasureConfig
) -> list[llm.Reply]:
    """Return the reply to each item; raise where one did not come: replies that did are kept."""
    own, seed = hosted.config, context.config["seed"]
    drawn = llm.Sampling(measure.temperature, measure.top_p, measure.max_new_tokens, seed)
    requests = [llm.Request(tuple(item.prompt), drawn) for item in items]
    chat = llm.ChatConfig(
        name, own.base_url, own.revision, own.budget, own.prices, connections=own.connections,
        timeout=own.timeout, calls=Path(hosted.calls),
    )  # fmt: skip
    with llm.open_chat(chat, run=hosted.run) as door:
        found = dict(door.ask(requests, advance=context.progress))
        context.used["tokens"] = float(door.spent.tokens_in + door.spent.tokens_out)
        if door.spent.money is not None:
            context.used["money"] = door.spent.money
    lost = [one for one in found.values() if isinstance(one, llm.Failure)]
    if lost:
        raise AssayError(
            "the model did not answer every item", place="hosted", value=f"{len(lost):,}: {lost[0].problem}",
            hint="raise hosted.budget or see that the provider is there, and run again: replies are kept",
        )  # fmt: skip
    return [one for _, one in sorted(found.items()) if isinstance(one, llm.Reply)]
