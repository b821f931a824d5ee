"""Curve families over the logarithm of the training size, each linear in its coefficients.

Sizes enter as u = ln(n / n_min) / ln(n_max / n_min), so the measured range is [0, 1] whatever the ladder.
Every shape is scaled to rise by one over that range, so one prior on the coefficient serves them all.
Sources: power with offset, Zhang et al. 2024 (2402.17193); rectified, Lin et al. 2024 (2402.02314); the
others as alternatives that keep one power law from being trusted too far.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Shape = Callable[[Array], Array]


@dataclass(frozen=True, slots=True)
class Component:
    """One family at one value of its shape parameters: f(u) = E + B rise(u) + h hump(u).

    ``sign`` is that of B: +1 improves with data, -1 gets worse, 0 has no rise.
    """

    family: str
    sign: int
    rise: Shape | None = None
    hump: Shape | None = None

    def columns(self, u: Array) -> Array:
        """Return the design matrix [len(u), 3]; columns that the family lacks are 0."""
        zero = np.zeros_like(u)
        rise = zero if self.rise is None else self.rise(u)
        hump = zero if self.hump is None else self.hump(u)
        return np.stack([np.ones_like(u), rise, hump], axis=1)


def _scaled(shape: Shape) -> Shape:
    """Return the shape moved and stretched so that it goes from 0 to 1 over the measured range."""
    start, end = shape(np.array([0.0, 1.0]))
    return lambda u: (shape(u) - start) / (end - start)


def _softplus(x: Array) -> Array:
    return np.logaddexp(0.0, x)


def _power(b: float) -> Shape:
    """n^-beta in u: exp(-b u) with b = beta ln(n_max / n_min)."""
    return lambda u: -np.exp(-b * u)


def _logistic(c: float, w: float) -> Shape:
    return lambda u: 1 / (1 + np.exp(-(u - c) / w))


def _gompertz(c: float, w: float) -> Shape:
    return lambda u: np.exp(-np.exp(-(u - c) / w))


def _hinge(c: float, w: float) -> Shape:
    """Rise, then plateau from c on."""
    return lambda u: -_softplus((c - u) / w)


def _late(c: float, w: float) -> Shape:
    """Flat up to c, then a straight rise (the pre-power phase of the rectified law)."""
    return lambda u: _softplus((u - c) / w)


def _line(u: Array) -> Array:
    return u


def _hump(m: float, w: float) -> Shape:
    return lambda u: np.exp(-((u - m) ** 2) / (2 * w * w))


def _turn(c: float) -> Shape:
    """Nothing up to c, then ever steeper: with a coefficient below 0, a curve that gets worse at its end."""
    return lambda u: (np.maximum(u - c, 0.0) / (1 - c)) ** 2


def _grid(*axes: tuple[float, ...]) -> Iterator[tuple[float, ...]]:
    return product(*axes)


_RATES = (0.7, 1.2, 2.0, 3.2, 5.0, 8.0)
_CENTRES = (-0.1, 0.1, 0.25, 0.4, 0.55, 0.7, 0.85, 1.0)

FAMILIES: Mapping[str, tuple[Component, ...]] = {
    "constant": (Component("constant", 0),),
    "log-linear": (Component("log-linear", 1, _line),),
    "power": tuple(Component("power", 1, _scaled(_power(b))) for b in _RATES),
    "rectified": tuple(Component("rectified", 1, _scaled(_late(c, 0.1))) for c in (0.2, 0.4, 0.6, 0.8)),
    "logistic": tuple(
        Component("logistic", 1, _scaled(_logistic(c, w))) for c, w in _grid(_CENTRES, (0.06, 0.12, 0.2))
    ),
    "gompertz": tuple(
        Component("gompertz", 1, _scaled(_gompertz(c, w)))
        for c, w in _grid((0.0, 0.2, 0.4, 0.6, 0.8), (0.1, 0.2))
    ),
    "hinge": tuple(
        Component("hinge", 1, _scaled(_hinge(c, w)))
        for c, w in _grid((0.2, 0.35, 0.5, 0.65, 0.8, 0.95, 1.1), (0.03, 0.1))
    ),
    "bump": tuple(
        Component("bump", 1, _scaled(_power(b)), _hump(m, w))
        for b, m, w in _grid((0.1, 2.5), (0.2, 0.35, 0.5, 0.65, 0.8), (0.1, 0.2))
    ),
    "turning": tuple(
        Component("turning", 1, _scaled(_power(b)), _turn(c))
        for b, c in _grid((0.1, 2.0, 5.0), (0.35, 0.5, 0.65, 0.8, 0.9))
    ),
    "falling": (
        Component("falling", -1, _line),
        *(Component("falling", -1, _scaled(_late(c, 0.1))) for c in (0.3, 0.5, 0.7)),
        Component("falling", -1, _scaled(_power(3.0))),
    ),
}
"""Families by name, each over the grid of its shape parameters; weights are equal over families."""
