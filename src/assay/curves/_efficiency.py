"""How soon a task is learned: the area under its data-efficiency curve, and a forecast of it.

Je and Raffel 2025 (2512.24991): x = log2 n / log2 N in [0, 1], f(x) the gain over the untrained model as a
share of the largest possible one; f(x) = x^p has the area 1 / (1 + p).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assay.core import AssayError

Array = NDArray[np.float64]

FEWEST_TYPES = 5
"""Types below which a line through areas has no error to speak of."""
_LEAST, _MOST = 0.02, 0.98
_LEVEL = 0.9


def efficiency_area(
    sizes: Sequence[int], values: Sequence[float], *, untrained: float, best: float, largest: int
) -> float | None:
    """Return the area in [0, 1] under the gain, by trapezoids over log2 n from 1 sample to ``largest``.

    ``values`` are those of the metric at ``sizes``; nothing is gained at one sample, and below 0 counts as
    measured.  None where the untrained model is as good as ``best`` (nothing to gain), or the sizes end below
    half of ``largest`` (the rest would be a guess).
    """
    room = best - untrained
    if abs(room) < 1e-9 or not sizes or max(sizes) < largest / 2:
        return None
    order = np.argsort(sizes)
    x = np.log2(np.array(sizes, float)[order]) / math.log2(largest)
    f = (np.array(values, float)[order] - untrained) / room
    x, f = np.r_[0.0, x[x > 0]], np.r_[0.0, f[x > 0]]
    ends = np.unique(np.r_[x[x < 1], 1.0])
    heights = np.interp(ends, x, f)
    return float(np.diff(ends) @ (heights[1:] + heights[:-1]) / 2)


@dataclass(frozen=True, slots=True)
class AreaFit:
    """Area = ``slope`` times cosine plus ``intercept``, over ``n`` types of one base model.

    ``error``: root mean square error of each type predicted from the others; ``low`` and ``high``: the range
    of the cosines; ``spread``: sum of their squares about ``centre``; ``residual``: sd about the line.
    """

    slope: float
    intercept: float
    n: int
    error: float
    low: float
    high: float
    centre: float
    spread: float
    residual: float

    def area(self, cosine: float) -> tuple[float, float, float]:
        """Return the forecast area for a cosine and the bounds that hold 90 % of new types (Student's t)."""
        from scipy.special import stdtrit  # slow to import

        line = self.intercept + self.slope * cosine
        apart = 1 + 1 / self.n + (cosine - self.centre) ** 2 / self.spread
        reach = float(stdtrit(self.n - 2, 0.5 + _LEVEL / 2)) * self.residual * math.sqrt(apart)
        low, mean, high = (min(max(v, _LEAST), _MOST) for v in (line - reach, line, line + reach))
        return mean, low, high

    def outside(self, cosine: float) -> bool:
        """Whether a cosine lies beyond those of the fit."""
        return not self.low <= cosine <= self.high


def fit_areas(cosines: Sequence[float], areas: Sequence[float]) -> AreaFit:
    """Fit the line of areas on cosines by least squares; raise for fewer than 5 types."""
    x, y = np.array(cosines, float), np.array(areas, float)
    if len(x) < FEWEST_TYPES or np.ptp(x) == 0:
        raise AssayError(
            "too few types to fit a forecast", value=len(x),
            expected=f"at least {FEWEST_TYPES} types with different gradients and a measured curve",
            hint="add studies of the same base model, or types",
        )  # fmt: skip
    spread = float(((x - x.mean()) ** 2).sum())
    slope = float(((x - x.mean()) * y).sum() / spread)
    left = y - y.mean() - slope * (x - x.mean())
    leverage = 1 / len(x) + (x - x.mean()) ** 2 / spread
    return AreaFit(
        slope, float(y.mean() - slope * x.mean()), len(x),
        float(np.sqrt(((left / (1 - leverage)) ** 2).mean())), float(x.min()), float(x.max()),
        float(x.mean()), spread, float(np.sqrt((left**2).sum() / (len(x) - 2))),
    )  # fmt: skip


def left_out(cosines: Sequence[float], areas: Sequence[float]) -> Array:
    """Return the area of each type as the line of the others foretells it."""
    x, y = np.array(cosines, float), np.array(areas, float)
    found = []
    for place in range(len(x)):
        keep = np.arange(len(x)) != place
        slope, intercept = np.polyfit(x[keep], y[keep], 1)
        found.append(intercept + slope * x[place])
    return np.array(found)


def efficiency_curve(area: float, sizes: Sequence[float], largest: int) -> tuple[float, ...]:
    """Return the share of the possible gain at each size, x^p with p = (1 - area) / area."""
    power = (1 - area) / area
    return tuple(float((math.log2(n) / math.log2(largest)) ** power) if n > 1 else 0.0 for n in sizes)


def size_for(area: float, share: float, largest: int) -> float:
    """Return the size at which a share in (0, 1] of the possible gain is reached, by the same curve."""
    return float(largest ** (share ** (area / (1 - area))))
