"""What the terminal shows: the answer, one row a type, the cost, and where the report is."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.core import OVERALL, BasesResult, CurvePower, CurveResult, Reading, StudyResult
from assay.view._files import HTML
from assay.view._findings import findings
from assay.view._format import (
    DASH,
    duration,
    integer,
    interval,
    plain,
    probability,
    short,
    short_key,
    signed,
)
from assay.view._index import Index, index, ladder
from assay.view._says import answer_text, study_notes
from assay.view._words import Words, words

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

_DIGEST = re.compile("[0-9a-f]{64}")
_BARS = "▁▂▃▄▅▆▇█"
_STYLES = {"rising": "green", "plateau": "cyan", "falling": "red", "undecided": "yellow"}
_ARROWS = {"rising": "↗", "plateau": "→", "falling": "↘", "undecided": "?"}


def sparkline(values: Sequence[float]) -> str:
    """Return values as bars between their smallest and largest; equal values give a level line."""
    if not values:
        return ""
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    return "".join(_BARS[round((v - low) / span * (len(_BARS) - 1))] for v in values)


def print_summary(result: StudyResult, console: Console, folder: Path | None = None) -> None:
    """Print what a newcomer needs at 80 columns: the answer, the types, the cost, the report's place.

    ``folder`` is where :func:`write_report` wrote; without it ``runs/<name>`` is named if it is there.
    """
    from rich.padding import Padding
    from rich.text import Text

    w, found = words(result.language), index(result)
    console.print()
    headline, details = answer_text(result, w)
    console.print(Padding(Text(headline, style="bold"), (0, 1)))
    if details:
        console.print(Padding(Text(details), (0, 1)))
    console.print()
    if found.arms and found.types:
        console.print(_types_table(found, w))
        console.print(Text(f" {w('summary.scale')}", style="dim"))
    for line in _closing(result, found, w, folder):
        console.print(Padding(Text(line), (0, 1)))


def _closing(result: StudyResult, found: Index, w: Words, folder: Path | None) -> list[str]:
    lines = []
    if len(found.arms) > 1:
        lines.append(w("summary.more_arms", arms=", ".join(w.arm(a) for a in found.arms[1:])))
    lines.append(cost_line(result, w))
    lines.extend(study_notes(result, w))
    page = (folder or Path("runs") / result.name) / HTML
    if folder is not None or page.is_file():
        lines.append(w("summary.report", path=page))
    return lines


def cost_line(result: StudyResult, w: Words) -> str:
    """Return the cost of a study in one line."""
    cost = result.cost
    return w(
        "summary.cost",
        models=len(result.runs),
        trained=integer(cost.trained_samples),
        independent=integer(cost.independent_samples),
        tokens=short(cost.tokens),
        time=duration(cost.train_seconds + cost.answer_seconds, w),
        device=cost.device,
    )


def _types_table(found: Index, w: Words) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    arm, metric = found.arms[0], found.headline
    title = w("summary.table", metric=w.metric(metric), arm=w.arm(arm))
    table = Table(
        box=box.SIMPLE_HEAD,
        title=title,
        title_style="",
        title_justify="left",
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    table.add_column(w("col.type"), min_width=14, overflow="fold")
    table.add_column(w("col.verdict"), no_wrap=True)
    table.add_column("p", justify="right", no_wrap=True)
    table.add_column(w("col.gain"), no_wrap=True)
    table.add_column(w("summary.curve", metric=w.metric(metric)), no_wrap=True)
    for name in found.types:
        curve = found.curves.get((name, arm, metric))
        points = ladder(found.points.get((name, metric), ()), arm)
        ends = f" {points[0][1]:.2f}→{points[-1][1]:.2f}" if points else ""
        trace = Text(sparkline([v for _, v in points]) + ends)
        table.add_row(Text(w.type(name)), *_verdict_cells(curve, w), trace, end_section=name == OVERALL)
    return table


def _verdict_cells(curve: CurveResult | None, w: Words) -> list[Text]:
    from rich.text import Text

    if curve is None or curve.verdict is None:
        return [Text(w.verdict("refused"), style="dim"), Text(DASH), Text(DASH)]
    verdict = curve.verdict
    word = Text(f"{_ARROWS[verdict.word]} {w.verdict(verdict.word)}", style=_STYLES[verdict.word])
    gain = f"{signed(verdict.gain)} {interval(verdict.gain_low, verdict.gain_high)}"
    return [word, Text(probability(verdict.probability).replace(" ", "")), Text(gain)]


def print_value(value: Any, console: Console) -> None:
    """Print any verb's result for people: a study's summary, a table of records, fields and values."""
    from assay.data import Inspection

    if isinstance(value, StudyResult):
        print_summary(value, console)
    elif isinstance(value, BasesResult):
        from assay.view._bases import print_bases

        print_bases(value, console)
    elif isinstance(value, Inspection):
        from assay.view._inspection import inspection_parts

        for part in inspection_parts(value):
            console.print(part)
    elif isinstance(value, Reading):
        print_reading(value, console)
    elif isinstance(value, CurvePower):
        print_power(value, console)
    elif hasattr(value, "__rich__") or hasattr(value, "__rich_console__"):
        console.print(value)
    elif isinstance(value, str | int | float | Path):
        console.print(str(value), markup=False, highlight=False, soft_wrap=True)
    elif isinstance(value, Mapping) or _is_record(value):
        _print_fields(_fields(value), console)
    elif isinstance(value, Sequence):
        _print_sequence(value, console)
    else:
        console.print(str(value), markup=False, highlight=False, soft_wrap=True)


def _is_record(value: object) -> bool:
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


def _fields(value: Any) -> dict[str, Any]:
    if isinstance(value, Mapping):
        return {str(key): item for key, item in value.items()}
    return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, str | bool | int | float | Path)


def _shown(value: object) -> str:
    """Return a cell: digests shortened, so that tables fit."""
    return short_key(value) if isinstance(value, str) and _DIGEST.fullmatch(value) else plain(value)


def _print_fields(fields: Mapping[str, Any], console: Console) -> None:
    """Print plain fields as two columns, then every nested one under its name."""
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2))
    nested = {}
    for name, value in fields.items():
        if _is_plain(value):
            grid.add_row(Text(name.replace("_", " "), style="dim"), Text(plain(value)))
        elif value:
            nested[name] = value
    if grid.row_count:
        console.print(grid)
    for name, value in nested.items():
        console.print(Text(f"\n{name.replace('_', ' ')}", style="bold"))
        print_value(value, console)


def _print_sequence(values: Sequence[Any], console: Console) -> None:
    """Print records of one kind as a table, anything else one a line."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    kinds = {type(value) for value in values}
    if len(kinds) != 1 or not _is_record(values[0]):
        for value in values:
            print_value(value, console)
        return
    names = [n for n in _fields(values[0]) if any(_is_plain(getattr(v, n)) for v in values)]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in names:
        number = all(isinstance(getattr(v, name), int | float | None) for v in values)
        table.add_column(name.replace("_", " "), justify="right" if number else "left", overflow="fold")
    for value in values:
        table.add_row(*(Text(_shown(getattr(value, name))) for name in names))
    console.print(table)


def print_curves(curves: Sequence[CurveResult], console: Console) -> None:
    """Print one row a curve: type, arm, metric, verdict, gain of the next doubling, what to run next."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    w = words("en")
    arms, metrics = {c.arm for c in curves}, {c.metric for c in curves}
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column(w("col.type"), min_width=10, overflow="fold")
    shown = [name for name, kinds in (("arm", arms), ("metric", metrics)) if len(kinds) > 1]
    for name in shown:
        table.add_column(w(f"col.{name}"), no_wrap=True)
    asked = any(c.satisfied_at is not None for c in curves)
    for name in ("verdict", "probability", "gain", *(["satisfied"] if asked else []), "next"):
        heading = "p" if name == "probability" else w(f"col.{name}")
        table.add_column(heading, no_wrap=name in ("verdict", "probability", "gain"))
    for curve in curves:
        cells = [Text(w.type(curve.type)), *(Text(getattr(curve, name)) for name in shown)]
        cells += _verdict_cells(curve, w)
        if asked:
            cells.append(Text(DASH if curve.satisfied_at is None else integer(curve.satisfied_at)))
        table.add_row(*cells, Text(_next(curve, w)))
    console.print(table)
    if any(c.verdict and c.verdict.next_runs for c in curves):
        console.print(Text(w("summary.next"), style="dim"))


def print_power(power: CurvePower, console: Console) -> None:
    """Print what a planned ladder can show, one sentence a line."""
    from rich.table import Table
    from rich.text import Text

    w = words("en")
    grid = Table.grid(padding=(0, 2))
    for name, value in _fields(power).items():
        chance = name.startswith("p_")
        shown = w("power.none") if value is None else probability(value) if chance else plain(value)
        grid.add_row(Text(shown, justify="right", style="bold"), Text(w(f"power.{name}")))
    console.print(grid)


def print_reading(reading: Reading, console: Console) -> None:
    """Print the curves of a table and every finding that has rows, metric by metric."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    w = words("en")
    print_curves(reading.curves, console)
    metrics = dict.fromkeys(c.metric for c in reading.curves)
    for metric in metrics:
        for block in findings(reading, metric, w):
            title = f"{block.heading}: {w.metric(metric)}" if len(metrics) > 1 else block.heading
            console.print(Text(f"\n{title}", style="bold"))
            console.print(Text(block.intro, style="dim"))
            table = Table(*block.head, box=box.SIMPLE_HEAD, pad_edge=False)
            for row in block.rows:
                table.add_row(*(Text(cell) for cell in row))
            console.print(table)
    excluded = Counter((c.type, point.reason) for c in reading.curves for point in c.excluded)
    for (kind, reason), count in excluded.items():
        left_out = w("curves.excluded", count=count, reason=w.exclusion(reason))
        console.print(Text(f"{w.type(kind)}: {left_out}", style="yellow"))
    if reading.comparisons:
        console.print(Text(f"\n{w('arms.heading')}", style="bold"))
        _print_sequence(reading.comparisons, console)


def _next(curve: CurveResult, w: Words) -> str:
    if curve.verdict is None or curve.band is None:
        return w.refusal(curve.refused)
    runs = curve.verdict.next_runs
    if runs is None:
        return DASH
    return w("next.short", seeds=runs.seeds, n=short(runs.n_train), chance=probability(runs.chance))


def html_of(value: Any) -> str:
    """Return what :func:`print_value` prints, as HTML for a notebook."""
    from io import StringIO

    from rich.console import Console

    console = Console(record=True, file=StringIO(), width=110)
    print_value(value, console)
    return console.export_html(inline_styles=True, code_format="<pre>{code}</pre>")
