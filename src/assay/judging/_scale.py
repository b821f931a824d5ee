"""The numbers that a judge may give, and a reply that gives none."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

_TINY = 1e-9
_ENDS = (4, 6, 12)
"""Ends of scales beside the multiples of 5: others ("1 out of 1", "7/8") are more often counts."""


@dataclass(frozen=True, slots=True)
class Unparsed:
    """A reply that gives no usable verdict, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Scale:
    """The numbers that a judge may give: ``steps`` if there are any, else all from ``low`` to ``high``."""

    low: float = 0.0
    high: float = 1.0
    steps: tuple[float, ...] = ()

    def holds(self, value: float) -> bool:
        """Tell whether a number is on the scale."""
        if self.steps:
            return any(abs(value - step) < _TINY for step in self.steps)
        return self.low - _TINY <= value <= self.high + _TINY

    def unit(self, value: float) -> float:
        """Return a number of the scale as a share of its range, in [0, 1]."""
        return (value - self.low) / (self.high - self.low)


UNIT = Scale()


def from_share(value: Fraction, of: Fraction, scale: Scale) -> Fraction | Unparsed:
    """Return ``value`` out of ``of`` on ``scale``, where there is one way to understand it.

    Another end than the scale's is converted only where the scale begins at 0, the end is one that scales
    have, and the number does not fit this scale as it stands ("8 of 100" on 0 to 10 may be an 8).
    """
    high = Fraction(repr(float(scale.high)))
    if of <= 0 or not 0 <= value <= of:
        return Unparsed("a fraction outside 0 to 1")
    if of == high:
        return value
    if scale.low != 0:
        return Unparsed(f"out of {float(of):g}, but the scale is {scale.low:g} to {scale.high:g}")
    if high == 1:
        return value / of
    known = of in _ENDS or (of > 0 and of % 5 == 0)
    if not known or (of > high and 0 < value <= high):
        return Unparsed(f"out of {float(of):g}, but the scale ends at {scale.high:g}")
    return value * high / of
