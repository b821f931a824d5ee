"""Any value described: its own page, that of a result of this package, or its fields as they are."""

from __future__ import annotations

import dataclasses
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay import core
from assay.core import (
    BasesResult,
    CurvePower,
    CurveResult,
    ExportPage,
    Reading,
    RecipeCheck,
    Say,
    StudyResult,
    Text,
    say,
)
from assay.view._bases import bases_summary
from assay.view._control import check_page
from assay.view._export import export_page
from assay.view._findings import findings
from assay.view._format import short_key
from assay.view._html import fragment
from assay.view._json import page_json
from assay.view._markdown import page_markdown
from assay.view._says import reading_text
from assay.view._study import columns, summary, verdict_cells
from assay.view._terminal import print_page
from assay.view._words import Words, words

if TYPE_CHECKING:
    from rich.console import Console

_DIGEST = re.compile("[0-9a-f]{64}")
LANGUAGE = "ASSAY_LANGUAGE"
"""The environment variable that names the language of what has none of its own."""


def described(value: Any, language: str | None = None) -> core.Page:
    """Return any value as a page: the one description that every form is rendered from.

    ``language`` is that of a value that has none of its own, by default the reader's.
    """
    if hasattr(value, "as_page"):
        own: core.Page = value.as_page()
        return own
    match value:
        case core.Page():
            return value
        case StudyResult():
            return summary(value, Path(value.report) if value.report else None)
        case BasesResult():
            return bases_summary(value, Path(value.report) if value.report else None)
        case Reading():
            return core.Page(tuple(_reading(value, words(reader_language(language)))))
        case CurvePower():
            return _power(value)
        case ExportPage():
            return export_page(value)
        case RecipeCheck():
            return check_page(value)
    return core.Page(tuple(_blocks(value)))


def reader_language(language: str | None = None) -> str:
    """Return the language asked for, else the one spoken, else that of ``ASSAY_LANGUAGE``, else English."""
    return words(language or core.spoken() or os.environ.get(LANGUAGE) or "en").language


def print_value(value: Any, console: Console, language: str | None = None) -> None:
    """Print any value for people, in its own language where it has one."""
    if isinstance(value, str | int | float | Path):
        console.print(str(value), markup=False, highlight=False, soft_wrap=True)
    else:
        print_page(described(value, language), console, reader_language(language))


def value_html(value: Any, language: str | None = None) -> str:
    """Return any value as a notebook shows it."""
    return fragment(described(value, language), reader_language(language))


def value_markdown(value: Any, language: str | None = None) -> str:
    """Return any value as Markdown."""
    return page_markdown(described(value, language), reader_language(language))


def value_json(value: Any, language: str | None = None) -> dict[str, Any]:
    """Return the page of any value as JSON data, its texts in words."""
    return page_json(described(value, language), reader_language(language))


def _blocks(value: Any, level: int = 3) -> Iterator[core.Block]:
    """Yield plain fields, then every nested one under its name; records of one kind are a table."""
    if _is_plain(value):
        yield core.Paragraph(_shown(value))
    elif isinstance(value, Mapping) or _is_record(value):
        fields = _fields(value)
        kept = {name: v for name, v in fields.items() if _is_cell(v)}
        cells = (_fact(name, v) for name, v in kept.items())
        yield core.Facts(tuple((label, cell) for (label, _), cell in zip(_named(kept), cells, strict=True)))
        for name, nested in _named(fields):
            if nested and not _is_cell(nested):
                yield core.Heading(name, level)
                yield from _blocks(nested, level + 1)
    elif isinstance(value, Sequence):
        yield from _sequence(value, level)
    else:
        yield core.Paragraph(str(value))


def _sequence(values: Sequence[Any], level: int) -> Iterator[core.Block]:
    if len({type(value) for value in values}) != 1 or not _is_record(values[0]):
        yield from (block for value in values for block in _blocks(value, level))
        return
    yield from _records([((), value) for value in values], (), level)


def _records(
    rows: Sequence[tuple[tuple[core.Cell, ...], Any]], keys: tuple[core.Column, ...], level: int
) -> Iterator[core.Block]:
    """Yield records as a table, each behind what names it, then a table for each kind nested in them."""
    values = [value for _, value in rows]
    names = [n for n in _fields(values[0]) if any(_is_cell(getattr(v, n)) for v in values)]
    cells = [[_cell(getattr(value, name)) for name in names] for value in values]
    heads = [
        core.Column(label, _form(name, [getattr(v, name) for v in values]))
        for name, (label, _) in zip(names, _named(dict.fromkeys(names)), strict=True)
    ]
    yield core.Table((*keys, *heads), tuple((*key, *own) for (key, _), own in zip(rows, cells, strict=True)))
    first = keys or tuple(heads[:1])
    for name, (label, _) in zip(fields := _fields(values[0]), _named(fields), strict=True):
        if name not in names:
            inner = [
                (key or tuple(own[:1]), part)
                for (key, value), own in zip(rows, cells, strict=True)
                for part in _parts(getattr(value, name))
            ]
            if inner:
                yield core.Heading(label, level)
                yield from _nested(inner, first, level + 1)


def _parts(value: Any) -> Sequence[Any]:
    """Return the records in a field of a record: several, one or none."""
    if isinstance(value, Sequence):
        return value
    return [value] if value else []


def _nested(
    rows: Sequence[tuple[tuple[core.Cell, ...], Any]], keys: tuple[core.Column, ...], level: int
) -> Iterator[core.Block]:
    if len({type(value) for _, value in rows}) == 1 and _is_record(rows[0][1]):
        yield from _records(rows, keys, level)
    elif all(isinstance(value, Mapping) for _, value in rows):
        names = list(dict.fromkeys(name for _, value in rows for name in value))
        heads = tuple(core.Column(label) for label, _ in _named(dict.fromkeys(names)))
        cells = ((*key, *(_cell_of(name, value.get(name)) for name in names)) for key, value in rows)
        yield core.Table((*keys, *heads), tuple(cells))
    else:
        yield core.Table(
            (*keys, core.Column(say("cell.field", name="value"))),
            tuple((*key, _cell_of("", value)) for key, value in rows),
        )


def _cell_of(name: str, value: Any) -> core.Cell:
    return _fact(name, value) if _is_cell(value) else str(value)


def _form(name: str, cells: Sequence[Any]) -> str:
    """Return a form that puts figures to the right: sizes in their unit, counts by thousands."""
    if name == "bytes":
        return "size"
    if all(isinstance(cell, int | None) and not isinstance(cell, bool) for cell in cells):
        return ","
    return "measured" if all(isinstance(cell, int | float | None) for cell in cells) else ""


def _fact(name: str, value: Any) -> core.Cell:
    """Return the cell of a field that stands by itself."""
    if isinstance(value, float):
        return say("cell.measured", n=value)
    return say("cell.bytes", n=value) if name == "bytes" else _cell(value)


def _named(fields: Mapping[str, Any]) -> Iterator[tuple[Text, Any]]:
    for name, value in fields.items():
        yield say("cell.field", name=name), value


def _is_record(value: object) -> bool:
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


def _fields(value: Any) -> dict[str, Any]:
    if isinstance(value, Mapping):
        return {str(key): item for key, item in value.items()}
    return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, str | bool | int | float | Path | Say)


def _is_interval(value: object) -> bool:
    return all(hasattr(value, name) for name in ("value", "low", "high"))


def _is_cell(value: object) -> bool:
    return _is_plain(value) or _is_interval(value)


def _cell(value: Any) -> core.Cell:
    """Return a cell: digests shortened, so that tables fit."""
    if _is_interval(value):
        return say("cell.interval", value=value.value, interval=(value.low, value.high))
    return _shown(value) if isinstance(value, str | Path) else value


def _shown(value: object) -> Text:
    if isinstance(value, Say):
        return value
    if isinstance(value, str):
        return short_key(value) if _DIGEST.fullmatch(value) else value
    return "" if value is None else str(value)


def _reading(reading: Reading, w: Words) -> Iterator[core.Block]:
    """Yield the answer, the curves of a table and every finding that has rows, metric by metric."""
    if reading.answer is not None:
        first, rest = reading_text(reading.answer, w)
        yield from (core.Paragraph(first, "strong"), core.Paragraph(rest))
    yield core.Items(reading.notes, "quiet")
    yield from _curves(reading.curves)
    metrics = dict.fromkeys(c.metric for c in reading.curves)
    for metric in metrics:
        found = findings(reading, metric, 3)
        yield from ([core.Heading(say("metric.of", metric=metric))] if found and len(metrics) > 1 else [])
        yield from found
    excluded = Counter((c.type, point.reason) for c in reading.curves for point in c.excluded)
    yield core.Items(
        tuple(
            say("curves.excluded.of", type=kind, count=count, reason=reason)
            for (kind, reason), count in excluded.items()
        ),
        "warning",
    )
    yield core.Items(tuple(_warned(reading.curves)), "warning")
    if reading.comparisons:
        yield core.Heading(say("arms.heading"), 3)
        yield core.Table(
            columns("type", "pair", "metric", "n", "difference", "interval", "verdict", metric="@metric"),
            tuple(
                (
                    c.type,
                    say("arms.pair", a=c.a, b=c.b),
                    c.metric,
                    c.n_train,
                    c.difference,
                    (c.low, c.high),
                    c.word,
                )
                for c in reading.comparisons
            ),
        )


def _step(curves: Sequence[CurveResult]) -> Say:
    """Return the heading of gains: the next doubling, or the sizes that were asked about."""
    read = [(c.verdict, c.band) for c in curves if c.verdict and c.band]
    tops = {round(band.extrapolated_from) for _, band in read}
    steps = {(verdict.n_from, verdict.n_to) for verdict, _ in read}
    if all(n is None or (n in tops and to == 2 * n) for n, to in steps):
        return say("col.gain")
    (n, to), *others = steps
    return say("col.steps") if others else say("col.step", n=n, to=to)


def _warned(curves: Sequence[CurveResult]) -> Iterator[Text]:
    """Yield what a reader must know first of each curve, and the runs that look failed."""
    for curve in curves:
        of = {"type": curve.type, "arm": curve.arm, "metric": curve.metric}
        yield from (say("curves.note.of", note=note, **of) for note in curve.notes)
        yield from (
            say("curves.failed.of", n=run.n_train, seed=run.seed, value=run.value, p=run.p, **of)
            for run in curve.failed
        )


def _curves(curves: Sequence[CurveResult]) -> Iterator[core.Block]:
    """Yield one row per curve: type, arm, metric, verdict, gain of the next doubling, what to run next."""
    apart = [n for n in ("arm", "metric") if len({getattr(c, n) for c in curves}) > 1]
    asked = ["satisfied"] if any(c.satisfied_at is not None for c in curves) else []
    heads = columns("type", *apart, "verdict", metric="@metric")
    ahead = ["one_run"] if any(c.next_run is not None for c in curves) else []
    tail = columns("gain", *ahead, *asked, "next", gain="@")
    tail = (dataclasses.replace(tail[0], head=_step(curves)), *tail[1:])
    rows = tuple(
        (
            c.type, *(getattr(c, name) for name in apart), *verdict_cells(c),
            *([_run(c)] if ahead else []), *([c.satisfied_at] if asked else []), _next(c),
        )
        for c in curves
    )  # fmt: skip
    yield core.Table((*heads, core.Column("p", "p"), *tail), rows)
    if any(c.verdict and c.verdict.next_runs for c in curves):
        yield core.Paragraph(say("summary.next"), "quiet")


def _next(curve: CurveResult) -> core.Cell:
    if curve.verdict is None or curve.band is None:
        return say(f"refusal.{curve.refused}") if curve.refused else None
    runs = curve.verdict.next_runs
    if runs is None:
        return say("next.none") if curve.verdict.word == "undecided" else None
    short = say("next.short", seeds=runs.seeds, n=runs.n_train, chance=runs.chance)
    return say(f"next.{runs.needs[0]}", runs=short, count=f"{runs.needs[1]:,}") if runs.needs else short


def _run(curve: CurveResult) -> core.Cell:
    run = curve.next_run
    return None if run is None else say("cell.interval", value=run.value, interval=(run.low, run.high))


def _power(power: CurvePower) -> core.Page:
    """Return what a planned ladder can show, one sentence a line."""
    rows: list[tuple[Text, core.Cell]] = []
    for name, value in _fields(power).items():
        shown: core.Cell = say("power.none") if value is None else value
        if value is not None and name.startswith("p_"):
            shown = say("cell.chance", chance=value)
        rows.append((say(f"power.{name}"), shown))
    return core.Page((core.Facts(tuple(rows)),))
