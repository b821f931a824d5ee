"""What to run next: the cheapest runs expected to settle a verdict, by preposterior simulation."""

from __future__ import annotations

import math

import numpy as np

from assay.core import NextRuns
from assay.curves._curve import DECIDED, Drawn
from assay.curves._families import Array
from assay.curves._table import ITEM_LENGTH

_SEEDS_TO_ADD = (1, 2, 3, 6, 12)
_PARTICLES = 1000
_OUTCOMES = 100
_LIKELY = 0.7


def next_runs(curve: Drawn, grid: Array, draws: Array, double: int, threshold: float) -> NextRuns:
    """Return the cheapest runs likely to decide the verdict on the next doubling.

    ``draws`` [draws, len(grid)]; ``double`` is the place in the grid of twice the largest rung.  For each
    design, outcomes are simulated from some draws and all draws reweighed by them; its chance is the share of
    outcomes after which one of the three probabilities reaches :data:`DECIDED`.  Cost is samples trained.
    """
    ladder = curve.ladder
    every = max(1, len(draws) // _PARTICLES)
    rungs = np.searchsorted(grid, ladder.n)
    ends = draws[::every][:, [int(rungs[-1]), double]]
    gains = curve.sign * (ends[:, 1] - ends[:, 0])
    # The item-level error that all rungs share is in every measurement alike, so it cancels here.
    values = ends - draws[::every][:, rungs].mean(axis=1, keepdims=True)
    words = np.stack([gains > threshold, np.abs(gains) <= threshold, gains < -threshold], axis=1)
    noise = curve.run_sd**2 * float(ladder.factor[-1])
    # Of the item-level error, only what differs between the two sizes hides the gain.
    step = float(curve.place(np.array(grid[double]))) - 1
    apart = 1 - math.exp(-(step**2) / (2 * ITEM_LENGTH**2))
    items = 2 * apart * ladder.own_share * float(ladder.item_se[-1]) ** 2
    rng = np.random.default_rng(0)
    truths = np.linspace(0, len(gains) - 1, _OUTCOMES).astype(int)
    error = rng.standard_normal(_OUTCOMES)
    designs = []
    for column, n in enumerate((curve.high_n, grid[double])):
        for seeds in _SEEDS_TO_ADD:
            variance = noise / seeds + (items if column else 0.0) + 1e-12
            seen = values[truths, column] + math.sqrt(variance) * error
            log = -((seen[:, None] - values[None, :, column]) ** 2) / (2 * variance)
            weight = np.exp(log - log.max(axis=1, keepdims=True))
            share = weight @ words / weight.sum(axis=1, keepdims=True)
            chance = float((share.max(axis=1) >= DECIDED).mean())
            designs.append(NextRuns(round(float(n)), seeds, chance))
    likely = [d for d in designs if d.chance >= _LIKELY]
    if likely:
        return min(likely, key=lambda d: d.passes)
    return max(designs, key=lambda d: (d.chance, -d.passes))
