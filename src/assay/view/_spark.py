"""Charts in characters: sparklines, bars exact to an eighth, and a chart of a page in one line."""

from __future__ import annotations

from collections.abc import Sequence

from assay import core
from assay.view import _format
from assay.view._words import Words

_BARS = "▁▂▃▄▅▆▇█"
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_WIDTH = 32


def sparkline(values: Sequence[float]) -> str:
    """Return values as bars between their smallest and largest; equal values give a level line."""
    if not values:
        return ""
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    return "".join(_BARS[round((v - low) / span * (len(_BARS) - 1))] for v in values)


def bar_text(value: float, largest: float, width: int = _WIDTH) -> str:
    """Return a bar of block characters, exact to an eighth of a character."""
    eighths = round(8 * width * value / largest) if largest > 0 else 0
    full, rest = divmod(max(eighths, 1 if value > 0 else 0), 8)
    return "█" * full + (_EIGHTHS[rest] if rest else "")


def chart_text(block: core.Histogram | core.Scatter | core.Smoothed, w: Words) -> str:
    """Return a chart in one line: bars between the ends of its axis, or the ranges of both axes."""
    match block:
        case core.Histogram():
            name, ends, bars = block.name, (block.edges[0], block.edges[-1]), sparkline(block.counts)
        case core.Smoothed():
            name, ends, bars = block.y_name, (block.grid[0], block.grid[-1]), sparkline(_thinned(block.mean))
        case core.Scatter():
            y, x = (w.text(t) for t in (block.y_name, block.x_name))
            shown = (f"{t} {w.show((min(v), max(v)), '.4g')}" for t, v in ((y, block.y), (x, block.x)))
            return "; ".join(shown)
    low, high = (_format.figure(end, ".4g") for end in ends)
    return f"{w.text(name)}: {low} {bars} {high}"


def _thinned(values: Sequence[float], width: int = 40) -> Sequence[float]:
    return values[:: max(1, -(-len(values) // width))]
