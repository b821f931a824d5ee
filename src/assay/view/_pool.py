"""Pages about pools of samples: scored, cleaned, selected from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from assay.core import PoolColumn, PoolPage
from assay.view import _format
from assay.view._charts import bar
from assay.view._files import replace_file
from assay.view._html import environment, part, policy
from assay.view._svg import Scale, Svg, element, join, path, ticks
from assay.view._words import CATALOGUES, words


def render_pool(page: PoolPage, language: str = "en") -> str:
    """Return the page as one HTML file that needs nothing else; all text from data is escaped."""
    w = words(language)
    css, js = part("report.css"), part("report.js")
    names: dict[str, Any] = {
        "page": page,
        "w": w,
        "f": _format,
        "labels": CATALOGUES[language],
        "bar": bar,
        "histogram": lambda column: histogram(column, w("pool.aria", name=column.name)),
        "value": value,
    }
    template = environment().get_template("pool.html.jinja")
    return _format.clean(template.render(names, css=Svg(css), js=Svg(js), policy=policy(css, js)))


def write_page(page: PoolPage, out: Path, language: str = "en") -> Path:
    """Write the page; it appears whole, by a rename."""
    return replace_file(out, render_pool(page, language).encode())


def value(number: float | None) -> str:
    """Return an indicator's value in four digits."""
    return _format.DASH if number is None else f"{number:.4g}".replace("-", _format.MINUS)


def histogram(column: PoolColumn, label: str) -> Svg:
    """Return the shares of the bins as bars, those of a selection as a line over them."""
    x = Scale(column.edges[0], column.edges[-1], 8, 412)
    shares = [c / max(sum(column.counts), 1) for c in column.counts]
    chosen = [c / max(sum(column.selected), 1) for c in column.selected]
    y = Scale(0, max([*shares, *chosen], default=1) or 1, 104, 8)
    bars = [
        element(
            "rect", x=x(a) + 0.4, y=y(share), width=max(x(b) - x(a) - 0.8, 0.6), height=y.start - y(share)
        )
        for a, b, share in zip(column.edges, column.edges[1:], shares, strict=False)
        if share
    ]
    marks = []
    for tick in ticks(x.low, x.high, 5):
        marks.append(element("path", d=path([(x(tick), y.start), (x(tick), y.start + 4)]), class_="axis"))
        marks.append(element("text", value(tick), x=x(tick), y=y.start + 17, class_="tick mid"))
    axis = element("path", d=path([(x.start, y.start), (x.end, y.start)]), class_="axis")
    steps = [
        point
        for a, b, share in zip(column.edges, column.edges[1:], chosen, strict=False)
        for point in ((x(a), y(share)), (x(b), y(share)))
    ]
    line = [element("path", d=path(steps), class_="curve in a1")] if steps else []
    return element(
        "svg",
        element("g", join(bars), class_="bars"),
        axis,
        *marks,
        *line,
        class_="chart histogram",
        viewbox="0 0 420 126",
        role="img",
        aria_label=label,
    )
