"""Several recipes, one ladder each: which verdicts hold under all, and the curve of the best recipe per size.

The best of several noisy values is better than the truth.  So the recipe of a size is chosen by posterior
means, and the interval is that of a mixture: each recipe's own posterior, as often as it is likely to be the
best there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from assay.core import CurveResult, Envelope, EnvelopePoint, Point, Robustness, VerdictWord
from assay.curves._curve import LEAST_RUNGS, Drawn, fit_group, threshold_of
from assay.curves._families import Array
from assay.curves._fit import TRUSTED, read_gains
from assay.curves._numbers import tails
from assay.curves._overall import joined
from assay.curves._table import Ladder, ladders

Key = tuple[str, str, str]
"""Type, arm and metric."""


def robustness(found: Mapping[str, Iterable[CurveResult]]) -> list[Robustness]:
    """Return, of each type, arm and metric, whether its verdict is the same under all recipes.

    ``found`` are the curves by recipe.  A recipe under which no curve could be fitted does not speak.
    """
    words: dict[Key, dict[str, VerdictWord]] = defaultdict(dict)
    for recipe, curves in found.items():
        for curve in curves:
            if curve.verdict is not None:
                words[curve.type, curve.arm, curve.metric][recipe] = curve.verdict.word
    return [_robustness(key, by) for key, by in words.items() if len(by) > 1]


def _robustness(key: Key, by: Mapping[str, VerdictWord]) -> Robustness:
    decided = {word for word in by.values() if word != "undecided"}
    if len(decided) > 1:
        return Robustness(*key, "depends", None, dict(by))
    if "undecided" in by.values():
        return Robustness(*key, "open", None, dict(by))
    return Robustness(*key, "robust", decided.pop(), dict(by))


def envelopes(
    points: Mapping[str, Iterable[Point]],
    *,
    smallest_gain: float = 0.01,
    smallest_relative_gain: float = 0.005,
) -> list[Envelope]:
    """Return, of each type, arm and metric, the curve of the best recipe per size; ``points`` by recipe.

    A recipe counts at the sizes that its ladder spans; one of fewer than three rungs at none.
    """
    tables = {recipe: list(rows) for recipe, rows in points.items()}
    apart = {recipe: _curves(rows, common_items=False) for recipe, rows in tables.items()}
    whole = {recipe: _curves(rows, common_items=True) for recipe, rows in tables.items()}
    keys = dict.fromkeys(key for own in whole.values() for key in own)
    found = []
    for key in keys:
        recipes = [recipe for recipe in whole if key in whole[recipe]]
        if len(recipes) > 1:
            mixed = _Mixture(recipes, [apart[r][key] for r in recipes], [whole[r][key] for r in recipes])
            found.append(mixed.envelope(key, smallest_gain, smallest_relative_gain))
    return found


def _curves(points: Sequence[Point], *, common_items: bool) -> dict[Key, Drawn]:
    """Return the fitted curves of one recipe; without the item error, which all recipes share."""
    groups: dict[str, list[Ladder]] = defaultdict(list)
    for ladder in ladders(points):
        if len(ladder.n) >= LEAST_RUNGS and np.nanmax(ladder.values) > np.nanmin(ladder.values):
            groups[ladder.metric].append(ladder)
    fitted = (c for group in groups.values() for c in joined(fit_group(group, common_items=common_items)))
    return {(c.ladder.type, c.ladder.arm, c.ladder.metric): c for c in fitted}


class _Mixture:
    """The best of several curves at each size."""

    def __init__(self, recipes: Sequence[str], apart: Sequence[Drawn], whole: Sequence[Drawn]) -> None:
        self.recipes, self.whole = recipes, whole
        self.sign = whole[0].sign
        self.sizes = sorted({float(n) for curve in whole for n in curve.ladder.n})
        self.top = self.sizes[-1]
        self.grid = np.array([*self.sizes, TRUSTED * self.top])
        # Draws of curves come from one stream each: in an order of their own they err apart.
        self.choosing = [
            c.draw(self.grid)[np.random.default_rng([13, k]).permutation(_rows(c, self.grid))]
            for k, c in enumerate(apart)
        ]
        self.shown = [c.draw(self.grid) for c in whole]

    def _there(self, column: int) -> list[int]:
        """Return the recipes that are known at a size: within what they span, or twice the largest."""
        n = min(float(self.grid[column]), self.top)
        return [k for k, c in enumerate(self.whole) if c.low_n <= n <= c.high_n]

    def _at(self, column: int) -> tuple[int, float, Array]:
        """Return the recipe with the best posterior mean, the probability that it is, and mixed draws."""
        there = self._there(column)
        values = self.sign * np.column_stack([self.choosing[k][:, column] for k in there])
        chances = np.bincount(values.argmax(axis=1), minlength=len(there)) / len(values)
        at = int(values.mean(axis=0).argmax())
        # One uniform draw for all sizes, so that neighbouring ones take the same recipe.
        uniform = (np.random.default_rng(17).permutation(len(values)) + 0.5) / len(values)
        picked = np.minimum(np.searchsorted(np.cumsum(chances), uniform), len(there) - 1)
        drawn = np.column_stack([self.shown[k][:, column] for k in there])
        return there[at], float(chances[at]), drawn[np.arange(len(drawn)), picked]

    def envelope(self, key: Key, smallest_gain: float, smallest_relative_gain: float) -> Envelope:
        """Return the envelope with the verdict on its next doubling."""
        found = [self._at(column) for column in range(len(self.grid))]
        rungs = tuple(self._point(c, *found[c]) for c in range(len(self.sizes)))
        best = self.whole[found[-2][0]]
        gains = self.sign * (found[-1][2] - found[-2][2])
        verdict = read_gains(gains, threshold_of(best.ladder, smallest_gain, smallest_relative_gain))
        return Envelope(*key, rungs, verdict, round(self.top), round(TRUSTED * self.top))

    def _point(self, column: int, at: int, chance: float, drawn: Array) -> EnvelopePoint:
        value = float(self.shown[at][:, column].mean())
        low, high = tails(drawn)
        name, n = self.recipes[at], round(float(self.grid[column]))
        return EnvelopePoint(n, name, chance, value, min(float(low), value), max(float(high), value))


def _rows(curve: Drawn, grid: Array) -> int:
    return len(curve.draw(grid[:1]))
