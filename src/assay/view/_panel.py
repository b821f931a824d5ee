"""One panel of the small multiples: bands, curves, points of every seed, the base model's rule."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from assay.core import BASE_ARM, Band, Point
from assay.view._format import integer, number, short, short_key
from assay.view._index import Index
from assay.view._svg import Scale, Svg, coordinate, decimals, element, join, log_ticks, offset, path, ticks
from assay.view._words import Words

COLOURS = 8
"""Arms have this many colours and marks; further arms take them again."""

_GRID = 48
_UNSEEN = 0.25
"""Units of the view box by which a line may be off: less than a pixel."""
Drawn = tuple[float, float, float, float]
"""A row of a band in coordinates: place, mean, low, high."""


class _Shape(NamedTuple):
    """A mark: where its path begins, from its middle, and the path from there."""

    x: float
    y: float
    path: str


_SHAPES = (
    _Shape(0, -3, "a3 3 0 1 0 .01 0z"),
    _Shape(0, -4, "l4 4-4 4-4-4z"),
    _Shape(-3, -3, "h6v6h-6z"),
    _Shape(0, -4, "l4 7h-8z"),
    _Shape(0, 4, "l4-7h-8z"),
    _Shape(-3.6, -1.2, "h7.2v2.4h-7.2z"),
    _Shape(-1.2, -3.6, "h2.4v7.2h-2.4z"),
    _Shape(-3.6, 0, "l3.6-3.6v3.6h3.6l-3.6 3.6v-3.6z"),
)
"""The marks of the arms."""
_LEFT, _RIGHT, _TOP, _BOTTOM = 40.0, 10.0, 22.0, 40.0


@dataclass(frozen=True, slots=True)
class Domain:
    """The values that a panel's axes span: samples (log) and metric (linear)."""

    n_low: float
    n_high: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Panel:
    """What one panel shows, and its size in units of the view box."""

    type: str
    metric: str
    width: float = 320.0
    height: float = 220.0
    place: tuple[int, int] | None = None
    """Type and metric by number, where the page holds its data: then its script names the marks."""


def domain(found: Index, metric: str, types: Sequence[str]) -> Domain:
    """Return the axes that hold all points and bands of ``types`` in ``metric``."""
    points = [p for name in types for p in found.points.get((name, metric), ())]
    curves = [c for (name, _, m), c in found.curves.items() if m == metric and name in types]
    bands = [c.band for c in curves if c.band]
    sizes = [float(p.n_train) for p in points if p.n_train > 0] + [n for b in bands for n in b.n if n > 0]
    values = [p.value for p in points] + [v for b in bands for v in (*b.low, *b.high)]
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    room = max((high - low) * 0.04, 0.005)
    n_low, n_high = (min(sizes), max(sizes)) if sizes else (1.0, 10.0)
    return Domain(n_low / 1.25, max(n_high, n_low * 2) * 1.08, low - room, high + room)


def draw(
    panel: Panel, span: Domain, found: Index, w: Words, label: str, axes: dict[str, str] | None = None
) -> Svg:
    """Return the panel as an SVG element that is as wide as its place.

    ``axes``: what is drawn alike in panels of one page, with its id; it is there once, others refer to it.
    """
    x = Scale(span.n_low, span.n_high, _LEFT, panel.width - _RIGHT, log=True)
    y = Scale(span.low, span.high, panel.height - _BOTTOM, _TOP)
    curves = [(arm, found.curves.get((panel.type, arm, panel.metric))) for arm in found.arms]
    bands = [(found.arm_number(arm) % COLOURS, c.band) for arm, c in curves if c and c.band]
    points = found.points.get((panel.type, panel.metric), ())
    beyond = _beyond(max(b.extrapolated_from for _, b in bands), x, y) if bands else ()
    parts = [
        _once(join((*beyond, *_samples_axis(panel, x, y, w))), axes),
        *_values_axis(panel, y, x, w),
        *(part for number, band in bands for part in _band(number, band, x, y)),
        *(_base if panel.place is None else _plain_base)(points, x, y, found, w),
        *(_marks if panel.place is None else _plain_marks)(points, x, y, found, w),
    ]
    return element(
        "svg",
        *parts,
        class_="chart",
        viewbox=f"0 0 {panel.width:g} {panel.height:g}",
        role="img",
        aria_label=label,
        **({} if panel.place is None else _traced(panel.place, x, y)),
    )


def _traced(place: tuple[int, int], x: Scale, y: Scale) -> dict[str, str]:
    """Return what a script needs to find a mark: whose panel it is, and both scales."""
    scales = {
        f"data_{name}": f"{s.low:.6g} {s.high:.6g} {s.start:g} {s.end:g}" for name, s in (("x", x), ("y", y))
    }
    return {"data_panel": f"{place[0]} {place[1]}", **scales}


def _beyond(start: float, x: Scale, y: Scale) -> Iterable[Svg]:
    left = x(start)
    if left < x.end:
        yield element("rect", x=left, y=y.end, width=x.end - left, height=y.start - y.end, class_="beyond")


def _once(drawn: Svg, axes: dict[str, str] | None) -> Svg:
    """Return what is drawn in the first panel that has it, and a reference to it in others."""
    if axes is None:
        return drawn
    if drawn in axes:
        return element("use", href=f"#{axes[drawn]}")
    axes[drawn] = f"x{len(axes)}"
    return element("g", drawn, id=axes[drawn])


def _values_axis(panel: Panel, y: Scale, x: Scale, w: Words) -> Iterable[Svg]:
    about = 4 if panel.height < 300 else 6
    values = ticks(y.low, y.high, about)
    digits = decimals(values)
    for value in values:
        yield element("path", d=path([(x.start, y(value)), (x.end, y(value))]), class_="grid")
        yield element("text", f"{value:.{digits}f}", x=x.start - 6, y=y(value) + 3.5, class_="tick end")
    yield element("text", w.metric(panel.metric), x=4, y=12, class_="label")


def _samples_axis(panel: Panel, x: Scale, y: Scale, w: Words) -> Iterable[Svg]:
    major, minor = log_ticks(x.low, x.high)
    marks = [_ticked([x(n) for n in ns], y.start, size) for ns, size in ((major, 5), (minor, 3))]
    line = path([(x.start, y.start), (x.end, y.start)])
    yield element("path", d=line + "".join(marks), class_="axis")
    for n in major:
        yield element("text", short(n), x=x(n), y=y.start + 16, class_="tick mid")
    yield element("text", w("curves.axis.n"), x=(x.start + x.end) / 2, y=panel.height - 7, class_="label mid")


def _ticked(places: Sequence[float], level: float, size: int) -> str:
    """Return ticks below an axis as path data, each told from the one before."""
    tenths = [round(10 * place) for place in places]
    later = (f"m{offset(b - a, -10 * size)}v{size}" for a, b in itertools.pairwise(tenths))
    return f"M{coordinate(tenths[0] / 10)} {level:g}v{size}" + "".join(later) if tenths else ""


def _band(colour: int, band: Band, x: Scale, y: Scale) -> Iterable[Svg]:
    """Draw the measured part solid and the extrapolated part dashed and fainter."""
    rows = thin(band, _GRID)
    inside = [row for row in rows if row[0] <= band.extrapolated_from]
    beyond = [row for row in rows if row[0] >= band.extrapolated_from]
    for part, kind in ((inside, "in"), (beyond, "out")):
        if len(part) > 1:
            drawn = bent([(x(n), y(mean), y(low), y(high)) for n, mean, low, high in part])
            outline = [(n, high) for n, _, _, high in drawn] + [(n, low) for n, _, low, _ in reversed(drawn)]
            yield element("path", d=path(outline, close=True), class_=f"band {kind} a{colour}")
            yield element("path", d=path((n, m) for n, m, _, _ in drawn), class_=f"curve {kind} a{colour}")


def bent(rows: Sequence[Drawn], most: float = _UNSEEN) -> list[Drawn]:
    """Return the rows without which a line would move by more than ``most`` (Douglas and Peucker 1973)."""
    first, last = rows[0], rows[-1]
    far, place = 0.0, 0
    for i, row in enumerate(rows[1:-1], 1):
        share = (row[0] - first[0]) / (last[0] - first[0] or 1.0)
        ends = zip(row[1:], first[1:], last[1:], strict=True)
        off = max(abs(at - a - share * (b - a)) for at, a, b in ends)
        far, place = max((far, place), (off, i))
    if far <= most:
        return [first, last]
    return [*bent(rows[: place + 1], most)[:-1], *bent(rows[place:], most)]


def thin(band: Band, most: int = _GRID) -> list[tuple[float, float, float, float]]:
    """Return about ``most`` rows (n, mean, low, high), the largest measured size among them."""
    rows = [row for row in zip(band.n, band.mean, band.low, band.high, strict=True) if row[0] > 0]
    every = max(1, math.ceil(len(rows) / most))
    edge = [row for row in rows if row[0] == band.extrapolated_from]
    return sorted({*rows[::every], *rows[-1:], *edge})


def _base(points: Iterable[Point], x: Scale, y: Scale, found: Index, w: Words) -> Iterable[Svg]:
    """Draw the model before training as a rule across the panel, one for each seed of it."""
    for point in points:
        if point.n_train == 0 or point.arm == BASE_ARM:
            level = y(point.value)
            title = w(
                "curves.base", arm=w.arm(point.arm), value=number(point.value), run=short_key(point.run)
            )
            own = f"base own a{found.arm_number(point.arm) % COLOURS}" if point.arm in found.arms else "base"
            line = path([(x.start, level), (x.end, level)])
            rule = element("path", element("title", title), d=line, class_=own)
            yield _linked(rule, point, found)


def _marks(points: Iterable[Point], x: Scale, y: Scale, found: Index, w: Words) -> Iterable[Svg]:
    """Draw one mark a trained model; arms stand side by side so that none hides another."""
    middle = (len(found.arms) - 1) / 2
    for point in points:
        if point.n_train > 0 and point.arm != BASE_ARM:
            arm = found.arm_number(point.arm)
            title = w(
                "curves.point",
                arm=w.arm(point.arm),
                n=integer(point.n_train),
                seed=point.seed,
                value=number(point.value),
                run=short_key(point.run),
            )
            mark = element(
                "use",
                element("title", title),
                href=f"#m{arm % COLOURS}",
                class_=f"a{arm % COLOURS}",
                x=x(point.n_train) + 4 * (arm - middle),
                y=y(point.value),
            )
            yield _linked(mark, point, found)


def _plain_base(points: Iterable[Point], x: Scale, y: Scale, found: Index, w: Words) -> Iterable[Svg]:
    """Draw the untrained model as a rule for each seed, without titles."""
    levels = {y(p.value) for p in points if p.n_train == 0 or p.arm == BASE_ARM}
    if levels:
        yield element(
            "path", d="".join(path([(x.start, v), (x.end, v)]) for v in sorted(levels)), class_="base"
        )


def _plain_marks(points: Iterable[Point], x: Scale, y: Scale, found: Index, w: Words) -> Iterable[Svg]:
    """Draw all marks of an arm as one path; arms stand side by side so that none hides another."""
    middle = (len(found.arms) - 1) / 2
    own: dict[int, list[tuple[int, int]]] = {}
    for point in points:
        if point.n_train > 0 and point.arm != BASE_ARM:
            arm = found.arm_number(point.arm)
            shape = _SHAPES[arm % COLOURS]
            at = x(point.n_train) + 4 * (arm - middle) + shape.x, y(point.value) + shape.y
            own.setdefault(arm, []).append((round(10 * at[0]), round(10 * at[1])))
    for arm, places in own.items():
        colour = arm % COLOURS
        yield element("path", d=_marked(places, _SHAPES[colour].path), class_=f"marks a{colour}")


def _marked(places: Sequence[tuple[int, int]], shape: str) -> str:
    """Return a shape at each place (in tenths) as path data, each told from the one before."""
    first = " ".join(coordinate(value / 10) for value in places[0])
    later = (f"m{offset(b[0] - a[0], b[1] - a[1])}{shape}" for a, b in itertools.pairwise(places))
    return f"M{first}{shape}" + "".join(later)


def _linked(mark: Svg, point: Point, found: Index) -> Svg:
    row = found.run_rows.get(point.run)
    return mark if row is None else element("a", mark, href=f"#r{row}", tabindex="-1")


def symbols() -> Svg:
    """Return the marks of the arms, once a page, for ``<use>``."""
    marks = join(element("path", id=f"m{i}", d=f"M{s.x:g} {s.y:g}{s.path}") for i, s in enumerate(_SHAPES))
    return element("svg", element("defs", marks), width=0, height=0, class_="symbols", aria_hidden="true")
