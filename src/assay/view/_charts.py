"""The smaller charts: whiskers in tables, bars, and traces of the training loss."""

from __future__ import annotations

import math
from collections.abc import Sequence

from assay.core import RunRow
from assay.view._format import integer, short
from assay.view._index import Index
from assay.view._panel import COLOURS
from assay.view._svg import Scale, Svg, decimals, element, path, ticks
from assay.view._words import Words

_TRACE_POINTS = 90


def whisker(mean: float, low: float, high: float, reach: float, word: str) -> Svg:
    """Return a mean with its interval around a zero line; ``reach`` is the value at either edge."""
    x = Scale(-reach, reach, 3, 117)
    parts = (
        element("path", d=path([(x(0), 1), (x(0), 17)]), class_="zero"),
        element("path", d=path([(x(low), 9), (x(high), 9)]), class_="whisker"),
        element("circle", cx=x(mean), cy=9, r=3.2, class_="dot"),
    )
    kind = f"strip w-{word.split()[0]}"
    return element("svg", *parts, class_=kind, viewbox="0 0 120 18", width=120, height=18, aria_hidden="true")


def bar(value: float, largest: float, kind: str = "") -> Svg:
    """Return a horizontal bar whose length is ``value`` as a share of ``largest``."""
    width = 120 * value / largest if largest > 0 else 0.0
    rect = element("rect", x=0, y=3, width=max(width, 1.0), height=8, rx=1.5)
    return element(
        "svg",
        rect,
        class_=f"bar {kind}".strip(),
        viewbox="0 0 120 14",
        width=120,
        height=14,
        aria_hidden="true",
    )


def cost_bars(trained: int, independent: int, w: Words) -> Svg:
    """Return what was trained beside what independent runs would have taken."""
    largest = max(trained, independent, 1)
    rows = ((w("cost.trained"), trained, "now"), (w("cost.independent"), independent, "alone"))
    parts = []
    for i, (name, value, kind) in enumerate(rows):
        top = 44 * i
        parts += [
            element("text", name, x=0, y=top + 12, class_="label"),
            element("text", integer(value), x=340, y=top + 12, class_="label strong end"),
            element(
                "rect",
                x=0,
                y=top + 18,
                width=max(340 * value / largest, 1),
                height=10,
                rx=2,
                class_=f"cost {kind}",
            ),
        ]
    label = w("cost.aria", trained=integer(trained), independent=integer(independent))
    return element("svg", *parts, class_="chart costs", viewbox="0 0 340 76", role="img", aria_label=label)


def traces(runs: Sequence[RunRow], found: Index, w: Words) -> Svg:
    """Return the loss traces of one arm's runs against sample passes seen, one line a run."""
    rows = [(run, [(x, y) for x, y in run.loss_trace if math.isfinite(y)]) for run in runs]
    values = [y for _, trace in rows for _, y in trace]
    last = max((x for _, trace in rows for x, _ in trace), default=1)
    x = Scale(0, last, 40, 410)
    y = Scale(min(values), max(values), 200, 22)
    arm = runs[0].arm
    colour = found.arm_number(arm) % COLOURS if arm in found.arms else 0
    parts = [*_trace_axes(x, y, w)]
    for run, trace in rows:
        every = max(1, len(trace) // _TRACE_POINTS)
        title = w("loss.trace", n=integer(run.n_train), seed=run.seed)
        line = path((x(at), y(loss)) for at, loss in trace[::every])
        parts.append(element("path", element("title", title), d=line, class_=f"trace a{colour}"))
    label = w("loss.aria", arm=w.arm(arm), count=len(runs))
    place = str(found.arm_number(arm)) if arm in found.arms else None
    return element(
        "svg", *parts, class_="chart", viewbox="0 0 420 240", role="img", aria_label=label, data_arm=place
    )  # fmt: skip


def _trace_axes(x: Scale, y: Scale, w: Words) -> list[Svg]:
    values = ticks(y.low, y.high)
    digits = decimals(values)
    parts = []
    for value in values:
        parts.append(element("path", d=path([(x.start, y(value)), (x.end, y(value))]), class_="grid"))
        parts.append(
            element("text", f"{value:.{digits}f}", x=x.start - 6, y=y(value) + 3.5, class_="tick end")
        )
    parts.append(element("path", d=path([(x.start, y.start), (x.end, y.start)]), class_="axis"))
    for value in ticks(x.low, x.high, 5):
        parts.append(element("path", d=path([(x(value), y.start), (x(value), y.start + 5)]), class_="axis"))
        parts.append(element("text", short(value), x=x(value), y=y.start + 16, class_="tick mid"))
    parts.append(element("text", w("loss.axis"), x=(x.start + x.end) / 2, y=y.start + 33, class_="label mid"))
    parts.append(element("text", w("loss.y"), x=4, y=12, class_="label"))
    return parts
