"""Recipe or data: why more data were read as harm or as no help, from three curves.

A ladder under one recipe measures recipe x data: with the samples grow the steps at the peak rate.  Samples
of the pool that no model was trained on tell both apart: where they get better and the evaluation set does
not, training works and the data are to blame; where they get worse too, it is the recipe.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.special import stdtr, stdtrit

from assay.core import Cause, CauseWord, CurveName, Harm, Shift, higher_is_better
from assay.curves._curve import DECIDED
from assay.curves._families import Array

BELOW_BASE = 0.95
"""Probability from which the largest rung is called worse than no training."""
# Degrees of freedom that the noise of a typical run counts for beside that of the seeds, and its size as a
# share of the level, as for curves.
_MODERATION, _TYPICAL = 4.0, {"score": 0.02}
_TYPICAL_LOSS = 0.003


@dataclass(frozen=True, slots=True)
class Paired:
    """One curve of one arm at two sizes, seed by seed on the same items.

    ``start`` and ``end`` [S] are the values of each seed; ``item_se`` the item-level standard error of the
    mean over seeds of end minus start, items paired.
    """

    curve: CurveName
    metric: str
    n_from: int
    n_to: int
    start: Array
    end: Array
    item_se: float


def shift(paired: Paired, margin: float = 0.0) -> Shift:
    """Return how a curve moved, with the probabilities that it did by more than ``margin`` either way."""
    gains = (paired.end - paired.start) * (1 if higher_is_better(paired.metric) else -1)
    count, level = len(gains), abs(float(paired.start.mean()))
    typical = _TYPICAL.get(paired.metric, _TYPICAL_LOSS * level) * math.sqrt(2)
    freedom = count - 1 + _MODERATION
    squares = float(((gains - gains.mean()) ** 2).sum())
    variance = (squares + _MODERATION * typical**2) / freedom / count
    gain, se = float(gains.mean()), math.hypot(math.sqrt(variance), paired.item_se)
    reach = float(stdtrit(freedom, 0.95)) * se
    return Shift(
        paired.curve, paired.metric, paired.n_from, paired.n_to, gain, gain - reach, gain + reach,
        p_better=float(stdtr(freedom, (gain - margin) / se)),
        p_worse=float(stdtr(freedom, (-margin - gain) / se)),
    )  # fmt: skip


def cause(
    harm: Harm,
    arm: str,
    evaluation: Paired,
    control: Paired,
    training: Paired,
    *,
    repeated: bool,
    smallest_relative_gain: float,
) -> Cause:
    """Return why more data of an arm did harm, or no good.

    ``repeated``: samples were passed more than once, without which nothing is learned by heart; on a plateau
    a change of the control loss within ``smallest_relative_gain`` of it is none.
    """
    margin = smallest_relative_gain * float(control.start.mean()) if harm == "plateau" else 0.0
    moved, seen = shift(control, margin), shift(training)
    by_heart = seen.p_better if repeated else 0.0
    chances: dict[CauseWord, float] = {
        "data": moved.p_better,
        "recipe": moved.p_worse * (1 - by_heart),
        "overfitting": moved.p_worse * by_heart,
        "exhausted": max(0.0, 1 - moved.p_better - moved.p_worse),
    }
    likeliest = max(chances, key=lambda word: chances[word])
    word = likeliest if chances[likeliest] >= DECIDED else "open"
    return Cause(word, chances[likeliest], likeliest, harm, arm, (shift(evaluation), moved, seen))


def below_base(paired: Paired) -> bool:
    """Return whether the largest rung is worse than no training, whatever the curve does between."""
    return shift(paired).p_worse >= BELOW_BASE


def reference(harm: Harm, means: dict[int, float], metric: str) -> int:
    """Return the size that the largest is compared with; ``means`` by size, 0 being the untrained model.

    On a plateau the one nearest to its half, by ratio; where the curve falls the best before it; else 0.
    """
    *before, largest = sorted(means)
    if harm == "below_base":
        return 0
    if harm == "plateau":
        return min((n for n in before if n), key=lambda n: abs(math.log(2 * n / largest)), default=0)
    best = max if higher_is_better(metric) else min
    return best(before, key=lambda n: means[n])


def clustered_se(differences: Array) -> float:
    """Return the error of a mean from what each cluster of items moves it by; differences [clusters]."""
    count = len(differences)
    return math.sqrt(count / (count - 1) * float((differences**2).sum())) if count > 1 else math.inf
