"""How much a loss rose since before training, with the paired error of its items and that of runs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from scipy.special import ndtr, stdtrit

from assay.core import Rise
from assay.curves._cause import clustered_se
from assay.curves._families import Array

_NORMAL = 1.6448536269514722
"""The quantile of a two-sided interval of 90 %."""


def rises(
    text: str,
    arm: str,
    base: Array,
    tokens: Array,
    runs: Mapping[int, Sequence[Array]],
    largest: float | None = None,
) -> list[Rise]:
    """Return the rise at each size: nats per token over items, against the untrained model's on the same.

    ``base`` [items] and each of ``runs`` [seeds][items] are nats, ``tokens`` [items] their tokens.  The error
    of items is that of a ratio of sums (Cochran 1977, section 6.4) of the differences, averaged over seeds;
    that of runs is pooled over the sizes, by a t; without replicates there is none to be had.
    """
    sizes = {n: np.array([(own - base).sum() / tokens.sum() for own in seeds]) for n, seeds in runs.items()}
    squares = sum(float(((v - v.mean()) ** 2).sum()) for v in sizes.values())
    freedom = sum(len(v) - 1 for v in sizes.values())
    found = []
    for n, values in sorted(sizes.items()):
        mean = float(values.mean())
        items = ratio_se(np.mean([own - base for own in runs[n]], axis=0), tokens)
        of_runs = math.sqrt(squares / freedom / len(values)) if freedom else 0.0
        times = float(stdtrit(freedom, 0.95)) if freedom else 0.0
        reach = math.hypot(_NORMAL * items, times * of_runs)
        within = None if largest is None else _within(mean, reach / _NORMAL, largest)
        found.append(Rise(text, arm, n, mean, mean - reach, mean + reach, len(values), len(base), within))
    return found


def ratio_se(sums: Array, tokens: Array) -> float:
    """Return the standard error of the sum of ``sums`` [items] over that of ``tokens``; inf for one item."""
    return clustered_se((sums - sums.sum() / tokens.sum() * tokens) / tokens.sum())


def _within(mean: float, error: float, largest: float) -> float:
    return float(ndtr((largest - mean) / error)) if error else float(mean <= largest)
