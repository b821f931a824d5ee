"""Do the runs that the engine advises settle the question as often as it says?

    python benchmarks/advice.py --studies 6

Ten regular truths (benchmarks/irregular_truths.py) on three designs; where the verdict is undecided and runs
are advised, they are made and the same question is asked again.
"""

from __future__ import annotations

import argparse

import numpy as np
from irregular_truths import FIRST, SD, SMALLEST, truths

from assay.core import Point
from assay.curves import fit_curves

DESIGNS = ((4, 2), (6, 2), (5, 3))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=int, default=6)
    parser.add_argument("--first", type=int, default=0, help="number of the first study")
    parser.add_argument("--quick", action="store_true", help="1 study")
    options = parser.parse_args()
    rows, asked = [], 0
    for seed in range(options.first, options.first + (1 if options.quick else options.studies)):
        for rungs, seeds in DESIGNS:
            rng = np.random.default_rng([seed, rungs, seeds])
            regular, _ = truths(rng, rungs - 1.0)
            for truth in regular.values():
                value = truth(np.arange(rungs + 1.0))

                def run(k: int, s: int, value: np.ndarray = value, rng: np.random.Generator = rng) -> Point:
                    return Point("t", FIRST * 2**k, s, "score", float(value[k] + rng.normal(0, SD)))

                points = [run(k, s) for k in range(rungs) for s in range(seeds)]
                verdict = fit_curves(points, smallest_gain=SMALLEST)[0].verdict
                assert verdict is not None
                asked += verdict.word == "undecided"
                runs = verdict.next_runs
                if runs is None:
                    continue
                place = rungs - 1 if runs.n_train == FIRST * 2 ** (rungs - 1) else rungs
                points += [run(place, 100 + s) for s in range(runs.seeds)]
                again = fit_curves(points, smallest_gain=SMALLEST, asked=FIRST * 2 ** (rungs - 1))[0].verdict
                assert again is not None
                gain = value[rungs] - value[rungs - 1]
                word = "rising" if gain > SMALLEST else ("falling" if gain < -SMALLEST else "plateau")
                rows.append((runs.chance, again.word != "undecided", again.word == word))
    chance, decided, right = np.array(rows, float).T
    print(
        f"undecided {asked}, advised {len(rows)}: foretold {chance.mean():.2f}, "
        f"settled {decided.mean():.2f}, of these right {right[decided == 1].mean():.2f}"
    )


if __name__ == "__main__":
    main()
