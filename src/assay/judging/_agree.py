"""How far judge and people agree, and what leads the judge astray: length and position."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

Array = NDArray[np.float64]
_DRAWS = 1000


@dataclass(frozen=True, slots=True)
class Interval:
    """A value with its interval; NaN never: where a value cannot be had, None stands for the whole."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """Return the value with its interval, as tables show it."""
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True, slots=True)
class Agreement:
    """Agreement of a judge with people on the same answers.

    ``difference`` is the mean of judge minus people; ``equal`` the share of equal scores; ``kappa`` is
    Cohen's, with quadratic weights; correlations have bootstrap intervals over clusters.
    """

    n: int
    equal: float
    kappa: float | None
    spearman: Interval | None
    kendall: Interval | None
    pearson: Interval | None
    difference: float

    def __str__(self) -> str:
        """Return the rank correlation, and how far the judge is above people, as tables show it."""
        rank = "–" if self.spearman is None else str(self.spearman)
        return f"ρ {rank}, judge {self.difference:+.3f}"


@dataclass(frozen=True, slots=True)
class LengthBias:
    """What length does to a judge beyond what it does to people.

    ``slope`` is the change of (judge − people) per doubling of the answer's length, with its interval;
    ``partial`` Spearman's correlation of judge and length given people's scores.
    """

    slope: Interval
    partial: float | None
    judge: float | None
    people: float | None
    n: int

    def __str__(self) -> str:
        """Return the change per doubling of length, as tables show it."""
        return str(self.slope)


@dataclass(frozen=True, slots=True)
class PositionBias:
    """What the order of two answers does to a judge asked both ways.

    ``consistent`` is the share of pairs with the same verdict in both orders; of the others, ``first`` leaned
    to the answer shown first, ``second`` to the one shown second; ``p`` is of an exact sign test that neither
    place is favoured.
    """

    n: int
    consistent: float
    first: int
    second: int
    p: float


def cohen_kappa(a: Sequence[Hashable], b: Sequence[Hashable], *, quadratic: bool = False) -> float | None:
    """Return Cohen's κ of two raters (Cohen 1960), or with quadratic weights over ordered values (1968).

    Weights go by the values themselves, which then must be numbers: unequal steps count as they are.  None
    where both raters only ever said one and the same thing.
    """
    names = sorted({*a, *b})  # type: ignore[type-var]
    index = {name: i for i, name in enumerate(names)}
    table = np.zeros((len(names), len(names)))
    np.add.at(table, ([index[x] for x in a], [index[x] for x in b]), 1.0)
    weights = 1 - np.eye(len(names))
    if quadratic:
        values = np.array(names, float)
        weights = (values[:, None] - values[None, :]) ** 2
    expected = float((weights * np.outer(table.sum(1), table.sum(0))).sum() / table.sum())
    return None if expected == 0 else 1 - float((weights * table).sum()) / expected


def agreement(
    judge: ArrayLike,
    people: ArrayLike,
    *,
    clusters: Sequence[str] | None = None,
    level: float = 0.9,
    seed: int = 0,
    draws: int = _DRAWS,
) -> Agreement:
    """Return the agreement of judge and people over the same answers (n values each, one scale).

    Intervals are percentiles of a bootstrap that draws whole clusters.
    """
    a, b = np.asarray(judge, float), np.asarray(people, float)
    rows = _Rows(a, b, clusters, level, seed, draws)
    return Agreement(
        n=len(a),
        equal=float(np.mean(np.isclose(a, b))),
        kappa=cohen_kappa(a.tolist(), b.tolist(), quadratic=True),
        spearman=rows.interval(_spearman),
        kendall=rows.interval(_kendall, most=200),
        pearson=rows.interval(_pearson),
        difference=float(np.mean(a - b)),
    )


class _Rows:
    """Pairs of values that are drawn by cluster."""

    def __init__(
        self, a: Array, b: Array, clusters: Sequence[str] | None, level: float, seed: int, draws: int
    ) -> None:
        self.a, self.b, self.level, self.seed, self.draws = a, b, level, seed, draws
        names = np.arange(len(a)) if clusters is None else np.asarray(clusters)
        _, place = np.unique(names, return_inverse=True)
        order = np.argsort(place, kind="stable")
        self.groups = np.split(order, np.cumsum(np.bincount(place))[:-1])

    def interval(
        self, statistic: Callable[[Array, Array], float | None], most: int | None = None
    ) -> Interval | None:
        """Return a statistic with its bootstrap interval, None where it is not defined."""
        value = statistic(self.a, self.b)
        if value is None:
            return None
        rng = np.random.default_rng(self.seed)
        found = []
        for _ in range(min(self.draws, most or self.draws)):
            drawn = rng.integers(0, len(self.groups), len(self.groups))
            rows = np.concatenate([self.groups[i] for i in drawn])
            again = statistic(self.a[rows], self.b[rows])
            if again is not None:
                found.append(again)
        if not found:
            return None
        low, high = np.quantile(found, [(1 - self.level) / 2, (1 + self.level) / 2])
        return Interval(value, float(low), float(high))


def _varies(*columns: Array) -> bool:
    return all(len(column) > 2 and float(np.ptp(column)) > 0 for column in columns)


def _spearman(a: Array, b: Array) -> float | None:
    from scipy.stats import spearmanr  # slow to import

    return float(spearmanr(a, b).statistic) if _varies(a, b) else None


def _kendall(a: Array, b: Array) -> float | None:
    from scipy.stats import kendalltau  # slow to import

    return float(kendalltau(a, b).statistic) if _varies(a, b) else None


def _pearson(a: Array, b: Array) -> float | None:
    return float(np.corrcoef(a, b)[0, 1]) if _varies(a, b) else None


def partial_spearman(a: ArrayLike, b: ArrayLike, given: ArrayLike) -> float | None:
    """Return Spearman's correlation of a and b with a third's ranks taken out of both; None if undefined."""
    from scipy.stats import rankdata  # slow to import

    ranks = [rankdata(np.asarray(x, float)) for x in (a, b, given)]
    if not _varies(*ranks):
        return None
    table = np.corrcoef(ranks)
    ab, ag, bg = table[0, 1], table[0, 2], table[1, 2]
    left = (1 - ag**2) * (1 - bg**2)
    return float((ab - ag * bg) / math.sqrt(left)) if left > 1e-12 else None


def length_bias(
    judge: ArrayLike,
    people: ArrayLike,
    lengths: ArrayLike,
    *,
    clusters: Sequence[str] | None = None,
    level: float = 0.9,
) -> LengthBias | None:
    """Regress (judge − people) on log₂ of the answer's length (characters), errors clustered (CR1).

    None where all answers are of one length, or there are fewer than three clusters.
    """
    a, b = np.asarray(judge, float), np.asarray(people, float)
    u = np.log2(np.maximum(np.asarray(lengths, float), 1.0))
    names = np.arange(len(a)) if clusters is None else np.asarray(clusters)
    _, place = np.unique(names, return_inverse=True)
    groups = int(place.max()) + 1 if len(place) else 0
    if groups < 3 or not _varies(u):
        return None
    centred, bias = u - u.mean(), a - b
    square = float((centred**2).sum())
    slope = float((centred * bias).sum()) / square
    residual = bias - bias.mean() - slope * centred
    meat = float((np.bincount(place, centred * residual) ** 2).sum())
    correction = groups / (groups - 1) * (len(a) - 1) / (len(a) - 2)
    reach = float(stdtrit(groups - 1, 0.5 + level / 2)) * math.sqrt(correction * meat) / square
    return LengthBias(
        slope=Interval(slope, slope - reach, slope + reach),
        partial=partial_spearman(a, u, b),
        judge=_spearman(a, u),
        people=_spearman(b, u),
        n=len(a),
    )


def position_bias(first_order: Sequence[str], second_order: Sequence[str]) -> PositionBias:
    """Return the position bias of verdicts on the same pairs in both orders.

    Verdicts are ``first``, ``second`` (by place shown) or ``tie``; the second list is of the swapped pairs.
    A consistent judge says ``first`` once and ``second`` once, or ``tie`` twice.
    """
    from scipy.stats import binomtest  # slow to import

    swap: Mapping[str, str] = {"first": "second", "second": "first", "tie": "tie"}
    pairs = list(zip(first_order, second_order, strict=True))
    consistent = sum(swap[a] == b for a, b in pairs)
    worth = {"first": 1, "second": -1, "tie": 0}
    leans = [worth[a] + worth[b] for a, b in pairs]
    first, second = sum(lean > 0 for lean in leans), sum(lean < 0 for lean in leans)
    p = float(binomtest(first, first + second).pvalue) if first + second else 1.0
    return PositionBias(len(pairs), consistent / len(pairs) if pairs else 1.0, first, second, p)
