"""Processor time of the whole reading of a study: 12 types, 8 rungs, 3 seeds; 200 types of 4 rungs.

    python benchmarks/curve_speed.py --types 200 1000

Processor time, as other work on the machine hardly moves it; the best of three readings (one of more than 12
types).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence

import numpy as np

from assay.core import OVERALL, TASK_TYPES, Point
from assay.curves import fit_curves, read_curves


def study(
    kinds: Sequence[str] = TASK_TYPES, rungs: int = 8, arms: tuple[str, ...] = ("random",)
) -> list[Point]:
    """Return scores of all types that rise at different rates, and their means."""
    rng = np.random.default_rng(0)
    rates = np.linspace(0.1, 2, len(kinds))[:, None, None]
    points = []
    for arm in arms:
        risen = 0.8 - 0.5 * np.arange(1.0, rungs + 1)[:, None] ** -rates
        values = risen + rng.normal(0, 0.01, (len(kinds), rungs, 3))
        for kind, own in [*zip(kinds, values, strict=True), (OVERALL, values.mean(axis=0))]:
            points += [
                Point(kind, 500 * 2**k, s, "score", float(own[k, s]), 100, arm=arm)
                for k in range(rungs)
                for s in range(3)
            ]
    return points


def seconds(job: Callable[[], object], times: int) -> float:
    """Return the least processor time of a job."""
    found = []
    for _ in range(times):
        start = time.process_time()
        job()
        found.append(time.process_time() - start)
    return min(found)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--types", type=int, nargs="*", default=[200], help="further studies, of 4 rungs")
    parser.add_argument("--quick", action="store_true", help="12 types alone")
    options = parser.parse_args()
    fit_curves(study()[:24])
    one, two = study(), study(arms=("random", "selected"))
    print("| reading | processor seconds |\n|---|---|")
    print(f"| curves of 12 types x 8 rungs x 3 seeds | {seconds(lambda: fit_curves(one), 3):.2f} |")
    print(f"| everything of these | {seconds(lambda: read_curves(one), 3):.2f} |")
    print(f"| everything of two such arms | {seconds(lambda: read_curves(two), 3):.2f} |")
    for count in [] if options.quick else options.types:
        many = study([f"type{i}" for i in range(count)], rungs=4)
        found = (
            seconds(lambda many=many: fit_curves(many), 1),
            seconds(lambda many=many: read_curves(many), 1),
        )
        print(
            f"| {count:,} types x 4 rungs x 3 seeds, curves and everything | {found[0]:.1f}, {found[1]:.1f} |"
        )


if __name__ == "__main__":
    main()
