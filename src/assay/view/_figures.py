"""The charts of pages: histograms, points about a line, and a smoothed curve with its best place."""

from __future__ import annotations

from collections.abc import Sequence

from assay import core
from assay.view import _format
from assay.view._svg import Scale, Svg, decimals, element, join, log_ticks, path, ticks
from assay.view._words import Words

_WIDTH, _HEIGHT = 520, 300


def figure(block: core.Histogram | core.Scatter | core.Smoothed, w: Words) -> Svg:
    """Return a chart as SVG."""
    match block:
        case core.Histogram():
            return _histogram(block, w)
        case core.Scatter():
            return _scatter(block, w)
    return _smoothed(block, w)


def _histogram(block: core.Histogram, w: Words) -> Svg:
    """Return the shares of the bins as bars, those of a selection as a line over them."""
    x = Scale(block.edges[0], block.edges[-1], 8, 398)
    bins = list(zip(block.edges, block.edges[1:], strict=False))
    shares, chosen = (
        [count / max(sum(counts), 1) for count in counts] for counts in (block.counts, block.selected)
    )
    y = Scale(0, max([*shares, *chosen], default=1) or 1, 104, 8)
    bars = [
        element(
            "rect", x=x(a) + 0.4, y=y(share), width=max(x(b) - x(a) - 0.8, 0.6), height=y.start - y(share)
        )
        for (a, b), share in zip(bins, shares, strict=False)
        if share
    ]
    marks = [element("path", d=path([(x.start, y.start), (x.end, y.start)]), class_="axis")]
    places = ticks(x.low, x.high, 5)
    for tick in places:
        marks.append(element("path", d=path([(x(tick), y.start), (x(tick), y.start + 4)]), class_="axis"))
        text = _format.figure(tick, f",.{decimals(places)}f")
        marks.append(element("text", text, x=x(tick), y=y.start + 17, class_="tick mid"))
    steps = [p for (a, b), s in zip(bins, chosen, strict=False) for p in ((x(a), y(s)), (x(b), y(s)))]
    if steps:
        marks.append(element("path", d=path(steps), class_="curve in a1"))
    return element(
        "svg", element("g", join(bars), class_="bars"), *marks, class_="chart histogram",
        viewbox="0 0 420 126", role="img", aria_label=w("pool.aria", name=w.text(block.name)),
    )  # fmt: skip


def _scatter(block: core.Scatter, w: Words) -> Svg:
    """Return points with a line: of equality, or at zero for residuals."""
    both = block.x if block.residuals else (*block.x, *block.y)
    low, high, reach = min(both), max(both), max(map(abs, block.y))
    across = Scale(low, high, 62, _WIDTH - 10)
    bottom, top = (-reach, reach) if block.residuals else (low, high)
    up = Scale(bottom, top, _HEIGHT - 40, 10)
    ends = ((low, 0.0), (high, 0.0)) if block.residuals else ((low, low), (high, high))
    line = element("path", d=path([(across(a), up(b)) for a, b in ends]), class_="axis")
    dots = [
        element("circle", cx=across(a), cy=up(b), r=3.6, class_="dot a2" if marked else "dot a1")
        for a, b, marked in zip(block.x, block.y, block.marked, strict=True)
    ]
    names = w.text(block.x_name), w.text(block.y_name)
    return _chart(across, up, ticks(low, high, 5), [line, *dots], names, f"{names[1]} / {names[0]}")


def _smoothed(block: core.Smoothed, w: Words) -> Svg:
    """Return the mean with its band, the points, and the interval of the best place."""
    values = (*block.below, *block.above, *block.y)
    across = Scale(block.grid[0], block.grid[-1], 62, _WIDTH - 10, log=True)
    up = Scale(min(values), max(values), _HEIGHT - 40, 10)
    over, under, middle = (
        [(across(s), up(v)) for s, v in zip(block.grid, line, strict=True)]
        for line in (block.above, block.below, block.mean)
    )
    left, best, right = (across(at) for at in block.best)
    drawn = [
        element(
            "rect", x=left, y=up.end, width=max(right - left, 1), height=up.start - up.end, class_="span"
        ),
        element("path", d=path([*over, *reversed(under)], close=True), class_="band a1"),
        element("path", d=path(middle), class_="curve in a1"),
        element("path", d=path([(best, up.start), (best, up.end)]), class_="best"),
        *[
            element("circle", cx=across(s), cy=up(v), r=3.6, class_="dot a1")
            for s, v in zip(block.x, block.y, strict=True)
        ],
    ]
    names = w.text(block.x_name), w.text(block.y_name)
    return _chart(
        across, up, log_ticks(*block.grid[:: len(block.grid) - 1])[0], drawn, names, w.text(block.name)
    )


_TICK = ".12g"  # all that tells a tick from the next: they are round


def _chart(
    across: Scale, up: Scale, at: Sequence[float], drawn: Sequence[Svg], names: tuple[str, str], label: str
) -> Svg:
    corner = [(across.start, up.end), (across.start, up.start), (across.end, up.start)]
    axes = [element("path", d=path(corner), class_="axis")]
    for tick in at:
        text = _format.short(tick) if across.log else _format.figure(tick, _TICK)
        axes.append(element("text", text, x=across(tick), y=up.start + 16, class_="tick mid"))
    for tick in ticks(up.low, up.high, 5):
        text = _format.figure(tick, _TICK)
        axes.append(element("text", text, x=across.start - 6, y=up(tick) + 4, class_="tick end"))
    turned = f"translate(12 {_HEIGHT / 2 - 20:.0f}) rotate(-90)"
    axes += [
        element("text", names[0], x=(across.start + across.end) / 2, y=_HEIGHT - 6, class_="tick mid"),
        element("text", names[1], x=0, y=0, transform=turned, class_="tick mid"),
    ]
    return element(
        "svg", *axes, *drawn, class_="chart", viewbox=f"0 0 {_WIDTH} {_HEIGHT}", role="img", aria_label=label
    )
