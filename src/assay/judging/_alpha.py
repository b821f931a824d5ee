"""How far annotators agree beyond chance: Krippendorff's alpha."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

Level: TypeAlias = Literal["nominal", "interval"]


@dataclass(frozen=True, slots=True)
class Alpha:
    """Krippendorff's alpha: 1 is full agreement, 0 that of chance, below 0 worse than chance.

    ``value`` is None where it is not defined, with the ``reason``; ``units`` counts the items with at least
    two values, ``values`` the values in them, ``same`` the share of pairs of values that are equal (None
    without a pair).
    """

    value: float | None
    units: int
    values: int
    same: float | None
    reason: str | None = None


def _nominal(a: Hashable, b: Hashable) -> float:
    return float(a != b)


def _interval(a: Any, b: Any) -> float:
    return float(a - b) ** 2


_DISTANCE: Mapping[Level, Callable[[Any, Any], float]] = {"nominal": _nominal, "interval": _interval}


def krippendorff_alpha(units: Iterable[Sequence[Hashable]], level: Level = "nominal") -> Alpha:
    """Return alpha of units, each the values that its annotators gave (missing values are just not there).

    Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", section E: coincidences o(c, k) of the
    pairs within a unit of m values, each weighed 1 / (m - 1), against those expected by chance; the distance
    is 0 or 1 (``nominal``) or the squared difference (``interval``).  Units of fewer than two values hold no
    pair and are left out.
    """
    together: defaultdict[tuple[Any, Any], float] = defaultdict(float)
    totals: Counter[Any] = Counter()
    n_units = 0
    pairs = equal = 0
    for unit in units:
        if len(unit) < 2:
            continue
        n_units += 1
        counts = Counter(unit)
        totals.update(counts)
        pairs += len(unit) * (len(unit) - 1)
        for c, n_c in counts.items():
            equal += n_c * (n_c - 1)
            for k, n_k in counts.items():
                together[c, k] += n_c * (n_k - (c == k)) / (len(unit) - 1)
    return _alpha(together, totals, n_units, equal / pairs if pairs else None, _DISTANCE[level])


def _alpha(
    together: Mapping[tuple[Any, Any], float],
    totals: Counter[Any],
    n_units: int,
    same: float | None,
    distance: Callable[[Any, Any], float],
) -> Alpha:
    n = totals.total()
    if n_units == 0:
        return Alpha(None, 0, 0, None, "no item has two values")
    observed = math.fsum(weight * distance(c, k) for (c, k), weight in together.items()) / n
    chance = math.fsum(
        n_c * (n_k - (c == k)) * distance(c, k) for c, n_c in totals.items() for k, n_k in totals.items()
    ) / (n * (n - 1))
    if chance == 0.0:
        return Alpha(None, n_units, n, same, "all values are the same: there is nothing to tell apart")
    return Alpha(1.0 - observed / chance, n_units, n, same)
