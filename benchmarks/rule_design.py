"""How well rules fitted on designed subsets, on mixtures of sources and on random ones rank samples.

    python benchmarks/rule_design.py --draws 12

A pool of eight sources with effects of their own that no indicator explains, and eight correlated indicators,
whose weighted sum is most of a sample's true quality.  A subset's log loss is minus the mean quality of its
1,000 samples, plus the noise of a run.  Reported: Spearman's correlation of the rule with true quality within
sources (the best possible one is the last column), and what the design costs in sample passes.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from assay.regression import Design, mixtures, ridge, tilted

Array = NDArray[np.float64]

K, SOURCES, ROWS, SIZE = 8, 8, 40_000, 1000
NAMES = tuple(f"x{i}" for i in range(K))


@dataclass(frozen=True)
class Pool:
    """Indicators [rows, K], source and length of each row, its quality, and its quality within its source."""

    values: Array
    source: NDArray[np.int64]
    lengths: Array
    quality: Array
    within: Array


def pool(rng: np.random.Generator) -> Pool:
    """Return a pool; indicators are correlated at about 0.4 within a source."""
    source = rng.integers(0, SOURCES, ROWS)
    common = rng.normal(size=(ROWS, 1))
    own = 0.6 * common + 0.8 * rng.normal(size=(ROWS, K))
    shift = rng.normal(size=(SOURCES, K))
    weights = rng.normal(size=K)
    weights *= 0.05 / np.linalg.norm(weights)
    within = own @ weights + 0.03 * rng.normal(size=ROWS)
    effect = 0.06 * rng.normal(size=SOURCES)
    return Pool(own + shift[source], source, rng.lognormal(4, 0.8, ROWS), within + effect[source], within)


def losses(design: Design, truth: Pool, noise: float, rng: np.random.Generator) -> Array:
    """Return the log losses of a design's subsets."""
    means = [-truth.quality[rows].mean() for rows in design.rows]
    return np.array(means) + noise * rng.standard_normal(len(means))


def score(weights: Array, truth: Pool) -> float:
    """Return the mean within-source rank correlation of the rule (lower loss is better) with true quality."""
    found = []
    for kind in range(SOURCES):
        own = truth.source == kind
        found.append(spearmanr(-(truth.values[own] @ weights), truth.within[own]).statistic)
    return float(np.mean(found))


def design_of(way: str, runs: int, truth: Pool, seed: int) -> Design:
    """Return one of the ways to choose subsets."""
    names = [str(s) for s in truth.source]
    if way == "tilted":
        return tilted(
            truth.values, NAMES, SIZE, strata=names, lengths=truth.lengths.tolist(), runs=runs, seed=seed
        )
    sources = names if way == "mixtures" else ["one"] * ROWS
    return mixtures(truth.values, NAMES, SIZE, sources=sources, runs=runs, seed=seed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=12)
    parser.add_argument("--quick", action="store_true", help="two draws, two designs")
    options = parser.parse_args()
    cells = [("random", 129), ("mixtures", 32), ("mixtures", 129), ("tilted", 32), ("tilted", 64)]
    draws = 2 if options.quick else options.draws
    print("| subsets | runs | sample passes | noise .002 | noise .008 | best possible |")
    print("|---|---|---|---|---|---|")
    for way, runs in cells[2:4] if options.quick else cells:
        found: dict[float, list[float]] = {0.002: [], 0.008: []}
        ceiling = []
        for draw in range(draws):
            rng = np.random.default_rng(draw)
            truth = pool(rng)
            made = design_of(way, runs, truth, draw)
            spread = truth.values.std(axis=0)
            for noise, scores in found.items():
                fitted = ridge(made.means, losses(made, truth, noise, rng), NAMES)
                scores.append(score(np.array(fitted.coefficients) / spread, truth))
            best = np.linalg.lstsq(
                np.column_stack([truth.values, np.eye(SOURCES)[truth.source]]), -truth.within, rcond=None
            )[0][:K]
            ceiling.append(score(best, truth))
        cells_text = " | ".join(
            f"{np.mean(v):.2f} ({np.min(v):.2f} to {np.max(v):.2f})" for v in found.values()
        )
        print(f"| {way} | {runs} | {runs * SIZE:,} | {cells_text} | {np.mean(ceiling):.2f} |", flush=True)


if __name__ == "__main__":
    main()
