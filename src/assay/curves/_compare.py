"""Arms beside each other, and what follows for the user."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import digamma, polygamma, stdtr, stdtrit

from assay.core import OVERALL, Answer, ArmComparison, CurveResult, Metric, Point
from assay.curves._curve import DECIDED, threshold_of
from assay.curves._families import Array
from assay.curves._fit import measured
from assay.curves._table import Ladder, ladders, oriented

RANDOM = "random"
_HEADLINES = 0.6
"""Share of the false-claim rate that headlines have; the rest is that of all other comparisons."""
_LEAST_FREEDOM = 2
_LEAST_CELLS = 3
_FEW_WEIGHT = 4.0
_TINY = 1e-18
_METRICS: tuple[Metric, ...] = ("score", "loss", "bits_per_byte")


def compare_arms(
    points: Iterable[Point],
    *,
    smallest_gain: float = 0.01,
    smallest_relative_gain: float = 0.005,
    baseline: str = RANDOM,
) -> list[ArmComparison]:
    """Compare every arm with the baseline at each size both have, with 90 % intervals.

    The interval holds the run-level error and the part of the item-level error that two models do not share.
    The run-level variance is that of the type at this size, moderated: drawn towards the others as far as
    they are alike (Smyth 2004); overall has variances of its own, from the overall values of the seeds.
    Without replicate seeds there is no run-level error to be had, so nothing is compared.  Of the false-claim
    rate of 0.1, headlines (overall, at the largest size of each arm) have 0.06 by Holm's method, all others
    0.04 by Benjamini and Hochberg's.
    """
    groups: dict[tuple[str, str], dict[str, Ladder]] = defaultdict(dict)
    found = ladders(points)
    for ladder in found:
        groups[ladder.metric, ladder.type][ladder.arm] = ladder
    noise = {key: moderated_cells(own) for key, own in _by_kind(found).items()}
    rows = []
    for (metric, kind), arms in groups.items():
        base = arms.get(baseline)
        cells = noise[metric, kind == OVERALL]
        if base is None or cells is None:
            continue
        threshold = threshold_of(base, smallest_gain, smallest_relative_gain)
        for arm, ladder in arms.items():
            if arm != baseline:
                rows += _pairs(ladder, base, cells, threshold)
    return _corrected(rows)


def _by_kind(found: Iterable[Ladder]) -> dict[tuple[str, bool], list[Ladder]]:
    groups: dict[tuple[str, bool], list[Ladder]] = defaultdict(list)
    for ladder in found:
        groups[ladder.metric, ladder.type == OVERALL].append(ladder)
    return groups


@dataclass(frozen=True)
class Cells:
    """Run-level variances at factor 1 by (type, size), each (squares, freedom), and what they have in common.

    ``prior`` is the variance that a cell is drawn to, as by ``weight`` degrees of freedom (infinite where the
    cells differ by no more than chance).
    """

    own: Mapping[tuple[str, float], tuple[float, int]]
    prior: float
    weight: float

    def variance(self, kind: str, n: float) -> tuple[float, float]:
        """Return the moderated variance of a cell and its degrees of freedom."""
        squares, freedom = self.own.get((kind, n), (0.0, 0))
        if math.isinf(self.weight):
            return self.prior, sum(f for _, f in self.own.values())
        total = self.weight + freedom
        return (self.weight * self.prior + squares) / total, total


def moderated_cells(group: Sequence[Ladder]) -> Cells | None:
    """Return the moderated variances of the ladders of one metric; None below two degrees of freedom.

    The weight of the common variance solves trigamma(weight / 2) = var(log s^2) - trigamma(freedom / 2)
    (Smyth 2004, section 6.2); with fewer than three cells it is four.
    """
    own: dict[tuple[str, float], tuple[float, int]] = {}
    for ladder in group:
        squares = np.nansum(ladder.deviations**2, axis=0)
        for n, square, seeds in zip(ladder.n, squares, ladder.seeds, strict=True):
            before = own.get((ladder.type, float(n)), (0.0, 0))
            own[ladder.type, float(n)] = (before[0] + float(square), before[1] + int(seeds) - 1)
    freedom = sum(f for _, f in own.values())
    if freedom < _LEAST_FREEDOM:
        return None
    pooled = max(sum(s for s, _ in own.values()) / freedom, _TINY)
    logs = np.array([(math.log(max(s / f, 1e-4 * pooled)), f) for s, f in own.values() if f]).T
    if logs.shape[1] < _LEAST_CELLS:
        # A lone cell has nothing to be drawn to: a plain t.
        return Cells(own, pooled, _FEW_WEIGHT if logs.shape[1] > 1 else 0.0)
    half = logs[1] / 2
    centred = logs[0] - digamma(half) + np.log(half)
    between = float(centred.var(ddof=1) - polygamma(1, half).mean())
    if between <= 0:
        return Cells(own, pooled, math.inf)
    weight = 2 * inverse_trigamma(between)
    common = float(np.exp(centred.mean() + digamma(weight / 2) - math.log(weight / 2)))
    return Cells(own, common, weight)


def inverse_trigamma(value: float) -> float:
    """Return x with trigamma(x) = value, by bisection of its logarithm: trigamma falls."""
    low, high = 1e-3, 1e6
    for _ in range(80):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if float(polygamma(1, middle)) > value else (low, middle)
    return low


def _pairs(a: Ladder, b: Ladder, cells: Cells, threshold: float) -> list[ArmComparison]:
    rows = []
    own = a.own_share + b.own_share
    for i, n in enumerate(a.n):
        variance, freedom = cells.variance(a.type, float(n))
        for j in [j for j, m in enumerate(b.n) if m == n]:
            runs = a.factor[i] / a.seeds[i] + b.factor[j] / b.seeds[j]
            items = own * float(a.item_se[i]) * float(b.item_se[j])
            error = math.sqrt(variance * runs + items)
            difference = oriented(a) * float(a.value[i] - b.value[j])
            reach = float(stdtrit(freedom, 0.95)) * error
            p = 2 * float(stdtr(freedom, -abs(difference) / error)) if error else float(difference == 0)
            rows.append(
                ArmComparison(
                    a=a.arm,
                    b=b.arm,
                    n_train=int(n),
                    type=a.type,
                    metric=a.metric,
                    difference=difference,
                    low=difference - reach,
                    high=difference + reach,
                    seeds=int(min(a.seeds[i], b.seeds[j])),
                    threshold=threshold,
                    word="undecided",
                    p=p,
                    p_adjusted=p,
                    correction="bh",
                )
            )
    return rows


def _corrected(rows: Sequence[ArmComparison]) -> list[ArmComparison]:
    """Correct p among the headlines and among the rest, and say the word that follows."""
    largest: dict[tuple[str, str], int] = {}
    for row in rows:
        if row.type == OVERALL:
            key = (row.metric, row.a)
            largest[key] = max(largest.get(key, 0), row.n_train)
    headline = [r.type == OVERALL and r.n_train == largest[r.metric, r.a] for r in rows]
    adjusted = np.empty(len(rows))
    for is_headline, correct in ((True, holm), (False, benjamini_hochberg)):
        for metric in dict.fromkeys(r.metric for r in rows):
            own = [i for i, r in enumerate(rows) if r.metric == metric and headline[i] == is_headline]
            other = any(r.metric == metric and headline[i] != is_headline for i, r in enumerate(rows))
            share = (_HEADLINES if is_headline else 1 - _HEADLINES) if other else 1.0
            adjusted[own] = np.minimum(correct([rows[i].p for i in own]) / share, 1.0)
    return [
        replace(
            row,
            p_adjusted=float(p),
            correction="holm" if first else "bh",
            word=_word(row, float(p)),  # type: ignore[arg-type]
        )
        for row, p, first in zip(rows, adjusted, headline, strict=True)
    ]


def _word(row: ArmComparison, p: float) -> str:
    if p <= 1 - DECIDED:
        return "better" if row.difference > 0 else "worse"
    return "as good" if -row.threshold <= row.low and row.high <= row.threshold else "undecided"


def holm(p: Sequence[float]) -> Array:
    """Return p values corrected so that the chance of any false claim is kept (Holm 1979)."""
    values = np.asarray(p, float)
    order = np.argsort(values)
    factors = np.arange(len(values), 0, -1)
    corrected = np.empty_like(values)
    corrected[order] = np.minimum(np.maximum.accumulate(values[order] * factors), 1.0)
    return corrected


def benjamini_hochberg(p: Sequence[float]) -> Array:
    """Return p values corrected so that the share of false claims is kept (Benjamini & Hochberg 1995)."""
    values = np.asarray(p, float)
    if not len(values):
        return values
    from scipy.stats import false_discovery_control  # slow to import

    corrected: Array = false_discovery_control(values)
    return corrected


def recommend(
    curves: Sequence[CurveResult], comparisons: Sequence[ArmComparison], *, baseline: str = RANDOM
) -> Answer | None:
    """Say which arm to use and sort its types by verdict; None where no curve was fitted.

    An arm is preferred to the baseline only where it is better overall at the largest size both have.
    """
    metric = next((m for m in _METRICS if measured(curves, m)), None)
    if metric is None:
        return None
    fitted = measured(curves, metric)
    arms = list(dict.fromkeys(c.arm for c in fitted))
    headline = OVERALL if any(c.type == OVERALL for c in fitted) else fitted[0].type
    own = [c for c in comparisons if c.metric == metric and c.type == headline]
    arm, choice = _choice(arms, own, baseline)
    chosen = [c for c in fitted if c.arm == arm]
    by_word: dict[str, list[str]] = defaultdict(list)
    for curve in chosen:
        if curve.type != OVERALL and len(chosen) > 1 and curve.verdict is not None:
            by_word[curve.verdict.word].append(curve.type)
    whole = chosen[0] if len(chosen) == 1 else next((c for c in chosen if c.type == OVERALL), None)
    return Answer(
        metric=metric,
        arm=arm,
        choice=choice,  # type: ignore[arg-type]
        n=round(max(c.band.extrapolated_from for c in chosen if c.band is not None)),
        overall=None if whole is None else whole.verdict,
        **{word: tuple(types) for word, types in by_word.items()},
    )


def _choice(arms: Sequence[str], overall: Sequence[ArmComparison], baseline: str) -> tuple[str, str]:
    if baseline not in arms or len(arms) == 1:
        return arms[0], "only"
    largest = {c.a: c for c in sorted(overall, key=lambda c: c.n_train)}
    better = [c for c in largest.values() if c.word == "better" and c.a in arms]
    if better:
        return max(better, key=lambda c: c.difference).a, "better"
    words = {c.word for c in largest.values()}
    return baseline, "undecided" if not words or "undecided" in words else "as good"
