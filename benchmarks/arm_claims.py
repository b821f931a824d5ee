"""False claims about arms under noises of several kinds, and power for a true difference.

    python benchmarks/arm_claims.py --studies 60

Twelve types and overall, 4 sizes x 3 seeds, two arms.  Null studies: how many say "better" or "worse" of
anything.  Then a true difference of 0.01 in every type, with noise such that a t on the overall seeds alone
has a 90 % half-width of 0.005: how often overall is called better.
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from assay.core import OVERALL, Point
from assay.curves import compare_arms

TYPES, SIZES, SEEDS = 12, (1000, 2000, 4000, 8000), 3
NOISES = ("equal", "by type", "by size", "t3", "failed runs")


def noise(kind: str, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return errors [arms, types, sizes, seeds]; sd 0.012 on average."""
    shape = (2, TYPES, len(SIZES), SEEDS)
    error = 0.012 * rng.standard_normal(shape)
    if kind == "by type":
        error *= np.exp(rng.normal(0, 0.6, TYPES))[None, :, None, None]
    if kind == "by size":
        error *= np.array([2.0, 1.4, 0.7, 0.4])[None, None, :, None]
    if kind == "t3":
        error = 0.012 * rng.standard_t(3, shape) / np.sqrt(3)
    if kind == "failed runs":
        error -= 0.3 * (rng.random(shape) < 0.02)
    return error


def study(error: NDArray[np.float64], lift: float) -> list[Point]:
    """Return the points of both arms, overall included."""
    rng = np.random.default_rng(1)
    level = rng.uniform(0.3, 0.7, TYPES)[:, None] + 0.03 * np.arange(len(SIZES))
    points = []
    for a, arm in enumerate(("random", "selected")):
        values = level[:, :, None] + error[a] + lift * a
        for i, n in enumerate(SIZES):
            for s in range(SEEDS):
                rows = [
                    Point(f"type{t}", n, s, "score", float(values[t, i, s]), arm=arm) for t in range(TYPES)
                ]
                points += [*rows, Point(OVERALL, n, s, "score", float(values[:, i, s].mean()), arm=arm)]
    return points


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=int, default=60)
    parser.add_argument("--quick", action="store_true", help="3 studies")
    options = parser.parse_args()
    count = 3 if options.quick else options.studies
    print("| noise | null studies with a false word | overall as good |\n|---|---|---|")
    for kind in NOISES:
        rows = [compare_arms(study(noise(kind, np.random.default_rng(s)), 0.0)) for s in range(count)]
        false = np.mean([any(c.word in ("better", "worse") for c in found) for found in rows])
        good = np.mean([c.word == "as good" for found in rows for c in found if c.type == OVERALL])
        print(f"| {kind} | {false:.3f} | {good:.2f} |")
    # Half-width 0.005 by a t on 2 x 3 seeds: se of the mean over types of one run.
    one = 0.005 / float(student.ppf(0.95, 4)) / np.sqrt(2 / SEEDS) * np.sqrt(TYPES)
    found = []
    for s in range(count):
        error = one * np.random.default_rng(1000 + s).standard_normal((2, TYPES, len(SIZES), SEEDS))
        rows = compare_arms(study(error, 0.01))
        found.append(next(c for c in rows if c.type == OVERALL and c.n_train == SIZES[-1]))
    print(
        f"\ntrue +0.01 overall found {np.mean([c.word == 'better' for c in found]):.2f}, "
        f"half-width {np.mean([(c.high - c.low) / 2 for c in found]):.4f}"
    )


if __name__ == "__main__":
    main()
