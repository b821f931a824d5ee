"""How often do the intervals of "double the data or the model?" hold the truth?  They say 0.9.

    python benchmarks/upgrade_coverage.py --worlds 100

Ladders of 1,000 to 8,000 samples with three seeds, three types and their mean on two bases, loss as metric;
the larger base leads by 0.03 to 0.07, runs err by 0.006, alike on both bases with correlation rho, items move
the larger base by 0.01.  For each truth: share of intervals that hold it, and their mean width, at 8,000
samples (doubling predicted) and at 4,000 (measured).
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from assay.core import OVERALL, Point, UpgradeCost
from assay.curves import Neighbours, upgrades

SIZES = (1000, 2000, 4000, 8000)
SD, ITEMS, RATIO, SEEDS = 0.006, 0.01, 3.66, 3
Truth = Callable[[float], float]
TRUTHS: dict[str, Truth] = {
    "power": lambda n: 1.5 + 0.4 * (n / 1000) ** -0.35,
    "plateau": lambda n: 1.6 + 0.3 * math.exp(-n / 1500),
    "log-linear": lambda n: 2.0 - 0.05 * math.log2(n / 1000),
    "hinge": lambda n: 1.8 - 0.07 * max(0.0, math.log2(n / 3000)),
    "turning": lambda n: 1.8 + 0.02 * math.log2(n / 1000) ** 2 - 0.06 * math.log2(n / 1000),
    "logistic": lambda n: 1.4 + 0.4 / (1 + (n / 4000) ** 1.5),
}


def lift(kind: str) -> float:
    """Return the true lead of the larger base in a type."""
    return 0.05 if kind == OVERALL else 0.03 + 0.02 * int(kind)


def world(truth: Truth, rho: float, rng: np.random.Generator) -> Neighbours:
    """Draw the measurements of one study."""
    small, large, items = list[Point](), list[Point](), {}
    for kind in ("0", "1", "2"):
        common, own = rng.normal(0, [2 * ITEMS, ITEMS])
        for n in SIZES:
            items[kind, "random", "loss", n] = ITEMS
            for seed in range(SEEDS):
                error = rng.normal(0, SD)
                other = rho * error + math.sqrt(1 - rho**2) * rng.normal(0, SD)
                level = truth(n) + common
                row = Point(kind, n, seed, "loss", level + error, 200, 2 * ITEMS, own_share=0.05)
                small.append(row)
                large.append(replace(row, value=level - lift(kind) + own + other))
    for points in (small, large):
        cells: dict[tuple[int, int], list[Point]] = {}
        for point in points:
            cells.setdefault((point.n_train, point.seed), []).append(point)
        for cell in cells.values():
            value = float(np.mean([point.value for point in cell]))
            points.append(replace(cell[0], type=OVERALL, value=value, se=2 * ITEMS / math.sqrt(3)))
    items |= {(OVERALL, "random", "loss", n): ITEMS / math.sqrt(3) for n in SIZES}
    costs = {("random", n): UpgradeCost(n, 2 * n, RATIO * n, RATIO) for n in SIZES}
    return Neighbours("small", "large", small, large, items, costs)


def main() -> None:
    """Print one row a truth and correlation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=100)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    worlds = 4 if given.quick else given.worlds
    print(f"{'truth':12} {'rho':>4}  " + "  ".join(f"{n:,} {what:8}" for n in (8000, 4000) for what in
          ("data", "model", "contrast", "per cost")))  # fmt: skip
    for rho in (0.0, 0.7):
        for name, truth in TRUTHS.items():
            held: dict[tuple[int, str], list[tuple[bool, float]]] = {}
            for stream in range(worlds):
                for row in upgrades([world(truth, rho, np.random.default_rng([stream, 7]))]):
                    data = truth(row.n_train) - truth(2 * row.n_train)
                    lead, priced = lift(row.type), row.per_cost
                    if priced is None:
                        continue
                    for what, found, true in (
                        ("data", row.data, data),
                        ("model", row.model, lead),
                        ("contrast", row.absolute, lead - data),
                        ("per cost", priced, lead / row.cost.ratio - data),
                    ):
                        inside = found.low <= true <= found.high
                        held.setdefault((row.n_train, what), []).append((inside, found.high - found.low))
            cells = [np.mean(rows, axis=0) for rows in held.values()]
            print(f"{name:12} {rho:4.1f}  " + "  ".join(f"{c:.2f} ({width:.3f})  " for c, width in cells),
                  flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
