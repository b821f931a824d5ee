"""Arms beside each other, and what follows for the user."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from scipy.special import stdtr, stdtrit

from assay.core import OVERALL, Answer, ArmComparison, CurveResult, Metric, Point
from assay.curves._curve import DECIDED, threshold_of
from assay.curves._families import Array
from assay.curves._fit import measured
from assay.curves._table import Ladder, ladders, oriented

RANDOM = "random"
_METRICS: tuple[Metric, ...] = ("score", "loss", "bits_per_byte")


def compare_arms(
    points: Iterable[Point],
    *,
    smallest_gain: float = 0.01,
    smallest_relative_gain: float = 0.005,
    baseline: str = RANDOM,
) -> list[ArmComparison]:
    """Compare every arm with the baseline at each size both have, with 90 % intervals.

    The interval holds the run-level error, pooled over rungs and types, and the part of the item-level
    error that two models do not share.  Without replicate seeds there is no run-level error
    to be had, so nothing is compared.  Headlines (overall, at the largest size of each arm) are corrected for
    their number by Holm's method, all others by Benjamini and Hochberg's.
    """
    groups: dict[tuple[str, str], dict[str, Ladder]] = defaultdict(dict)
    found = ladders(points)
    for ladder in found:
        groups[ladder.metric, ladder.type][ladder.arm] = ladder
    rows = []
    for (metric, _), arms in groups.items():
        base = arms.get(baseline)
        pooled = [x for x in found if x.metric == metric]
        freedom = sum(x.freedom for x in pooled)
        if base is None or freedom < 2:
            continue
        sd = math.sqrt(sum(x.squares for x in pooled) / freedom)
        threshold = threshold_of(base, smallest_gain, smallest_relative_gain)
        for arm, ladder in arms.items():
            if arm != baseline:
                rows += _pairs(ladder, base, sd, freedom, threshold)
    return _corrected(rows)


def _pairs(a: Ladder, b: Ladder, sd: float, freedom: int, threshold: float) -> list[ArmComparison]:
    rows = []
    own = a.own_share + b.own_share
    for i, n in enumerate(a.n):
        for j in [j for j, m in enumerate(b.n) if m == n]:
            runs = a.factor[i] / a.seeds[i] + b.factor[j] / b.seeds[j]
            items = own * float(a.item_se[i]) * float(b.item_se[j])
            error = math.sqrt(sd * sd * runs + items)
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
            adjusted[own] = correct([rows[i].p for i in own])
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


def recommend(curves: Sequence[CurveResult], comparisons: Sequence[ArmComparison]) -> Answer | None:
    """Say which arm to use and sort its types by verdict; None where no curve was fitted.

    An arm is preferred to random only where it is better overall at the largest size both have.
    """
    metric = next((m for m in _METRICS if measured(curves, m)), None)
    if metric is None:
        return None
    fitted = measured(curves, metric)
    arms = list(dict.fromkeys(c.arm for c in fitted))
    headline = OVERALL if any(c.type == OVERALL for c in fitted) else fitted[0].type
    arm, choice = _choice(arms, [c for c in comparisons if c.metric == metric and c.type == headline])
    own = [c for c in fitted if c.arm == arm]
    by_word: dict[str, list[str]] = defaultdict(list)
    for curve in own:
        if curve.type != OVERALL and len(own) > 1 and curve.verdict is not None:
            by_word[curve.verdict.word].append(curve.type)
    whole = own[0] if len(own) == 1 else next((c for c in own if c.type == OVERALL), None)
    return Answer(
        metric=metric,
        arm=arm,
        choice=choice,  # type: ignore[arg-type]
        n=round(max(c.band.extrapolated_from for c in own if c.band is not None)),
        overall=None if whole is None else whole.verdict,
        **{word: tuple(types) for word, types in by_word.items()},
    )


def _choice(arms: Sequence[str], overall: Sequence[ArmComparison]) -> tuple[str, str]:
    if RANDOM not in arms or len(arms) == 1:
        return arms[0], "only"
    largest = {c.a: c for c in sorted(overall, key=lambda c: c.n_train)}
    better = [c for c in largest.values() if c.word == "better" and c.a in arms]
    if better:
        return max(better, key=lambda c: c.difference).a, "better"
    words = {c.word for c in largest.values()}
    return RANDOM, "undecided" if not words or "undecided" in words else "as good"
