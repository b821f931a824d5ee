"""How much runs of one mixture differ by themselves, and what a design can see beside that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv

from assay.core import AssayError
from assay.mixtures._design import MixPower
from assay.mixtures._fit import moderated

Array = NDArray[np.float64]

_SURE = 0.9


@dataclass(frozen=True, slots=True)
class MixNoise:
    """The noise of runs on one type, and the smallest effects found beside it with a chance of 80 %.

    ``sd``: standard deviation between runs of one mixture, of a score or of a log loss; ``alone``: an effect
    that is asked about alone, ``among``: one among all pairs of parts and types.  None where the runs that
    were repeated never differed in the type.
    """

    type: str
    metric: str
    sd: float | None
    alone: float | None
    among: float | None


def run_noise(groups: Sequence[Array]) -> tuple[Array, float]:
    """Return the standard deviation [types] between runs of one mixture, and its degrees of freedom.

    ``groups`` of runs [runs, types], each of one mixture; variances are drawn towards each other as far as
    they are alike.  Raises :class:`AssayError` where no mixture was run twice.
    """
    repeated = [group for group in groups if len(group) > 1]
    if not repeated:
        raise AssayError("no mixture was run twice", expected="two runs of one mixture, or more")
    freedom = sum(len(group) - 1 for group in repeated)
    squares = sum(((group - group.mean(axis=0)) ** 2).sum(axis=0) for group in repeated)
    variance, known = moderated(np.asarray(squares) / freedom, freedom)
    return np.sqrt(variance), known


def noise_seen(
    power: Sequence[MixPower], types: Sequence[str], metric: str, sd: Sequence[float | None]
) -> tuple[MixNoise, ...]:
    """Return what a design sees of each type; ``power`` is that for a standard deviation of 1."""
    alone, among = max(p.alone for p in power), max(p.among for p in power)
    return tuple(
        MixNoise(t, metric, s, None if s is None else alone * s, None if s is None else among * s)
        for t, s in zip(types, sd, strict=True)
    )


def at_most(freedom: float) -> float:
    """Return by which factor the true noise exceeds its estimate at most, with a probability of 0.9."""
    return float(np.sqrt(freedom / (2 * gammaincinv(freedom / 2, 1 - _SURE))))
