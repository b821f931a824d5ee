"""Double descent: false alarms on curves that never get worse, and power by the size of the rise.

    python benchmarks/curve_descent.py --curves 200

Run-level sd 0.006, known; ladders from 1k to 100k; h is the true rise from valley to peak at the rungs in
units of that sd, on a power law, a logistic curve or a plateau, at a random inner place.  Two-stage: an 8 x 1
ladder nominates, four fresh seeds at both sizes decide (16 runs).
"""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from assay.core import Point
from assay.curves import double_descent

Array = NDArray[np.float64]
SD = 0.006
RISES = (2, 3, 4, 6)
STAGES: dict[str, tuple[int, int, int]] = {
    "4x1": (4, 1, 0),
    "8x1": (8, 1, 0),
    "8x3": (8, 3, 0),
    "8x1, then 4 fresh seeds": (8, 1, 4),
}


def monotone(rng: np.random.Generator) -> Callable[[Array], Array]:
    """Return a loss that never rises: power law, logistic, or plateau."""
    b, rate, c = rng.uniform(0.1, 0.4), rng.uniform(0.15, 0.6), rng.uniform(0.25, 0.75)
    kind = rng.integers(3)

    def curve(n: Array) -> Array:
        u = np.log(n / 1e3) / math.log(100)
        if kind == 0:
            return b * (n / 1e3) ** -rate
        return b / (1 + np.exp((u - c) / 0.12)) if kind == 1 else np.zeros_like(u)

    return curve


def truth(rng: np.random.Generator, sizes: Array, rise: float) -> Array:
    """Return a truth [K] whose largest rise between rungs is ``rise``: a hump on a monotone curve."""
    base = monotone(rng)(sizes)
    if rise == 0:
        return base
    place, width = rng.integers(1, len(sizes) - 1), rng.uniform(0.4, 1.0)
    hump = np.exp(-((np.arange(len(sizes)) - place) ** 2) / (2 * width**2))
    low, high = 0.0, 2.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (low, middle) if largest_rise(base + middle * hump) > rise else (middle, high)
    return base + high * hump


def largest_rise(values: Array) -> float:
    """Return max over i < j of values[j] - values[i]."""
    return float((values - np.minimum.accumulate(values)).max())


def found(seed: int, stage: str, rise: float) -> bool:
    """Return whether one simulated ladder is found to have double descent."""
    rungs, seeds, fresh = STAGES[stage]
    rng = np.random.default_rng([seed, rungs, seeds, fresh, int(rise)])
    sizes = np.round(np.geomspace(1e3, 1e5, rungs))
    values = dict(zip(sizes.tolist(), truth(rng, sizes, rise * SD), strict=True))

    def run(n: float, s: int) -> Point:
        return Point("t", int(n), s, "loss", values[n] + float(rng.normal(0, SD)))

    points = [run(n, s) for n in sizes for s in range(seeds)]
    (result,) = double_descent([replace(p, value=p.value + 1) for p in points], sd=SD)
    if not fresh:
        return result.word in ("nominated", "worsens")
    if result.valley is None or result.peak is None:
        return False
    again = [run(float(n), 100 + s) for n in (result.valley, result.peak) for s in range(fresh)]
    (result,) = double_descent([replace(p, value=p.value + 1) for p in points + again], sd=SD)
    return result.p_fresh is not None and result.p_fresh <= 0.05


def cell(job: tuple[str, float, int]) -> float:
    """Return the share of ladders in which double descent is found."""
    stage, rise, curves = job
    return float(np.mean([found(seed, stage, rise) for seed in range(curves)]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--curves", type=int, default=200, help="ladders in each cell")
    parser.add_argument("--quick", action="store_true", help="20 ladders")
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    curves = 20 if options.quick else options.curves
    jobs = [(stage, float(rise), curves) for stage in STAGES for rise in (0, *RISES)]
    with ProcessPoolExecutor() as pool:
        shares = list(pool.map(cell, jobs))
    print("| design | runs | false alarms | " + " | ".join(f"h={r}" for r in RISES) + " |")
    print("|---|---|---|" + "---|" * len(RISES))
    for row, (stage, (rungs, seeds, fresh)) in enumerate(STAGES.items()):
        own = shares[row * (1 + len(RISES)) :][: 1 + len(RISES)]
        print(f"| {stage} | {rungs * seeds + 2 * fresh} | " + " | ".join(f"{s:.2f}" for s in own) + " |")


if __name__ == "__main__":
    main()
