"""Effects from few real runs against held-out ones: RegMix's mixtures of 17 domains, 13 losses.

``python benchmarks/mix_real.py FOLDER``: the folder holds ``train_mixture_1m.csv``,
``train_pile_loss_1m.csv`` and the two of 256 test mixtures (sail-sg/regmix, MIT licence).  Spearman and
relative error on the test mixtures from 25, 50, 100 and 512 runs, mean over domains and over five draws of
the runs, beside least squares on shares and LightGBM (RegMix's way; needs ``lightgbm``).
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from assay.mixtures import MixRuns, centre_of, doublings, fit_effects

Array = NDArray[np.float64]


def table(path: Path) -> tuple[list[str], Array]:
    """Return the columns after the index, and their values."""
    with path.open(encoding="utf-8") as handle:
        head, *rows = list(csv.reader(handle))
    return head[1:], np.array([[float(v) for v in row[1:]] for row in rows])


def effects(x: Array, y: Array, new: Array) -> Array:
    """Return log losses by effects per doubling of each share."""
    names = tuple(map(str, range(x.shape[1])))
    types = tuple(f"loss{i}" for i in range(y.shape[1]))
    fit = fit_effects(MixRuns(names, types, x, np.exp(y), True, tuple(map(str, range(len(x))))))
    gain = -np.array([e.gain for e in fit.effects]).reshape(len(names), len(types))
    steps, ahead = (doublings(z, fit.offset, centre_of(x)) for z in (x, new))
    found: Array = ahead @ gain + (y - steps @ gain).mean(axis=0)
    return found


def linear(x: Array, y: Array, new: Array) -> Array:
    """Return log losses by least squares on shares (which sum to one: the constant is among them)."""
    found: Array = new @ np.linalg.lstsq(x, y, rcond=None)[0]
    return found


def trees(x: Array, y: Array, new: Array) -> Array:
    """Return log losses by gradient-boosted trees."""
    import lightgbm

    settings = {"learning_rate": 0.03, "min_data_in_leaf": 5, "verbose": -1, "num_threads": 1}
    made = (lightgbm.train(settings, lightgbm.Dataset(x, own), 300) for own in y.T)
    return np.column_stack([one.predict(new) for one in made])


WAYS: dict[str, Callable[[Array, Array, Array], Array]] = {
    "effects": effects, "linear": linear, "trees": trees,
}  # fmt: skip


def main() -> None:
    """Print a line for each way and number of runs."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, nargs="*", default=[25, 50, 100, 512])
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--ways", nargs="*", default=list(WAYS))
    args = parser.parse_args()
    _, x = table(args.folder / "train_mixture_1m.csv")
    _, y = table(args.folder / "train_pile_loss_1m.csv")
    _, new = table(args.folder / "test_mixture_1m.csv")
    _, target = table(args.folder / "test_pile_loss_1m.csv")
    for runs in args.runs:
        for way in args.ways:
            ranks, errors = [], []
            for seed in range(args.draws if runs < len(x) else 1):
                rows = np.random.default_rng(seed).permutation(len(x))[:runs]
                varied = (np.ptp(x[rows], axis=0) > 0) & ((x[rows] > 0).sum(axis=0) > 1)
                told = WAYS[way](x[rows][:, varied], np.log(y[rows]), new[:, varied])
                ranks.append(np.mean([spearmanr(told[:, i], target[:, i])[0] for i in range(y.shape[1])]))
                errors.append(np.sqrt(((told - np.log(target)) ** 2).mean()))
            print(
                f"{runs} runs, {way}: Spearman {np.mean(ranks):.3f}, error {np.mean(errors):.4f}", flush=True
            )


if __name__ == "__main__":
    main()
