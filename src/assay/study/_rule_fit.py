"""What the losses of a design's subsets say of its indicators: the fits behind a rule."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay import regression

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Subsets:
    """Trained subsets: ``means``, ``squares`` [m, k], sources' ``shares`` [m, s], log ``losses`` [m].

    ``doubled`` marks those at twice the tilt; ``facts`` are what the design wrote.
    """

    facts: Mapping[str, Any]
    names: tuple[str, ...]
    means: Array
    squares: Array
    shares: Array
    losses: Array
    doubled: NDArray[np.bool_]

    @classmethod
    def of(cls, facts: Mapping[str, Any], losses: Array) -> Subsets:
        """Return the subsets that a design's file describes."""
        doubled = np.abs(np.array(facts["levels"])).max(axis=1) > 1
        means, squares, shares = (np.array(facts[name]) for name in ("means", "squares", "shares"))
        return cls(facts, tuple(facts["names"]), means, squares, shares, losses, doubled)


@dataclass(frozen=True)
class Fits:
    """The fits: those at twice the tilt are among the ``rows`` [m] of the fit only where a square shows.

    ``terms`` [m, k + squares] are the columns of ``ridge`` and ``published`` for all subsets, ``shown`` the
    indicators whose squares stand there after all the indicators.
    """

    ridge: regression.RidgeFit
    published: regression.LinearFit
    stepwise: regression.LinearFit
    slopes: tuple[regression.Slopes, ...]
    linearity: regression.Linearity | None
    bends: tuple[regression.Bend, ...]
    shown: tuple[int, ...]
    terms: Array
    rows: NDArray[np.bool_]


def fit_subsets(subsets: Subsets) -> Fits:
    """Return ridge, least squares as published, the step-wise choice, slopes apart, and what bends."""
    names, plain = subsets.names, ~subsets.doubled
    straight, bends = _straight(subsets)
    shown = tuple(column for column, bend in enumerate(bends) if bend.shown)
    terms = np.column_stack([subsets.means, subsets.squares[:, shown]])
    named = (*names, *(f"{names[column]}^2" for column in shown))
    rows = np.ones(len(plain), bool) if shown else plain
    table, losses = terms[rows], subsets.losses[rows]
    slopes: tuple[regression.Slopes, ...] = ()
    if subsets.shares.shape[1] > 1:
        slopes = regression.slopes(
            subsets.means[plain], subsets.losses[plain], names, subsets.shares[plain],
            least=2 / math.sqrt(subsets.facts["n"]),
        )  # fmt: skip
    return Fits(
        regression.ridge(table, losses, named), regression.least_squares(table, losses, named),
        regression.stepwise(table, losses, named), slopes, straight, bends, shown, terms, rows,
    )  # fmt: skip


def _straight(subsets: Subsets) -> tuple[regression.Linearity | None, tuple[regression.Bend, ...]]:
    """Return whether the line goes on to twice the tilt, and the squares; nothing without such subsets."""
    if not subsets.doubled.any():
        return None, ()
    plain, names = ~subsets.doubled, subsets.names
    line = regression.ridge(subsets.means[plain], subsets.losses[plain], names)
    straight = regression.linearity(line, subsets.means[subsets.doubled], subsets.losses[subsets.doubled])
    return straight, regression.bends(subsets.means, subsets.squares, subsets.losses, names)


def formula(subsets: Subsets, fits: Fits) -> dict[str, Any]:
    """Return the rule in the indicators' own units: intercept, coefficients, squares, and fitted ranges."""
    names, facts = subsets.names, subsets.facts
    spread, centre = np.array(facts["spread"]), np.array(facts["centre"])
    weights = np.array(fits.ridge.coefficients[: len(names)]) / spread
    squares = zip(fits.shown, fits.ridge.coefficients[len(names) :], strict=True)
    raw = centre + spread * subsets.means[fits.rows]
    ends = zip(facts["low"], facts["high"], raw.min(axis=0).tolist(), raw.max(axis=0).tolist(), strict=True)
    return {
        "intercept": fits.ridge.intercept - float(weights @ centre),
        "coefficients": dict(zip(names, weights.tolist(), strict=True)),
        "squares": {
            names[column]: {
                "weight": weight, "centre": facts["centre"][column], "spread": facts["spread"][column],
                "reach": regression.REACH,
            }
            for column, weight in squares
        },
        "ranges": {
            name: {"samples": [low, high], "subsets": [least, most]}
            for name, (low, high, least, most) in zip(names, ends, strict=True)
        },
    }  # fmt: skip
