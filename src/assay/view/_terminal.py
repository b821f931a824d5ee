"""Pages on the terminal, and as plain text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from assay import core
from assay.view._format import KEY_DIGITS
from assay.view._html import largest, numeric
from assay.view._spark import bar_text, chart_text
from assay.view._words import Words, words

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

_FIRST, _FOLDED, _SHORT = 14, 10, 6
"""Widths: of a first column where others need the room, of any column that folds, of a heading kept whole."""

_TONES = {"": "", "strong": "bold", "quiet": "dim", "warning": "yellow"}
_WORDS = {
    "rising": "green", "plateau": "cyan", "falling": "red", "undecided": "yellow", "better": "green",
    "worse": "red",
}  # fmt: skip
_GLYPHS = {"rising": "↗ ", "plateau": "→ ", "falling": "↘ ", "undecided": "? "}


def print_page(page: core.Page, console: Console, language: str = "en") -> None:
    """Print a page."""
    for part in _parts(page.blocks, words(page.language or language), console.width):
        console.print(part)


def _parts(blocks: Iterable[core.Block], w: Words, width: int) -> Iterator[RenderableType]:
    for block in blocks:
        yield from _block(block, w, width)


def _block(block: core.Block, w: Words, width: int) -> Iterator[RenderableType]:
    from rich.text import Text

    match block:
        case core.Heading():
            yield Text(("\n" if block.level > 1 else "") + w.text(block.text), style="bold")
        case core.Paragraph():
            yield Text(w.text(block.text), style=_TONES[block.tone])
        case core.Items():
            yield from (Text(w.text(text), style=_TONES[block.tone]) for text in block.texts)
        case core.Table():
            yield _table(block, w, width)
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
            yield from _parts(block.blocks, w, width)
        case core.Beside():
            for side in block.sides:
                yield from _parts(side, w, width)
        case core.Histogram() | core.Scatter() | core.Smoothed():
            yield Text(chart_text(block, w), style="dim")


def _grid() -> Any:
    from rich.table import Table as Grid

    return Grid.grid(padding=(0, 2))


def _table(block: core.Table, w: Words, width: int) -> RenderableType:
    from rich import box
    from rich.padding import Padding
    from rich.table import Table as Made
    from rich.text import Text

    made = Made(
        box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), title_style="bold",
        title_justify="left",
        caption_justify="left", title=None if block.title is None else Text(w.text(block.title)),
        caption=None if block.note is None else Text(w.text(block.note)),
    )  # fmt: skip
    bars = [largest(block, i) for i in range(len(block.columns))]
    cells = [[_cell(*parts, w) for parts in zip(row, block.columns, bars, strict=True)] for row in block.rows]
    widths, heads = [], []
    for i, column in enumerate(block.columns):
        held = _wide([row[i] for row in cells])
        heads.append(_head(w.text(column.head), held if numeric(column) else None))
        widths.append(max(held, _wide(heads[i:])))
    first, fits = _fitted(widths, [c.form == "" for c in block.columns], width)
    for i, (head, column) in enumerate(zip(heads, block.columns, strict=True)):
        made.add_column(
            head, justify="right" if numeric(column) else "left", overflow="fold",
            no_wrap=fits and i > 0 and column.form != "", min_width=first if i == 0 else None,
        )  # fmt: skip
    for place, row in enumerate(cells):
        made.add_row(*row, end_section=place in block.breaks)
    return Padding(made, (1, 0))


def _head(text: str, width: int | None) -> Text:
    """Return a heading; over figures that are narrower, ``width``, one word per line."""
    from rich.cells import cell_len
    from rich.text import Text

    return Text(
        text.replace(" ", "\n") if width is not None and cell_len(text) > max(width, _SHORT) else text
    )


def _wide(texts: Iterable[Text]) -> int:
    from rich.cells import cell_len

    return max((cell_len(line) for text in texts for line in text.plain.split("\n")), default=0)


def _fitted(widths: Sequence[int], folds: Sequence[bool], width: int) -> tuple[int, bool]:
    """Return the width of the first column, and whether the others fit beside it without being folded."""
    rest = zip(widths[1:], folds[1:], strict=True)
    others = sum(min(wide, _FOLDED) if fold else wide for wide, fold in rest)
    room = width - others - 2 * (len(widths) - 1)
    return max(min(widths[0], _FIRST, room), min(widths[0], _FOLDED)), room >= min(widths[0], _FOLDED)


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
