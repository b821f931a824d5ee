"""Pages about a quality rule and about a search."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from assay.core import Remark, RulePage, SearchPage
from assay.view import _format
from assay.view._files import replace_file
from assay.view._html import environment, part, policy
from assay.view._svg import Scale, Svg, element, log_ticks, path, ticks
from assay.view._words import CATALOGUES, Words, words

_WIDTH, _HEIGHT = 520, 300


def said(remark: Remark, language: str = "en") -> str:
    """Return a remark in words."""
    return words(language)(f"rule.{remark.kind}", **remark.values)


def render_rule(page: RulePage, language: str = "en") -> str:
    """Return the page of a rule as one HTML file that needs nothing else."""
    w = words(language)
    residuals = [m - p for p, m in zip(page.predicted, page.measured, strict=True)]
    charts = {
        "fit": scatter(page.predicted, page.measured, page.doubled, w, "rule.axis.measured", same=True),
        "residuals": scatter(page.predicted, residuals, page.doubled, w, "rule.axis.residual", same=False),
    }
    return _render("rule.html.jinja", page, language, charts)


def render_search(page: SearchPage, language: str = "en") -> str:
    """Return the page of a search as one HTML file that needs nothing else."""
    return _render("search.html.jinja", page, language, {"chart": search_chart(page, words(language))})


def write_rule_page(page: RulePage, out: Path, language: str = "en") -> Path:
    """Write the page of a rule; it appears whole, by a rename."""
    return replace_file(out, render_rule(page, language).encode())


def write_search_page(page: SearchPage, out: Path, language: str = "en") -> Path:
    """Write the page of a search; it appears whole, by a rename."""
    return replace_file(out, render_search(page, language).encode())


def _render(template: str, page: RulePage | SearchPage, language: str, charts: dict[str, Svg]) -> str:
    css, js = part("report.css"), part("report.js")
    names: dict[str, Any] = {
        "page": page,
        "w": words(language),
        "f": _format,
        "labels": CATALOGUES[language],
        "said": lambda remark: said(remark, language),
        **charts,
    }
    made = environment().get_template(template)
    return _format.clean(made.render(names, css=Svg(css), js=Svg(js), policy=policy(css, js)))


def scatter(
    x: Sequence[float], y: Sequence[float], marked: Sequence[bool], w: Words, name: str, *, same: bool
) -> Svg:
    """Return points with a line: of equality where both axes are the ``same``, else at zero."""
    low, high = min(*x, *y) if same else min(x), max(*x, *y) if same else max(x)
    reach = max(map(abs, y))
    across = Scale(low, high, 62, _WIDTH - 10)
    up = Scale(low, high, _HEIGHT - 40, 10) if same else Scale(-reach, reach, _HEIGHT - 40, 10)
    ends = ((low, low), (high, high)) if same else ((low, 0.0), (high, 0.0))
    line = element("path", d=path([(across(a), up(b)) for a, b in ends]), class_="axis")
    dots = [
        element("circle", cx=across(a), cy=up(b), r=3.6, class_="dot a2" if twice else "dot a1")
        for a, b, twice in zip(x, y, marked, strict=True)
    ]
    label = f"{w(name)} / {w('rule.axis.predicted')}"
    return _chart(across, up, ticks(low, high, 5), [line, *dots], w("rule.axis.predicted"), w(name), label)


def search_chart(page: SearchPage, w: Words) -> Svg:
    """Return the smoothed loss over the size with its band, the runs, and the interval of the best size."""
    low, high = page.curve_sizes[0], page.curve_sizes[-1]
    values = (*page.below, *page.above, *page.losses)
    across = Scale(low, high, 62, _WIDTH - 10, log=True)
    up = Scale(min(values), max(values), _HEIGHT - 40, 10)
    over = [(across(s), up(v)) for s, v in zip(page.curve_sizes, page.above, strict=True)]
    under = [(across(s), up(v)) for s, v in zip(page.curve_sizes, page.below, strict=True)]
    middle = [(across(s), up(v)) for s, v in zip(page.curve_sizes, page.mean, strict=True)]
    left, right = across(page.low), across(page.high)
    drawn = [
        element(
            "rect", x=left, y=up.end, width=max(right - left, 1), height=up.start - up.end, class_="span"
        ),
        element("path", d=path([*over, *reversed(under)]) + "Z", class_="band a1"),
        element("path", d=path(middle), class_="curve in a1"),
        element("path", d=path([(across(page.size), up.start), (across(page.size), up.end)]), class_="best"),
        *[
            element("circle", cx=across(s), cy=up(v), r=3.6, class_="dot a1")
            for s, v in zip(page.sizes, page.losses, strict=True)
        ],
    ]
    label = w("search.aria", n=_format.integer(page.size))
    at = log_ticks(low, high)[0]
    return _chart(across, up, at, drawn, w("search.axis.size"), w("search.axis.loss"), label)


def _chart(
    across: Scale, up: Scale, at: Sequence[float], drawn: Sequence[Svg], x_name: str, y_name: str, label: str
) -> Svg:
    corner = [(across.start, up.end), (across.start, up.start), (across.end, up.start)]
    axes = [element("path", d=path(corner), class_="axis")]
    for tick in at:
        text = _format.short(tick) if across.log else f"{tick:g}".replace("-", _format.MINUS)
        axes.append(element("text", text, x=across(tick), y=up.start + 16, class_="tick mid"))
    for tick in ticks(up.low, up.high, 5):
        text = f"{tick:g}".replace("-", _format.MINUS)
        axes.append(element("text", text, x=across.start - 6, y=up(tick) + 4, class_="tick end"))
    names = [
        element("text", x_name, x=(across.start + across.end) / 2, y=_HEIGHT - 6, class_="tick mid"),
        element("text", y_name, x=0, y=0, transform=f"translate(12 {_HEIGHT / 2 - 20:.0f}) rotate(-90)",
                class_="tick mid"),
    ]  # fmt: skip
    return element(
        "svg", *axes, *names, *drawn, class_="chart", viewbox=f"0 0 {_WIDTH} {_HEIGHT}", role="img",
        aria_label=label,
    )  # fmt: skip
