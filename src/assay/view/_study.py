"""A study described: in short, as the terminal and a notebook show it, and in full, as Markdown does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from assay import core
from assay.core import OVERALL, ArmRow, CurveResult, DataSummary, ExportPage, StudyResult, say
from assay.view._control import check_blocks, check_head, control_blocks
from assay.view._export import export_blocks
from assay.view._files import HTML
from assay.view._findings import ability_blocks, findings, forgetting_blocks
from assay.view._format import number, plain, short_key
from assay.view._index import Index, index, ladder, pairs
from assay.view._recipes import recipe_blocks, steps_blocks
from assay.view._says import answer_text, next_text, reason_text, study_notes
from assay.view._spark import sparkline
from assay.view._words import Words, words


def columns(*names: str, **forms: str) -> tuple[core.Column, ...]:
    """Return columns headed by texts of the catalogue; ``forms`` by name, text where none is given."""
    return tuple(core.Column(say(f"col.{name}"), forms.get(name, _FORMS.get(name, ""))) for name in names)


_FORMS = {
    "type": "@type", "arm": "@arm", "verdict": "@word", "probability": "p", "gain": "gain",
    "interval": "gain",
    "difference": "gain", "satisfied": ",", "n": ",", "rows": ",", "kept": ",", "rejected": ",",
    "duplicates": ",", "pool": ",", "evaluation": ",", "trained": ",", "alone": ",", "tokens": ",",
    "seconds": ",.1f",
    "seed": "d", "selecting": "time",
}  # fmt: skip


def summary(result: StudyResult, folder: Path | None = None) -> core.Page:
    """Return what a newcomer needs at 80 columns: the answer, the types, the cost, the report's place.

    ``folder`` is where :func:`write_report` wrote; without it ``runs/<name>`` is named if it is there.
    """
    w, found = words(result.language), index(result)
    headline, details = answer_text(result, w)
    blocks: list[core.Block] = [
        core.Paragraph(headline, "strong"),
        *([core.Paragraph(details)] if details else []),
        *_check_line(result),
    ]
    if found.arms and found.types:
        blocks += [_types(found, w), core.Paragraph(say("summary.scale"), "quiet")]
    if len(found.arms) > 1:
        blocks.append(core.Paragraph(say("summary.more_arms", arms=w.listed(map(w.arm, found.arms[1:])))))
    blocks += [_cost_line(result), core.Items(tuple(study_notes(result, w)))]
    return core.Page((*blocks, *report_place(result.name, folder)), result.language, name=result.name)


def _check_line(result: StudyResult) -> list[core.Block]:
    """Return what the recipe check found; nothing where the headline or its advice says it."""
    check = result.recipe_check
    return [] if check is None or check.outside else [core.Paragraph(check_head(check))]


def report_place(name: str, folder: Path | None) -> list[core.Block]:
    """Return where the report of a study is, where it is known to be there."""
    place = (folder or Path("runs") / name) / HTML
    return (
        [core.Paragraph(say("summary.report", path=place))] if folder is not None or place.is_file() else []
    )


def _cost_line(result: StudyResult) -> core.Paragraph:
    cost = result.cost
    if result.imported:
        return core.Paragraph(say("summary.imported", models=result.models, tools=result.imported))
    return core.Paragraph(
        say(
            "summary.cost", models=len(result.every_run), trained=cost.trained_samples,
            independent=cost.independent_samples, tokens=cost.tokens,
            time=cost.train_seconds + cost.answer_seconds, device=cost.device,
        )
    )  # fmt: skip


def _types(found: Index, w: Words) -> core.Table:
    arm, metric = found.answered[0], found.headline
    curve = core.Column(say("summary.curve", metric=w.metric(metric)), "@")
    rows: list[tuple[core.Cell, ...]] = []
    for name in found.types:
        points = ladder(found.points.get((name, metric), ()), arm)
        ends = f" {points[0][1]:.2f}→{points[-1][1]:.2f}" if points else ""
        trace = sparkline([v for _, v in points]) + ends
        rows.append((name, *verdict_cells(found.curves.get((name, arm, metric))), trace))
    return core.Table(
        (*columns("type", "verdict"), core.Column("p", "p"), core.Column(say("col.gain"), "@"), curve),
        tuple(rows),
        say("summary.table", metric=w.metric(metric), arm=arm),
        breaks=(0,) if found.types[0] == OVERALL else (),
    )  # fmt: skip


def verdict_cells(curve: CurveResult | None) -> tuple[core.Cell, core.Cell, core.Cell]:
    """Return a verdict, its probability, and the gain of the next doubling with its interval."""
    if curve is None or curve.verdict is None:
        return "refused", None, None
    v = curve.verdict
    return v.word, v.probability, say("cell.gain", gain=v.gain, interval=(v.gain_low, v.gain_high))


def report(result: StudyResult) -> core.Page:
    """Return the whole report, without charts and sample answers."""
    w, found = words(result.language), index(result)
    headline, details = answer_text(result, w)
    blocks: list[core.Block] = [
        core.Heading(result.name, 1),
        core.Paragraph(headline, "strong"),
        core.Paragraph(details),
    ]
    blocks.append(_cost_line(result))
    for arm in found.answered:
        blocks += _verdicts(found, arm, w)
    blocks += [
        *check_blocks(result),
        *recipe_blocks(result),
        *control_blocks(result),
        *steps_blocks(result),
        *_measured(found, w),
        *findings(result, found.headline),
        *forgetting_blocks(result),
        *ability_blocks(result),
        *_arms(result, found, w),
    ]
    if result.exports:
        blocks += [core.Heading(say("export.heading")), core.Paragraph(say("export.intro"))]
        blocks += [block for page in result.exports for block in _export(page, w)]
    if not result.imported:
        blocks += [*_cost(result), *_data(result), *_runs(result)]
    blocks += [*_setup(result), *_notes(result, w)]
    return core.Page(tuple(blocks), result.language, name=result.name)


def _verdicts(found: Index, arm: str, w: Words) -> Iterator[core.Block]:
    curves = [(name, found.curves.get((name, arm, found.headline))) for name in found.types]
    yield core.Heading(say("answer.caption", arm=arm, metric=w.metric(found.headline)))
    yield core.Table(
        columns("type", "verdict", "probability", "gain", "satisfied", "next", "reason"),
        tuple((name, *verdict_cells(curve), *_verdict(curve, w)) for name, curve in curves if curve),
    )


def _verdict(curve: CurveResult, w: Words) -> tuple[core.Cell, core.Cell, core.Cell]:
    verdict = curve.verdict
    if verdict is None:
        return None, None, w.refusal(curve.refused)
    runs = w("next.none") if verdict.word == "undecided" else None
    if verdict.next_runs is not None and curve.band is not None:
        runs = next_text(verdict.next_runs, curve.band.extrapolated_from, w)
    return curve.satisfied_at, runs, reason_text(curve, verdict, w)


def _measured(found: Index, w: Words) -> Iterator[core.Block]:
    """Yield, per metric, the means over seeds along the ladder of each type and arm."""
    for metric in found.metrics:
        yield core.Heading(f"{w.metric(metric)} ({w.metric_note(metric)})")
        heads = (
            *columns("type", "arm"),
            core.Column(say("summary.curve", metric=w.metric(metric))),
            core.Column(""),
        )
        yield core.Table(heads, tuple(_ladders(found, metric)))


def _ladders(found: Index, metric: str) -> Iterator[tuple[core.Cell, ...]]:
    for name in found.types:
        for arm in found.arms:
            steps = ladder(found.points.get((name, metric), ()), arm)
            if steps:
                text = ", ".join(f"{n:,}: {number(value)}" for n, value in steps)
                yield name, arm, text, sparkline([value for _, value in steps])


def _arms(result: StudyResult, found: Index, w: Words) -> Iterator[core.Block]:
    yield core.Heading(say("arms.heading"))
    yield core.Table(
        columns("arm", "rule", "rungs", "seeds", "selecting", "note", rule="@pick"),
        tuple(map(_arm, result.arms)),
    )
    if not result.comparisons:
        yield core.Paragraph(say("arms.none"))
    for (a, b), group in pairs(result, found.headline).items():
        yield core.Heading(f"{w('arms.pair', a=a, b=b)}: {w.metric(found.headline)}", 3)
        rows = tuple((c.type, c.n_train, c.difference, (c.low, c.high), c.word) for c in group)
        yield core.Table(columns("type", "n", "difference", "interval", "verdict"), rows)


def _arm(arm: ArmRow) -> tuple[core.Cell, ...]:
    rungs, seeds = (", ".join(f"{n:,}" for n in numbers) for numbers in (arm.rungs, arm.seeds))
    return arm.name, arm.rule, rungs, seeds, arm.selecting_seconds, arm.note


def _export(page: ExportPage, w: Words) -> Iterator[core.Block]:
    yield core.Heading(page.model, 3)
    yield from export_blocks(page, w)


def _cost(result: StudyResult) -> Iterator[core.Block]:
    cost = result.cost
    share = cost.trained_samples / cost.independent_samples if cost.independent_samples else None
    trained = say("cost.trained.of", n=cost.trained_samples, share=say("cost.share", share=share))
    yield core.Heading(say("cost.heading"))
    yield core.Facts((
        (say("cost.trained"), trained),
        (say("cost.independent"), cost.independent_samples),
        (say("cost.tokens"), cost.tokens),
        (say("cost.train_seconds"), say("cell.time", time=cost.train_seconds)),
        (say("cost.answer_seconds"), say("cell.time", time=cost.answer_seconds)),
        (say("cost.device"), cost.device),
    ))  # fmt: skip


def _data(result: StudyResult) -> Iterator[core.Block]:
    yield core.Heading(say("data.heading"))
    yield from _sources("pool", result.pool)
    yield from _sources("evaluation", result.evaluation)
    both = result.pool.by_type, result.evaluation.by_type
    kinds = [kind for kind in dict.fromkeys([*both[0], *both[1]]) if kind != OVERALL]
    rows = tuple((kind, *(counts.get(kind) for counts in both)) for kind in kinds)
    yield core.Table(columns("type", "pool", "evaluation"), rows)


def _sources(key: str, found: DataSummary) -> Iterator[core.Block]:
    yield core.Heading(say(f"data.{key}"), 3)
    yield core.Paragraph(say("data.samples", n=found.samples))
    if key == "pool":
        yield core.Paragraph(
            say("data.decontaminated", n=found.decontaminated) if found.decontaminated else say("data.clean")
        )
    if not found.sources:
        yield core.Paragraph(say("data.sources.none"))
        return
    rows = tuple(
        (s.place, s.detected, s.rows, s.kept, s.rejected, s.duplicates, short_key(s.digest))
        for s in found.sources
    )
    names = ("source", "format", "rows", "kept", "rejected", "duplicates", "digest")
    yield core.Table(columns(*names, format="@reason"), rows)


def _runs(result: StudyResult) -> Iterator[core.Block]:
    yield core.Heading(say("numbers.runs", count=len(result.runs)))
    rows = tuple(
        (
            short_key(r.key),
            r.arm,
            r.n_train,
            r.seed,
            r.trained_samples,
            r.independent_samples,
            r.tokens,
            r.seconds,
        )
        for r in result.runs
    )
    yield core.Table(columns("run", "arm", "n", "seed", "trained", "alone", "tokens", "seconds"), rows)


def _setup(result: StudyResult) -> Iterator[core.Block]:
    yield core.Heading(say("setup.heading"))
    parts: Iterable[tuple[str, Mapping[str, Any]]] = (
        ("base", result.base), ("recipe", result.recipe), ("question", result.question),
    )  # fmt: skip
    for key, values in parts:
        if not values:
            continue
        yield core.Heading(say(f"setup.{key}"), 3)
        yield core.Table(
            columns("setting", "value"), tuple((name, plain(value)) for name, value in values.items())
        )


def _notes(result: StudyResult, w: Words) -> Iterator[core.Block]:
    yield core.Heading(say("notes.heading"))
    general = [w(f"notes.{key}") for key in ("seeds", "extrapolation", "undecided", "missing", "satisfied")]
    yield core.Items((*study_notes(result, w), *general))
    yield core.Paragraph(say("page.footer", version=result.assay_version))
