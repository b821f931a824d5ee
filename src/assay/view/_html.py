"""Pages as HTML: one file that needs nothing else, or a part of a notebook."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from functools import lru_cache
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from assay import core
from assay.view import _format
from assay.view._charts import bar
from assay.view._figures import figure
from assay.view._files import replace_file
from assay.view._svg import Svg, element, join
from assay.view._words import Words, words

if TYPE_CHECKING:
    from jinja2 import Environment

_TONES = {"": "lead", "strong": "strong", "quiet": "muted", "warning": "w-falling"}


@lru_cache(maxsize=1)
def environment() -> Environment:
    """Return the template engine: everything is escaped, and an unknown name is an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader("assay.view"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["coded"] = coded
    return made


def part(name: str, folder: str = "templates") -> str:
    """Return a package file without what an inline element cannot hold."""
    from importlib.resources import files

    return (files("assay.view") / folder / name).read_text(encoding="utf-8")


def style(*more: str) -> str:
    """Return the style sheet of pages, in the colours that servers use too, and those named behind it."""
    shared = (part(name, "static") for name in ("palette.css", "chart.css"))
    return "".join([*shared, *map(part, ("report.css", *more))])


def policy(css: str, *js: str) -> str:
    """Return the Content-Security-Policy that allows this style sheet and these scripts alone.

    Images are those of ``data:`` addresses: a chart that is saved as a picture is drawn from one.
    """
    digests = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (css, *js))
    style, *scripts = (f"'sha256-{digest}'" for digest in digests)
    return (
        f"default-src 'none'; style-src {style}; script-src {' '.join(scripts)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def page_html(page: core.Page, language: str = "en") -> str:
    """Return a page as one HTML file that needs nothing else; all text from data is escaped."""
    w = words(page.language or language)
    css, js = style(), part("report.js")
    made = environment().get_template("blocks.html.jinja")
    shown = made.render(
        page=page, w=w, main=join(_sections(page.blocks, w)), css=Svg(css), js=Svg(js), policy=policy(css, js)
    )
    return _format.clean(shown)


def write_page(page: core.Page, out: Path, language: str = "en") -> Path:
    """Write the page; it appears whole, by a rename."""
    return replace_file(out, page_html(page, language).encode())


def fragment(page: core.Page, language: str = "en") -> str:
    """Return a page as a part of another, such as a notebook: no style sheet, no script."""
    w = words(page.language or language)
    return _format.clean(element("div", *_sections(page.blocks, w), class_="assay"))


def coded(text: str) -> Svg:
    """Return text as markup in which what stands between backticks is a command or a name in a file."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return element("span", text)
    return join(element("code", p) if i % 2 else Svg(escape(_format.clean(p))) for i, p in enumerate(parts))


def _sections(blocks: Iterable[core.Block], w: Words) -> list[Svg]:
    """Return blocks in sections, each begun by a heading of one of the first two levels."""
    groups: list[list[core.Block]] = [[]]
    for block in blocks:
        if isinstance(block, core.Heading) and block.level < 3:
            groups.append([])
        groups[-1].append(block)
    return [
        element("section", *(block_html(b, w) for b in group), class_="answer" if _answers(group) else None)
        for group in groups
        if group
    ]


def _answers(group: list[core.Block]) -> bool:
    return isinstance(group[0], core.Heading) and group[0].level == 1


def block_html(block: core.Block, w: Words) -> Svg:
    """Return one block."""
    match block:
        case core.Heading():
            return element(f"h{block.level}", w.text(block.text))
        case core.Paragraph():
            return element("p", coded(w.text(block.text)), class_=_TONES[block.tone])
        case core.Items():
            tone = _TONES[block.tone] if block.tone else None
            rows = [element("li", coded(w.text(text)), class_=tone) for text in block.texts]
            return element("ul", *rows)
        case core.Table():
            return _table(block, w)
        case core.Facts():
            rows = [
                element(
                    "tr", _head(w.text(name)), element("td", element("bdi", w.show(value)), class_="wrap")
                )
                for name, value in block.rows
            ]
            return element("table", element("tbody", *rows), class_="settings")
        case core.Marked():
            runs = [element("mark", text) if marked else element("span", text) for text, marked in block.runs]
            return element("p", *runs, class_="said", dir="auto")
        case core.Example():
            return _example(block, w)
        case core.Fold():
            inner = (block_html(b, w) for b in block.blocks)
            return element("details", element("summary", w.text(block.title)), *inner)
        case core.Beside():
            sides = (element("div", *(block_html(b, w) for b in side)) for side in block.sides)
            return element("div", *sides, class_="ends")
    return element("figure", figure(block, w))


def _head(text: str, scope: str = "row", **attributes: str | None) -> Svg:
    return element("th", element("bdi", text), scope=scope, **attributes)


def _table(block: core.Table, w: Words) -> Svg:
    title = None if block.title is None else w.text(block.title)
    names = [w.text(column.head) for column in block.columns]
    heads = [
        _head(name, "col", class_="num" if numeric(column) else None) if name else element("td")
        for name, column in zip(names, block.columns, strict=True)
    ]
    rows = []
    for place, row in enumerate(block.rows):
        cells = [
            _head(w.show(cell, column.form), class_="nowrap" if column.form else None)
            if i == 0
            else _cell(cell, column, largest(block, i), w)
            for i, (cell, column) in enumerate(zip(row, block.columns, strict=True))
        ]
        rows.append(element("tr", *cells, class_="overall" if place == 0 and 0 in block.breaks else None))
    parts = [element("caption", title)] if title else []
    made = element("table", *parts, element("thead", element("tr", *heads)), element("tbody", *rows))
    shown = element(
        "div",
        made,
        class_="scroll",
        role="region",
        tabindex=0,
        aria_label=title or w.listed(filter(None, names)),
    )
    note = [] if block.note is None else [element("p", w.text(block.note), class_="muted")]
    return join([shown, *note])


def _cell(cell: core.Cell, column: core.Column, most: float, w: Words) -> Svg:
    text = w.show(cell, column.form)
    if column.form == "bar" and isinstance(cell, int | float):
        return element("td", bar(cell, most), class_="tight")
    if column.form == "@word" and isinstance(cell, str) and cell:
        return element("td", element("span", text, class_=f"chip w-{cell.split()[0]}"))
    if isinstance(cell, core.Judged):
        marked = " marked" if text[:1] in "=▲▼▴▾?" else ""  # it has the sign of its word already
        kind = f"chip w-{cell.word.split()[0]}{marked}"
        return element("td", element("span", text, class_=kind), class_="nowrap")
    if isinstance(cell, core.Shade):
        shade = f"num nowrap heat h{'m' if cell.level < 0 else 'p'}{abs(cell.level)}"
        return element("td", element("strong", text) if cell.marked else text, class_=shade)
    if numeric(column):
        return element("td", text, class_="num nowrap")
    return element("td", element("bdi", text), class_="wrap" if column.form == "" else "nowrap")


def largest(block: core.Table, place: int) -> float:
    """Return the largest figure of a column of bars, to which the others are drawn."""
    if block.columns[place].form != "bar":
        return 0
    return max((cell for row in block.rows if isinstance(cell := row[place], int | float)), default=0)


def numeric(column: core.Column) -> bool:
    """Say whether a column holds figures."""
    return column.form not in ("", "bar") and not column.form.startswith("@")


def _example(block: core.Example, w: Words) -> Svg:
    who = [element("span", block.id[: _format.KEY_DIGITS], class_="key")]
    who += [Svg(" "), element("bdi", block.origin, class_="muted")] if block.origin else []
    who += [Svg(" "), element("strong", w.show(block.value, ".4g"))] if block.value is not None else []
    parts = [
        element("p", *who, class_="who"),
        element("p", block.prompt, class_="said", dir="auto"),
        element("p", block.answer, class_="said answer", dir="auto"),
    ]
    if block.cut:
        parts.append(element("p", w("pool.cut", n=block.cut), class_="muted"))
    return element("div", *parts, class_="sample")
