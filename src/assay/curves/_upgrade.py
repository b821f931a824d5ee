"""Double the data or the model?  Gains of both from one joint posterior, and what would settle the rest."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtr, ndtri

from assay.core import (
    OVERALL,
    BaseRuns,
    Contrast,
    Gain,
    NextUpgrade,
    Point,
    Upgrade,
    UpgradeCost,
    UpgradeWord,
)
from assay.curves._compare import benjamini_hochberg, holm
from assay.curves._curve import DECIDED, LEAST_RUNGS, Drawn, fit_group, threshold_of
from assay.curves._families import Array
from assay.curves._numbers import TAILS, tails
from assay.curves._overall import joined
from assay.curves._posterior import DRAWS
from assay.curves._table import (
    ITEM_LENGTH,
    Ladder,
    item_covariance,
    ladders,
    moderated_noise,
    replicates,
    run_covariance,
    trunk_correlation,
)

_SEEDS_TO_ADD = (1, 2, 3, 6, 12)
_ITEMS = (1, 2, 4, 8)
_LIKELY = 0.7
_CORRELATION_PRIOR = 10.0
_MOST_CORRELATED = 0.9


@dataclass(frozen=True)
class Neighbours:
    """Two base models next to each other in size, and what was measured on each with the same data.

    ``item_se`` is the item-level standard error of large minus small by (type, arm, metric, n), taken over
    the same items; where it is missing both errors count in full.  ``costs`` by (arm, n).
    """

    small: str
    large: str
    small_points: Sequence[Point]
    large_points: Sequence[Point]
    item_se: Mapping[tuple[str, str, str, int], float]
    costs: Mapping[tuple[str, int], UpgradeCost]


@dataclass(frozen=True)
class _Pair:
    """One type, arm and metric on both bases; ``correlation`` of one seed's errors on both.

    ``trunk``: of one seed's errors at neighbouring sizes.  ``small_noise`` and ``large_noise``: run-level sd
    of one run, and its degrees of freedom.
    """

    small: Drawn
    trunk: float
    large: Ladder
    small_noise: tuple[float, float]
    large_noise: tuple[float, float]
    correlation: float


@dataclass(frozen=True)
class _Joint:
    """Draws of both gains at one size, and the parts of their contrast's variance."""

    data: Array
    model: Array
    small_variance: float
    large_variance: float
    small_noise: float
    items: float
    seeds: int


def upgrades(
    pairs: Iterable[Neighbours], *, smallest_gain: float = 0.01, smallest_relative_gain: float = 0.005
) -> list[Upgrade]:
    """Ask of every pair, arm, type and metric whether to double the data or to take the larger base.

    Asked at the largest size that both bases have, and, where the double of a common size is a rung of the
    smaller base too, at the largest such size.  The smaller base needs three rungs, both need seeds: else
    there is no row.  Headlines (overall, at the largest size) are corrected by Holm's method, all others by
    Benjamini and Hochberg's, within each metric, predicted doublings apart from measured ones.
    """
    rows: list[tuple[Upgrade, float]] = []
    for neighbours in pairs:
        for pair in _fitted(neighbours):
            threshold = threshold_of(pair.small.ladder, smallest_gain, smallest_relative_gain)
            rows += [_row(neighbours, pair, n, threshold) for n in _sizes(pair)]
    return _corrected(rows)


def _fitted(neighbours: Neighbours) -> list[_Pair]:
    groups: dict[str, list[Ladder]] = defaultdict(list)
    large: dict[str, list[Ladder]] = defaultdict(list)
    for ladder in ladders(neighbours.small_points):
        if len(ladder.n) >= LEAST_RUNGS:
            groups[ladder.metric].append(ladder)
    for ladder in ladders(neighbours.large_points):
        large[ladder.metric].append(ladder)
    found = []
    for metric, group in groups.items():
        if not sum(ladder.freedom for ladder in group):
            continue
        correlation, trunk = seed_correlation(group, large[metric]), trunk_correlation(group)
        others = {(x.type, x.arm): x for x in large[metric]}
        pooled, whole = replicates(group), replicates(large[metric])
        # The items are the same on both bases: what they have in common cancels in every difference.
        for curve in joined(fit_group(group, common_items=False)):
            kind, arm = curve.ladder.type, curve.ladder.arm
            partner = others.get((kind, arm))
            noise = moderated_noise(partner, whole) if partner is not None else None
            own = moderated_noise(curve.ladder, pooled)
            if partner is not None and noise is not None and own is not None:
                found.append(_Pair(curve, trunk, partner, own, noise, correlation))
    return found


def seed_correlation(small: Sequence[Ladder], large: Sequence[Ladder]) -> float:
    """Return how alike one seed errs on two bases, in [0, 0.9]: a seed is one order of the same data.

    Pooled over ladders and rungs, each in units of its own noise, and drawn towards 0 as by ten more runs.
    """
    others = {(ladder.type, ladder.arm): ladder for ladder in large}
    products, runs = 0.0, 0
    for own in small:
        other = others.get((own.type, own.arm))
        if other is None or len(own.deviations) != len(other.deviations):
            continue
        _, i, j = np.intersect1d(own.n, other.n, return_indices=True)
        a, b = own.deviations[:, i], other.deviations[:, j]
        if not (np.isfinite(a).all() and np.isfinite(b).all()):
            continue
        scale = math.sqrt(float((a**2).sum()) * float((b**2).sum()))
        freedom = (len(a) - 1) * len(i)
        products += freedom * float((a * b).sum()) / scale if scale else 0.0
        runs += freedom
    return float(np.clip(products / (runs + _CORRELATION_PRIOR), 0.0, _MOST_CORRELATED))


def _sizes(pair: _Pair) -> list[int]:
    """Return the largest common size, and the largest whose double is a rung of the smaller base."""
    own = pair.small.ladder.n
    common = sorted(int(n) for n in np.intersect1d(own, pair.large.n))
    inside = [n for n in common if 2 * n in own]
    return sorted({*common[-1:], *inside[-1:]}, reverse=True)


def _row(neighbours: Neighbours, pair: _Pair, n: int, threshold: float) -> tuple[Upgrade, float]:
    """Return the row with uncorrected words, and the probability that no gain is worth having."""
    ladder = pair.small.ladder
    key = (ladder.type, ladder.arm, ladder.metric, n)
    measured = bool(2 * n in ladder.n)
    drawn = _measured(pair, n) if measured else pair.small.draw(np.array([n, 2 * n], float))
    joint = _joint(pair, n, drawn, neighbours.item_se.get(key))
    cost = neighbours.costs[ladder.arm, n]
    absolute = _contrast(joint.model - joint.data, measured=measured)
    row = Upgrade(
        small=neighbours.small,
        large=neighbours.large,
        arm=ladder.arm,
        type=ladder.type,
        metric=ladder.metric,
        n_train=n,
        seeds=joint.seeds,
        measured=measured,
        data=_gain(joint.data, n, 2 * n, measured=measured),
        model=_gain(joint.model, n, n, measured=True),
        absolute=absolute,
        per_cost=_contrast(joint.model / cost.ratio - joint.data, measured=measured) if cost.ratio else None,
        cost=cost,
        threshold=threshold,
        curve=_gain(_doubled(pair.small, n), n, 2 * n, measured=False) if measured else None,
    )
    worthless = float((np.maximum(joint.data, joint.model) <= threshold).mean())
    return replace(row, next_runs=_next(row, joint)), worthless


def _joint(pair: _Pair, n: int, drawn: Array, item_se: float | None) -> _Joint:
    """Draw both gains: the smaller base as ``drawn``, the larger by its mean given the smaller's error.

    With correlation r of a seed's errors on both bases, the larger base's error has the mean r sd_L / sd_S
    times the smaller's and the variance (1 - r^2) sd_L^2, both over the seeds (Student t, as sd_L is
    estimated).  At r = 1 this is the difference paired by seeds.
    """
    curve, own, large = pair.small, pair.small.ladder, pair.large
    i, j = int(np.searchsorted(own.n, n)), int(np.searchsorted(large.n, n))
    rng = np.random.default_rng(0)
    small_sd = curve.run_sd * math.sqrt(float(own.factor[i]))
    sd, freedom = pair.large_noise
    large_sd = sd * math.sqrt(float(large.factor[j]))
    seeds = int(min(own.seeds[i], large.seeds[j]))
    alike = pair.correlation * large_sd / small_sd * (float(own.value[i]) - drawn[:, 0])
    left = large_sd * math.sqrt((1 - pair.correlation**2) / float(large.seeds[j]))
    apart = math.hypot(float(own.item_se[i]), float(large.item_se[j]))
    # Two bases differ by no less than two models of one ladder; items that all tie do not prove otherwise.
    items = apart if item_se is None else max(item_se, apart * math.sqrt(own.own_share))
    noise = left * rng.standard_t(freedom, len(drawn)) + items * rng.standard_normal(len(drawn))
    larger = float(large.value[j]) - alike + noise
    step = float(curve.place(np.array(2.0 * n))) - float(curve.place(np.array(float(n))))
    fading = 2 * (1 - math.exp(-(step**2) / (2 * ITEM_LENGTH**2)))
    return _Joint(
        data=curve.sign * (drawn[:, 1] - drawn[:, 0]),
        model=curve.sign * (larger - drawn[:, 0]),
        small_variance=float(drawn[:, 1].var()),
        large_variance=left**2,
        small_noise=small_sd**2,
        items=items**2 + fading * own.own_share * float(own.item_se[i]) ** 2,
        seeds=seeds,
    )


def _measured(pair: _Pair, n: int) -> Array:
    """Return draws [draws, 2] of the smaller base at n and 2 n: its runs' means with their errors, no curve.

    Errors of runs are Student t, as their size is estimated, and alike where seeds share their first pass.
    """
    own, (sd, freedom) = pair.small.ladder, pair.small_noise
    places = np.searchsorted(own.n, [n, 2 * n])
    both = np.ix_(places, places)
    runs = run_covariance(own, pair.trunk)[both]
    items = item_covariance(own, pair.small.place(own.n), common=False)[both]
    rng = np.random.default_rng(2)
    scale = sd * np.sqrt(freedom / rng.chisquare(freedom, DRAWS)) if math.isfinite(freedom) else sd
    jitter = 1e-18 * np.eye(2)
    error = rng.standard_normal((DRAWS, 2)) @ np.linalg.cholesky(runs + jitter).T
    item = rng.standard_normal((DRAWS, 2)) @ np.linalg.cholesky(items + jitter).T
    moved = np.reshape(scale, (-1, 1)) * error + item
    # The mean of the draws is what was measured, to the digit.
    drawn: Array = own.value[places] + moved - moved.mean(axis=0)
    return drawn


def _doubled(curve: Drawn, n: int) -> Array:
    """Return draws of the gain that the curve itself says doubling n brings."""
    drawn = curve.draw(np.array([n, 2 * n], float))
    gains: Array = curve.sign * (drawn[:, 1] - drawn[:, 0])
    return gains


def _gain(draws: Array, n_from: int, n_to: int, *, measured: bool) -> Gain:
    low, high = tails(draws)
    return Gain(n_from, n_to, _middle(draws, measured=measured), float(low), float(high))


def _middle(draws: Array, *, measured: bool) -> float:
    """Return of runs their mean, which is what was measured, and of what a curve foretells the median."""
    return float(draws.mean() if measured else np.median(draws))


def _contrast(draws: Array, *, measured: bool) -> Contrast:
    low, high = tails(draws)
    p = 2 * max(min(float((draws > 0).mean()), float((draws < 0).mean())), 0.5 / len(draws))
    value = _middle(draws, measured=measured)
    return Contrast(value, float(low), float(high), min(p, 1.0), min(p, 1.0), "bh", "undecided")


def _next(row: Upgrade, joint: _Joint) -> NextUpgrade:
    """Return the cheapest runs likely to move the interval off zero; with more items where runs will not do.

    In the normal approximation: after a design that leaves the variance V' of V, the mean is normal around
    today's with variance V - V', and the contrast is settled where it lies beyond 1.64 sqrt(V').
    """
    before = joint.small_variance + joint.large_variance + joint.items
    designs = [
        (cost, NextUpgrade(runs, items, _settled(row.absolute.value, before, variance + joint.items / items)))
        for cost, runs, variance in _designs(row, joint)
        for items in _ITEMS
        if runs or items > 1
    ]
    likely = [(cost, design) for cost, design in designs if design.chance >= _LIKELY]
    if likely:
        return min(likely, key=lambda found: (found[1].items, found[0]))[1]
    return max(designs, key=lambda found: (round(found[1].chance, 2), -found[1].items, -found[0]))[1]


def _designs(row: Upgrade, joint: _Joint) -> Iterator[tuple[float, tuple[BaseRuns, ...], float]]:
    """Yield (training, runs, run-level variance after them): none, of the smaller base, the larger, both."""
    yield 0.0, (), joint.small_variance + joint.large_variance
    for seeds in _SEEDS_TO_ADD:
        of_small = 1 / (1 / max(joint.small_variance, 1e-18) + seeds / max(joint.small_noise, 1e-18))
        of_large = joint.large_variance * row.seeds / (row.seeds + seeds)
        small = BaseRuns(row.small, 2 * row.n_train, seeds)
        large = BaseRuns(row.large, row.n_train, seeds)
        small_cost, large_cost = seeds * row.cost.data_flops, seeds * row.cost.model_flops
        yield small_cost, (small,), of_small + joint.large_variance
        yield large_cost, (large,), joint.small_variance + of_large
        yield small_cost + large_cost, (small, large), of_small + of_large


def _settled(mean: float, before: float, after: float) -> float:
    """Return the chance that a normal mean, now ``mean``, comes to lie beyond 1.64 sqrt(after)."""
    reach = float(ndtri(TAILS[1])) * math.sqrt(after)
    moves = math.sqrt(max(before - after, 1e-18))
    return float(ndtr((mean - reach) / moves) + ndtr((-reach - mean) / moves))


def _corrected(rows: Sequence[tuple[Upgrade, float]]) -> list[Upgrade]:
    """Correct p within each family of claims, and say the words that follow."""
    found = [row for row, _ in rows]
    corrected = zip(
        rows,
        _adjusted(found, [row.absolute for row in found]),
        _adjusted(found, [row.per_cost for row in found]),
        strict=True,
    )
    return [_worded(row, absolute, per_cost, worthless) for (row, worthless), absolute, per_cost in corrected]


def _adjusted(rows: Sequence[Upgrade], contrasts: Sequence[Contrast | None]) -> list[Contrast | None]:
    largest: dict[tuple[str, str, str], int] = {}
    for row in rows:
        key = (row.small, row.arm, row.metric)
        largest[key] = max(largest.get(key, 0), row.n_train)
    families: dict[tuple[str, bool, bool], dict[int, Contrast]] = defaultdict(dict)
    for i, (row, contrast) in enumerate(zip(rows, contrasts, strict=True)):
        headline = row.type == OVERALL and row.n_train == largest[row.small, row.arm, row.metric]
        if contrast is not None:
            families[row.metric, row.measured, headline][i] = contrast
    found: list[Contrast | None] = [None] * len(rows)
    for (_, _, headline), family in families.items():
        p = (holm if headline else benjamini_hochberg)([contrast.p for contrast in family.values()])
        for (i, contrast), adjusted in zip(family.items(), p, strict=True):
            name = "holm" if headline else "bh"
            found[i] = replace(contrast, p_adjusted=float(adjusted), correction=name)  # type: ignore[arg-type]
    return found


def _worded(row: Upgrade, absolute: Contrast | None, per_cost: Contrast | None, worthless: float) -> Upgrade:
    assert absolute is not None  # noqa: S101 - every row has one
    absolute = replace(absolute, word=_word(absolute, row.threshold, worthless))
    if per_cost is not None:
        per_cost = replace(per_cost, word=_word(per_cost, row.threshold, worthless))
    if absolute.word != "undecided":
        row = replace(row, next_runs=None)
    return replace(row, absolute=absolute, per_cost=per_cost)


def _word(contrast: Contrast, threshold: float, worthless: float) -> UpgradeWord:
    if worthless >= DECIDED:
        return "neither"
    if contrast.p_adjusted <= 1 - DECIDED:
        return "model" if contrast.value > 0 else "data"
    return "either" if -threshold <= contrast.low and contrast.high <= threshold else "undecided"
