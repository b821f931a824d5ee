"""What a design can show before anything is run: minimum detectable effects and chances of a verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import ndtri

from assay.core import CurvePower, Point
from assay.curves._curve import DECIDED
from assay.curves._descent import visible_rise
from assay.curves._fit import fit_curves
from assay.curves._table import OWN_SHARE

_LEVEL, _POWER = 0.05, 0.8
_STUDIES = 40


def curve_power(
    rungs: Sequence[int],
    *,
    seeds: int = 3,
    n_eval: int = 100,
    run_sd: float = 0.01,
    item_sd: float = 0.3,
    wanted: float = 0.02,
    smallest_gain: float = 0.01,
    types: int = 12,
) -> CurvePower:
    """Plan a ladder before any run: detectable effects, items and seeds needed.

    Example: `assay curve power 1000 2000 4000 8000 --seeds 3 --n-eval 200 --wanted 0.02`

        >>> 0 < assay.curve_power([1000, 2000, 4000]).detectable < 0.2
        True

    Comparisons are paired by item, so that error shared by two models cancels. Verdict probabilities come
    from simulated studies: a log-linear truth that rises by `wanted` per doubling, and a flat one.

    Parameters
    ----------
    rungs
        Training sizes of the ladder.
    seeds
        Seeds per size.
    n_eval
        Evaluation items per type.
    run_sd
        Standard deviation of a type's score between seeds.
    item_sd
        Standard deviation of the scores of a type's items; 0.5 for right or wrong at one half.
    wanted
        Effect to detect, in score.
    smallest_gain
        Smallest gain in score per doubling that matters, for the verdict probabilities.
    types
        Number of types averaged into the overall score.
    """
    own = 2 * OWN_SHARE["score"] * item_sd**2
    run_variance = 2 * run_sd**2 / seeds
    error = math.sqrt(run_variance + own / n_eval)
    left = (wanted / _reach(1)) ** 2 - run_variance
    rise = visible_rise(np.full(len(rungs), error / math.sqrt(2)), len(rungs) * (seeds - 1))
    return CurvePower(
        detectable=_reach(1) * error,
        detectable_holm=_reach(types) * error,
        items_wanted=math.ceil(own / left) if left > 0 else None,
        seeds_wanted=_seeds(wanted, own / n_eval, run_sd),
        visible_rise=rise,
        p_rising=_chance(rungs, seeds, n_eval, run_sd, item_sd, smallest_gain, rise=wanted),
        p_plateau=_chance(rungs, seeds, n_eval, run_sd, item_sd, smallest_gain, rise=0.0),
    )


def _reach(comparisons: int) -> float:
    """Return the effect in standard errors that is found with probability 0.8, two-sided."""
    return float(ndtri(1 - _LEVEL / (2 * comparisons)) + ndtri(_POWER))


def _seeds(wanted: float, items: float, run_sd: float) -> int | None:
    left = (wanted / _reach(1)) ** 2 - items
    return max(1, math.ceil(2 * run_sd**2 / left)) if left > 0 else None


def _chance(
    rungs: Sequence[int],
    seeds: int,
    n_eval: int,
    run_sd: float,
    item_sd: float,
    smallest_gain: float,
    *,
    rise: float,
) -> float:
    """Return the share of simulated studies with the right verdict: rising with a rise, else plateau."""
    u = np.log2(np.array(sorted(rungs), float))
    truth = 0.5 + rise * (u - u.mean())
    own = OWN_SHARE["score"]
    right = 0
    for study in range(_STUDIES):
        rng = np.random.default_rng(study)
        alike = rng.normal(0, item_sd * math.sqrt((1 - own) / n_eval))
        apart = rng.normal(0, item_sd * math.sqrt(own / n_eval), len(u))
        values = truth + alike + apart + rng.normal(0, run_sd, (seeds, len(u)))
        points = [
            Point("t", n, s, "score", float(values[s, k]), n_eval, item_sd / math.sqrt(n_eval))
            for k, n in enumerate(sorted(rungs))
            for s in range(seeds)
        ]
        (curve,) = fit_curves(points, smallest_gain=smallest_gain)
        if curve.verdict is not None:
            p = curve.verdict.p_rising if rise else curve.verdict.p_plateau
            right += p >= DECIDED
    return right / _STUDIES
