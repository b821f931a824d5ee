"""Score one model's answers: by exact checkers, or by a chat model with a rubric per type."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from assay import data, judging, llm
from assay.core import METRICS, AssayError, metric_value, to_json
from assay.plan import Estimate, Step, StepContext
from assay.study._config import JudgeSettings, StudyConfig

LOG = "log"
_RUBRIC_TOKENS = 500


def chat_judge(wanted: JudgeSettings, folder: Path) -> tuple[judging.JudgeConfig, llm.ChatConfig]:
    """Return how to judge, and how to reach the model; paths start from the study file's folder."""
    rubrics = None if wanted.rubrics is None else str(folder / wanted.rubrics)
    prices = None if wanted.prices is None else folder / wanted.prices
    return (
        judging.JudgeConfig(**{**_shared(wanted, judging.JudgeConfig), "rubrics": rubrics}),
        llm.ChatConfig(**{**_shared(wanted, llm.ChatConfig), "prices": prices}),
    )


def _shared(wanted: JudgeSettings, kind: Any) -> dict[str, Any]:
    """Return the settings that a config has by the same name."""
    names = {field.name for field in dataclasses.fields(kind)}
    return {f.name: getattr(wanted, f.name) for f in dataclasses.fields(wanted) if f.name in names}


def judge_step(
    config: StudyConfig, inputs: Mapping[str, Step], label: str, *, items: int, tokens: float
) -> Step:
    """Return the step in which the chat model judges one model's answers to ``items`` items.

    ``tokens``: those of an item's prompt and its answer, for what the step costs at most.
    """
    assert config.judge is not None  # noqa: S101 - the caller has looked
    asked, chat = chat_judge(config.judge, Path(config.folder))
    where = {
        "judge": dataclasses.asdict(asked),
        "chat": {**dataclasses.asdict(chat), "prices": None if chat.prices is None else str(chat.prices)},
        "calls": str(Path(config.where.store) / "calls"),
        "run": f"study {config.name}",
        "answered_by": label,
    }
    calls = items * asked.asked
    tokens_in, tokens_out = calls * (tokens + _RUBRIC_TOKENS), calls * asked.sampling.max_tokens
    price = llm.find_price(asked.model, chat.prices, local=llm.is_local(asked.model, chat.base_url))
    money = None if price is None else price.of(int(tokens_in), tokens_out)
    estimate = Estimate(seconds=calls / 10, tokens=tokens_in + tokens_out, money=money)
    settings = {"judge": judging.version(asked), "exact": asked.exact}
    call = "assay.study.steps:judge_by_model"
    return Step("judge", 2, call, settings, inputs, where=where, label=label, estimate=estimate)


def judge_answers(context: StepContext) -> None:
    """Score the answers of one model."""
    import polars

    items = list(data.Dataset(context.inputs["evaluation"] / "dataset"))
    answers = polars.read_parquet(context.inputs["answers"] / "items.parquet")["answer"].to_list()
    rows = []
    for item, text in zip(items, answers, strict=True):
        method = context.config["method"]
        rows.append(judging.judge(item, text, None if method == "auto" else method))
    columns = ("item", "type", "group", "method", "score", "reason")
    table = {c: [getattr(row, c) for row in rows] for c in columns}
    schema = {c: polars.Float64 if c == "score" else polars.String for c in columns}
    polars.DataFrame(table, schema=schema).write_parquet(context.out / "judgements.parquet")


def measure_metrics(context: StepContext) -> None:
    """Measure the answers of one model by the metrics of plug-ins: a row for each item and metric."""
    import polars

    items = list(data.Dataset(context.inputs["evaluation"] / "dataset"))
    answers = polars.read_parquet(context.inputs["answers"] / "items.parquet")["answer"].to_list()
    rows = []
    for name in context.config["metrics"]:
        for item, text in zip(items, answers, strict=True):
            value, reason = metric_value(METRICS[name], item, text)
            rows.append((item.id, item.type or "untyped", item.group, name, value, reason))
    columns = ("item", "type", "group", "method", "score", "reason")
    schema = {c: polars.Float64 if c == "score" else polars.String for c in columns}
    polars.DataFrame(rows, schema=schema, orient="row").write_parquet(context.out / "metrics.parquet")


def judge_by_model(context: StepContext) -> None:
    """Judge one model's answers: `judgements.parquet`, a log for `inspect view`, and what it took."""
    import polars

    chat: dict[str, Any] = dict(context.where["chat"])
    chat["prices"] = None if chat["prices"] is None else Path(chat["prices"])
    config = judging.JudgeConfig(**dict(context.where["judge"]))
    items = list(data.Dataset(context.inputs["evaluation"] / "dataset"))
    answers = polars.read_parquet(context.inputs["answers"] / "items.parquet")["answer"].to_list()
    calls, run = Path(context.where["calls"]), str(context.where["run"])
    with llm.open_chat(llm.ChatConfig(**chat), calls=calls, run=run) as door:
        found = judging.ask_all(door, items, answers, config, context.progress)
        spent, currency = door.spent, door.budget.currency
    if found.lost:
        raise _lost(found)
    write_judgements(found.judgements, context.out / "judgements.parquet")
    said_by = str(context.where["answered_by"])
    judging.write_log(items, answers, found.judgements, context.out / LOG, config=config, answered_by=said_by)
    facts = {name: getattr(found, name) for name in ("version", "replies", "retried", "unparsed", "failed")}
    facts |= {"calls": spent.calls, "tokens": spent.tokens_in + spent.tokens_out}
    facts |= {"money": spent.money, "currency": currency}
    data.write_json(context.out / "judge.json", facts)


def _lost(found: judging.Judged) -> AssayError:
    """Return the error that keeps a step without all its replies from being taken for done."""
    said = [reply for row in found.judgements for reply in row.replies if row.reason]
    return AssayError(
        "the judge did not reply to all",
        place="judge",
        value=f"{found.lost:,} of {found.replies:,} replies: {next(iter(said), 'no reply')}",
        hint="raise judge.budget or see that the server can be reached, and run again: replies are kept",
    )


def write_judgements(rows: tuple[judging.Judgement, ...] | list[judging.Judgement], out: Path) -> None:
    """Write judgements as a table, a row each in their order."""
    import polars

    kinds: dict[str, Any] = {
        "score": polars.Float64, "outside": polars.Float64, "unparsed": polars.Int64,
        "scores": polars.List(polars.Float64), "replies": polars.List(polars.String),
    }  # fmt: skip
    names = [field.name for field in dataclasses.fields(judging.Judgement)]
    schema = {name: kinds.get(name, polars.String) for name in names}
    plain = [to_json(row) for row in rows]
    polars.DataFrame(plain, schema=schema, orient="row").write_parquet(out)
