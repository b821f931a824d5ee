"""Time of the whole reading of a study: 12 types, 8 rungs, 3 seeds.

python benchmarks/curve_speed.py
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from assay.core import TASK_TYPES, Point
from assay.curves import fit_curves, read_curves


def study(arms: tuple[str, ...] = ("random",)) -> list[Point]:
    """Return scores of all types that rise at different rates."""
    rng = np.random.default_rng(0)
    rates = zip(np.linspace(0.1, 2, len(TASK_TYPES)), TASK_TYPES, strict=True)
    return [
        Point(kind, 500 * 2**k, s, "score", 0.8 - 0.5 * (k + 1) ** -rate + float(noise), 100, arm=arm)
        for rate, kind in rates
        for arm in arms
        for k in range(8)
        for s, noise in enumerate(rng.normal(0, 0.01, 3))
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the same; it is quick")
    parser.parse_args()
    fit_curves(study()[:24])
    jobs = {
        "fit_curves, 1 arm": lambda: fit_curves(study()),
        "read_curves, 1 arm": lambda: read_curves(study()),
        "read_curves, 2 arms": lambda: read_curves(study(("random", "selected"))),
    }
    print("| reading of 12 types x 8 rungs x 3 seeds | seconds |\n|---|---|")
    for name, job in jobs.items():
        times = []
        for _ in range(3):
            start = time.perf_counter()
            job()
            times.append(time.perf_counter() - start)
        print(f"| {name} | {min(times):.2f} |")


if __name__ == "__main__":
    main()
