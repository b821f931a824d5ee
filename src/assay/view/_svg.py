"""Inline SVG from nothing but strings: escaped elements, scales and tidy ticks.

Colours come from the page's style sheet through classes, so charts follow its dark and light scheme, and a
strict Content-Security-Policy holds: no style attributes, no scripts, no outside resources.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from assay.view._format import clean


class Svg(str):
    """Text that is markup already; any other text given to :func:`element` is escaped."""

    __slots__ = ()

    def __html__(self) -> str:
        """Tell the template engine that this is markup."""
        return self


_EMPTY = frozenset(("path", "rect", "circle", "use"))


def element(name: str, *children: str, **attributes: str | float | None) -> Svg:
    """Return an element; ``class_`` gives ``class``, other underscores become hyphens, None is left out."""
    texts = []
    for key, value in attributes.items():
        if value is not None:
            shown = coordinate(value) if isinstance(value, int | float) else escape(clean(value))
            attribute = key.rstrip("_").replace("_", "-")
            texts.append(f' {"viewBox" if attribute == "viewbox" else attribute}="{shown}"')
    inner = "".join(child if isinstance(child, Svg) else escape(clean(child)) for child in children)
    opening = f"<{name}{''.join(texts)}"
    return Svg(f"{opening}/>" if name in _EMPTY and not inner else f"{opening}>{inner}</{name}>")


def join(parts: Iterable[Svg]) -> Svg:
    """Return elements one after the other."""
    return Svg("".join(parts))


def coordinate(value: float) -> str:
    """Return a coordinate with one decimal, without a trailing ``.0``."""
    text = f"{value:.1f}"
    return "0" if text == "-0.0" else text.removesuffix(".0")


def path(points: Iterable[tuple[float, float]], *, close: bool = False) -> str:
    """Return path data through points, each told from the one before: half the size of absolute ones."""
    tenths = [(round(10 * x), round(10 * y)) for x, y in points]
    if not tenths:
        return ""
    moves = [offset(b[0] - a[0], b[1] - a[1]) for a, b in itertools.pairwise(tenths)]
    steps = "".join(moves[:1] + [_spaced(move) for move in moves[1:]])
    first = " ".join(coordinate(value / 10) for value in tenths[0])
    return f"M{first}{'l' if steps else ''}{steps}{'Z' if close else ''}"


def offset(x: int, y: int) -> str:
    """Return a step of path data, in tenths of a unit: ``17.5-1.6``."""
    return _tenths(x) + _spaced(_tenths(y))


def _spaced(number: str) -> str:
    return number if number.startswith("-") else f" {number}"


def _tenths(value: int) -> str:
    text = coordinate(value / 10)
    return text.replace("0.", ".", 1) if text.startswith(("0.", "-0.")) else text


@dataclass(frozen=True, slots=True)
class Scale:
    """A map from values between ``low`` and ``high`` to coordinates from ``start`` to ``end``."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """Return the coordinate of ``value``; what lies outside is held at the edge."""
        low, high, at = (
            (math.log10(v) for v in (self.low, self.high, value))
            if self.log
            else (self.low, self.high, value)
        )
        share = (at - low) / (high - low) if high > low else 0.5
        return self.start + min(1.0, max(0.0, share)) * (self.end - self.start)


def ticks(low: float, high: float, about: int = 4) -> tuple[float, ...]:
    """Return round values from ``low`` to ``high``, some ``about``, in steps of 1, 2 or 5 × 10^k."""
    if not high > low:
        return (low,)
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = min((m * power for m in (1, 2, 5, 10)), key=lambda step: abs(math.log(step / rough)))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return tuple(round(i * step, 12) for i in range(first, last + 1))


def log_ticks(low: float, high: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return (labelled, unlabelled) ticks of a log axis.

    Powers of ten are labelled; where fewer than three fit, twice and five times them are too.
    """
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    every = [m * 10.0**d for d in decades for m in range(1, 10) if low <= m * 10.0**d <= high]
    tens = [v for v in every if f"{v:e}"[0] == "1"]
    major = tens if len(tens) >= 3 else [v for v in every if f"{v:e}"[0] in "125"]
    return tuple(major), tuple(v for v in every if v not in major)


def decimals(values: Sequence[float]) -> int:
    """Return how many decimals tick labels need so that all are exact (at most four)."""
    return next((d for d in range(4) if all(abs(round(v, d) - v) < 1e-9 for v in values)), 4)
