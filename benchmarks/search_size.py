"""How often each method finds the best size on simulated double-descent curves, and at what cost.

    python benchmarks/search_size.py --curves 200

Curves over 1,000 to 100,000 samples, scaled to a range of 1: a falling power law, a bump, a slow rise or fall
after it (methods.md, section 3, describes but does not list its curves: these are ours).  A run's loss has
noise; a method reports its smoothed best size.  P: share of curves whose loss there is within 5 % of the
range of the lowest.  Cost: samples trained, in units of the largest size.
"""

from __future__ import annotations

import argparse
import warnings

import numpy as np
from numpy.typing import NDArray

from assay.optimize import Budget, Observation, searcher

Array = NDArray[np.float64]

LOW, HIGH = 1000, 100_000
GRID = np.geomspace(LOW, HIGH, 200)


def curve(rng: np.random.Generator) -> Array:
    """Return a random curve with a first valley, a bump and a second descent or rise, range 1."""
    u = np.linspace(0, 1, len(GRID))
    fall = rng.uniform(0.3, 1.0) * np.exp(-rng.uniform(3, 12) * u)
    bump = rng.uniform(0.2, 1.0) * np.exp(
        -((u - rng.uniform(0.3, 0.8)) ** 2) / (2 * rng.uniform(0.06, 0.15) ** 2)
    )
    made = fall + bump + rng.uniform(-0.5, 0.5) * u
    return (made - made.min()) / np.ptp(made)


def one(method: str, runs: int, truth: Array, noise: float, seed: int) -> tuple[float, float, int]:
    """Return regret, cost and runs of one search."""
    rng = np.random.default_rng(seed)
    search = searcher(method, LOW, HIGH, Budget(runs=runs), seed=seed)
    while sizes := search.ask():
        for size in sizes:
            value = float(np.interp(np.log(size), np.log(GRID), truth))
            search.tell(Observation(size, value + noise * rng.standard_normal()))
    best = (
        search.choice().size
        if len({o.size for o in search.observations}) > 1
        else search.observations[0].size
    )
    regret = float(np.interp(np.log(best), np.log(GRID), truth) - truth.min())
    return regret, sum(o.size for o in search.observations) / HIGH, len(search.observations)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--curves", type=int, default=200)
    parser.add_argument("--quick", action="store_true", help="10 curves, the default and grid")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    cells = [("ladder", 8), ("ladder", 10), ("grid", 7), ("golden", 8), ("optuna", 8)]
    cells += [("blendsearch", 8), ("blendsearch", 20)]
    count = 10 if options.quick else options.curves
    print("| method | runs at most | runs | cost | P, noise .05 | cost | P, noise .12 |")
    print("|---|---|---|---|---|---|---|")
    for method, runs in cells if not options.quick else [("ladder", 8), ("grid", 7)]:
        parts, used = [], 0.0
        for noise in (0.05, 0.12):
            truths = [curve(np.random.default_rng(1000 + i)) for i in range(count)]
            found = [one(method, runs, truth, noise, i) for i, truth in enumerate(truths)]
            good = np.mean([regret < 0.05 for regret, _, _ in found])
            parts += [f"{np.mean([cost for _, cost, _ in found]):.2f} | {good:.2f}"]
            used = float(np.mean([runs for _, _, runs in found])) if noise == 0.05 else used
        print(f"| {method} | {runs} | {used:.1f} | " + " | ".join(parts) + " |", flush=True)


if __name__ == "__main__":
    main()
