"""Shapes of learning curves over doublings of the training size, and the discrepancies around them.

Sizes enter as d = log2(n / n_min): the number of doublings since the smallest rung; D is the measured range.
Every shape goes from 0 at d = 0 to D at d = D, so its coefficient is the mean gain per doubling, whatever
the ladder.  A damped trend (slope times phi per doubling) is a power law with offset: n^-beta with
beta = -log2 phi (Zhang et al. 2024, 2402.17193); flat, then straight, is the rectified law (Lin et al. 2024,
2402.02314); the others keep one law from being trusted too far.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Shape = Callable[[Array, float], Array]


@dataclass(frozen=True, slots=True)
class Component:
    """One family at one value of its shape parameters; ``shape`` takes d, D and returns a rise of any size.

    None where nothing changes.  ``width`` says how sharply it bends, where it may bend at several places.
    """

    family: str
    shape: Shape | None = None
    width: float = 0.0

    def rise(self, d: Array, doublings: float) -> Array:
        """Return the shape at ``d``: 0 at no doubling, ``doublings`` at the ladder's end."""
        if self.shape is None:
            return np.zeros_like(d)
        raw = self.shape(np.concatenate([d, [0.0, doublings]]), doublings)
        start, end = raw[-2:]
        risen: Array = (raw[:-2] - start) / (end - start) * doublings
        return risen


def _damped(phi: float) -> Shape:
    """Slope times ``phi`` at every doubling: a power law with offset below 1, accelerating above."""
    return lambda d, _: phi**d / math.log(phi)


def _softplus(centre: float, width: float, sign: float) -> Shape:
    """Flat before the centre, then straight (sign 1); or straight, then flat (sign -1)."""
    return lambda d, doublings: sign * width * np.logaddexp(0.0, sign * (d - centre * doublings) / width)


def _logistic(centre: float, width: float) -> Shape:
    return lambda d, doublings: 1 / (1 + np.exp(-(d - centre * doublings) / width))


def _saturating(centre: float, steepness: float) -> Shape:
    """One minus an exponential of a power of n, most of it risen at the centre: Gompertz in d."""
    return lambda d, doublings: -np.exp(-(2.0 ** (steepness * (d - centre * doublings))))


_POWERS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.575, 0.65, 0.725, 0.8, 0.85, 0.9, 0.925, 0.95)
_ACCELERATIONS = (1.1, 1.15, 1.2, 1.275, 1.35, 1.425, 1.5, 1.65, 1.8)
"""What a slope keeps per doubling: so near each other that a curve between two is not taken for rough."""
_DENSE, _EVEN = tuple(np.linspace(0.1, 1.0, 10).tolist()), tuple(np.linspace(0.1, 1.0, 7).tolist())
"""Where a shape may bend, as shares of the measured range: dense where it bends sharply."""


def _components() -> Iterator[Component]:
    yield Component("constant")
    yield Component("log-linear", lambda d, _: d)
    yield from (Component("power", _damped(phi)) for phi in _POWERS)
    yield from (Component("accelerating", _damped(phi)) for phi in _ACCELERATIONS)
    yield from _bending("rectified", lambda c, w: _softplus(c, w, 1.0), (0.4, 1.2), (0.2, 0.4, 0.6, 0.8))
    # Scores of types meet ceilings sharply, at any size; one met at the last, other types may tell of.
    yield from _bending("hinge", lambda c, w: _softplus(c, w, -1.0), (0.15, 0.4), _DENSE)
    yield from _bending("hinge", lambda c, w: _softplus(c, w, -1.0), (0.8, 1.2), _EVEN)
    yield from _bending("logistic", _logistic, (0.25, 0.4), _DENSE)
    yield from _bending("logistic", _logistic, (0.6, 0.9), _EVEN)
    yield from _bending("saturating", _saturating, (1.1, 1.6), _DENSE)
    yield from _bending("saturating", _saturating, (0.5, 0.75), _EVEN)


def _bending(
    family: str, of: Callable[[float, float], Shape], widths: Sequence[float], places: Sequence[float]
) -> Iterator[Component]:
    for width in widths:
        yield from (Component(family, of(place, width), width) for place in places)


COMPONENTS = tuple(_components())
FAMILIES = tuple(dict.fromkeys(component.family for component in COMPONENTS))
"""Names of the families; the components of one share its weight."""
FAMILY = np.array([FAMILIES.index(component.family) for component in COMPONENTS])
_KINDS = tuple(dict.fromkeys((component.family, component.width) for component in COMPONENTS))
KIND = np.array([_KINDS.index((component.family, component.width)) for component in COMPONENTS])
"""Family and kind [components] of each component; a kind is a family at one width, wherever it bends."""
# The components of a family lie in a row, and so do those of a kind.
_FIRST_OF_KIND = np.flatnonzero(np.diff(KIND, prepend=-1))
_FIRST_KIND = np.flatnonzero(np.diff(FAMILY[_FIRST_OF_KIND], prepend=-1))


def by_kind(components: Array) -> Array:
    """Return the sum [kinds, ...] over the components of each kind of ``components`` [components, ...]."""
    found: Array = np.add.reduceat(components, _FIRST_OF_KIND)
    return found


def by_family(kinds: Array) -> Array:
    """Return the sum [families] over the kinds of each family of ``kinds`` [kinds]."""
    found: Array = np.add.reduceat(kinds, _FIRST_KIND)
    return found


def rises(d: Array, doublings: float) -> Array:
    """Return the rises of all components [components, len(d)].

    They are kept, as the ladders of a study share their sizes.
    """
    return _rises(d.tobytes(), doublings)


@lru_cache(maxsize=256)
def _rises(d: bytes, doublings: float) -> Array:
    places = np.frombuffer(d)
    found = np.stack([component.rise(places, doublings) for component in COMPONENTS])
    found.setflags(write=False)
    return found


def wandering_slope(d: Array, damping: float) -> Array:
    """Return the kernel [len(d), len(d)] of a slope that wanders: an integrated Ornstein-Uhlenbeck process.

    The slope starts at 0, takes up unit variance per doubling and keeps ``damping`` of itself.
    """
    theta = -math.log(damping)
    a, b = d[:, None], d[None, :]
    s = np.minimum(a, b)
    first = (np.exp(-theta * (a - s)) - np.exp(-theta * a)) / theta
    second = (np.exp(-theta * (b - s)) - np.exp(-theta * b)) / theta
    both = (np.exp(-theta * (a + b - 2 * s)) - np.exp(-theta * (a + b))) / (2 * theta)
    kernel: Array = (s - first - second + both) / theta**2
    return kernel


def wandering_level(d: Array) -> Array:
    """Return the kernel [len(d), len(d)] of a random walk: a level with unit variance per doubling."""
    kernel: Array = np.minimum(d[:, None], d[None, :])
    return kernel


def bend(d: Array, doublings: float) -> Array:
    """Return a parabola that is 0 at both ends of the ladder: with a coefficient, a U or an arch."""
    bent: Array = d * (d - doublings) / doublings
    return bent
