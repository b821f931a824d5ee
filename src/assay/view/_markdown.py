"""The report as Markdown: the answer, the tables, the cost; for a README, an issue or a terminal."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from assay.core import OVERALL, CurveResult, ExportPage, StudyResult
from assay.view._export_words import cost_text, drop_of, sentences, share, size, speed
from assay.view._findings import findings
from assay.view._format import (
    DASH,
    clean,
    duration,
    integer,
    interval,
    number,
    percent,
    plain,
    probability,
    short_key,
    signed,
)
from assay.view._index import Index, index, ladder, pairs
from assay.view._says import answer_text, next_text, reason_text, study_notes
from assay.view._terminal import cost_line, sparkline
from assay.view._words import Words, words

_SPECIAL = re.compile(r"([\\`*_\[\]|~#])")


def escape(text: str) -> str:
    """Return text from data so that it is shown as it is: no markup, no HTML, one line."""
    text = clean(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return " ".join(_SPECIAL.sub(r"\\\1", text).split())


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return a Markdown table; cells are escaped already."""
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows), ""]


def render_markdown(result: StudyResult) -> str:
    """Return the report as GitHub-flavoured Markdown, in the result's language."""
    w, found = words(result.language), index(result)
    headline, details = answer_text(result, w)
    lines = [f"# {escape(result.name)}", "", f"**{escape(headline)}**", "", escape(details), ""]
    lines += [escape(cost_line(result, w)), ""]
    for arm in found.arms:
        lines += _verdicts(found, arm, w)
    lines += _measured(found, w)
    for block in findings(result, found.headline, w):
        rows = [[escape(cell) for cell in row] for row in block.rows]
        lines += [f"## {block.heading}", "", block.intro, "", *table(block.head, rows)]
    lines += _comparisons(result, found, w)
    lines += _exports(result, w)
    lines += _cost(result, w)
    lines += _data(result, w)
    lines += _runs(result, w)
    lines += _setup(result, w)
    lines += _notes(result, w)
    return "\n".join(lines).rstrip() + "\n"


def _exports(result: StudyResult, w: Words) -> list[str]:
    """Return what was exported, and what each file costs in words."""
    lines = [f"## {w('export.heading')}", "", w("export.intro"), ""] if result.exports else []
    for page in result.exports:
        costs = [f"- {escape(text)}" for text in sentences(page, w)]
        lines += [f"### {escape(page.model)}", "", *export_table(page, w), *costs, "", w("export.reach"), ""]
    return lines


def export_table(page: ExportPage, w: Words) -> list[str]:
    """Return the files of an export as a table."""
    names = ("format", "size", "share", "backend", "speed", "same", "score", "loss")
    rows = [[w("export.before"), size(page.bytes), "100 %", "", speed(page.tokens_per_second), "", "", ""]]
    for file in page.files:
        costs = [cost_text(drop_of(file, metric)) for metric in ("score", "loss")]
        rows.append(
            [
                escape(file.format),
                size(file.bytes),
                percent(file.bytes, page.bytes),
                file.backend,
                speed(file.tokens_per_second),
                share(file.same_answers),
                *costs,
            ]
        )
    return table([w(f"export.col.{name}") for name in names], rows)


def _verdicts(found: Index, arm: str, w: Words) -> list[str]:
    metric = found.headline
    title = w("answer.caption", arm=escape(w.arm(arm)), metric=w.metric(metric))
    head = [w(f"col.{c}") for c in ("type", "verdict", "probability", "gain", "satisfied", "next", "reason")]
    curves = [(name, found.curves.get((name, arm, metric))) for name in found.types]
    rows = [[escape(w.type(name)), *_verdict(curve, w)] for name, curve in curves if curve]
    return [f"## {title}", "", *table(head, rows)]


def _verdict(curve: CurveResult, w: Words) -> list[str]:
    verdict = curve.verdict
    if verdict is None:
        return [w.verdict("refused"), DASH, DASH, DASH, DASH, escape(w.refusal(curve.refused))]
    next_runs = DASH
    if verdict.next_runs is not None and curve.band is not None:
        next_runs = next_text(verdict.next_runs, curve.band.extrapolated_from, w)
    satisfied = DASH if curve.satisfied_at is None else integer(curve.satisfied_at)
    return [
        w.verdict(verdict.word),
        escape(probability(verdict.probability)),
        f"{signed(verdict.gain)} {escape(interval(verdict.gain_low, verdict.gain_high))}",
        satisfied,
        escape(next_runs),
        escape(reason_text(verdict, w)),
    ]


def _measured(found: Index, w: Words) -> list[str]:
    """Return, per metric, the means over seeds along the ladder of each type and arm."""
    lines = []
    for metric in found.metrics:
        lines += [f"## {w.metric(metric)} ({w.metric_note(metric)})", ""]
        head = [w("col.type"), w("col.arm"), w("summary.curve", metric=w.metric(metric)), ""]
        lines += table(head, _ladders(found, metric, w))
    return lines


def _ladders(found: Index, metric: str, w: Words) -> Iterable[list[str]]:
    for name in found.types:
        for arm in found.arms:
            steps = ladder(found.points.get((name, metric), ()), arm)
            if steps:
                text = ", ".join(f"{integer(n)}: {number(value)}" for n, value in steps)
                spark = sparkline([value for _, value in steps])
                yield [escape(w.type(name)), escape(w.arm(arm)), text, spark]


def _comparisons(result: StudyResult, found: Index, w: Words) -> list[str]:
    lines = [f"## {w('arms.heading')}", ""]
    head = [w(f"col.{c}") for c in ("arm", "rule", "rungs", "seeds", "selecting", "note")]
    rows = [
        [
            escape(w.arm(a.name)),
            escape(a.rule),
            ", ".join(map(integer, a.rungs)),
            ", ".join(map(str, a.seeds)),
            DASH if a.selecting_seconds is None else duration(a.selecting_seconds, w),
            escape(a.note),
        ]
        for a in result.arms
    ]
    lines += table(head, rows)
    if not result.comparisons:
        return [*lines, w("arms.none"), ""]
    for (a, b), group in pairs(result, found.headline).items():
        pair = w("arms.pair", a=escape(w.arm(a)), b=escape(w.arm(b)))
        lines += [f"### {pair}: {w.metric(found.headline)}", ""]
        head = [w(f"col.{c}") for c in ("type", "n", "difference", "interval", "verdict")]
        lines += table(
            head,
            (
                [
                    escape(w.type(c.type)),
                    integer(c.n_train),
                    signed(c.difference),
                    escape(interval(c.low, c.high)),
                    w.verdict(c.word),
                ]
                for c in group
            ),
        )
    return lines


def _cost(result: StudyResult, w: Words) -> list[str]:
    cost = result.cost
    share = percent(cost.trained_samples, cost.independent_samples)
    rows = [
        [w("cost.trained"), f"{integer(cost.trained_samples)} ({w('cost.share', share=share)})"],
        [w("cost.independent"), integer(cost.independent_samples)],
        [w("cost.tokens"), integer(cost.tokens)],
        [w("cost.train_seconds"), duration(cost.train_seconds, w)],
        [w("cost.answer_seconds"), duration(cost.answer_seconds, w)],
        [w("cost.device"), escape(cost.device)],
    ]
    return [f"## {w('cost.heading')}", "", *table(["", ""], rows)]


def _data(result: StudyResult, w: Words) -> list[str]:
    lines = [f"## {w('data.heading')}", ""]
    names = ("source", "format", "rows", "kept", "rejected", "duplicates", "digest")
    for key, summary in (("pool", result.pool), ("evaluation", result.evaluation)):
        lines += [f"### {w(f'data.{key}')}", "", w("data.samples", n=integer(summary.samples)), ""]
        if key == "pool":
            removed = summary.decontaminated
            lines += [w("data.decontaminated", n=integer(removed)) if removed else w("data.clean"), ""]
        rows = [
            [
                escape(s.place),
                escape(s.detected),
                integer(s.rows),
                integer(s.kept),
                integer(s.rejected),
                integer(s.duplicates),
                escape(short_key(s.digest)),
            ]
            for s in summary.sources
        ]
        lines += table([w(f"col.{n}") for n in names], rows) if rows else [w("data.sources.none"), ""]
    types = dict.fromkeys([*result.pool.by_type, *result.evaluation.by_type])
    counts = [(result.pool.by_type.get(t), result.evaluation.by_type.get(t)) for t in types]
    cells = [[DASH if c is None else integer(c) for c in pair] for pair in counts]
    rows = [[escape(w.type(t)), *pair] for t, pair in zip(types, cells, strict=True) if t != OVERALL]
    return [*lines, *table([w("col.type"), w("col.pool"), w("col.evaluation")], rows)]


def _runs(result: StudyResult, w: Words) -> list[str]:
    head = [w(f"col.{c}") for c in ("run", "arm", "n", "seed", "trained", "alone", "tokens", "seconds")]
    rows = (
        [
            f"`{escape(short_key(r.key))}`",
            escape(w.arm(r.arm)),
            integer(r.n_train),
            str(r.seed),
            integer(r.trained_samples),
            integer(r.independent_samples),
            integer(r.tokens),
            f"{r.seconds:,.1f}",
        ]
        for r in result.runs
    )
    return [f"## {w('numbers.runs', count=len(result.runs))}", "", *table(head, rows)]


def _setup(result: StudyResult, w: Words) -> list[str]:
    lines = [f"## {w('setup.heading')}", ""]
    for key in ("base", "recipe", "question"):
        values = getattr(result, key)
        rows = [[escape(name), escape(plain(value))] for name, value in values.items()]
        lines += [f"### {w(f'setup.{key}')}", "", *table([w("col.setting"), w("col.value")], rows)]
    return lines


def _notes(result: StudyResult, w: Words) -> list[str]:
    general = [w(f"notes.{key}") for key in ("seeds", "extrapolation", "undecided", "missing", "satisfied")]
    items = [f"- {escape(note)}" for note in study_notes(result, w)] + [f"- {text}" for text in general]
    footer = w("page.footer", version=escape(result.assay_version))
    return [f"## {w('notes.heading')}", "", *items, "", footer]
