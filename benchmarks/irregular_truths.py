"""Verdicts on truths that the engine was not built on: coverage, and power beside a plain power law.

    python benchmarks/irregular_truths.py --curves 20

Scores, run-level sd 0.012, sizes doubling.  Ten regular truths (under normal noise, t3, seeds that share a
trunk, an outlier run, uneven seeds, missing rungs, in turn) and five irregular ones: a quadratic U, growth
that accelerates, a plateau that collapses, a staircase, a log-periodic wiggle.  For each: does the 90 %
interval at twice the largest size hold the truth; which verdicts on the next doubling are right; and what a
least-squares power law with a residual bootstrap decides.  Gains within 0.01 are plateaus.

An irregular truth shows inside the measured range where its values at the measured sizes are at least three
standard errors of their means from the nearest regular truth; else no reading of the points can know of it.
"""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from assay.core import Point
from assay.curves import fit_curves

Array = NDArray[np.float64]
Truth = Callable[[Array], Array]
SD, SMALLEST, FIRST = 0.012, 0.01, 500
SHOWS = 3.0
DESIGNS = ((4, 1), (4, 3), (6, 3), (8, 3))
NOISES = ("normal", "t3", "trunk", "outlier", "uneven", "missing")


def truths(rng: np.random.Generator, doublings: float) -> tuple[dict[str, Truth], dict[str, Truth]]:
    """Return regular and irregular truths over doublings, their parameters drawn anew."""
    a, g = rng.uniform(0.25, 0.45), rng.uniform(0.15, 0.4)
    b, c, w = rng.uniform(0.2, 0.8), rng.uniform(0.2, 0.8) * doublings, rng.uniform(0.4, 1.2)
    end = doublings + 1
    middle, period = rng.uniform(0.35, 0.65) * doublings, rng.uniform(0.35, 0.6) * max(doublings, 2)
    phase, step = rng.uniform(0, 2 * np.pi), rng.uniform(1.2, 2.2)
    regular: dict[str, Truth] = {
        "flat": lambda k: a + g + 0 * k,
        "log-linear": lambda k: a + g * k / end,
        "power": lambda k: a + g * (1 - 2 ** (-b * k)),
        "slow power": lambda k: a + 1.5 * g * (1 - 2 ** (-0.15 * k)),
        "fast power": lambda k: a + g * (1 - 2 ** (-1.3 * k)),
        "logistic": lambda k: a + g / (1 + np.exp(-(k - c) / w)),
        "Gompertz": lambda k: a + g * np.exp(-np.exp(-(k - c) / w)),
        "hinge": lambda k: a + g * np.minimum(k / c, 1),
        "rectified": lambda k: a + g * w * np.logaddexp(0, (k - c) / w) / (end - c),
        "falling": lambda k: a + g - 0.4 * g * k / end,
    }
    irregular: dict[str, Truth] = {
        "U": lambda k: a + 1.5 * g * ((k - middle) / doublings) ** 2,
        "accelerating": lambda k: a + 0.8 * g * (2 ** (0.5 * k) - 1) / (2 ** (0.5 * doublings) - 1),
        "collapse": lambda k: (
            a + g * (1 - 2**-k) - 0.5 * g * np.maximum(k - 0.7 * doublings, 0) / (0.3 * doublings)
        ),
        "staircase": lambda k: (
            a
            + g * step / doublings * sum(1 / (1 + np.exp(-(k - step * (i + 0.5)) / 0.12)) for i in range(12))
        ),
        "wiggle": lambda k: a + g * k / end + 0.15 * g * np.sin(2 * np.pi * k / period + phase),
    }
    return regular, irregular


def regular_shapes(k: Array) -> Array:
    """Return the regular truths [shapes, len(k)] at ``k`` doublings, level and height left open."""
    last = float(k[-1])
    found = [k, *(1 - 2 ** (-b * k) for b in np.geomspace(0.15, 1.3, 24))]
    for c in np.linspace(0.2, 0.8, 25) * last:
        found.append(np.minimum(k / c, 1))
        for w in np.linspace(0.4, 1.2, 9):
            found += [1 / (1 + np.exp(-(k - c) / w)), np.exp(-np.exp(-(k - c) / w))]
            found.append(w * np.logaddexp(0, (k - c) / w))
    return np.array(found)


def distance(values: Array, seeds: int) -> float:
    """Return how far true ``values`` [K] are from the nearest regular truth, in standard errors of a mean."""
    x = regular_shapes(np.arange(len(values), dtype=float))
    x, y = x - x.mean(axis=1, keepdims=True), values - values.mean()
    explained = ((x @ y) ** 2 / (x**2).sum(axis=1)).max()
    return math.sqrt(max(float(y @ y - explained), 0.0)) / (SD / math.sqrt(seeds))


def noisy(kind: str, rng: np.random.Generator, rungs: int, seeds: int) -> Array:
    """Return errors [rungs, seeds]; NaN where there was no run."""
    error = SD * rng.standard_normal((rungs, seeds))
    if kind == "t3":
        return SD * rng.standard_t(3, (rungs, seeds)) / math.sqrt(3)
    if kind == "trunk":
        return math.sqrt(0.5) * (error + SD * rng.standard_normal((1, seeds)))
    if kind == "outlier":
        error[rng.integers(rungs), rng.integers(seeds)] -= 0.15
    if kind == "uneven" and seeds > 1:
        error[::2, 1:] = np.nan
    if kind == "missing" and rungs > 4:
        error[rng.integers(1, rungs - 1)] = np.nan
    return error


def power_law(d: Array, y: Array, rng: np.random.Generator) -> Array:
    """Return P(rising, plateau, falling) by least squares of a power law and a residual bootstrap."""
    exponents = np.geomspace(0.01, 4, 120)
    at = np.concatenate([d, [d.max(), d.max() + 1]])
    features = 2.0 ** (-at[:, None] * exponents)
    x = features[:-2]
    centred = x - x.mean(axis=0)

    def fit(draws: Array) -> Array:
        slopes = (draws @ centred) / (centred**2).sum(axis=0)
        best = np.argmax(slopes**2 * (centred**2).sum(axis=0), axis=1)
        rows = np.arange(len(draws))
        levels = draws.mean(axis=1) - slopes[rows, best] * x.mean(axis=0)[best]
        fitted: Array = levels[:, None] + slopes[rows, best][:, None] * features[:, best].T
        return fitted

    (fitted,) = fit(y[None])
    residuals = (y - fitted[:-2]) * math.sqrt(len(y) / max(len(y) - 3, 1))
    draws = fit(fitted[:-2] + rng.choice(residuals, (300, len(y))))
    gains = draws[:, -1] - draws[:, -2]
    return np.array([(gains > SMALLEST).mean(), (abs(gains) <= SMALLEST).mean(), (gains < -SMALLEST).mean()])


@dataclass(frozen=True)
class Outcome:
    """One curve: its truth and gain, our interval and probabilities, and the power law's."""

    regular: bool
    truth: str
    design: tuple[int, int]
    gain: float
    shows: bool
    covered: bool
    gain_covered: bool
    width: float
    ours: tuple[float, float, float]
    peer: tuple[float, float, float]

    @property
    def right(self) -> int:
        """Return the place of the right verdict."""
        return 0 if self.gain > SMALLEST else (2 if self.gain < -SMALLEST else 1)


def one(seed: int, designs: tuple[tuple[int, int], ...] = DESIGNS) -> list[Outcome]:
    """Return the outcomes of all truths for one draw of the parameters."""
    return [outcome for rungs, seeds in designs for outcome in _design(seed, rungs, seeds)]


def _design(seed: int, rungs: int, seeds: int) -> Iterator[Outcome]:
    rng = np.random.default_rng([seed, rungs, seeds])
    d = np.arange(rungs, dtype=float)
    for regular, found in zip((True, False), truths(rng, d[-1]), strict=True):
        for name, truth in found.items():
            error = noisy(NOISES[seed % len(NOISES)] if regular else "normal", rng, rungs, seeds)
            values = truth(d)[:, None] + error
            points = [
                Point("t", FIRST * 2**k, s, "score", float(values[k, s]))
                for k in range(rungs)
                for s in range(seeds)
                if np.isfinite(values[k, s])
            ]
            (curve,) = fit_curves(points, smallest_gain=SMALLEST)
            assert curve.band is not None
            assert curve.verdict is not None
            ends = truth(np.array([d[-1], d[-1] + 1]))
            ran = np.isfinite(values)
            peer = power_law(np.repeat(d, seeds)[ran.ravel()], values.ravel()[ran.ravel()], rng)
            verdict, low, high = curve.verdict, curve.band.low[-1], curve.band.high[-1]
            gain = float(ends[1] - ends[0])
            yield Outcome(
                regular,
                name,
                (rungs, seeds),
                gain,
                distance(truth(d), seeds) >= SHOWS,
                bool(low <= ends[1] <= high),
                verdict.gain_low <= gain <= verdict.gain_high,
                high - low,
                (verdict.p_rising, verdict.p_plateau, verdict.p_falling),
                tuple(peer.tolist()),
            )


def report(outcomes: list[Outcome], designs: tuple[tuple[int, int], ...]) -> None:
    """Print the tables."""
    print("| truth | " + " | ".join(f"{k}x{s}" for k, s in designs) + " |\n|---|" + "---|" * len(designs))
    rows = list(dict.fromkeys((o.regular, o.truth) for o in outcomes))
    cells = [(name, [o for o in outcomes if o.truth == name]) for _, name in rows]
    cells.append(("all regular", [o for o in outcomes if o.regular]))
    for name, own in cells:
        print(f"| {name} | " + " | ".join(f"{_share(own, d):.2f}" for d in designs) + " |")
    print("\n| irregular truths that show | " + " | ".join(f"{k}x{s}" for k, s in designs) + " |")
    print("|---|" + "---|" * len(designs))
    for name, own in cells:
        shown = [[o for o in own if not o.regular and o.shows and o.design == d] for d in designs]
        if any(shown):
            told = (f"{np.mean([o.covered for o in x]):.2f} of {len(x)}" if x else "none" for x in shown)
            print(f"| {name} | " + " | ".join(told) + " |")
    print("\n| verdicts | p >= 0.9 | right | p >= 0.95 | right |\n|---|---|---|---|---|")
    for name, own in (("regular", [o for o in outcomes if o.regular]), ("all", outcomes)):
        counts = []
        for least in (0.9, 0.95):
            sure = [o for o in own if max(o.ours) >= least]
            counts += [str(len(sure)), f"{np.mean([np.argmax(o.ours) == o.right for o in sure]):.3f}"]
        print(f"| {name} | " + " | ".join(counts) + " |")
    print("\n| regular | decided rightly | power law | ratio | gains > 0.02 called rising | power law |")
    print("|---|---|---|---|---|---|")
    for design in designs:
        own = [o for o in outcomes if o.regular and o.design == design]
        ours, peer = (
            sum(p[o.right] >= 0.9 for o, p in pairs)
            for pairs in ([(o, o.ours) for o in own], [(o, o.peer) for o in own])
        )
        large = [o for o in own if o.gain > 0.02]
        rising = [sum(p[0] >= 0.9 for p in ps) for ps in ([o.ours for o in large], [o.peer for o in large])]
        head = f"| {design[0]}x{design[1]} | {ours} of {len(own)} | {peer} | {ours / max(peer, 1):.2f} |"
        print(f"{head} {rising[0]} of {len(large)} | {rising[1]} |")


def _share(outcomes: list[Outcome], design: tuple[int, int]) -> float:
    return float(np.mean([o.covered for o in outcomes if o.design == design]))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--curves", type=int, default=20, help="draws of each truth")
    parser.add_argument("--seeds", type=int, help="only designs with that many seeds")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="3 draws")
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    designs = tuple(d for d in DESIGNS if options.seeds in (None, d[1]))
    draws = range(3 if options.quick else options.curves)
    with ProcessPoolExecutor(options.workers) as pool:
        report([o for found in pool.map(partial(one, designs=designs), draws) for o in found], designs)


if __name__ == "__main__":
    main()
