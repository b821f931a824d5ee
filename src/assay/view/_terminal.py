"""Pages on the terminal, and as plain text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from textwrap import fill
from typing import TYPE_CHECKING, Any, NamedTuple

from assay import core
from assay.view._format import KEY_DIGITS
from assay.view._html import largest, numeric
from assay.view._spark import bar_text, chart_text
from assay.view._words import Words, words

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

_FIRST, _FOLDED, _SHORT = 14, 8, 6
"""Widths: of a first column where others need the room, of any column that folds, of a heading kept whole."""

_MOST = 40
"""Rows of a table on a screen; of one of more than twice as many the rest is counted.  Files get all."""
_TONES = {"": "", "strong": "bold", "quiet": "dim", "warning": "yellow"}
_WORDS = {
    "rising": "green", "plateau": "cyan", "falling": "red", "undecided": "yellow", "better": "green",
    "worse": "red",
}  # fmt: skip
_GLYPHS = {"rising": "↗ ", "plateau": "→ ", "falling": "↘ ", "undecided": "? "}


def print_page(page: core.Page, console: Console, language: str = "en") -> None:
    """Print a page."""
    room = _Room(console.width, _MOST if console.is_terminal else None)
    for part in _parts(page.blocks, words(page.language or language), room):
        console.print(part)


class _Room(NamedTuple):
    """The width of lines, and the most rows of a table; None where all are printed."""

    width: int
    rows: int | None


def _parts(blocks: Iterable[core.Block], w: Words, room: _Room) -> Iterator[RenderableType]:
    for block in blocks:
        yield from _block(block, w, room)


def _block(block: core.Block, w: Words, room: _Room) -> Iterator[RenderableType]:
    from rich.text import Text

    match block:
        case core.Heading():
            yield Text(("\n" if block.level > 1 else "") + w.text(block.text), style="bold")
        case core.Paragraph():
            yield Text(w.text(block.text), style=_TONES[block.tone])
        case core.Items():
            yield from (Text(w.text(text), style=_TONES[block.tone]) for text in block.texts)
        case core.Table():
            yield from _table(block, w, room)
        case core.Facts():
            grid = _grid()
            for name, value in block.rows:
                grid.add_row(Text(w.text(name), style="dim"), Text(w.show(value)))
            yield grid
        case core.Marked():
            text = Text()
            for run, marked in block.runs:
                text.append(f"⟦{run}⟧" if marked else run, style="bold green" if marked else "dim")
            yield text
        case core.Example():
            yield from _example(block, w)
        case core.Fold():
            yield Text(w.text(block.title), style="bold")
            yield from _parts(block.blocks, w, room)
        case core.Beside():
            for side in block.sides:
                yield from _parts(side, w, room)
        case core.Histogram() | core.Scatter() | core.Smoothed():
            yield Text(chart_text(block, w), style="dim")


def _grid() -> Any:
    from rich.table import Table as Grid

    grid = Grid.grid(padding=(0, 2))
    for _ in range(2):
        grid.add_column(overflow="fold")
    return grid


def _table(block: core.Table, w: Words, room: _Room) -> Iterator[RenderableType]:
    """Yield a table, or, where its figures do not fit beside each other, its rows as cards."""
    from rich.text import Text

    bars = [largest(block, i) for i in range(len(block.columns))]
    more = 0 if room.rows is None or len(block.rows) <= 2 * room.rows else len(block.rows) - room.rows
    cells = [
        [_cell(*parts, w) for parts in zip(row, block.columns, bars, strict=True)]
        for row in block.rows[: len(block.rows) - more]
    ]
    heads = [w.text(column.head) for column in block.columns]
    widths = [_wide([row[i] for row in cells]) for i in range(len(heads))]
    shown = [
        _head(text, held if numeric(column) else None)
        for text, held, column in zip(heads, widths, block.columns, strict=True)
    ]
    widths = [max(held, _wide([head])) for held, head in zip(widths, shown, strict=True)]
    folded = [_folded([head, *(row[i] for row in cells)]) for i, head in enumerate(shown)]
    fitted = _fitted(widths, folded, block.columns, room.width)
    title, note = ("" if text is None else w.text(text) for text in (block.title, block.note))
    yield Text(f"\n{title}" if title else "", style="bold")
    yield from _cards(heads, cells) if fitted is None else [_rows(block, shown, cells, *fitted)]
    if more:
        yield Text(w("table.more", n=more), style="yellow")
    yield Text(f"{note}\n" if note else "", style="dim italic")


def _rows(
    block: core.Table,
    heads: Sequence[Text],
    cells: Sequence[Sequence[Text]],
    first: int | None,
    folds: Sequence[bool],
) -> RenderableType:
    from rich import box
    from rich.table import Table as Made

    made = Made(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for i, (head, column) in enumerate(zip(heads, block.columns, strict=True)):
        # The first is as wide as that, not at least: of a least width rich makes tables that are cut off.
        made.add_column(
            head, justify="right" if numeric(column) else "left", overflow="fold",
            no_wrap=not folds[i], width=first if i == 0 else None,
        )  # fmt: skip
    for place, row in enumerate(cells):
        made.add_row(*row, end_section=place in block.breaks)
    return made


def _cards(heads: Sequence[str], cells: Sequence[Sequence[Text]]) -> Iterator[RenderableType]:
    """Yield each row as its first cell with the others below it, each beside its heading."""
    from rich.padding import Padding
    from rich.text import Text

    for row in cells:
        grid = _grid()
        for head, cell in zip(heads[1:], row[1:], strict=True):
            grid.add_row(Text(head, style="dim"), cell)
        yield Text.assemble((f"{heads[0]}: ", "dim"), row[0])
        yield Padding(grid, (0, 0, 0, 2))


def _head(text: str, width: int | None) -> Text:
    """Return a heading; over figures that are narrower, ``width``, in several lines of words."""
    from rich.text import Text

    limit = None if width is None else max(width, _SHORT)
    return Text(text if limit is None else fill(text, limit, break_long_words=False, break_on_hyphens=False))


def _wide(texts: Iterable[Text]) -> int:
    from rich.cells import cell_len

    return max((cell_len(line) for text in texts for line in text.plain.split("\n")), default=0)


def _folded(texts: Iterable[Text]) -> int:
    """Return the width to which a column folds: its longest word, within limits."""
    from rich.cells import cell_len

    longest = max((cell_len(word) for text in texts for word in text.plain.split()), default=0)
    return max(_FOLDED, min(_FIRST, longest))


def _fitted(
    widths: Sequence[int], folded: Sequence[int], columns: Sequence[core.Column], width: int
) -> tuple[int | None, list[bool]] | None:
    """Return the width of the first column and which columns fold; None where no table fits.

    The first column has no width of its own where all have the room that they want.  Else plain text folds,
    then all that is not a figure.
    """
    gaps, least = 2 * (len(widths) - 1), [min(pair) for pair in zip(widths, folded, strict=True)]
    if sum(widths) + gaps <= width:
        return None, [True] * len(widths)
    for folds in ([c.form == "" for c in columns], [_is_text(c) for c in columns]):
        held = [few if fold else wide for wide, few, fold in zip(widths, least, folds, strict=True)]
        room = width - gaps - sum(held[1:])
        if room >= least[0]:
            first = max(least[0], min(_FIRST, room)) if any(folds[1:]) else room
            return min(widths[0], first), [True, *folds[1:]]
    return None


def _is_text(column: core.Column) -> bool:
    return not numeric(column) and column.form != "bar"


def _cell(cell: core.Cell, column: core.Column, most: float, w: Words) -> Text:
    from rich.text import Text

    if column.form == "bar" and isinstance(cell, int | float):
        return Text(bar_text(cell, most))
    text = w.show(cell, column.form).replace(" ", "" if column.form == "p" else " ")
    if isinstance(cell, core.Shade):
        colour = "" if not cell.level else ("green" if cell.level > 0 else "red")
        return Text(f"{text}*" if cell.marked else text, style=f"bold {colour}" if cell.marked else colour)
    if isinstance(cell, core.Judged):
        return Text(text, style=_WORDS.get(cell.word, ""))
    if column.form == "@word" and isinstance(cell, str):
        return Text(_GLYPHS.get(cell, "") + text, style=_WORDS.get(cell, ""))
    return Text(text)


def _example(block: core.Example, w: Words) -> Iterator[RenderableType]:
    from rich.text import Text

    value = "" if block.value is None else w.show(block.value, ".4g")
    yield Text(" · ".join(t for t in (block.id[:KEY_DIGITS], block.origin, value) if t), style="dim")
    yield Text(block.prompt, style="bold")
    yield Text(block.answer)
    if block.cut:
        yield Text(w("pool.cut", n=block.cut), style="dim")
