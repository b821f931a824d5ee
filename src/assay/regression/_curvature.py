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
    """The square of one indicator beside all of them: its coefficient, standard error and p.

    ``p`` is corrected for the number of indicators (Holm); ``shown`` where it is below 0.05.
    """

    name: str
    square: float
    error: float
    p: float
    shown: bool


def bends(table: Array, squares: Array, losses: Array, names: Sequence[str]) -> tuple[Bend, ...]:
    """Test for each indicator whether its square explains what the straight line does not.

    ``table`` and ``squares`` [m, k] are a design's means and means of squares, those at twice the tilt among
    them: it is there that the square of a mean stands apart.  Raises :class:`AssayError` for fewer than k + 4
    rows.
    """
    fits = [
        least_squares(np.column_stack([table, squares[:, column]]), losses, (*names, "square"))
        for column in range(len(names))
    ]
    raw = np.array([fit.p[-1] for fit in fits])
    order = np.argsort(raw, kind="stable")
    corrected = np.empty(len(raw))
    corrected[order] = np.minimum(np.maximum.accumulate(raw[order] * np.arange(len(raw), 0, -1)), 1)
    return tuple(
        Bend(name, fit.coefficients[-1], fit.errors[-1], float(p), bool(p < _LEVEL))
        for name, fit, p in zip(names, fits, corrected, strict=True)
    )
