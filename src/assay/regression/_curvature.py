"""Whether loss bends with an indicator, from subsets at once and at twice the tilt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assay.regression._fit import least_squares

Array = NDArray[np.float64]

_LEVEL = 0.05


@dataclass(frozen=True, slots=True)
class Bend:
    """The square of one indicator beside all lines and all other squares: coefficient, standard error and p.

    ``p`` is corrected for the number of indicators (Holm); ``shown`` where it is below 0.05.
    """

    name: str
    square: float
    error: float
    p: float
    shown: bool


def bends(table: Array, squares: Array, losses: Array, names: Sequence[str]) -> tuple[Bend, ...]:
    """Test for each indicator whether its square explains what lines and other squares do not.

    ``table`` and ``squares`` [m, k] are a design's means and means of squares, those at twice the tilt among
    them.  All squares are larger there, so that one alone would be taken for any other: that loss bends is
    seen sooner than with which indicator.  Nothing for fewer than 2 k + 4 rows, which cannot tell.
    """
    if len(losses) < 2 * len(names) + 4:
        return ()
    named = (*names, *(f"{name}^2" for name in names))
    fit = least_squares(np.column_stack([table, squares]), losses, named)
    own = slice(len(names), None)
    raw = np.array(fit.p[own])
    order = np.argsort(raw, kind="stable")
    corrected = np.empty(len(raw))
    corrected[order] = np.minimum(np.maximum.accumulate(raw[order] * np.arange(len(raw), 0, -1)), 1)
    rows = zip(names, fit.coefficients[own], fit.errors[own], corrected.tolist(), strict=True)
    return tuple(Bend(*row, shown=row[-1] < _LEVEL) for row in rows)
