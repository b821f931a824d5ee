"""The posterior of one ladder, in the units of its metric: links, failed runs and draws."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import combinations
from typing import Protocol

import numpy as np

from assay.core import OVERALL, FailedRun, Inline, Pool, mapped, parse_pool
from assay.curves._families import FAMILIES, Array, by_family, by_kind
from assay.curves._learned import Learned, learned
from assay.curves._link import Link, links
from assay.curves._numbers import log_sum, medians
from assay.curves._posterior import DRAWS, Data, Posterior, Sampler, coarse, noise_grid
from assay.curves._table import (
    Ladder,
    item_covariance,
    oriented,
    place,
    run_covariance,
    trunk_correlation,
)

DECIDED = 0.9
"""Posterior probability from which a verdict is given (methods, section 2)."""

LEAST_RUNGS = 3
FAILED = 0.5
"""Posterior probability from which a run is named as failed."""

_SUSPICIOUS = -2.0
_SUSPECTS = 3
_APART = 4.0
_MATERIAL = 0.1
"""Share of what the whole ladder moved by which a run must lie below its siblings to have failed."""
_NEGLIGIBLE = 0.004
_WITHIN = 0.5
_FEW = 4
_LADDERS, _STEPS = 4.0, 3
_TOGETHER = 250
"""Ladders that lend each other what they show, at most: more would teach little and take gigabytes."""
_MANY = 2 * _TOGETHER
_REWEIGHED, _ALIKE = 2, 0.1
_SCATTER = 0.4

Run = tuple[int, int]
"""A run by the places of its seed and its rung."""


class Drawn(Protocol):
    """A fitted curve: all that verdicts and best sizes need of it."""

    ladder: Ladder
    sign: float
    low_n: float
    high_n: float

    @property
    def run_sd(self) -> float:
        """Return the run-level standard deviation at factor 1."""

    @property
    def families(self) -> Mapping[str, float]:
        """Return the weight of each family; sums to 1."""

    @property
    def failed(self) -> tuple[FailedRun, ...]:
        """Return the runs that look failed."""

    @property
    def exact(self) -> float | None:
        """Return the probability that a family holds with no discrepancy; None where that is not asked."""

    def place(self, n: Array) -> Array:
        """Return sizes as u."""

    def draw(self, n: Array) -> Array:
        """Return draws [draws, len(n)] in the metric's units."""

    def draw_run(self, n: Array, draws: Array, stream: int = 0) -> Array:
        """Return what one run would measure at each size, given draws [draws, len(n)] of the curve."""


@dataclass(frozen=True)
class NoiseWord:
    """Mean and sd of the logarithm of a ladder's run-level sd on its link, before its own replicates."""

    centre: float
    spread: float


@dataclass(frozen=True)
class _Part:
    """One link and one set of failed runs with its posterior and its log weight."""

    link: Link
    failed: tuple[Run, ...]
    posterior: Posterior
    log_weight: float

    def reweighed(self, prior: Learned, log_weight: float) -> _Part:
        """Return the part under other prior weights, ``log_weight`` being that under the old ones."""
        posterior = self.posterior.reweighed(prior)
        moved = posterior.log_evidence - self.posterior.log_evidence
        return _Part(self.link, self.failed, posterior, log_weight + moved)


class Curve:
    """The posterior of one ladder over links, failed runs, families and discrepancies."""

    def __init__(
        self,
        ladder: Ladder,
        noise: NoiseWord,
        prior: Learned,
        correlation: float,
        *,
        common_items: bool = True,
    ) -> None:
        """Fit the ladder; ``common_items`` says whether draws hold the item error that all sizes share."""
        self.ladder, self.prior, self.noise = ladder, prior, noise
        self.sign = oriented(ladder)
        self.low_n, self.high_n = float(ladder.n[0]), float(ladder.n[-1])
        self.correlation, self.common_items = correlation, common_items
        self.d = np.log2(ladder.n / ladder.n[0])
        self.links = links(ladder.metric, ladder.value, ladder.n_eval, float(self.d[-1]))
        self.at = ladder.value
        self.at = self._settled()
        self.parts = self._weighed(list(self._parts()))

    @property
    def root(self) -> Array:
        """Return the run-level sd [K] of one run in the metric's units, per unit of it on the curved link."""
        return run_root(self.ladder, self.links[0], self.at)

    def _settled(self) -> Array:
        """Return the values [K] at which noise is taken: what the curve says of each rung.

        A score is the less noisy the nearer it is to its bounds, but on the logit the noisier.  At the
        measured value three runs at 1.00 would weigh next to nothing beside noisy ones at 0.5, which would
        pull the curve far below them.  So it is the fitted value, as in iteratively reweighted least squares,
        and approached by halves, as fit and noise pull each other in turns.
        """
        link, at = self.links[0], self.at
        if link.kind != "logit":
            return at
        for _ in range(_REWEIGHED):
            before = self._roots(link)
            data, _ = self._data(link, ())
            noise = coarse(noise_grid(self.prior, self.noise.centre, self.noise.spread, data))
            fitted = Posterior(data, noise, self.prior).fitted()
            self.at = link.back(0.5 * (link.forth(self.at) + fitted))
            if np.abs(np.log(self._roots(link) / before)).max() < _ALIKE:
                break
        return self.at

    def _parts(self) -> Iterator[_Part]:
        weights = (1 - self.prior.straight, self.prior.straight) if len(self.links) > 1 else (1.0,)
        for link, weight in zip(self.links, weights, strict=True):
            whole = self._part(link, (), math.log(weight))
            yield whole
            single = [self._part(link, (run,), math.log(weight)) for run in self._suspects(whole)]
            yield from single
            likely = [p for p in single if p.log_weight > whole.log_weight - 3]
            for a, b in combinations(likely, 2):
                yield self._part(link, (*a.failed, *b.failed), math.log(weight))

    def _weighed(self, parts: list[_Part]) -> list[tuple[float, _Part]]:
        log = np.array([part.log_weight for part in parts])
        weight = np.exp(log - log_sum(log))
        kept = weight > _NEGLIGIBLE
        shares = weight[kept] / weight[kept].sum()
        return list(zip(shares.tolist(), [p for p, k in zip(parts, kept, strict=True) if k], strict=True))

    def lent(self, prior: Learned) -> Curve:
        """Return this curve under a prior that differs in weights alone."""
        found = copy(self)
        found.prior = prior
        for name in ("told", "failed", "run_sd", "_samplers"):
            found.__dict__.pop(name, None)
        found.parts = self._weighed([part.reweighed(prior, math.log(w)) for w, part in self.parts])
        return found

    def condensed(self) -> Curve:
        """Return this curve without its grids, which take megabytes: it can be read, not lent to."""
        known = {name: getattr(self, name) for name in ("told", "failed", "run_sd", "_samplers")}
        found = copy(self)
        found.__dict__.update(known)
        found.parts = []
        return found

    def _suspects(self, whole: _Part) -> list[Run]:
        """Return the few runs that may have failed.

        Far below their siblings, or alone on a rung and far below what the others foretell.  Far is so in the
        metric's units too: a loss of 0.03 beside 0.003 is ten times as high, but no failure where the ladder
        began at 1.
        """
        values, found = self.ladder.values, []
        middles = medians(values)
        odds = whole.posterior.odds()
        z = whole.link.forth(values)
        middles_z = medians(z)
        material = _MATERIAL * float(np.ptp(self.ladder.value))
        apart = _APART * whole.posterior.noise_sd * self._roots(whole.link)
        for k in range(values.shape[1]):
            ran = np.flatnonzero(np.isfinite(values[:, k]))
            if len(ran) == 1:
                found += [(float(odds[k]), (int(ran[0]), k))]
            else:
                least = max(float(apart[k]), 0.5 * self.prior.failure_shift)
                gaps = np.abs(values[:, k] - middles[k])
                found += [
                    ((z[s, k] - middles_z[k]) / least * 3, (int(s), k))
                    for s in ran
                    if z[s, k] < middles_z[k] - least and gaps[s] >= material
                ]
        found = sorted(row for row in found if row[0] < _SUSPICIOUS)
        return [run for _, run in found[:_SUSPECTS]]

    def _roots(self, link: Link) -> Array:
        """Return the run-level sd of one run on a link [K], per unit of it on the curved link."""
        return self.root * link.derivative(self.at)

    def _part(self, link: Link, failed: tuple[Run, ...], log_weight: float) -> _Part:
        data, constant = self._data(link, failed)
        noise = noise_grid(self.prior, self.noise.centre, self.noise.spread, data)
        posterior = Posterior(data, noise, self.prior)
        runs = int(self.ladder.seeds.sum())
        share = len(failed) * math.log(self.prior.failure) + (runs - len(failed)) * math.log1p(
            -self.prior.failure
        )
        return _Part(link, failed, posterior, log_weight + share + constant + posterior.log_evidence)

    def _data(self, link: Link, failed: Sequence[Run]) -> tuple[Data, float]:
        """Return the data without the failed runs, and the log density of what they leave out.

        A failed run is worse than the curve by the learned shift and spread: among siblings it is left out
        and its density taken around their mean; alone on its rung it stays, moved and with that spread.
        """
        prior, ladder = self.prior, self.ladder
        values = ladder.values.copy()
        fixed, moved = np.zeros(len(self.d)), np.zeros(len(self.d))
        constant = 0.0
        for s, k in failed:
            if np.isfinite(values[:, k]).sum() > 1:
                values[s, k] = np.nan
                gap = link.forth(ladder.values[s, k : k + 1]) - link.forth(
                    np.nanmean(values[:, k : k + 1], axis=0)
                )
                scaled = (float(gap[0]) + prior.failure_shift) / prior.failure_spread
                constant -= 0.5 * scaled**2 + math.log(prior.failure_spread * math.sqrt(2 * math.pi))
                constant += math.log(float(link.derivative(ladder.values[s, k : k + 1])[0]))
            else:
                fixed[k], moved[k] = prior.failure_spread**2, prior.failure_shift
        ran = np.isfinite(values)
        seeds = ran.sum(axis=0)
        means = np.nanmean(values, axis=0)
        root, roots = self.root, self._roots(link)
        deviations = np.where(ran, (values - means) / root, 0.0)
        freedom = int((seeds - 1).sum())
        constant += float(np.log(link.derivative(means)).sum())
        left = (seeds - 1) * (np.log(root) + 0.5 * math.log(2 * math.pi)) + 0.5 * np.log(seeds)
        constant -= float(left[seeds > 1].sum())
        runs = run_covariance(ladder, self.correlation, roots) * (ladder.seeds / seeds)
        slope = self._item_slope(link)
        items = item_covariance(ladder, self.place(ladder.n), common=False) * np.outer(slope, slope)
        data = Data(
            self.d,
            link.forth(means) + moved,
            runs,
            items + np.diag(fixed),
            float((deviations**2).sum()),
            freedom,
        )
        return data, constant

    def _item_slope(self, link: Link) -> Array:
        """Return the item-level error on a link [K], per unit of it as measured."""
        return self._roots(link) / run_root(self.ladder, self.links[0], self.ladder.value)

    @cached_property
    def failed(self) -> tuple[FailedRun, ...]:
        """Return the runs that look failed, with the probability that they did."""
        chance: dict[Run, float] = {}
        for weight, part in self.parts:
            for run in part.failed:
                chance[run] = chance.get(run, 0.0) + weight
        ladder = self.ladder
        return tuple(
            FailedRun(int(ladder.n[k]), ladder.seed_names[s], float(ladder.values[s, k]), p)
            for (s, k), p in sorted(chance.items(), key=lambda found: (found[0][1], found[0][0]))
            if p >= FAILED
        )

    @cached_property
    def run_sd(self) -> float:
        """The posterior mean of the run-level sd in the metric's units, at factor 1."""
        mean = sum(weight * part.posterior.noise_sd for weight, part in self.parts)
        root = run_root(self.ladder, self.links[0], self.ladder.value)
        return mean * float(root[-1] / np.sqrt(self.ladder.factor[-1]))

    @cached_property
    def told(self) -> Array:
        """The posterior weight [kinds, cells, gains] of all that types of a study have in common."""
        told: Array = np.sum([weight * part.posterior.told for weight, part in self.parts], axis=0)
        return told

    @property
    def families(self) -> Mapping[str, float]:
        """Return the posterior weight of each family."""
        return dict(zip(FAMILIES, by_family(self.told.sum(axis=(1, 2))).tolist(), strict=True))

    @property
    def exact(self) -> float:
        """Return the posterior probability that a family holds with no discrepancy."""
        return float(self.told[:, 0].sum())

    def place(self, n: Array) -> Array:
        """Return sizes as u."""
        return place(n, self.ladder)

    def draw(self, n: Array) -> Array:
        """Return draws [draws, len(n)] of the curve in the metric's units, within its bounds."""
        d = np.log2(n / self.ladder.n[0])
        values = np.concatenate([link.back(sampler.draw(d)) for _, link, sampler in self._samplers])
        if not self.common_items or not self.ladder.item_se.any():
            return values
        link, ladder = self.links[0], self.ladder
        # How hard the items are is one number for all sizes; near a ceiling they hardly tell, so the size at
        # which they tell most speaks for all.
        told = (ladder.item_se * self._item_slope(link))[ladder.item_se > 0]
        shift = math.sqrt(1 - ladder.own_share) * float(told.min()) * _common(len(values), 0)
        return link.back(link.forth(values) + shift[:, None])

    @cached_property
    def _samplers(self) -> list[tuple[float, Link, Sampler]]:
        """The weight, link and sampler of each part, with as many draws as its weight."""
        ends = np.round(np.cumsum([weight for weight, _ in self.parts]) * DRAWS).astype(int).tolist()
        return [
            (weight, part.link, part.posterior.sampler(slice(start, end)))
            for start, end, (weight, part) in zip([0, *ends], ends, self.parts, strict=False)
        ]

    def draw_run(self, n: Array, draws: Array, stream: int = 0) -> Array:
        """Return what one run would measure at each size, given draws [draws, len(n)] of the curve.

        ``stream`` tells runs apart.  Holds run-level noise, the part of the item error that is new at each
        size, and failed runs.
        """
        link, ladder, prior = self.links[0], self.ladder, self.prior
        sd = np.concatenate([sampler.noise for _, _, sampler in self._samplers])
        sd = sd * np.exp(_SCATTER * _common(len(sd), 1))
        shape = draws.shape
        rng = np.random.default_rng([7, stream])
        noise = sd[:, None] * run_root(ladder, link, draws) * rng.standard_normal(shape)
        items = math.sqrt(ladder.own_share) * float(ladder.item_se[-1]) * rng.standard_normal(shape)
        # A score's slope is bounded; that of a loss near 0 is not, and its items err in proportion to it.
        at = draws if link.kind == "logit" else np.maximum(draws, float(ladder.value[-1]))
        z = link.forth(draws) + noise * link.derivative(draws) + items * link.derivative(at)
        wrong = prior.failure_spread * rng.standard_normal(shape) - prior.failure_shift
        return link.back(np.where(rng.random(shape) < prior.failure, link.forth(draws) + wrong, z))


def _common(rows: int, stream: int) -> Array:
    return np.random.default_rng([11, stream]).standard_normal(rows)


def run_root(ladder: Ladder, link: Link, value: Array) -> Array:
    """Return the run-level sd of one run in the metric's units at values of it, per unit of it on the link.

    As a proportion's for bounded scores (0 at 0 and 1, where half an item towards the middle is kept), else
    constant on the link.
    """
    if link.kind != "logit":
        root: Array = 1 / link.derivative(value)
        return root
    items = min(ladder.n_eval or 50, 50)
    p = (value * items + 0.5) / (items + 1)
    return np.sqrt(4 * p * (1 - p)) / 4


def fit_group(
    group: Sequence[Ladder], *, common_items: bool = True, told: Callable[[], None] = lambda: None
) -> list[Curve]:
    """Fit the ladders of one metric, which lend each other noise and correlation of seeds.

    ``told`` is called for each ladder, once those that lend to it are fitted as well.
    """
    if not group:
        return []
    prior = learned(group[0].metric)
    words = noise_words(group, prior)
    batches = [
        [(group[i], words[i]) for i in some]
        for some in np.array_split(np.arange(len(group)), math.ceil(len(group) / _TOGETHER))
    ]
    fit = partial(_fit_together, prior=prior, correlation=trunk_correlation(group), common_items=common_items)
    found: list[Curve] = []
    with workers(len(group)) as pool:
        for curves in mapped(pool, fit, batches):
            found += curves
            for _ in curves:
                told()
    return found


def _fit_together(
    some: Sequence[tuple[Ladder, NoiseWord]], prior: Learned, correlation: float, common_items: bool
) -> list[Curve]:
    alone = [Curve(ladder, word, prior, correlation, common_items=common_items) for ladder, word in some]
    return lent(alone, prior)


def workers(ladders: int) -> Pool:
    """Return what reads so many ladders: this process, or one for each core where starting them pays."""
    return parse_pool("processes", forked=True) if ladders > _MANY else Inline()


def lent(curves: Sequence[Curve], prior: Learned) -> list[Curve]:
    """Return curves, condensed, whose families, roughness and gains the others of the study have told of.

    Types of one study grow alike: where most run into sharp ceilings, the next is apt to.  Each curve's prior
    weights are those of real ladders, as by ``_LADDERS`` of them, and what the other types of the study show
    (``_STEPS`` steps of expectation-maximisation, its own ladder left out).
    """
    types = [curve for curve in curves if curve.ladder.type != OVERALL]
    if len(types) < _FEW:
        return [curve.condensed() for curve in curves]
    start = [by_kind(prior.components()), prior.cell_weight, prior.gains[:, 2]]
    own = [curve.told for curve in types]
    seen = [_margins(told) for told in own]
    for _ in range(_STEPS):
        sums = [np.sum(column, axis=0) for column in zip(*seen, strict=True)]
        weights = [[_drawn(*three) for three in zip(start, sums, mine, strict=True)] for mine in seen]
        seen = [
            _margins(told, *(now / before for now, before in zip(by, start, strict=True)))
            for told, by in zip(own, weights, strict=True)
        ]
    taught = (_taught(prior, *by) for by in weights)
    return [
        (curve if curve.ladder.type == OVERALL else curve.lent(next(taught))).condensed() for curve in curves
    ]


def _margins(told: Array, *moved: Array) -> list[Array]:
    """Return the weights of kinds, cells and gains in ``told``, each prior weight ``moved`` by a factor.

    The first kind does not change: no gain speaks of it.
    """
    if moved:
        kinds, cells, gains = moved
        told = told * kinds[:, None, None] * cells[:, None]
        told[1:] *= gains
        told /= told.sum()
    return [told.sum(axis=(1, 2)), told.sum(axis=(0, 2)), told[1:].sum(axis=(0, 1))]


def _drawn(before: Array, seen: Array, own: Array) -> Array:
    """Return weights drawn from ``before`` to what all ladders show, less what one's ``own`` does."""
    others = seen - own
    drawn: Array = (_LADDERS * before + others) / (_LADDERS + others.sum())
    return drawn


def _taught(prior: Learned, kinds: Array, cells: Array, gains: Array) -> Learned:
    """Return the prior with other weights."""
    return replace(prior, kinds=kinds, cell_weight=cells, gains=np.column_stack([prior.gains[:, :2], gains]))


def noise_words(group: Sequence[Ladder], prior: Learned) -> list[NoiseWord]:
    """Return for each ladder what real ladders and the others of its group say of its noise.

    Replicates of the others centre the prior; types differ by half a natural logarithm.  Linear in ladders.
    """
    own = [_replicates(ladder) for ladder in group]
    squares, freedom = sum(s for s, _ in own), sum(f for _, f in own)
    return [_word(prior, squares - s, freedom - f) for s, f in own]


def _word(prior: Learned, squares: float, freedom: int) -> NoiseWord:
    if freedom < _FEW or squares <= 0:
        return NoiseWord(prior.noise_centre, prior.noise_spread)
    between = max(prior.noise_spread**2 - _WITHIN**2, 0.1**2)
    seen, error = 0.5 * math.log(squares / freedom), 0.5 / freedom + _WITHIN**2 / max(freedom / _FEW, 1.0)
    precision = 1 / between + 1 / error
    centre = (prior.noise_centre / between + seen / error) / precision
    return NoiseWord(centre, math.sqrt(_WITHIN**2 + 1 / precision))


def _replicates(ladder: Ladder) -> tuple[float, int]:
    """Return squared deviations between seeds in units of the curved link's noise, and their freedom."""
    doublings = math.log2(ladder.n[-1] / ladder.n[0])
    link = links(ladder.metric, ladder.value, ladder.n_eval, doublings)[0]
    root = run_root(ladder, link, ladder.value)
    scaled = np.nan_to_num((ladder.values - ladder.value) / root)
    # Failed runs are no measure of noise: what lies far beyond the rest is drawn in.
    size = np.abs(scaled[scaled != 0])
    limit = 4 * 1.48 * float(np.median(size)) if len(size) else 0.0
    return float((np.clip(scaled, -limit, limit) ** 2).sum()), ladder.freedom


def threshold_of(ladder: Ladder, smallest_gain: float, smallest_relative_gain: float) -> float:
    """Return the smallest gain that matters, in the metric's units: for losses a share of the last one."""
    if ladder.metric == "score":
        return smallest_gain
    return smallest_relative_gain * abs(float(ladder.value[-1]))
