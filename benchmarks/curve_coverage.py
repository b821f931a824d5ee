"""Coverage and error of the curve engine at twice the largest rung, beside one power law.

    python benchmarks/curve_coverage.py --curves 60

Truths in and out of the families: loss range 0.1 to 0.4, run-level sd 0.006, ladders 1k to 100k.  For
each truth, design (rungs x seeds) and draw of the parameters: does the nominal 90 % interval for f(2 n_max)
hold the truth, how wide is it, how far off is its mean?  The peer is the usual practice: least squares of
E + B n^-beta with a residual bootstrap.  Also: of the draws whose P(gain < threshold) lies in a bin, how many
have it?
"""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assay.core import Point
from assay.curves import fit_curves

Array = NDArray[np.float64]
LOW, HIGH, SD = 1e3, 1e5, 0.006
DESIGNS = ((4, 1), (4, 3), (8, 1), (8, 3))
Truth = Callable[[Array], Array]


def _unit(n: Array) -> Array:
    return np.log(np.asarray(n, float) / LOW) / math.log(HIGH / LOW)


def truths(rng: np.random.Generator) -> dict[str, Truth]:
    """Return one truth of each kind, its parameters drawn anew."""
    e, b = rng.uniform(0.8, 1.5), rng.uniform(0.1, 0.4)
    c, w = rng.uniform(0.25, 0.75), rng.uniform(0.06, 0.2)
    beta, height = rng.uniform(0.15, 0.6), rng.uniform(0.02, 0.06)
    width, rise = rng.uniform(0.08, 0.18), rng.uniform(0.02, 0.08)
    d1, f = 10 ** rng.uniform(3.5, 4.7), rng.uniform(0.1, 0.5)

    def power(n: Array) -> Array:
        return e + b * (np.asarray(n, float) / LOW) ** -beta

    def broken(n: Array) -> Array:
        x = np.asarray(n, float)
        return e + b * (x / LOW) ** (-0.1) * (1 + (x / d1) ** (1 / f)) ** (-0.3 * f)

    return {
        "plateau": lambda n: e + 0 * _unit(n),
        "log-linear": lambda n: e + b * (1 - _unit(n)),
        "power": power,
        "logistic": lambda n: e + b / (1 + np.exp((_unit(n) - c) / w)),
        "bump": lambda n: power(n) + height * np.exp(-((_unit(n) - c) ** 2) / (2 * width**2)),
        "Gompertz": lambda n: e + b * (1 - np.exp(-np.exp(-(_unit(n) - c) / w))),
        "broken power": broken,
        "rising end": lambda n: power(n) + rise * np.maximum(_unit(n) - c, 0) ** 2 / (1 - c) ** 2,
    }


@dataclass(frozen=True)
class Outcome:
    """One fitted curve against its truth."""

    truth: str
    design: tuple[int, int]
    ours: tuple[bool, float, float]
    """Covered, width, absolute error."""
    peer: tuple[bool, float, float]
    small: tuple[float, bool]
    """P(gain <= threshold), and whether it is."""


EXPONENTS = np.geomspace(0.005, 4, 400)


def _power_fits(n: Array, draws: Array) -> tuple[Array, Array]:
    """Fit E + B n^-beta to each row of `draws` by least squares; return the fits at `n` and at 2 HIGH.

    Exact in E and B given the exponent, which takes the best of a fine grid: no start values, no early stop.
    """
    at = np.append(n, 2 * HIGH) / LOW
    features = at[:, None] ** -EXPONENTS
    centred = features[:-1] - features[:-1].mean(0)
    slopes = (draws @ centred) / (centred**2).sum(0)
    levels = draws.mean(1, keepdims=True) - slopes * features[:-1].mean(0)
    best = np.argmax(slopes**2 * (centred**2).sum(0), axis=1)
    rows = np.arange(len(draws))
    fitted = levels[rows, best][:, None] + slopes[rows, best][:, None] * features[:, best].T
    return fitted[:, :-1], fitted[:, -1]


def _peer(n: Array, y: Array, rng: np.random.Generator) -> tuple[float, float, float]:
    fitted, ahead = _power_fits(n, y[None])
    residuals = (y - fitted[0]) * math.sqrt(len(y) / max(len(y) - 3, 1))
    _, draws = _power_fits(n, fitted + rng.choice(residuals, (500, len(y))))
    low, high = np.quantile(draws, (0.05, 0.95))
    return float(ahead[0]), float(low), float(high)


def one(seed: int, peer: bool = True) -> list[Outcome]:
    """Return the outcomes of all truths and designs for one draw of the parameters."""
    rng = np.random.default_rng(seed)
    outcomes = []
    for name, truth in truths(rng).items():
        for rungs, seeds in DESIGNS:
            sizes = np.round(np.geomspace(LOW, HIGH, rungs))
            values = truth(sizes)[:, None] + rng.normal(0, SD, (rungs, seeds))
            points = [
                Point("t", int(n), s, "loss", float(values[k, s]))
                for k, n in enumerate(sizes)
                for s in range(seeds)
            ]
            (curve,) = fit_curves(points)
            assert curve.band is not None
            assert curve.verdict is not None
            target = float(truth(np.array([2 * HIGH]))[0])
            gain = float(truth(np.array([HIGH]))[0]) - target
            low, high, mean = curve.band.low[-1], curve.band.high[-1], curve.band.mean[-1]
            ours = (low <= target <= high, high - low, abs(mean - target))
            theirs = (False, math.nan, math.nan)
            if peer:
                at, l2, h2 = _peer(np.repeat(sizes, seeds), values.ravel(), rng)
                theirs = (l2 <= target <= h2, h2 - l2, abs(at - target))
            small = (1 - curve.verdict.p_rising, gain <= curve.verdict.threshold)
            outcomes.append(Outcome(name, (rungs, seeds), ours, theirs, small))
    return outcomes


def report(outcomes: list[Outcome]) -> None:
    """Print the tables."""
    names = list(dict.fromkeys(o.truth for o in outcomes))
    print("Coverage of the nominal 90 % interval at 2 n_max (peer: power law, residual bootstrap)\n")
    print("| design | " + " | ".join(names) + " | all | peer, all |")
    print("|---|" + "---|" * (len(names) + 2))
    for design in DESIGNS:
        own = [o for o in outcomes if o.design == design]
        cells = [np.mean([o.ours[0] for o in own if o.truth == name]) for name in names]
        shares = [*cells, np.mean([o.ours[0] for o in own]), np.mean([o.peer[0] for o in own])]
        print(f"| {design[0]}x{design[1]} | " + " | ".join(f"{s:.2f}" for s in shares) + " |")
    print("\n| design | median width | peer | median error | peer |\n|---|---|---|---|---|")
    for design in DESIGNS:
        own = [o for o in outcomes if o.design == design]
        cells = [
            np.median([v[i] for v in rows])
            for i in (1, 2)
            for rows in ([o.ours for o in own], [o.peer for o in own])
        ]
        print(f"| {design[0]}x{design[1]} | " + " | ".join(f"{c:.4f}" for c in cells) + " |")
    print("\n| P(gain < threshold) between | curves | true |\n|---|---|---|")
    for low, high in ((0, 0.05), (0.05, 0.5), (0.5, 0.9), (0.9, 0.95), (0.95, 1.01)):
        inside = [o.small[1] for o in outcomes if low <= o.small[0] < high]
        if inside:
            print(f"| {low} and {min(high, 1)} | {len(inside)} | {np.mean(inside):.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--curves", type=int, default=60, help="draws of each truth")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--quick", action="store_true", help="4 draws")
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    draws = 4 if options.quick else options.curves
    with ProcessPoolExecutor(options.workers) as pool:
        outcomes = [o for found in pool.map(one, range(draws)) for o in found]
    report(outcomes)


if __name__ == "__main__":
    main()
