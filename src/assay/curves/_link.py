"""The scales on which curves are fitted: losses on their logarithm, bounded scores on the logit.

A second, straight link touches the first at the ladder's mean, so that a curve that is a family on the
metric's own scale is one here too; both have the same units there, and the evidence chooses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from assay.core import higher_is_better
from assay.curves._families import Array

Kind = Literal["logit", "log", "straight"]
_UNKNOWN_ITEMS = 250
_TENTH = 0.1
"""A loss that falls to less of what it was is read on the logarithm of itself and an offset."""


@dataclass(frozen=True)
class Link:
    """A monotone map from the metric to a scale on which up is better.

    ``kind``: ``logit`` (of a score drawn half an item of ``items`` towards the middle), ``log`` (minus the
    logarithm of a loss and ``offset``) or ``straight``: ``slope`` times the value.  ``low`` and ``high``
    bound the metric.
    """

    kind: Kind
    slope: float
    items: float = _UNKNOWN_ITEMS
    low: float = -np.inf
    high: float = np.inf
    offset: float = 0.0

    def forth(self, value: Array) -> Array:
        """Return values of the metric on the link's scale."""
        if self.kind == "logit":
            p = (np.clip(value, 0.0, 1.0) * self.items + 0.5) / (self.items + 1)
            return np.log(p / (1 - p))
        return -np.log(value + self.offset) if self.kind == "log" else self.slope * value

    def back(self, z: Array) -> Array:
        """Return values on the link's scale as values of the metric, within its bounds."""
        if self.kind == "logit":
            # Beyond 700 the exponential overflows, and the score is at its bound long before.
            p = 1 / (1 + np.exp(-np.clip(z, -700, 700)))
            value = (p * (self.items + 1) - 0.5) / self.items
        else:
            risen = np.exp(-np.clip(z, -700, 700)) - self.offset
            value = risen if self.kind == "log" else z / self.slope
        return np.clip(value, self.low, self.high)

    def derivative(self, value: Array) -> Array:
        """Return the absolute derivative of :meth:`forth` at values of the metric."""
        if self.kind == "logit":
            p = (value * self.items + 0.5) / (self.items + 1)
            inner: Array = self.items / (self.items + 1) / (p * (1 - p))
            return inner
        return 1 / (value + self.offset) if self.kind == "log" else np.full_like(value, abs(self.slope))


def links(metric: str, value: Array, n_eval: float | None, doublings: float) -> tuple[Link, ...]:
    """Return the links for rung means ``value`` [K]: a curved one where it can be, and a straight one."""
    sign = 1.0 if higher_is_better(metric) else -1.0
    middle = np.array([value.mean()])
    if metric == "score" and bool(np.all((value >= 0) & (value <= 1))):
        logit = Link("logit", 1.0, n_eval or _UNKNOWN_ITEMS, 0.0, 1.0)
        return logit, Link("straight", float(logit.derivative(middle)[0]), low=0.0, high=1.0)
    if metric != "score" and bool(np.all(value > 0)):
        # On the straight link a falling loss may cross 0: the bound is a thousandth of the smallest seen.
        low, high = float(value.min()), float(value.max())
        # A loss near 0 is noisy by itself, not in proportion: 0.002 and 0.02 are alike where 1 was before.
        offset = max(_TENTH * high - low, 0.0) / (1 - _TENTH)
        straight = Link("straight", -1 / float(middle[0]), low=1e-3 * low)
        return Link("log", 1.0, low=1e-3 * low if offset else -np.inf, offset=offset), straight
    reach = float(np.ptp(value)) or max(float(np.abs(value).mean()) * 0.02, 1e-9)
    return (Link("straight", sign * 0.1 * max(doublings, 1.0) / reach),)
