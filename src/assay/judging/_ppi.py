"""Prediction-powered inference: few labels of people and many of a judge give one honest mean."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

Array = NDArray[np.float64]

LABELS_WANTED = 50
"""Labels of people from which on a mean is stated in their units (methods: 50 to 100 per type)."""


END_WEIGHT = 0.75
"""So many labels each end of a bounded scale counts for."""


@dataclass(frozen=True, slots=True)
class PpiMean:
    """A mean in the units of people, with its interval.

    ``power`` is λ: 0 uses the labels alone, 1 trusts the judge's differences in full.  ``labels_se`` is the
    standard error that the labels alone would give, ``correlation`` that of judge and people.
    """

    mean: float
    se: float
    low: float
    high: float
    level: float
    power: float
    n: int
    n_unlabelled: int
    labels_mean: float
    labels_se: float
    correlation: float | None

    def __str__(self) -> str:
        """Return the mean with its interval, as tables show it."""
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


def ppi_mean(
    labels: ArrayLike,
    judged: ArrayLike,
    judged_only: ArrayLike,
    *,
    clusters: Sequence[str] | None = None,
    clusters_only: Sequence[str] | None = None,
    power: float | None = None,
    bounds: tuple[float, float] | None = None,
    level: float = 0.9,
) -> PpiMean:
    """Estimate the mean of people's scores by PPI++ (Angelopoulos, Duchi & Zrnic 2023, sections 3 and 6).

    ``labels`` (n) are scores by people, ``judged`` (n) those of the judge for the same items, ``judged_only``
    (N) those of the judge for items without a label, drawn from the same population.  The estimate is
    λ·mean(judged_only) + mean(labels − λ·judged), with variance
    λ²·Var(judged)/N + Var(labels − λ·judged)/n, and λ* = Cov(labels, judged) / [(1 + n/N)·Var(judged)] unless
    ``power`` gives λ.  λ* is kept in [0, 1], as in the authors' package.  Where clusters are given, errors
    within one add up, labelled or not (give both or none).  The interval is Student's with n − 1 (labelled
    clusters − 1) degrees of freedom, one fewer where λ is estimated.  For a difference between two models,
    pass differences by item.

    ``bounds`` are the least and the greatest score that there can be.  With them each end counts as three
    quarters of a label more, as in Agresti and Coull's interval for a share: without it 30 labels of rare
    scores (1 of 20 answers is wrong) cover 75 % where 90 % is said (``benchmarks/judge_calibration.py``).

    Raises ``ValueError`` for fewer than two labels, or lengths that do not fit.
    """
    y, f, rest = (np.asarray(x, float) for x in (labels, judged, judged_only))
    if len(y) != len(f) or len(y) < 2:
        raise ValueError(f"{len(y)} labels for {len(f)} judgements: at least two, and equally many")
    n, m = len(y), len(rest)
    chosen = _power(y, f, rest) if power is None else power
    if not m:
        chosen = 0.0
    names = None if clusters is None else [*clusters, *(clusters_only or [])] if chosen else [*clusters]
    units = n if clusters is None else len(set(clusters))
    freedom = units - 1 - (power is None and chosen > 0)
    if freedom < 1:
        raise ValueError("one cluster: no error can be told")
    mean, variance = _rectified(
        y - chosen * f, _ends(f, chosen, bounds), chosen * rest, units, freedom, names
    )
    labels_variance = (
        float(y.var(ddof=1)) / n if clusters is None else _clustered((y - y.mean()) / n, clusters)
    )
    reach = float(stdtrit(freedom, 0.5 + level / 2)) * math.sqrt(variance)
    least, greatest = (-math.inf, math.inf) if bounds is None else bounds
    spread = float(y.std() * f.std())
    return PpiMean(
        mean=mean,
        se=math.sqrt(variance),
        low=max(mean - reach, least),
        high=min(mean + reach, greatest),
        level=level,
        power=chosen,
        n=n,
        n_unlabelled=m,
        labels_mean=float(y.mean()),
        labels_se=math.sqrt(labels_variance),
        correlation=float(np.corrcoef(y, f)[0, 1]) if spread > 0 else None,
    )


def _ends(f: Array, power: float, bounds: tuple[float, float] | None) -> Array:
    """Return what labels at both ends of the scale would be, rectified by the judge's mean."""
    return np.array([]) if bounds is None else np.array(bounds) - power * float(f.mean())


def _rectified(
    labelled: Array, ends: Array, rest: Array, units: int, freedom: int, names: Sequence[str] | None
) -> tuple[float, float]:
    """Return the estimate and its variance from rectified labels, the scale's ends, and the judge's rest.

    ``units`` are independent labels (clusters), ``freedom`` what is left of them.
    """
    # An end weighs as much as a unit does: a whole cluster where labels come in clusters.
    weight = END_WEIGHT * len(labelled) / units
    whole = len(labelled) + weight * len(ends)
    mean = float(labelled.sum() + weight * ends.sum()) / whole
    parts = (labelled - mean) / whole
    beside = (rest - rest.mean()) / len(rest) if len(rest) and rest.any() else np.array([])
    count = units + END_WEIGHT * len(ends)
    scale = count / (count - units + freedom)
    added = float((((ends - mean) / whole) ** 2).sum()) * weight * len(labelled) / units
    if names is None:
        variance = scale * (float((parts**2).sum()) + added)
        variance += float((beside**2).sum()) * len(beside) / max(len(beside) - 1, 1)
    else:
        together = np.concatenate([parts, beside]) if len(names) > len(parts) else parts
        variance = scale * (units - 1) / units * _clustered(together, names) + scale * added
    return mean + (float(rest.mean()) if len(beside) else 0.0), variance


def _power(y: Array, f: Array, rest: Array) -> float:
    """Return λ*, the weight of the judge that makes the variance least, in [0, 1]."""
    if not len(rest):
        return 0.0
    spread = float(np.concatenate([f, rest]).var(ddof=1))
    if spread == 0:
        return 0.0
    covariance = float(np.cov(y, f, ddof=1)[0, 1])
    return min(max(covariance / ((1 + len(y) / len(rest)) * spread), 0.0), 1.0)


def _clustered(parts: Array, names: Sequence[str]) -> float:
    """Return the variance of a sum of centred parts that err alike within a cluster."""
    _, place = np.unique(np.asarray(names), return_inverse=True)
    sums = np.bincount(place, parts)
    return float((sums**2).sum()) * len(sums) / max(len(sums) - 1, 1)
