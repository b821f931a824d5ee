"""A rank correlation over a few runs, with its interval."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

Array = NDArray[np.float64]

FEWEST = 5
"""Pairs below which a rank correlation has no interval to speak of."""


@dataclass(frozen=True, slots=True)
class Rank:
    """Spearman's rank correlation of ``n`` pairs, in [-1, 1], with bounds that hold it in 90 % of samples."""

    value: float
    low: float
    high: float
    n: int


def rank_correlation(a: Array, b: Array, *, level: float = 0.9) -> Rank | None:
    """Return the rank correlation of two columns [n], by Fisher's z with the error of Bonett and Wright 2000.

    Their error is the root of (1 + r^2 / 2) / (n - 3): the usual one is too small for ranks.  None where a
    column is constant or there are fewer than 5 pairs: nothing can be said, which is not a correlation of 0.
    """
    n = len(a)
    if n < FEWEST or np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    from scipy.stats import rankdata  # slow to import

    value = float(np.corrcoef(rankdata(a), rankdata(b))[0, 1])
    inner = min(max(value, -1 + 1 / n**2), 1 - 1 / n**2)
    reach = float(ndtri(0.5 + level / 2)) * math.sqrt((1 + inner**2 / 2) / (n - 3))
    low, high = (math.tanh(math.atanh(inner) + side * reach) for side in (-1, 1))
    return Rank(value, min(low, value), max(high, value), n)
