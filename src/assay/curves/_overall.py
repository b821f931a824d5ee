"""Overall from the types' joint posterior: the mean of their curves, not a curve of its own.

A curve fitted to the mean over types does not know that types saturate one by one, and foretells too much.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from assay.core import OVERALL, FailedRun
from assay.curves._curve import Curve, Drawn
from assay.curves._families import FAMILIES, Array

_LEAST_SHARED = 0.7
_MOST_SHARED = 0.9
_PRIOR_RUNS = 10.0


class MeanCurve:
    """The unweighted mean of the types' curves; its noise is that of the measured means."""

    def __init__(self, own: Curve, types: Sequence[Curve]) -> None:
        """Join ``types``, whose mean was measured as ``own``'s ladder."""
        self.own, self.types = own, tuple(types)
        self.ladder, self.sign = own.ladder, own.sign
        self.low_n, self.high_n = own.low_n, own.high_n
        self.run_sd = own.run_sd
        self.shared = shared_error(self.types)

    @property
    def families(self) -> Mapping[str, float]:
        """Return the mean weight of each family over the types."""
        return {f: float(np.mean([curve.families[f] for curve in self.types])) for f in FAMILIES}

    @property
    def failed(self) -> tuple[FailedRun, ...]:
        """Return the runs whose mean over types looks failed."""
        return self.own.failed

    @property
    def exact(self) -> float:
        """Return the mean over types of the probability that a family holds."""
        return float(np.mean([curve.exact for curve in self.types]))

    def place(self, n: Array) -> Array:
        """Return sizes as u."""
        return self.own.place(n)

    def draw(self, n: Array) -> Array:
        """Return draws [draws, len(n)] of the mean over types: as measured, and on with the types' gains.

        Within the measured range it is the curve of the means, which what the fits miss of each type does not
        move; beyond it the mean of the types' gains is added, as each type saturates on its own.
        """
        inside = n <= self.high_n
        own = self.own.draw(np.append(n[inside], self.high_n))
        types = self._types(np.append(n[~inside], self.high_n))
        values = np.empty((len(own), len(n)))
        values[:, inside] = own[:, :-1]
        values[:, ~inside] = self._onward(own[:, -1:], types[:, :-1], types[:, -1:])
        return values

    def _onward(self, start: Array, later: Array, there: Array) -> Array:
        """Return ``start`` moved as the types' mean moves: by its ratio for losses, which stay above 0."""
        link = self.own.links[0]
        if link.kind == "log":
            return np.asarray(start * later / there)
        return np.clip(start + later - there, link.low, link.high)

    def _types(self, n: Array) -> Array:
        """Return draws [draws, len(n)] of the mean of the types' curves.

        Errors of types go together as far as their runs do: each type's draws are put into the order of a
        normal that shares ``shared`` of its variance with the others', by the gain at the end.
        """
        ends = np.array([self.high_n, 2 * self.high_n])
        rng = np.random.default_rng(3)
        total: Array | float = 0.0
        common: Array | None = None
        for curve in self.types:
            draws = curve.draw(np.concatenate([n, ends]))
            if common is None:
                common = rng.standard_normal(len(draws))
            alike = math.sqrt(self.shared) * common
            latent = alike + math.sqrt(1 - self.shared) * rng.standard_normal(len(draws))
            order = np.empty(len(draws), int)
            order[np.argsort(latent)] = np.argsort(draws[:, -1] - draws[:, -2])
            total = total + draws[order, :-2]
        return np.asarray(total / len(self.types), float)

    def draw_run(self, n: Array, draws: Array, stream: int = 0) -> Array:
        """Return what one run would measure as its mean over types."""
        return self.own.draw_run(n, draws, stream)


def shared_error(types: Sequence[Curve]) -> float:
    """Return how alike runs err in two types, in [0.7, 0.9]: pooled, drawn towards 0 as by ten more runs.

    Never below 0.7: what the fit misses of one type it is apt to miss of others.
    """
    errors = [np.nan_to_num(curve.ladder.deviations) for curve in types]
    shape = errors[0].shape
    scaled = [e / size for e in errors if e.shape == shape and (size := math.sqrt(float((e**2).mean()))) > 0]
    runs = types[0].ladder.freedom
    if len(scaled) < 2 or runs < 1:
        return _LEAST_SHARED
    k, total = len(scaled), np.sum(scaled, axis=0)
    pairs = (float((total**2).mean()) - k) / (k * (k - 1))
    return float(np.clip(pairs * runs / (runs + _PRIOR_RUNS), _LEAST_SHARED, _MOST_SHARED))


def joined(curves: Sequence[Curve]) -> list[Drawn]:
    """Return the curves with each overall one replaced by the mean of its types', where it is their mean."""
    types: dict[tuple[str, str], list[Curve]] = defaultdict(list)
    for curve in curves:
        if curve.ladder.type != OVERALL:
            types[curve.ladder.arm, curve.ladder.metric].append(curve)
    found: list[Drawn] = []
    for curve in curves:
        parts = types[curve.ladder.arm, curve.ladder.metric] if curve.ladder.type == OVERALL else []
        found.append(MeanCurve(curve, parts) if parts and _is_mean(curve, parts) else curve)
    return found


def _is_mean(own: Curve, parts: Sequence[Curve]) -> bool:
    if any(not np.array_equal(own.ladder.n, part.ladder.n) for part in parts):
        return False
    mean = np.mean([part.ladder.value for part in parts], axis=0)
    return bool(np.allclose(mean, own.ladder.value, rtol=1e-4, atol=1e-6))
