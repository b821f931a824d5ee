"""Pages as GitHub-flavoured Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from assay import core
from assay.view._format import KEY_DIGITS, clean
from assay.view._spark import chart_text
from assay.view._words import Words, words

_CODE, _ESCAPED = re.compile(r"\\`((?:[^`\\]|\\[^`])*)\\`"), re.compile(r"\\(.)")
_SPECIAL = re.compile(r"([\\`*_\[\]|~#])")


def escape(text: str) -> str:
    """Return text from data so that it is shown as it is: no markup, no HTML, one line."""
    text = clean(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return " ".join(_SPECIAL.sub(r"\\\1", text).split())


def coded(text: str) -> str:
    """Return text whose commands and names of files, between backticks, stay such."""
    return _CODE.sub(lambda found: "`" + _ESCAPED.sub(r"\1", found[1]) + "`", escape(text))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return a Markdown table; cells are escaped already."""
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows), ""]


def page_markdown(page: core.Page, language: str = "en") -> str:
    """Return a page as GitHub-flavoured Markdown; text from data is escaped."""
    return markdown(page.blocks, words(page.language or language)).rstrip() + "\n"


def markdown(blocks: Iterable[core.Block], w: Words) -> str:
    """Return blocks one below the other."""
    return "\n".join(line for block in blocks for line in _lines(block, w))


def _lines(block: core.Block, w: Words) -> Iterator[str]:
    match block:
        case core.Heading():
            yield from (f"{'#' * block.level} {escape(w.text(block.text))}", "")
        case core.Paragraph():
            text = coded(w.text(block.text))
            yield from (f"**{text}**" if block.tone == "strong" else text, "")
        case core.Items():
            yield from (*(f"- {coded(w.text(text))}" for text in block.texts), "")
        case core.Table():
            yield from _table(block, w)
        case core.Facts():
            yield from table(
                ["", ""], [[escape(w.text(name)), escape(w.show(value))] for name, value in block.rows]
            )
        case core.Marked():
            yield from (
                "".join(f"**{escape(t)}**" if set_off else escape(t) for t, set_off in block.runs),
                "",
            )
        case core.Example():
            head = " ".join(filter(None, (block.id[:KEY_DIGITS], block.origin)))
            value = "" if block.value is None else f" {w.show(block.value, '.4g')}"
            yield from (
                f"{escape(head)}{value}",
                "",
                f"> {escape(block.prompt)}",
                "",
                f"> {escape(block.answer)}",
                "",
            )
            if block.cut:
                yield from (w("pool.cut", n=block.cut), "")
        case core.Fold():
            yield from (f"**{escape(w.text(block.title))}**", "", *markdown(block.blocks, w).split("\n"))
        case core.Beside():
            for side in block.sides:
                yield from markdown(side, w).split("\n")
        case core.Histogram() | core.Scatter() | core.Smoothed():
            yield from (escape(chart_text(block, w)), "")


def _cell(cell: core.Cell, form: str, w: Words) -> str:
    text = escape(w.show(cell, form))
    return f"**{text}**" if isinstance(cell, core.Shade) and cell.marked else text


def _table(block: core.Table, w: Words) -> Iterator[str]:
    if block.title is not None:
        yield from (f"**{escape(w.text(block.title))}**", "")
    shown = [i for i, column in enumerate(block.columns) if column.form != "bar"]
    head = [escape(w.text(block.columns[i].head)) for i in shown]
    rows = [[_cell(row[i], block.columns[i].form, w) for i in shown] for row in block.rows]
    yield from table(head, rows)
    if block.note is not None:
        yield from (escape(w.text(block.note)), "")
