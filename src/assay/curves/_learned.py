"""What real ladders taught of curves, of how far families are off, of noise and of runs that fail.

The numbers are in ``learned.json``, fitted by ``recipes/curves/learn.py`` on ladders of real language models
(its sources are named there).  Losses are on minus the logarithm, scores on the logit, so that up is better.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any, TypeAlias

import numpy as np

from assay.curves._families import FAMILIES, FAMILY, KIND, Array, by_kind

Breaks: TypeAlias = tuple[tuple[float, float], tuple[float, float]]
"""Share of curves that break beyond the ladder, and size of their breaks: of exact ones, of rough ones."""


@dataclass(frozen=True)
class Learned:
    """The prior of one kind of metric; all sizes in units of the link (log loss or logit) per doubling.

    ``cells`` [C, 4]: discrepancies, each the sd of a wandering slope, of a wandering level and of a bend, and
    1 where these are in units of the run-level sd; the first is none, the families exact.  ``cell_weight``
    [C].  ``family_weight`` by name.  ``gains`` [G, 3]: mean, sd and weight of the mean gain per doubling.
    ``noise_centre`` and ``noise_spread``: mean and sd of the logarithm of the run-level sd; ``noise_grid``
    its values.  ``failure`` is the share of runs that fail; their result is worse by ``failure_shift``, give
    or take ``failure_spread``.  ``damping``: what a wandering slope keeps per doubling.  ``straight``: weight
    of the straight link beside the curved one.  ``breaks``: the share of curves whose slope changes just
    beyond the last size and the sd of that change, first of those that follow a family exactly, in units of
    the slope of their last doubling, then of rough ones that go on the way they came, in units of their
    slopes' root mean square.  ``kinds`` [kinds]: weight of each family at each width, where the other types
    of a study have told of it.
    """

    cells: Array
    cell_weight: Array
    family_weight: dict[str, float]
    gains: Array
    noise_centre: float
    noise_spread: float
    noise_grid: Array
    failure: float
    failure_shift: float
    failure_spread: float
    damping: float
    straight: float
    breaks: Breaks
    kinds: Array | None = None

    def components(self) -> Array:
        """Return the prior weight of every component: those of a family or kind share its weight."""
        shares = np.array([self.family_weight[name] for name in FAMILIES]) / np.bincount(FAMILY)
        weight: Array = shares[FAMILY]
        if self.kinds is not None:
            weight *= (self.kinds / by_kind(weight))[KIND]
        return weight


def from_json(found: dict[str, Any]) -> Learned:
    """Return the prior of a part of ``learned.json``; its rounded weights are summed to 1 anew."""
    arrays = ("cells", "cell_weight", "gains", "noise_grid")
    values: dict[str, Any] = {k: np.array(v, float) if k in arrays else v for k, v in found.items()}
    prior = Learned(**values)
    gains, families = prior.gains.copy(), prior.family_weight
    exact, rough = prior.breaks
    gains[:, 2] /= gains[:, 2].sum()
    return replace(
        prior,
        gains=gains,
        breaks=((exact[0], exact[1]), (rough[0], rough[1])),
        cell_weight=prior.cell_weight / prior.cell_weight.sum(),
        family_weight={name: w / sum(families.values()) for name, w in families.items()},
    )


@cache
def learned(kind: str) -> Learned:
    """Return the prior of ``score`` or ``loss`` (bits per byte are losses)."""
    text = files("assay.curves").joinpath("learned.json").read_text(encoding="utf-8")
    return from_json(json.loads(text)["score" if kind == "score" else "loss"])
