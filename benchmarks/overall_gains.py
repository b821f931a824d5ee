"""The next doubling's gain of the mean over types: from the types' joint posterior, or its own curve.

    python benchmarks/overall_gains.py --studies 20

Twelve types with sizes and heights of their own (scores, 6 sizes x 3 seeds, run-level sd 0.012, of which a
share is common to all types), in turn: straight to a ceiling, sigmoids, steep sigmoids from near 0 to near 1
(as in the demo), one minus an exponential of the size, power laws that begin at a size of their own, plain
power laws.  Error and coverage of the foretold overall
gain.
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import NDArray

from assay.core import OVERALL, Point
from assay.curves import fit_curves

SIZES = [500 * 2**k for k in range(6)]
TYPES, SD = 12, 0.012
KINDS = ("straight", "sigmoid", "steep", "exponential", "broken power", "power")
Array = NDArray[np.float64]


def study(seed: int, shared: float, kind: str = "straight") -> tuple[list[Point], float]:
    """Return the points of a study and its true overall gain."""
    rng = np.random.default_rng(seed)
    k = np.arange(7.0)
    centre, width = rng.uniform(0, 5, TYPES), rng.uniform(0.3, 0.9, TYPES)
    low, height = rng.uniform(0.2, 0.4, TYPES), rng.uniform(0.1, 0.5, TYPES)
    if kind == "steep":
        low, height, width = low - 0.2, height + 0.35, width / 2
    truth = low[:, None] + height[:, None] * risen(kind, k, centre[:, None], width[:, None])
    common = rng.standard_normal((1, 6, 3)) * np.sqrt(shared)
    own = rng.standard_normal((TYPES, 6, 3)) * np.sqrt(1 - shared)
    values = truth[:, :6, None] + SD * (common + own)
    points = [
        Point(f"type{t}", n, s, "score", float(values[t, i, s]))
        for t in range(TYPES)
        for i, n in enumerate(SIZES)
        for s in range(3)
    ]
    means = [
        Point(OVERALL, n, s, "score", float(values[:, i, s].mean()))
        for i, n in enumerate(SIZES)
        for s in range(3)
    ]
    return [*means, *points], float((truth[:, 6] - truth[:, 5]).mean())


def risen(kind: str, k: Array, centre: Array, width: Array) -> Array:
    """Return the share of each type's height that it has reached after ``k`` doublings."""
    shapes = {
        "straight": lambda: np.minimum(k / (0.5 + centre), 1.0),
        "sigmoid": lambda: 1 / (1 + np.exp(-(k - centre) / width)),
        "steep": lambda: 1 / (1 + np.exp(-(k - centre) / width)),
        "exponential": lambda: 1 - np.exp(-(2 ** (k - centre))),
        "broken power": lambda: 1 - (1 + 2 ** (k - centre)) ** -width,
        "power": lambda: 1 - 2 ** (-width * k),
    }
    found: Array = shapes[kind]()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=int, default=20)
    parser.add_argument("--quick", action="store_true", help="2 studies")
    options = parser.parse_args()
    print("| truth | common error | way | mean error | mean absolute error | covered | width |")
    print("|---|---|---|---|---|---|---|")
    for kind, shared in (("straight", 0.0), *((kind, 0.5) for kind in KINDS)):
        rows: dict[str, list[tuple[float, bool, float]]] = {"joint": [], "own curve": []}
        for seed in range(2 if options.quick else options.studies):
            points, gain = study(seed, shared, kind)
            for way, own in (("joint", points), ("own curve", [p for p in points if p.type == OVERALL])):
                verdict = next(c.verdict for c in fit_curves(own) if c.type == OVERALL)
                assert verdict is not None
                inside = verdict.gain_low <= gain <= verdict.gain_high
                rows[way].append((verdict.gain - gain, inside, verdict.gain_high - verdict.gain_low))
        for way, found in rows.items():
            error, inside, width = np.array(found, float).T
            print(
                f"| {kind} | {shared} | {way} | {error.mean():+.4f} | {abs(error).mean():.4f} |"
                f" {inside.mean():.2f} | {width.mean():.3f} |"
            )


if __name__ == "__main__":
    main()
