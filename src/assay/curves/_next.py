"""What to run next: the cheapest runs expected to settle a verdict, by preposterior simulation."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from assay.core import NextRuns
from assay.curves._curve import DECIDED, Drawn
from assay.curves._families import Array
from assay.curves._table import ITEM_LENGTH

_SEEDS_TO_ADD = (1, 2, 3, 6, 12)
_OUTCOMES = 100
_PARTICLES = 1000
_BLUR = 2.0
"""A refit learns less than reweighed draws do: it asks anew how noisy runs are and what shape the curve has.
So outcomes are weighed as by that many times their variance (LOG.md; benchmarks/advice.py)."""
_LIKELY = 0.7
_LEAST = 0.5
"""No advice below this chance: an even bet is none."""
_HOPELESS = 0.4
"""Where even the most telling runs have less, fewer of them need not be tried."""
_MORE_ITEMS = 4


@dataclass(frozen=True)
class Question:
    """What a verdict is about: the gain between two sizes, and whether it passes ``threshold``."""

    n_from: float
    n_to: float
    threshold: float


def next_runs(
    curve: Drawn, grid: Array, draws: Array, question: Question, pool: int | None = None
) -> NextRuns | None:
    """Return the cheapest runs likely to answer the question; None where none has a chance of 0.5.

    ``draws`` [draws, len(grid)]; the question's sizes lie in the grid.  For each design, outcomes are
    simulated from some draws and all others reweighed by them; its chance is the share of outcomes after
    which one of the three probabilities reaches :data:`DECIDED`.  Cost is samples trained.  Of runs larger
    than ``pool`` there are none, unless nothing else will do: then they say how many samples are wanted.
    """
    ahead = _Ahead(curve, grid, draws, question)
    found = _cheapest(ahead.designs(most=pool))
    if found is None and pool is not None and question.n_to > pool:
        beyond = _cheapest(ahead.designs(least=pool))
        found = beyond and replace(beyond, wanted=round(beyond.n_train - pool))
    return found or _cheapest(ahead.with_items())


def _cheapest(designs: Iterable[NextRuns]) -> NextRuns | None:
    """Return the first likely one of designs in the order of their cost, else the likeliest above even."""
    best = None
    for design in designs:
        if design.chance >= _LIKELY:
            return design
        if design.chance >= _LEAST and (best is None or design.chance > best.chance):
            best = design
    return best


class _Ahead:
    """Outcomes of runs not made yet, under the posterior."""

    def __init__(self, curve: Drawn, grid: Array, draws: Array, question: Question) -> None:
        ladder = curve.ladder
        self.curve, self.question = curve, question
        draws = draws[:: max(1, len(draws) // _PARTICLES)]
        rungs = np.searchsorted(grid, ladder.n)
        ends = draws[:, np.searchsorted(grid, [question.n_from, question.n_to])]
        gains = curve.sign * (ends[:, 1] - ends[:, 0])
        # The item-level error that all rungs share is in every measurement alike, so it cancels here.
        self.values = ends - draws[:, rungs].mean(axis=1, keepdims=True)
        self.gains, limit = gains, question.threshold
        self.words = np.stack([gains > limit, np.abs(gains) <= limit, gains < -limit], axis=1)
        self.noise = curve.run_sd**2 * float(ladder.factor[-1])
        # Of the item-level error, only what differs between the two sizes hides the gain.
        step = float(np.diff(curve.place(np.array([question.n_from, question.n_to])))[0])
        apart = 1 - math.exp(-(step**2) / (2 * ITEM_LENGTH**2))
        self.items = 2 * apart * ladder.own_share * float(ladder.item_se[-1]) ** 2
        self.truths: NDArray[np.int64] = np.linspace(0, len(gains) - 1, _OUTCOMES).astype(np.int64)
        self.error = np.random.default_rng(0).standard_normal(_OUTCOMES)

    def designs(self, *, least: float | None = None, most: float | None = None) -> Iterator[NextRuns]:
        """Yield runs at the sizes of the question, cheapest first, with their chance.

        None is larger than ``most`` or, where given, as small as ``least``; there are none at all where even
        the most seeds tell too little.
        """
        sizes = enumerate((self.question.n_from, self.question.n_to))
        made = [(c, n) for c, n in sizes if (least is None or n > least) and (most is None or n <= most)]
        if all(self._after(c, _SEEDS_TO_ADD[-1]) < _HOPELESS for c, _ in made):
            return
        pairs = [(seeds * n, seeds, c, n) for c, n in made for seeds in _SEEDS_TO_ADD]
        for _, seeds, column, n in sorted(pairs):
            yield self._design(n, seeds, self._after(column, seeds))

    def _after(self, column: int, seeds: int) -> float:
        """Return the chance of ``seeds`` more runs at the smaller size (0) or the larger one (1)."""
        variance = self.noise / seeds + (self.items if column else 0.0)
        return self._chance(self.values[:, column], variance)

    def with_items(self) -> Iterator[NextRuns]:
        """Yield runs at the larger size with four times the items, where items hide more than runs do."""
        n_eval = self.curve.ladder.n_eval
        if n_eval is None or self.items < self.noise / _SEEDS_TO_ADD[-1]:
            return
        for seeds in _SEEDS_TO_ADD[:3]:
            variance = 2 * self.noise / seeds + self.items / _MORE_ITEMS
            yield self._design(
                self.question.n_to, seeds, self._chance(self.gains, variance), round(_MORE_ITEMS * n_eval)
            )

    def _design(self, n: float, seeds: int, chance: float, items: int | None = None) -> NextRuns:
        return NextRuns(round(n), seeds, chance, items=items)

    def _chance(self, values: Array, variance: float) -> float:
        """Return the share of outcomes after which a word is decided; no draw vouches for itself."""
        sd = math.sqrt(variance + 1e-12)
        # In units of what blurs them and about 0, so that single precision, which is twice as fast, will do.
        near = (values - values.mean()) / (sd * math.sqrt(2 * _BLUR))
        seen = near[self.truths] + self.error / math.sqrt(2 * _BLUR)
        log = np.subtract.outer(seen.astype(np.float32), near.astype(np.float32))
        log *= -log
        log[np.arange(_OUTCOMES), self.truths] = -np.inf
        log -= log.max(axis=1, keepdims=True)
        weight = np.exp(log, out=log)
        share = weight @ self.words.astype(np.float32) / weight.sum(axis=1, keepdims=True)
        return float((share.max(axis=1) >= DECIDED).mean())
