"""From measurements to the result: points, curves, verdicts, comparisons, answers, report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from assay import curves, data, indicators, judging, view
from assay.core import (
    BASE_ARM,
    OVERALL,
    AnswerBook,
    AnswerSheet,
    ArmRow,
    BookItem,
    BookRun,
    BookTexts,
    Cause,
    Control,
    Cost,
    Elsewhere,
    JudgeSummary,
    RecipeCheck,
    RungAnswer,
    RunRow,
    Sample,
    StudyResult,
    Text,
    stored_text,
)
from assay.plan import StepContext
from assay.study.steps._beside import elsewhere, read_beside, recipes, steps_or_samples
from assay.study.steps._causes import causes, control_of, read_held
from assay.study.steps._forgetting import forgetting, limited, watched
from assay.study.steps._measured import MeasuredRun, run_parts, seconds
from assay.study.steps._rates import check_of
from assay.study.steps._read import summary_of
from assay.study.steps._text import cut_parts
from assay.study.steps._tokenize import sample_counts

SHEETS_PER_TYPE = 2


def result(context: StepContext) -> None:
    """Assemble the result of a study from its measured models and write its report."""
    runs, items = _measured(context)
    view.write_report(assemble(context, runs, items), context.out / "report", answer_book(runs, items))


def _measured(context: StepContext) -> tuple[list[MeasuredRun], list[Sample]]:
    parts = run_parts(context.inputs)
    runs = [MeasuredRun(parts[index], row) for index, row in enumerate(context.config["runs"])]
    return runs, list(data.Dataset(context.inputs["evaluation"] / "dataset"))


def assemble(context: StepContext, runs: Sequence[MeasuredRun], items: Sequence[Sample]) -> StudyResult:
    """Return the result value from the measurements of all models."""
    config = context.config
    shares = _own_shares(runs, items)
    points = tuple(
        replace(p, own_share=shares.get((p.type, p.metric))) for run in runs for p in run.points(items)
    )
    question = config["question"]
    rows = tuple(run.row(config["recipe"]) for run in runs if run.arm != BASE_ARM)
    pool = summary_of(context.inputs["pool"])
    forgotten = forgetting(runs, question)
    reading = curves.read_curves(
        points,
        satisfied_at=question["satisfied_at"],
        smallest_gain=question["smallest_gain"],
        smallest_relative_gain=question["smallest_relative_gain"],
        price=question["price_per_thousand"],
        hours=_hours_per_thousand(rows),
        pools=dict.fromkeys(config["arms"], pool.samples - config["control"]),
    )
    held = read_held(context, runs)
    control = control_of(context, held)
    checked = check_of(context.inputs["recipe_check"]) if "recipe_check" in context.inputs else None
    beside = read_beside(context)
    found = causes(
        reading.curves, points, runs, items, held, epochs=config["recipe"]["epochs"],
        smallest_relative_gain=question["smallest_relative_gain"], others=elsewhere(beside),
    )  # fmt: skip
    others = recipes(context, beside, points, reading.curves, items, shares)
    steps = steps_or_samples(beside, runs, points, items, shares)
    # A model may stand under another recipe and at equal steps: it is one.
    every = {run.key: run for run in (*runs, *(one.run for one in beside if one.run is not None))}
    trained = {run.row(one.what).key: run.row(one.what) for one in beside if (run := one.run) is not None}
    return StudyResult(
        name=config["name"],
        assay_version=config["version"],
        language=config["language"],
        base=config["base"],
        recipe={k: _flat(v) for k, v in config["recipe"].items()},
        question={k: question[k] for k in ("satisfied_at", "smallest_gain", "largest_loss")},
        pool=pool,
        evaluation=summary_of(context.inputs["evaluation"]),
        arms=_arms(context),
        points=points,
        curves=limited(reading.curves, forgotten),
        comparisons=reading.comparisons,
        worth=reading.worth,
        descents=reading.descents,
        balances=reading.balances,
        held_out=reading.held_out,
        runs=rows,
        cost=_cost([*rows, *trained.values()], list(every.values())),
        answers=tuple(_sheets(runs, items)),
        answer=reading.answer,
        judge=_judge([run.judge for run in runs if run.judge is not None]),
        notes=(
            *dict.fromkeys((*map(stored_text, config["notes"]), *_applied(context))),
            *(note for run in runs for note in run.notes),
            *(cut_parts(runs[0].text) if runs[0].text is not None else ()),
        ),
        counts=_counts(context, runs),
        forgetting=forgotten,
        abilities=watched(runs, question),
        control=control,
        causes=tuple(_excluded(cause, control, checked) for cause in found),
        recipe_check=checked,
        recipes=others,
        steps_or_samples=steps,
    )


def _excluded(cause: Cause, control: Control | None, check: RecipeCheck | None) -> Cause:
    """Blame the data only where the recipe is excluded.

    The largest rung under another recipe decides: where it does no harm, the recipe is to blame; where it
    does harm under one that was tried and likelier than not under all, the recipe is excluded.  Without one,
    samples of the pool that are like the evaluation set exclude it, unless the check finds a lower rate
    better: one that is too low does no harm.
    """
    if cause.harm == "plateau" or cause.word not in ("data", "open"):
        return cause
    if cause.harmless is not None and cause.harmful is not None:
        return _decided(cause, cause.harmless, cause.harmful, _like(control))
    excluded = _like(control) and not (check and check.outside and not check.too_low)
    return cause if excluded or cause.word == "open" else replace(cause, word="open")


def _decided(cause: Cause, harmless: Elsewhere, harmful: Elsewhere, like: bool) -> Cause:
    """Return the cause that the likeliest harmless and the likeliest harmful other recipe tell.

    A pool that has nothing ``like`` the evaluation set, and does no good under the harmless one either, makes
    the model forget: the other recipe only forgets less.
    """
    if harmless.p_harmless >= curves.DECIDED:
        if not like and harmless.since is not None and not harmless.helps:
            return replace(cause, word="data", likeliest="data", probability=harmless.p_harmless)
        return replace(cause, word="recipe", likeliest="recipe", probability=harmless.p_harmless)
    if harmful.shift.p_worse >= curves.DECIDED and harmless.p_harmless < 0.5:
        return replace(cause, word="data", likeliest="data", probability=harmful.shift.p_worse)
    return replace(cause, word="open")


def _like(control: Control | None) -> bool:
    return control is not None and control.matched > 0


def _counts(context: StepContext, runs: Sequence[MeasuredRun]) -> dict[str, int]:
    """Return what length took away of the pool, and of the items (the same for all models of a tokenizer)."""
    tokens = context.inputs.get("tokens")
    return ({} if tokens is None else sample_counts(tokens)) | runs[0].counts | _empty(runs)


def _empty(runs: Sequence[MeasuredRun]) -> dict[str, int]:
    """Return how many answers trained models gave, and how many of them hold nothing but blanks."""
    texts = [t for run in runs if run.arm != BASE_ARM and "answer" in run.items.columns
             for t in run.items["answer"].to_list() if t is not None]  # fmt: skip
    return {"answers": len(texts), "answers_empty": sum(not t.strip() for t in texts)} if texts else {}


def answer_book(runs: Sequence[MeasuredRun], items: Sequence[Sample]) -> AnswerBook | None:
    """Return every answer to every item; None where no answers were generated."""
    answered = [run for run in runs if "answer" in run.items.columns]
    if not answered:
        return None
    texts = BookTexts()
    rows = tuple(_book_item(answered, item, index, texts) for index, item in enumerate(items))
    own = tuple(BookRun(run.arm, run.n_train, run.seed, run.key) for run in answered)
    return AnswerBook(own, rows, texts.all())


def _book_item(runs: Sequence[MeasuredRun], item: Sample, index: int, texts: BookTexts) -> BookItem:
    return BookItem(
        id=item.id, type=item.type or "untyped", language=item.language or "", prompt=_prompt(item),
        reference=item.answer,
        answers=tuple(texts.place(run.items["answer"][index]) for run in runs),
        scores=tuple(_score(run, index) for run in runs),
        said=tuple(texts.place(_said(run, index)) for run in runs),
    )  # fmt: skip


def _prompt(item: Sample) -> str:
    return "\n\n".join(m.content for m in item.prompt)


def _score(run: MeasuredRun, index: int) -> float | None:
    return None if run.judgements is None else run.judgements["score"][index]


def _own_shares(runs: Sequence[MeasuredRun], items: Sequence[Sample]) -> dict[tuple[str, str], float]:
    """Return, by type and metric, how much of the item-level variance models of one ladder do not share."""
    ladders: dict[tuple[str, int], list[MeasuredRun]] = {}
    for run in runs:
        if run.arm != BASE_ARM:
            ladders.setdefault((run.arm, run.seed), []).append(run)
    found: dict[tuple[str, str], list[float]] = {}
    for rungs in ladders.values():
        ordered = sorted(rungs, key=lambda run: run.n_train)
        sizes = np.array([run.n_train for run in ordered], float)
        measured = [run.residuals(items) for run in ordered]
        for key in measured[0]:
            clusters = set.intersection(*(set(m.get(key, {})) for m in measured))
            values = np.array([[m[key][c] for m in measured] for c in sorted(clusters)])
            share = curves.own_share(values.reshape(len(clusters), len(sizes)), sizes)
            if share is not None:
                found.setdefault(key, []).append(share)
    means = {key: float(np.mean(shares)) for key, shares in found.items()}
    for metric in {metric for _, metric in means}:
        means[OVERALL, metric] = float(np.mean([v for (_, m), v in means.items() if m == metric]))
    return means


def _flat(value: Any) -> str | int | float | bool | None:
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else value


def _arms(context: StepContext) -> tuple[ArmRow, ...]:
    config, seeds = context.config, tuple(range(context.config["seeds"]))
    rows = [ArmRow(BASE_ARM, "no training", (0,), (0,))]
    for name, arm in config["arms"].items():
        steps = [p for n, p in context.inputs.items() if n in (f"arm/{name}/order", f"arm/{name}/scores")]
        took = sum(map(seconds, steps))
        rows.append(ArmRow(name, arm["rule"], tuple(arm["rungs"]), seeds, selecting_seconds=took))
    return tuple(rows)


def _applied(context: StepContext) -> tuple[Text, ...]:
    """Return how the rules of arms were applied: outside what they were fitted on, with other models."""
    tables = [path / "scores.parquet" for name, path in context.inputs.items() if name.endswith("/scores")]
    return tuple(dict.fromkeys(note for table in tables for note in indicators.applied_notes(table)))


def _hours_per_thousand(rows: Sequence[RunRow]) -> float | None:
    """Return the hours that 1,000 samples more add to a training, all passes counted."""
    passes = sum(row.trained_samples for row in rows)
    if not passes:
        return None
    epochs = rows[0].independent_samples / rows[0].n_train
    return sum(row.seconds for row in rows) / passes * epochs * 1000 / 3600


def _cost(rows: Sequence[RunRow], runs: Sequence[MeasuredRun]) -> Cost:
    devices = {part["device"] for run in runs for part in run.reports}
    return Cost(
        trained_samples=sum(r.trained_samples for r in rows),
        independent_samples=sum(r.independent_samples for r in rows),
        tokens=sum(r.tokens for r in rows),
        train_seconds=sum(r.seconds for r in rows),
        answer_seconds=sum(run.answer_seconds for run in runs),
        device=", ".join(sorted(devices)) or "cpu",
    )


def _judge(reports: Sequence[Mapping[str, Any]]) -> JudgeSummary | None:
    """Return what the replies of the judge were worth and cost over all models."""
    if not reports:
        return None
    sums = {
        name: sum(int(report[name]) for report in reports)
        for name in ("replies", "retried", "unparsed", "failed", "calls", "tokens")
    }
    money = [report["money"] for report in reports]
    return JudgeSummary(
        version=reports[0]["version"],
        money=None if None in money else float(sum(money)),
        currency=reports[0]["currency"],
        alarm=sums["unparsed"] > judging.ALARM * (sums["replies"] - sums["failed"]),
        **sums,
    )


def _said(run: MeasuredRun, index: int) -> str | None:
    if run.judgements is None or "replies" not in run.judgements.columns:
        return None
    replies = run.judgements["replies"][index]
    return replies[0] if replies is not None and len(replies) else None


def _sheets(runs: Sequence[MeasuredRun], items: Sequence[Sample]) -> Iterable[AnswerSheet]:
    """Show the first items of each type with the answers of the first seed at every rung."""
    shown: dict[str, int] = {}
    for index, item in enumerate(items):
        kind = item.type or "untyped"
        shown[kind] = shown.get(kind, 0) + 1
        if shown[kind] > SHEETS_PER_TYPE:
            continue
        answers = []
        for run in runs:
            if run.seed == 0 and "answer" in run.items.columns:
                text, score = run.items["answer"][index], _score(run, index)
                answers.append(
                    RungAnswer(run.arm, run.n_train, run.seed, text, score, run.key, _said(run, index))
                )
        yield AnswerSheet(kind, item.id, _prompt(item), item.answer, tuple(answers))
