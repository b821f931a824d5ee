"""The page of an export: what was written, and what each file costs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from assay.core import ExportPage
from assay.view import _format
from assay.view._export_words import (
    cost_text,
    drop_of,
    export_names,
    headline,
    sentences,
    share,
    size,
    speed,
)
from assay.view._files import replace_file
from assay.view._html import environment, part, policy
from assay.view._svg import Svg
from assay.view._words import CATALOGUES, words


def render_export(page: ExportPage) -> str:
    """Return the page of an export as one HTML file that needs nothing else, in the page's language."""
    css, js, w = part("report.css"), part("report.js"), words(page.language)
    names: dict[str, Any] = {
        "page": page, "w": w, "f": _format, "labels": CATALOGUES[page.language],
        **export_names(w),
    }  # fmt: skip
    made = environment().get_template("export.html.jinja")
    return _format.clean(made.render(names, css=Svg(css), js=Svg(js), policy=policy(css, js)))


def write_export_page(page: ExportPage, out: Path) -> Path:
    """Write the page of an export; it appears whole, by a rename."""
    return replace_file(out, render_export(page).encode())


def export_summary(page: ExportPage, folder: Path, pushed: Sequence[str] = ()) -> Any:
    """Return what the terminal shows of an export: a row a file, then the costs in words."""
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    w = words(page.language)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=0)
    for name in ("format", "size", "speed", "same", "score", "loss"):
        heading = w(f"export.col.{name}").replace(" ", "\n")
        table.add_column(heading, justify="left" if name == "format" else "right", no_wrap=True)
    whole = w("export.before").replace(" ", "\n")
    table.add_row(whole, size(page.bytes), speed(page.tokens_per_second), end_section=True)
    for file in page.files:
        weights = f"{size(file.bytes)} ({_format.percent(file.bytes, page.bytes)})"
        cells = [weights, speed(file.tokens_per_second)]
        costs = [cost_text(drop_of(file, metric)) for metric in ("score", "loss")]
        table.add_row(Text(file.format), *cells, share(file.same_answers), *costs)
    lines: list[Any] = [Text(headline(page, w), style="bold"), table]
    lines += [Text(text) for text in sentences(page, w)]
    notes = [f"{file.format}: {note}" for file in page.files for note in file.notes]
    lines += [Text(note, style="dim") for note in (w("export.reach"), *notes)]
    return Group(*lines, Text(w("export.folder", path=folder)), *(Text(url) for url in pushed))
