"""A data set's inspection in the terminal: what was detected, counts, lengths drawn, rejected rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from assay.data import Inspection
from assay.view._format import DASH, integer, percent

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

_BAR = 32
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_SHOWN = 15


def bar_text(value: float, largest: float, width: int = _BAR) -> str:
    """Return a bar of block characters, exact to an eighth of a character."""
    eighths = round(8 * width * value / largest) if largest > 0 else 0
    full, rest = divmod(max(eighths, 1 if value > 0 else 0), 8)
    return "█" * full + (_EIGHTHS[rest] if rest else "")


def inspection_parts(found: Inspection) -> Iterator[RenderableType]:
    """Yield what is to be printed, in order."""
    from rich.text import Text

    yield _sources(found)
    kept = f"{integer(found.samples)} samples"
    notes = [
        f"{integer(found.duplicates)} exact duplicates",
        f"{integer(found.items_without_answer)} without an answer",
        f"{integer(found.rejected)} rows rejected",
    ]
    yield Text(f" {kept}: {', '.join(notes)}\n")
    for title, counts in (
        ("type", found.by_type),
        ("language", found.by_language),
        ("source", found.by_source),
        ("turns", found.turns),
    ):
        yield _counts(title, counts)
    for title, lengths in (("prompt", found.prompt_characters), ("answer", found.answer_characters)):
        if lengths is not None:
            yield _lengths(
                title,
                lengths.bins,
                f"median {integer(lengths.p50)}, 90 % up to "
                f"{integer(lengths.p90)}, longest {integer(lengths.longest)}",
            )
    if found.rejected:
        yield from _rejected(found)


def _table(*columns: str, title: str | None = None) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=title, title_justify="left", title_style="bold")
    for column in columns:
        name, _, kind = column.partition(":")
        table.add_column(name, justify="right" if kind == "n" else "left", no_wrap=kind != "wrap")
    return table


def _sources(found: Inspection) -> Table:
    from rich.text import Text

    table = _table("file:wrap", "detected:wrap", "rows:n", "kept:n", "rejected:n")
    for row in found.sources:
        counts = (row.rows, row.kept, row.rejected)
        table.add_row(Text(row.place), Text(row.detected), *map(integer, counts))
    return table


def _counts(title: str, counts: Mapping[str, int]) -> Table:
    from rich.text import Text

    table = _table(f"{title}:wrap", "samples:n", "share:n", "")
    rows = sorted(counts.items(), key=lambda row: -row[1])
    total, largest = sum(counts.values()), rows[0][1] if rows else 0
    for name, count in rows[:_SHOWN]:
        table.add_row(Text(str(name)), integer(count), percent(count, total), bar_text(count, largest))
    if len(rows) > _SHOWN:
        rest = sum(count for _, count in rows[_SHOWN:])
        table.add_row(f"{len(rows) - _SHOWN} more", integer(rest), percent(rest, total), "")
    return table


def _lengths(title: str, bins: tuple[tuple[int, int], ...], note: str) -> Table:
    table = _table(f"{title} length:n", "samples:n", "", title=None)
    table.caption = f"characters; {note}"
    table.caption_justify = "left"
    largest = max(count for _, count in bins)
    for edge, count in bins:
        table.add_row(f"≤ {integer(edge)}", integer(count), bar_text(count, largest))
    return table


def _rejected(found: Inspection) -> Iterator[Table]:
    from rich.text import Text

    reasons = _table("rejected because:wrap", "rows:n")
    for reason, count in found.rejected_by_reason.items():
        reasons.add_row(Text(reason), integer(count))
    yield reasons
    rows = _table("place:wrap", "line:n", "reason:wrap", "excerpt:wrap")
    for row in found.rejected_first:
        line = DASH if row.line is None else integer(row.line)
        rows.add_row(Text(row.place), line, Text(row.reason), Text(row.excerpt or ""))
    yield rows
