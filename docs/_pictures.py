"""Draw the pictures of concepts.md with Assay itself.

    python docs/_pictures.py

The ladders are simulated (seeds are fixed), the curves, bands and verdicts are the product's.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

import assay

IMAGES = Path(__file__).resolve().parent / "images"
SIZES = (500, 1000, 2000, 4000, 8000)


def ladder(
    kind: str, top: float, rate: float, seeds: int, *, sd: float = 0.01, start: int = 0
) -> list[dict[str, object]]:
    """Return the points of a power law with run-level noise: score = top - 0.3 (n / 500)^-rate."""
    chance = np.random.default_rng(start)
    return [
        {
            "type": kind, "n_train": n, "seed": s, "n_eval": 2000,
            "score": float(top - 0.3 * (n / 500) ** -rate + chance.normal(0, sd)),
        }
        for n in SIZES
        for s in range(seeds)
    ]  # fmt: skip


def draw(name: str, points: list[dict[str, object]]) -> None:
    """Write a picture, and say what the curves in it are called."""
    reading = assay.curve(points, plot=IMAGES / f"concepts-{name}.svg")
    for curve in reading.curves:
        print(name, curve.type, curve.verdict.word if curve.verdict else curve.refused)


def main() -> None:
    """Draw all of them."""
    math, translation = ladder("math", 0.9, 0.2, 3, sd=0.006), ladder("translation", 0.62, 2.5, 3)
    draw("verdicts", [*math, *translation, *ladder("rewriting", 0.62, 0.6, 1, sd=0.02, start=11)])
    draw("intervals", ladder("summarization", 0.8, 0.4, 2, sd=0.03, start=4))
    once, thrice = (ladder(f"seeds_per_size_{n}", 0.7, 0.5, n, sd=0.02, start=7) for n in (1, 3))
    draw("seeds", [*once, *thrice])


if __name__ == "__main__":
    main()
