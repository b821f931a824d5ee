"""Points gathered into ladders, and the run-level noise read from replicate seeds."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from assay.core import BASE_ARM, AssayError, Excluded, Point, higher_is_better
from assay.curves._families import Array
from assay.curves._numbers import medians

# How much of the item-level variance differs from rung to rung, where the study does not say; the rest moves
# all rungs of a type alike.  Scores: answers of neighbouring models to one item correlate by about .6
# (methods, section 6).  Losses: .06 to .48 on Alpaca (LOG.md).
OWN_SHARE = {"score": 0.4, "loss": 0.2, "bits_per_byte": 0.2}
ITEM_LENGTH = 0.5
_UNKNOWN_ITEMS = 50
# Seeds that share a trunk err together at neighbouring rungs; how far that reaches, in u.
TRUNK_LENGTH = 0.5
_TRUNK_PRIOR = 10.0
_MODERATION = 4.0
_SIBLINGS, _FAR, _FAR_SHARE = 3, 6.0, 0.05
_TYPICAL_RELATIVE = {"score": 0.02, "loss": 0.005, "bits_per_byte": 0.005}


@dataclass(frozen=True)
class Ladder:
    """One type, arm and metric: per rung its size, mean over seeds, seeds, and item-level error.

    Arrays [K], sizes rising.  ``squares`` is the sum over rungs of squared deviations between seeds, each
    divided by its variance factor, with ``freedom`` degrees of freedom.  ``common`` [K, K] counts the seeds
    that two rungs have in common; ``deviations`` [S, K] holds each seed's deviations from the rung means in
    units of the factor's root, and ``values`` [S, K] what it measured, NaN where a seed was not run;
    ``seed_names`` [S].  ``n_eval`` is the smallest number of items, None where no point tells.
    """

    type: str
    arm: str
    metric: str
    n: Array
    value: Array
    seeds: Array
    item_se: Array
    factor: Array
    squares: float
    freedom: int
    common: Array
    deviations: Array
    values: Array
    n_eval: float | None
    own_share: float
    excluded: tuple[Excluded, ...] = ()
    seed_names: tuple[int, ...] = ()

    @property
    def range(self) -> float:
        """Return the spread of the rung means."""
        return float(np.ptp(self.value))


def ladders(points: Iterable[Point]) -> list[Ladder]:
    """Gather points into ladders; the base model stands outside every ladder.

    Points of size 0 and values that are not finite are left out and listed in ``excluded``.
    """
    groups: dict[tuple[str, str, str], list[Point]] = defaultdict(list)
    for point in points:
        if point.arm != BASE_ARM:
            groups[point.type, point.arm, point.metric].append(point)
    return [_ladder(*key, rows) for key, rows in groups.items()]


def _excluded(point: Point) -> Excluded | None:
    if not math.isfinite(point.value):
        return Excluded(point.n_train, point.seed, None, "not_finite")
    if point.n_train <= 0:
        return Excluded(point.n_train, point.seed, point.value, "no_training")
    return None


def _twice(point: Point) -> AssayError:
    return AssayError(
        "the table contains the same run twice",
        place=f"{point.type}, {point.arm}, {point.metric}",
        value=f"n_train {point.n_train}, seed {point.seed}",
        expected="one row per size and seed",
        hint="give runs of their own their own seed, and remove rows that were pasted twice",
    )


def _ladder(type: str, arm: str, metric: str, points: Sequence[Point]) -> Ladder:
    rungs: dict[int, list[Point]] = defaultdict(list)
    excluded = []
    for point in points:
        reason = _excluded(point)
        if reason is None:
            if any(p.seed == point.seed for p in rungs[point.n_train]):
                raise _twice(point)
            rungs[point.n_train].append(point)
        else:
            excluded.append(reason)
    sizes = sorted(rungs)
    values = [np.array([p.value for p in rungs[n]]) for n in sizes]
    means = np.array([v.mean() for v in values])
    bounded = metric == "score" and bool(np.all((means >= 0) & (means <= 1)))
    factor = _proportion(means, [rungs[n] for n in sizes]) if bounded else np.ones(len(sizes))
    seeds = sorted({p.seed for n in sizes for p in rungs[n]})
    values_of = np.full((len(seeds), len(sizes)), np.nan)
    for k, n in enumerate(sizes):
        for p in rungs[n]:
            values_of[seeds.index(p.seed), k] = p.value
    deviations = (values_of - means) / np.sqrt(factor)
    ran = np.isfinite(deviations).astype(float)
    squares = sum(float(((v - v.mean()) ** 2).sum()) / f for v, f in zip(values, factor, strict=True))
    return Ladder(
        type=type,
        arm=arm,
        metric=metric,
        n=np.array(sizes, float),
        value=means,
        seeds=np.array([len(v) for v in values], float),
        item_se=np.array([_item_se(rungs[n], bounded) for n in sizes]),
        factor=factor,
        squares=squares,
        freedom=sum(len(v) - 1 for v in values),
        common=ran.T @ ran,
        deviations=deviations,
        values=values_of,
        n_eval=min((p.n_eval for n in sizes for p in rungs[n] if p.n_eval), default=None),
        own_share=_own_share(metric, points),
        excluded=tuple(excluded),
        seed_names=tuple(seeds),
    )


def _own_share(metric: str, points: Sequence[Point]) -> float:
    known = [p.own_share for p in points if p.own_share is not None]
    return float(np.mean(known)) if known else OWN_SHARE.get(metric, 0.4)


def own_share(values: Array, sizes: Array) -> float | None:
    """Return the share of the item-level variance that differs between models; values [clusters, models].

    ``sizes`` [models] are the training sizes of one ladder.  With correlation r of two models' residuals at
    distance d in u, 1 - r = share (1 - near(d)), near being the fading part's correlation; averaged over all
    pairs.  In [0.001, 1]; None for fewer than two models or three clusters, or where the items do not differ.
    """
    if values.shape[1] < 2 or len(values) < 3:
        return None
    spread = values - values.mean(axis=0)
    sd = spread.std(axis=0)
    moving = sd > 0
    if moving.sum() < 2:
        return None
    u = np.log(sizes[moving]) - np.log(sizes[moving][0])
    u = u / (u[-1] or 1.0)
    z = spread[:, moving] / sd[moving]
    first, second = np.triu_indices(len(u), 1)
    apart = 1 - np.exp(-((u[first] - u[second]) ** 2) / (2 * ITEM_LENGTH**2))
    correlation = (z.T @ z / len(z))[first, second]
    return float(np.clip((1 - correlation).sum() / max(apart.sum(), 1e-9), 1e-3, 1.0))


def place(n: Array, ladder: Ladder) -> Array:
    """Return sizes as u: 0 at the smallest rung, 1 at the largest."""
    scaled: Array = np.log(n / ladder.n[0]) / math.log(ladder.n[-1] / ladder.n[0])
    return scaled


def _proportion(means: Array, rungs: Sequence[Sequence[Point]]) -> Array:
    """Return 4 p (1 - p): bounded scores are less noisy near 0 and 1, as proportions are.

    p is drawn half an item towards the middle (Agresti & Coull 1998), so that no score is without noise.
    """
    items = np.array([min((p.n_eval or _UNKNOWN_ITEMS) for p in rung) for rung in rungs])
    p = (means * items + 0.5) / (items + 1)
    factor: Array = 4 * p * (1 - p)
    return factor


def _item_se(points: Sequence[Point], bounded: bool) -> float:
    """Return the item-level error of a rung: as given, else the largest that a bounded score can have.

    Items that are all right (or all wrong) have a spread of 0, which is no proof that the next one would be:
    then the error is that of a proportion drawn half an item towards the middle.
    """
    known = [p.se for p in points if p.se is not None and math.isfinite(p.se)]
    counts = [p.n_eval for p in points if p.n_eval]
    if known:
        least = math.sqrt(0.5) / (min(counts) + 1) if bounded and counts else 0.0
        return max(float(np.mean(known)), least)
    if not (bounded and counts):
        return 0.0
    p = float(np.clip(np.mean([point.value for point in points]), 0.02, 0.98))
    return math.sqrt(p * (1 - p) / min(counts))


def item_covariance(ladder: Ladder, u: Array, *, common: bool = True) -> Array:
    """Return the covariance [K, K] of the item-level error: one part alike at all rungs, one that fades.

    The part alike at all rungs is alike in all arms too; comparisons of arms leave it out (``common``).
    """
    own = ladder.own_share
    near = np.exp(-((u[:, None] - u[None, :]) ** 2) / (2 * ITEM_LENGTH**2))
    return np.outer(ladder.item_se, ladder.item_se) * (float(common) * (1 - own) + own * near)


def trunk_correlation(group: Sequence[Ladder]) -> float:
    """Return how strongly one seed errs alike at neighbouring rungs, in [0, 0.9], pooled over ladders.

    Runs of a seed share their first pass, so their errors are alike, the more the nearer their sizes: the
    correlation at distance d in u is rho exp(-d / 0.5).  rho is the ratio of the observed products of
    deviations to those expected at 1, drawn towards 0 as by ten further products.
    """
    products = expected = weight = 0.0
    for ladder in group:
        deviations = ladder.deviations
        if len(deviations) < 2 or len(ladder.n) < 2 or not np.isfinite(deviations).all():
            continue
        u = place(ladder.n, ladder)
        near = np.exp(-np.abs(u[:, None] - u[None, :]) / TRUNK_LENGTH)
        off = ~np.eye(len(u), dtype=bool)
        cross = deviations.T @ deviations
        variance = float(np.trace(cross)) / len(u)
        if variance > 0:
            products += float((cross * near)[off].sum()) / variance
            expected += float((near**2)[off].sum())
            weight += len(deviations) - 1
    if not expected:
        return 0.0
    shrink = weight / (weight + _TRUNK_PRIOR)
    return float(np.clip(shrink * products / expected, 0.0, 0.9))


def run_covariance(ladder: Ladder, correlation: float, root: Array | None = None) -> Array:
    """Return the covariance [K, K] of the run-level error of the rung means, for unit variance of one run.

    ``root`` [K]: the run-level sd of each rung in that unit; the root of the ladder's factor where None.
    """
    u = place(ladder.n, ladder)
    near = correlation * np.exp(-np.abs(u[:, None] - u[None, :]) / TRUNK_LENGTH)
    np.fill_diagonal(near, 1.0)
    shared = ladder.common / np.outer(ladder.seeds, ladder.seeds)
    np.fill_diagonal(shared, 1 / ladder.seeds)
    root = np.sqrt(ladder.factor) if root is None else root
    covariance: Array = np.outer(root, root) * near * shared
    return covariance


def without_failed(ladder: Ladder) -> Ladder:
    """Return the ladder without runs far below their siblings: on rungs of three runs or more.

    Far is six robust standard deviations (of all runs around their rungs' medians) and a twentieth of the
    level: a failed run, not the tail of noise.
    """
    ran = np.isfinite(ladder.values)
    middle = medians(ladder.values)
    below = oriented(ladder) * (middle - ladder.values)
    many = ran.sum(axis=0) >= _SIBLINGS
    apart = np.abs(below[:, many][ran[:, many]])
    apart = apart[apart > 0]
    if not len(apart):
        return ladder
    far = max(_FAR * 1.48 * float(np.median(apart)), _FAR_SHARE * float(np.abs(ladder.value).mean()))
    failed = (np.nan_to_num(below) > far) & many
    if not failed.any():
        return ladder
    values = np.where(failed, np.nan, ladder.values)
    means = np.nanmean(values, axis=0)
    deviations = (values - means) / np.sqrt(ladder.factor)
    seeds = np.isfinite(values).sum(axis=0).astype(float)
    ran_now = np.isfinite(values).astype(float)
    return replace(
        ladder,
        value=means,
        values=values,
        deviations=deviations,
        seeds=seeds,
        squares=float(np.nansum(deviations**2)),
        freedom=int((seeds - 1).sum()),
        common=ran_now.T @ ran_now,
    )


@dataclass(frozen=True)
class Replicates:
    """Squared deviations between seeds at factor 1, with their degrees of freedom."""

    squares: float
    freedom: int


def replicates(group: Iterable[Ladder]) -> dict[str, Replicates]:
    """Return what all replicates of each metric say together."""
    by_metric: dict[str, list[Ladder]] = defaultdict(list)
    for ladder in group:
        by_metric[ladder.metric].append(ladder)
    return {
        metric: Replicates(sum(x.squares for x in own), sum(x.freedom for x in own))
        for metric, own in by_metric.items()
    }


def moderated_noise(own: Ladder, pooled: Mapping[str, Replicates]) -> tuple[float, float] | None:
    """Return (run-level standard deviation, degrees of freedom), or None where no rung has two seeds.

    A ladder's own replicates, drawn towards those of the other ladders of its metric as by four further
    degrees of freedom (Smyth 2004, moderated variances).
    """
    whole = pooled[own.metric]
    others = whole.freedom - own.freedom
    if others < _MODERATION:
        if not whole.freedom:
            return None
        return max(math.sqrt(whole.squares / whole.freedom), _least(own)), whole.freedom
    prior = max(whole.squares - own.squares, 0.0) / others
    total = own.freedom + _MODERATION
    return max(math.sqrt((own.squares + _MODERATION * prior) / total), _least(own)), total


def run_levels(group: Sequence[Ladder]) -> list[float]:
    """Return, for each ladder of one metric, its run-level standard deviation at factor 1.

    A ladder's own replicates and those of the others, as by four degrees of freedom; typical values where
    none has replicates.  Linear in ladders.
    """
    squares, freedom = sum(x.squares for x in group), sum(x.freedom for x in group)
    levels = []
    for own in group:
        level = 1.0 if own.metric == "score" else float(np.abs(own.value).mean())
        typical = _TYPICAL_RELATIVE.get(own.metric, 0.02) * level
        others = freedom - own.freedom
        prior = (squares - own.squares) / others if others >= _MODERATION else typical**2
        sd = math.sqrt((own.squares + _MODERATION * prior) / (own.freedom + _MODERATION))
        levels.append(max(sd, _least(own)))
    return levels


def _least(ladder: Ladder) -> float:
    """Return the smallest noise worth looking at: replicates that tie do not prove that there is none."""
    level = 1.0 if ladder.metric == "score" else max(float(np.abs(ladder.value).mean()), 1e-9)
    return 1e-3 * level


def oriented(ladder: Ladder) -> float:
    """Return +1 where a higher value is better, else -1."""
    return 1.0 if higher_is_better(ladder.metric) else -1.0
