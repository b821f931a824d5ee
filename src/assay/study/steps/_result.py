"""From measurements to the result: points, curves, verdicts, comparisons, answers, report."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from assay import curves, data, judging, view
from assay.core import (
    BASE_ARM,
    OVERALL,
    AnswerSheet,
    ArmRow,
    Cause,
    Control,
    Cost,
    JudgeSummary,
    Point,
    RecipeCheck,
    RungAnswer,
    RunRow,
    Sample,
    Say,
    StudyResult,
    read_json,
    say,
    stored_text,
)
from assay.plan import StepContext
from assay.study.steps._causes import causes, control_of, read_held
from assay.study.steps._forgetting import forgetting, limited
from assay.study.steps._judge import metrics_of
from assay.study.steps._measure import item_counts
from assay.study.steps._rates import check_of
from assay.study.steps._read import summary_of
from assay.study.steps._text import TEXT
from assay.study.steps._tokenize import sample_counts

SHEETS_PER_TYPE = 2
_RATIOS = (("loss", "tokens", 1.0), ("bits_per_byte", "n_bytes", math.log(2)))
_TRACE_POINTS = 60


def result(context: StepContext) -> None:
    """Assemble the result of a study from its measured models and write its report."""
    view.write_report(assemble(context), context.out / "report")


def assemble(context: StepContext) -> StudyResult:
    """Read all measurements and return the result value."""
    config = context.config
    runs = [MeasuredRun(context, index, row) for index, row in enumerate(config["runs"])]
    items = list(data.Dataset(context.inputs["evaluation"] / "dataset"))
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
    found = causes(
        reading.curves, points, runs, items, held, epochs=config["recipe"]["epochs"],
        smallest_relative_gain=question["smallest_relative_gain"],
    )  # fmt: skip
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
        cost=_cost(rows, runs),
        answers=tuple(_sheets(runs, items)),
        answer=curves.recommend(reading.curves, reading.comparisons),
        judge=_judge([run.judge for run in runs if run.judge is not None]),
        notes=(*map(stored_text, config["notes"]), *(note for run in runs for note in run.notes)),
        counts=_counts(context, runs[0]),
        forgetting=forgotten,
        control=control,
        causes=tuple(_excluded(cause, control, checked) for cause in found),
        recipe_check=checked,
    )


def _excluded(cause: Cause, control: Control | None, check: RecipeCheck | None) -> Cause:
    """Blame the data only where the recipe is excluded.

    Samples of the pool that are like the evaluation set exclude it, unless the check finds a better rate.
    Where there are none, only the check does: at none of its rates do more data help.
    """
    if cause.word != "data" or cause.harm == "plateau":
        return cause
    if check is not None and check.helps is not None and check.helps >= curves.DECIDED and not _like(control):
        return replace(cause, word="recipe", likeliest="recipe", probability=check.helps)
    excluded = not (check and check.outside) if _like(control) else check is not None
    return cause if excluded else replace(cause, word="open")


def _like(control: Control | None) -> bool:
    return control is not None and control.matched > 0


def _counts(context: StepContext, base: MeasuredRun) -> dict[str, int]:
    """Return what length took away of the pool, and of the items (the same for all models of a tokenizer)."""
    return sample_counts(context.inputs["tokens"]) | base.counts


class MeasuredRun:
    """The measurements of one model, read from its steps' objects."""

    def __init__(self, context: StepContext, index: int, row: Mapping[str, Any]) -> None:
        import polars

        self.arm, self.seed, self.n_train = row["arm"], row["seed"], row["n_train"]
        self.key, self.trunk_parts, self.shared = row["key"], row["trunk"], row["shared"]
        prefix = f"run{index:04}/"
        found = {n.removeprefix(prefix): p for n, p in context.inputs.items() if n.startswith(prefix)}
        self.items = polars.read_parquet(found["answer"] / "items.parquet")
        self.answer_seconds = _seconds(found["answer"])
        self.counts = item_counts(found["answer"])
        self.judgements = (
            polars.read_parquet(found["judge"] / "judgements.parquet") if "judge" in found else None
        )
        self.judge = (
            read_json(found["judge"] / "judge.json")
            if "judge" in found and (found["judge"] / "judge.json").exists()
            else None
        )
        self.text = polars.read_parquet(found["text"] / TEXT) if "text" in found else None
        self.metrics = metrics_of(found["metrics"]) if "metrics" in found else {}
        self.held = found.get("held")
        parts = [f"trunk{i}" for i in range(self.trunk_parts)] + ["branch"]
        self.reports = [read_json(found[p] / "train.json") for p in parts if p in found]

    @property
    def notes(self) -> list[Say]:
        """What training did otherwise than the recipe says; a shared trunk is the first rung's to tell."""
        own = self.reports[-1:] if self.shared else self.reports[-2:]
        run = {"arm": self.arm, "n": self.n_train, "seed": self.seed}
        notes = [stored_text(note) for report in own for note in report["notes"]]
        return [say("note.run", **run, note=note) for note in notes]

    def points(self, items: Sequence[Sample]) -> list[Point]:
        """Return one point per type and metric."""
        points: list[Point] = []
        if self.judgements is not None:
            for summary in judging.summarise(self._judgements()):
                points.append(self._point(summary.type, "score", summary.mean, summary.se, summary.n))
        for metric, rows in self.metrics.items():
            for summary in judging.summarise(rows):
                points.append(self._point(summary.type, metric, summary.mean, summary.se, summary.n))
        for metric, unit, factor in _RATIOS:
            for kind, (mean, se, n) in self._ratios(items, unit, factor).items():
                points.append(self._point(kind, metric, mean, se, n))
        return [*self._overall(points), *points]

    def _overall(self, points: Sequence[Point]) -> Iterable[Point]:
        """Return the unweighted mean over types of each metric (BELLE, Figure 1), where there are several."""
        for metric in dict.fromkeys(p.metric for p in points):
            own = [p for p in points if p.metric == metric]
            if len(own) > 1:
                errors = [p.se for p in own if p.se is not None]
                se = math.hypot(*errors) / len(own) if len(errors) == len(own) else None
                n = sum(p.n_eval or 0 for p in own)
                yield self._point(OVERALL, metric, math.fsum(p.value for p in own) / len(own), se, n)

    def _point(self, kind: str, metric: str, value: float, se: float | None, n: int) -> Point:
        return Point(kind, self.n_train, self.seed, metric, value, n, se, self.arm, self.key)

    def _judgements(self) -> list[judging.Judgement]:
        assert self.judgements is not None  # noqa: S101 - only called where there are judgements
        return [judging.Judgement(**row) for row in self.judgements.iter_rows(named=True)]

    def _ratios(
        self, items: Sequence[Sample], unit: str, factor: float
    ) -> dict[str, tuple[float, float | None, int]]:
        """Return per type the summed nats over the summed units, with its clustered standard error.

        The standard error is that of a ratio estimator (Cochran 1977, section 6.4) over groups of items.
        """
        groups: dict[str, dict[str, list[tuple[float, float]]]] = {}
        for sample, row in zip(items, self.items.iter_rows(named=True), strict=True):
            if row["nats"] is None or not row[unit]:
                continue
            kind = groups.setdefault(row["type"], {})
            kind.setdefault(sample.group or row["item"], []).append((row["nats"] / factor, row[unit]))
        return {kind: _ratio(clusters.values()) for kind, clusters in groups.items()}

    def _cells(self, items: Sequence[Sample]) -> list[tuple[str, str, str, float, float]]:
        """Return (type, metric, cluster, value, size) of every item; a mean is all value over all size."""
        rows: list[tuple[str, str, str, float, float]] = []
        if self.judgements is not None:
            for row in self.judgements.iter_rows(named=True):
                if row["score"] is not None:
                    rows.append((row["type"], "score", row["group"] or row["item"], row["score"], 1.0))
        for metric, measured in self.metrics.items():
            rows += [
                (m.type, metric, m.group or m.item, m.score, 1.0) for m in measured if m.score is not None
            ]
        for sample, row in zip(items, self.items.iter_rows(named=True), strict=True):
            for metric, unit, factor in _RATIOS:
                if row["nats"] is not None and row[unit]:
                    cluster = sample.group or row["item"]
                    rows.append((row["type"], metric, cluster, row["nats"] / factor, row[unit]))
        return rows

    def residuals(self, items: Sequence[Sample]) -> dict[tuple[str, str], dict[str, float]]:
        """Return, by type and metric, each cluster's sum of deviations from the mean over items."""
        rows = self._cells(items)
        sums: dict[tuple[str, str], tuple[float, float]] = {}
        for kind, metric, _, value, size in rows:
            top, bottom = sums.get((kind, metric), (0.0, 0.0))
            sums[kind, metric] = (top + value, bottom + size)
        found: dict[tuple[str, str], dict[str, float]] = {}
        for kind, metric, cluster, value, size in rows:
            top, bottom = sums[kind, metric]
            own = found.setdefault((kind, metric), {})
            own[cluster] = own.get(cluster, 0.0) + value - top / bottom * size
        return found

    def influences(self, items: Sequence[Sample]) -> dict[tuple[str, str], dict[str, float]]:
        """Return, by type and metric, how far each cluster moves the mean over items."""
        sizes: dict[tuple[str, str], float] = {}
        for kind, metric, _, _, size in self._cells(items):
            sizes[kind, metric] = sizes.get((kind, metric), 0.0) + size
        return {
            key: {cluster: value / sizes[key] for cluster, value in own.items()}
            for key, own in self.residuals(items).items()
        }

    def row(self, recipe: Mapping[str, Any]) -> RunRow:
        """Return the run as the report shows it."""
        own = self.reports[-1:] if self.shared else self.reports[-2:]
        trace = [(step, loss) for part in self.reports for step, loss in part["trace"]]
        every = max(1, len(trace) // _TRACE_POINTS)
        size = recipe["batch_size"]
        return RunRow(
            key=self.key,
            arm=self.arm,
            seed=self.seed,
            n_train=self.n_train,
            trained_samples=sum(part["samples"] for part in own),
            independent_samples=recipe["epochs"] * self.n_train,
            tokens=sum(part["tokens"] for part in own),
            seconds=sum(part["seconds"] for part in own),
            loss_trace=tuple(((step + 1) * size, loss) for step, loss in trace[::every]),
        )


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


def _ratio(clusters: Collection[list[tuple[float, float]]]) -> tuple[float, float | None, int]:
    sums = np.asarray([np.sum(c, axis=0) for c in clusters])
    ratio = float(sums[:, 0].sum() / sums[:, 1].sum())
    n_items = sum(len(c) for c in clusters)
    if len(sums) < 2:
        return ratio, None, n_items
    residuals = sums[:, 0] - ratio * sums[:, 1]
    variance = float((residuals**2).sum()) * len(sums) / (len(sums) - 1)
    return ratio, math.sqrt(variance) / float(sums[:, 1].sum()), n_items


def _seconds(folder: Path) -> float:
    return float(read_json(folder / "manifest.json")["seconds"])


def _flat(value: Any) -> str | int | float | bool | None:
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else value


def _arms(context: StepContext) -> tuple[ArmRow, ...]:
    config, seeds = context.config, tuple(range(context.config["seeds"]))
    rows = [ArmRow(BASE_ARM, "no training", (0,), (0,))]
    for name, arm in config["arms"].items():
        steps = [p for n, p in context.inputs.items() if n in (f"arm/{name}/order", f"arm/{name}/scores")]
        took = sum(map(_seconds, steps))
        rows.append(ArmRow(name, arm["rule"], tuple(arm["rungs"]), seeds, selecting_seconds=took))
    return tuple(rows)


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
                score = None if run.judgements is None else run.judgements["score"][index]
                text = run.items["answer"][index]
                answers.append(
                    RungAnswer(run.arm, run.n_train, run.seed, text, score, run.key, _said(run, index))
                )
        prompt = "\n\n".join(m.content for m in item.prompt)
        yield AnswerSheet(kind, item.id, prompt, item.answer, tuple(answers))
