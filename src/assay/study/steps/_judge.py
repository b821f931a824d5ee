"""Score one model's answers: by exact checkers, or by a chat model with a rubric per type."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from assay import data, judging, llm
from assay.core import METRICS, AssayError, Sample, metric_value, to_json
from assay.plan import Estimate, Step, StepContext, local_folder
from assay.study._config import StudyConfig
from assay.study.steps._measure import ITEMS

JUDGEMENTS, MEASURED, LOG = "judgements.parquet", "metrics.parquet", "log"
_RUBRIC_TOKENS = 500


def chat_judge(config: StudyConfig) -> judging.JudgeConfig:
    """Return the judge of a study: paths start from the study file's folder, replies are in its store."""
    assert config.judge is not None  # noqa: S101 - the caller has looked
    wanted, folder = config.judge, Path(config.folder)
    return dataclasses.replace(
        wanted,
        rubrics=None if wanted.rubrics is None else str(folder / wanted.rubrics),
        prices=None if wanted.prices is None else folder / wanted.prices,
        calls=local_folder(config.where.store) / "calls",
    )


def judge_step(
    config: StudyConfig, inputs: Mapping[str, Step], label: str, *, items: int, tokens: float
) -> Step:
    """Return the step in which the chat model judges one model's answers to ``items`` items.

    ``tokens``: those of an item's prompt and its answer, for what the step costs at most.
    """
    call = f"{__name__}:judge_by_model"
    return judging_step(
        chat_judge(config), call, inputs, label, study=config.name, items=items, tokens=tokens
    )


def judging_step(
    asked: judging.JudgeConfig, call: str, inputs: Mapping[str, Step], label: str, *, study: str, items: int,
    tokens: float, settings: Mapping[str, Any] = {}, where: Mapping[str, Any] = {},
) -> Step:  # fmt: skip
    """Return a step that asks the chat model, by ``call``; what it costs at most is its estimate."""
    plain = dataclasses.asdict(asked)
    plain |= {"calls": str(asked.calls), "prices": None if asked.prices is None else str(asked.prices)}
    where = {**where, "judge": plain, "run": f"study {study}", "answered_by": label}
    calls = items * asked.asked
    tokens_in, tokens_out = calls * (tokens + _RUBRIC_TOKENS), calls * asked.drawn.max_tokens
    price = llm.find_price(asked.model, asked.prices, local=llm.is_local(asked.model, asked.base_url))
    money = None if price is None else price.of(int(tokens_in), tokens_out)
    estimate = Estimate(
        seconds=calls / 10, tokens=tokens_in + tokens_out, money=money,
        currency="USD" if price is None else price.currency, paid=calls > 0, kind=asked.identity,
    )  # fmt: skip
    own = {"judge": judging.version(asked), "exact": asked.exact, **settings}
    return Step("judge", 2, call, own, inputs, where=where, label=label, estimate=estimate)


def check_step(evaluation: Step, answers: Step, method: str, label: str, *, items: int = 0) -> Step:
    """Return the step that scores one model's answers to ``items`` items without a chat model."""
    inputs, estimate = {"evaluation": evaluation, "answers": answers}, Estimate(seconds=items / 1000)
    call = f"{__name__}:judge_answers"
    return Step("judge", 1, call, judging.method_settings(method), inputs, label=label, estimate=estimate)


def judge_answers(context: StepContext) -> None:
    """Score the answers of one model."""
    import polars

    method = None if context.config["method"] == "auto" else context.config["method"]
    rows = [judging.judge(item, text, method) for item, text in zip(*_answered(context), strict=True)]
    columns = ("item", "type", "group", "method", "score", "reason")
    table = {c: [getattr(row, c) for row in rows] for c in columns}
    schema = {c: polars.Float64 if c == "score" else polars.String for c in columns}
    polars.DataFrame(table, schema=schema).write_parquet(context.out / JUDGEMENTS)


def _answered(context: StepContext) -> tuple[list[Sample], list[str]]:
    """Return the items with one model's answers to them."""
    import polars

    items = list(data.Dataset(context.inputs["evaluation"] / "dataset"))
    return items, polars.read_parquet(context.inputs["answers"] / ITEMS)["answer"].to_list()


def judgements_of(folder: Path) -> list[judging.Judgement]:
    """Return the judgements of one model's answers, from the folder of either judging step."""
    import polars

    rows = polars.read_parquet(folder / JUDGEMENTS).iter_rows(named=True)
    return [judging.Judgement(**row) for row in rows]


def metrics_step(
    evaluation: Step, answers: Step, metrics: Sequence[str], label: str, *, items: int = 0
) -> Step:
    """Return the step in which the metrics of plug-ins measure one model's answers to ``items`` items."""
    settings = {"metrics": {name: METRICS.identity(name) for name in metrics}}
    inputs, estimate = {"evaluation": evaluation, "answers": answers}, Estimate(seconds=items / 1000)
    call = f"{__name__}:measure_metrics"
    return Step("metrics", 1, call, settings, inputs, label=label, estimate=estimate)


def measure_metrics(context: StepContext) -> None:
    """Measure the answers of one model by the metrics of plug-ins: a row for each item and metric."""
    import polars

    items, answers = _answered(context)
    rows = []
    for name in context.config["metrics"]:
        for item, text in zip(items, answers, strict=True):
            value, reason = metric_value(METRICS[name], item, text)
            rows.append((item.id, item.type or "untyped", item.group, name, value, reason))
    columns = ("item", "type", "group", "method", "score", "reason")
    schema = {c: polars.Float64 if c == "score" else polars.String for c in columns}
    polars.DataFrame(rows, schema=schema, orient="row").write_parquet(context.out / MEASURED)


def metrics_of(folder: Path) -> dict[str, list[judging.Judgement]]:
    """Return by metric what plug-ins measured of each item, as judgements whose score is the value."""
    import polars

    found: dict[str, list[judging.Judgement]] = {}
    for row in polars.read_parquet(folder / MEASURED).iter_rows(named=True):
        found.setdefault(row["method"], []).append(judging.Judgement(**row))
    return found


def judge_by_model(context: StepContext) -> None:
    """Judge one model's answers."""
    write_judged(context, *_answered(context))


def write_judged(
    context: StepContext,
    items: Sequence[Sample],
    answers: Sequence[str | None],
    names: Sequence[str] | None = None,
) -> list[judging.Judgement]:
    """Judge answers: `judgements.parquet`, a log for `inspect view`, and what it took.

    Under the items' ``names``, where they have any beside their ids.
    """
    plain: dict[str, Any] = dict(context.where["judge"])
    plain |= {name: plain[name] and Path(plain[name]) for name in ("calls", "prices")}
    config = judging.JudgeConfig(**plain)
    with llm.open_chat(config, run=str(context.where["run"])) as door:
        found = judging.ask_all(door, items, answers, config, context.progress)
        spent, currency = door.spent, door.budget.currency
    if found.lost:
        raise _lost(found)
    rows = list(found.judgements) if names is None else judging.named(names, found.judgements)
    write_judgements(rows, context.out / JUDGEMENTS)
    said_by = str(context.where["answered_by"])
    judging.write_log(items, answers, found.judgements, context.out / LOG, config=config, answered_by=said_by)
    facts = {name: getattr(found, name) for name in ("version", "replies", "retried", "unparsed", "failed")}
    facts |= {"calls": spent.calls, "tokens": spent.tokens_in + spent.tokens_out}
    facts |= {"money": spent.money, "currency": currency}
    context.used["tokens"] = float(spent.tokens_in + spent.tokens_out)
    if spent.money is not None:
        context.used["money"] = spent.money
    data.write_json(context.out / "judge.json", facts)
    return rows


def _lost(found: judging.Judged) -> AssayError:
    """Return the error that keeps a step without all its replies from being taken for done."""
    said = [reply for row in found.judgements for reply in row.replies if row.reason]
    return AssayError(
        "the judge did not reply to every item",
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
