"""How well rules fitted on designed subsets, on mixtures of sources and on random ones rank samples.

    python benchmarks/rule_design.py --draws 12
    python benchmarks/rule_design.py --coverage --draws 600
    python benchmarks/rule_design.py --bends --draws 12

A pool of eight sources with effects of their own that no indicator explains, and eight correlated indicators,
whose weighted sum is most of a sample's true quality.  A subset's log loss is minus the mean quality of its
1,000 samples, plus the noise of a run.  Reported: Spearman's correlation of the rule with true quality within
sources (the best possible one is the last column), and what the design costs in sample passes.

With --coverage: how often 90 % intervals of weak and strong slopes hold the true ones, among equally
correlated indicators, by ridge whose bootstrap chooses the penalty anew and takes a share of it (a quarter is
what rules have), by ridge whose bootstrap draws rows and holds the penalty (that of 0.1.0), and by least
squares; +- is the standard error over draws.  With --bends: quality has a U in one
indicator; how well rules with and without its square rank samples, and how often a square is shown where none
is.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from assay.regression import REACH, Design, bends, least_squares, mixtures, ridge, tilted

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


SHARES = (1.0, 0.5, 0.25, 0.1)
STRONG, WEAK = slice(0, 3), slice(3, K)
SLOPES = np.array([0.03, -0.02, 0.01, 0.005, 0.005, -0.005, 0.0025, 0.0])


def held(table: Array, losses: Array, penalty: float, rng: np.random.Generator) -> tuple[Array, Array]:
    """Return the intervals of 0.1.0: rows drawn with replacement, the penalty held."""
    spread = table.std(axis=0)
    scaled = (table - table.mean(axis=0)) / spread
    draws = []
    for _ in range(1000):
        picked = rng.integers(0, len(losses), len(losses))
        own = scaled[picked] - scaled[picked].mean(axis=0)
        gram = own.T @ own + penalty * np.eye(K)
        draws.append(np.linalg.solve(gram, own.T @ (losses[picked] - losses[picked].mean())) / spread)
    low, high = np.quantile(draws, (0.05, 0.95), axis=0)
    return low, high


def intervals(table: Array, losses: Array, rng: np.random.Generator) -> dict[str, tuple[Array, Array]]:
    """Return the ends of every kind of interval for one design's losses."""
    plain = least_squares(table, losses, NAMES)
    ends = {"least squares": (np.array(plain.low), np.array(plain.high))}
    for share in SHARES:
        fitted = ridge(table, losses, NAMES, share=share)
        ends[f"ridge, {share:g} of the penalty"] = np.array(fitted.low), np.array(fitted.high)
    return ends | {"ridge, penalty held": held(table, losses, fitted.penalty, rng)}


def coverage(draws: int) -> None:
    """Print the coverage and the width of intervals of slopes."""
    print("| correlation | noise | fit | weak slopes covered | strong | width of least squares |")
    print("|---|---|---|---|---|---|")
    for correlation, noise in ((0.4, 0.01), (0.4, 0.03), (0.8, 0.01), (0.8, 0.03)):
        mixed = np.linalg.cholesky(np.full((K, K), correlation) + (1 - correlation) * np.eye(K))
        ends: dict[str, list[tuple[Array, Array]]] = {}
        for draw in range(draws):
            rng = np.random.default_rng(draw)
            table = rng.normal(size=(32, K)) @ mixed.T
            values = table @ SLOPES + noise * rng.normal(size=32)
            for name, found in intervals(table, values, rng).items():
                ends.setdefault(name, []).append(found)
        wide = np.mean([high - low for low, high in ends["least squares"]])
        for name, every in ends.items():
            inside = np.array([(low <= SLOPES) & (high >= SLOPES) for low, high in every])
            width = np.mean([high - low for low, high in every]) / wide
            shares = " | ".join(_share(inside[:, part].mean(axis=1)) for part in (WEAK, STRONG))
            print(f"| {correlation} | {noise} | {name} | {shares} | {width:.2f} |", flush=True)


def _share(by_draw: Array) -> str:
    """Return the mean over draws and its standard error."""
    return f"{by_draw.mean():.3f} +- {by_draw.std() / np.sqrt(len(by_draw)):.3f}"


def bent(draws: int) -> None:
    """Print how rules with and without squares rank samples whose quality has a U in one indicator."""
    print("| U | rule | rank within sources | right square shown | a wrong one |")
    print("|---|---|---|---|---|")
    for size in (0.0, 0.01, 0.03):
        scores: dict[str, list[float]] = {"line": [], "squares where they show": []}
        right, wrong = 0, 0
        for draw in range(draws):
            rng = np.random.default_rng(draw)
            plain = pool(rng)
            standard = (plain.values - plain.values.mean(axis=0)) / plain.values.std(axis=0)
            u = -size * np.minimum(standard[:, 0] ** 2, REACH**2)
            truth = replace(plain, quality=plain.quality + u, within=plain.within + u)
            made = tilted(
                truth.values, NAMES, SIZE, strata=[str(s) for s in truth.source],
                lengths=truth.lengths.tolist(), runs=32, doubled=8, seed=draw,
            )  # fmt: skip
            values = losses(made, truth, 0.002, rng)
            line = ridge(made.means[:32], values[:32], NAMES)
            shown = [i for i, b in enumerate(bends(made.means, made.squares, values, NAMES)) if b.shown]
            right, wrong = right + (0 in shown), wrong + bool(set(shown) - {0})
            named = (*NAMES, *(f"{NAMES[i]}^2" for i in shown))
            curved = line
            if shown:
                curved = ridge(np.column_stack([made.means, made.squares[:, shown]]), values, named)
            terms = np.column_stack([standard, np.minimum(standard[:, shown] ** 2, REACH**2)])
            for name, fit, table in (
                ("line", line, standard), ("squares where they show", curved, terms)
            ):  # fmt: skip
                scores[name].append(score(np.array(fit.coefficients), replace(truth, values=table)))
        for name, found in scores.items():
            cells = f"{right}/{draws} | {wrong}/{draws}" if name != "line" else " | "
            print(f"| {size} | {name} | {np.mean(found):.2f} | {cells} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=12)
    parser.add_argument("--coverage", action="store_true", help="intervals of slopes instead")
    parser.add_argument("--bends", action="store_true", help="squares instead")
    parser.add_argument("--quick", action="store_true", help="two draws, two designs")
    options = parser.parse_args()
    if options.coverage or options.bends:
        (coverage if options.coverage else bent)(2 if options.quick else options.draws)
        return
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
