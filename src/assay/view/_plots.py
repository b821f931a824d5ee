"""Curves of any table as charts (altair): bands, points, points left out, and the families' weights."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.core import BASE_ARM, AssayError, CurveResult, Point
from assay.view._words import Words, words

if TYPE_CHECKING:
    import altair

SUFFIXES = (".html", ".svg", ".png", ".json")
"""Files of ``assay curve --plot``; an HTML file is the report, made elsewhere."""
_COLUMNS = 3
_SHARP = 2


def write_plot(
    curves: Sequence[CurveResult], points: Sequence[Point], out: Path, language: str = "en"
) -> None:
    """Write one chart of all fitted curves to ``out``: SVG, PNG or Vega-Lite JSON.

    Raises :class:`AssayError` for another suffix, or where no curve was fitted.
    """
    if out.suffix not in SUFFIXES:
        raise AssayError(
            "no such kind of plot", value=str(out), expected="a file ending in " + ", ".join(SUFFIXES)
        )
    if not any(curve.band for curve in curves):
        raise AssayError(
            "there is no curve to plot",
            expected="at least one type with three or more sizes",
            hint="the table printed says why each curve was refused",
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    chart = curve_chart(curves, points, language)
    chart.save(str(out), scale_factor=_SHARP if out.suffix == ".png" else 1)


def curve_chart(
    curves: Sequence[CurveResult], points: Sequence[Point], language: str = "en"
) -> altair.ConcatChart:
    """Return small multiples: one panel for each type and metric, arms by colour."""
    import altair as alt

    w = words(language)
    panels: dict[tuple[str, str], list[CurveResult]] = {}
    for curve in curves:
        if curve.band is not None:
            panels.setdefault((curve.type, curve.metric), []).append(curve)
    charts = [
        _panel(kind, metric, own, [p for p in points if (p.type, p.metric) == (kind, metric)], w)
        for (kind, metric), own in panels.items()
    ]
    joined = alt.concat(*charts, columns=_COLUMNS).configure_view(stroke=None)
    grid: altair.ConcatChart = joined.configure_axis(grid=True, gridOpacity=0.4)
    return grid


def _panel(kind: str, metric: str, curves: Sequence[CurveResult], points: Sequence[Point], w: Words) -> Any:
    import altair as alt

    rows = [row for curve in curves for row in _rows(curve, w)]
    scale, axis = alt.Scale(type="log", nice=False), alt.Axis(format="~s", labelOverlap="greedy")
    x = alt.X("n:Q", title=w("curves.axis.n"), scale=scale, axis=axis)
    y = alt.Y("mean:Q", title=w.metric(metric), scale=alt.Scale(zero=False))
    colour = alt.Color("arm:N", title=None, legend=alt.Legend() if len(curves) > 1 else None)
    base = alt.Chart(alt.InlineData(values=rows))
    layers: list[Any] = [base.mark_area(opacity=0.2).encode(x, alt.Y("low:Q"), alt.Y2("high:Q"), colour)]
    for test, dash in _ZONES:
        line = base.transform_filter(test).mark_line(strokeWidth=1.5, strokeDash=list(dash))
        layers.append(line.encode(x, y, colour))
    marks = [
        {"arm": w.arm(p.arm), "n": p.n_train, "mean": p.value, "seed": p.seed} for p in points if _shown(p)
    ]
    dots = alt.Chart(alt.InlineData(values=marks)).mark_circle(size=18, opacity=0.8)
    layers.append(dots.encode(x, y, colour, tooltip=["arm:N", "n:Q", "mean:Q", "seed:Q"]))
    return alt.layer(*layers).properties(
        width=260,
        height=180,
        title=alt.TitleParams(w.type(kind), subtitle=_subtitle(curves, w), anchor="start"),
    )


_ZONES = (
    ("datum.n <= datum.top * 1.0001", (1, 0)),
    ("datum.n >= datum.top * 0.9999 && datum.n <= datum.top * 2.0001", (4, 3)),
    ("datum.n >= datum.top * 1.9999", (1, 4)),
)
"""Parts of a curve and their dashes: measured, extrapolated, speculative."""


def _rows(curve: CurveResult, w: Words) -> list[dict[str, Any]]:
    band = curve.band
    if band is None:
        return []
    return [
        {
            "arm": w.arm(curve.arm),
            "n": n,
            "mean": mean,
            "low": low,
            "high": high,
            "top": band.extrapolated_from,
        }
        for n, mean, low, high in zip(band.n, band.mean, band.low, band.high, strict=True)
    ]


def _shown(point: Point) -> bool:
    return point.n_train > 0 and math.isfinite(point.value) and point.arm != BASE_ARM


def _subtitle(curves: Sequence[CurveResult], w: Words) -> list[str]:
    """Return the likeliest families of each arm, and the points that were left out with their reasons."""
    lines = []
    for curve in curves:
        best = sorted(curve.families.items(), key=lambda item: -item[1])[:3]
        weights = w.listed(f"{w.show(name, '@family')} {share:.0%}" for name, share in best)
        lines.append(f"{w.arm(curve.arm)}: {weights}" if len(curves) > 1 else weights)
        reasons = Counter(point.reason for point in curve.excluded)
        lines += [
            w("curves.excluded", count=n, reason=w.name("exclusion", reason)) for reason, n in reasons.items()
        ]
    return lines
