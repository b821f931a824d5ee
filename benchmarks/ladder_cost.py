"""Sample passes that a shared ladder trains, as a share of independent runs (methods: shared first pass).

    python benchmarks/ladder_cost.py

Arithmetic of :class:`assay.model.Recipe`, the same that the trainer follows; that shared and independent runs
end in the same weights, byte for byte, is tests/model/test_train.py.
"""

from __future__ import annotations

import numpy as np

from assay.model import Recipe


def cost(recipe: Recipe, rungs: list[int]) -> tuple[int, int]:
    """Return (shared, independent) sample passes of one seed."""
    trained, reached = 0, 0
    for n in rungs:
        shared = recipe.shared_steps(n)
        trained += recipe.samples_in(rungs[-1], reached, max(shared, reached))
        trained += recipe.samples_in(n, shared, recipe.steps(n))
        reached = max(shared, reached)
    return trained, recipe.epochs * sum(rungs)


def main() -> None:
    log = [int(n) for n in np.geomspace(1000, 100_000, 10)]
    belle = [200_000, 600_000, 1_000_000, 2_000_000]
    rows = [
        ("10 log rungs, 1k to 100k; 1 epoch, WSD, cooldown 0.2", Recipe(epochs=1, schedule="wsd"), log),
        ("10 log rungs, 1k to 100k; 1 epoch, WSD, cooldown 0.1",
         Recipe(epochs=1, schedule="wsd", cooldown=0.1), log),
        ("BELLE 0.2/0.6/1/2M; 1 epoch, WSD, cooldown 0.2", Recipe(epochs=1, schedule="wsd"), belle),
        ("BELLE 0.2/0.6/1/2M; 2 epochs, constant (its recipe)", Recipe(), belle),
        ("7 doubling rungs, 500 to 32k; 1 epoch, WSD, cooldown 0.2",
         Recipe(epochs=1, schedule="wsd", batch_size=32), [500 * 2**k for k in range(7)]),
    ]  # fmt: skip
    print("| ladder | shared | independent | ratio |\n|---|---|---|---|")
    for name, recipe, rungs in rows:
        shared, independent = cost(recipe, rungs)
        print(f"| {name} | {shared:,} | {independent:,} | {shared / independent:.3f} |")


if __name__ == "__main__":
    main()
