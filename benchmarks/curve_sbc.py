"""Simulation-based calibration of the curve posterior: are ranks of the truth among posterior draws uniform?

    python benchmarks/curve_sbc.py --draws 2000

Curves, noise and discrepancy are drawn from the prior that the engine assumes and measured on a ladder; the
quantity is the gain from the largest rung to twice it (Talts et al. 2018).
"""

from __future__ import annotations

import argparse
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

import numpy as np
from scipy.stats import kstest

from assay.curves._learned import learned
from assay.curves._posterior import DRAWS, Data, NoisePrior, Posterior, prior_draw

DESIGNS = ((4, 1), (4, 3), (8, 1), (8, 3))
NOISE = NoisePrior(np.array([0.02, 0.05, 0.1]), np.log([0.3, 0.4, 0.3]))
PRIOR = learned("score")
TIE = 1e-6


def ranks(job: tuple[tuple[int, int], int, int]) -> list[float]:
    """Return ranks in (0, 1) of the true gain of some prior draws."""
    (rungs, seeds), stream, count = job
    d = np.arange(rungs, dtype=float)
    plan = Data(d, np.zeros(rungs), np.eye(rungs) / seeds, np.full((rungs, rungs), 4e-4))
    ahead = np.array([rungs - 1.0, rungs])
    rng = np.random.default_rng([stream, rungs, seeds])
    found = []
    for _ in range(count):
        z, truth = prior_draw(plan, NOISE, PRIOR, ahead, rng)
        draws = Posterior(replace(plan, z=z), NOISE, PRIOR).sampler(slice(0, DRAWS)).draw(ahead)
        # A constant curve gains exactly 0, in the truth and in draws: ties are broken at random.
        apart = draws[:, 1] - draws[:, 0] - (truth[1] - truth[0])
        below = np.sum(apart < -TIE) + rng.random() * np.sum(np.abs(apart) <= TIE)
        found.append(float((below + 0.5) / (DRAWS + 1)))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=2000, help="curves of each design")
    parser.add_argument("--quick", action="store_true", help="200 curves")
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    draws = 200 if options.quick else options.draws
    print("| design | curves | KS p of uniform ranks | 50 % holds | 90 % holds |\n|---|---|---|---|---|")
    with ProcessPoolExecutor() as pool:
        for design in DESIGNS:
            jobs = [(design, stream, draws // 20) for stream in range(20)]
            rank = np.array([r for part in pool.map(ranks, jobs) for r in part])
            shares = [np.mean(np.abs(rank - 0.5) <= width / 2) for width in (0.5, 0.9)]
            p = kstest(rank, "uniform").pvalue
            print(
                f"| {design[0]}x{design[1]} | {len(rank)} | {p:.2f} | "
                + " | ".join(f"{s:.3f}" for s in shares)
                + " |"
            )


if __name__ == "__main__":
    main()
