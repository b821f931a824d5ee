"""The largest effects, tried again at another size."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from assay.core import AssayError
from assay.curves import holm
from assay.mixtures._fit import Effect, MixEffects, MixRuns, moderated

Array = NDArray[np.float64]

ConfirmWord: TypeAlias = Literal["confirmed", "contradicted", "smaller", "open"]

_LEVEL, _INTERVAL = 0.05, 0.9
_LEFT = 2


@dataclass(frozen=True, slots=True)
class Confirmed:
    """One effect at two sizes, oriented: above zero is a gain.

    ``first`` is the effect as it was found (shrunk), ``again`` least squares at the second size with its 90 %
    interval; ``p`` is one-sided for the first's sign, corrected for all effects that were tried (Holm).
    ``confirmed``: p at most 0.05.  ``contradicted``: the same for the other sign.  ``smaller``: the interval
    lies below half of what was found first.  Else ``open``.
    """

    part: str
    type: str
    first: Effect
    again: float
    low: float
    high: float
    p: float
    word: ConfirmWord


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What ``runs`` around a base mixture of ``n`` samples say of effects found around one of ``before``.

    ``near_zero``: types to whose losses something was added, at both sizes the same.
    """

    rows: tuple[Confirmed, ...]
    loss: bool
    n: int
    before: int
    runs: int
    near_zero: tuple[str, ...] = ()


def largest(fit: MixEffects, most: int) -> tuple[Effect, ...]:
    """Return the effects across types to try again: those shown, the largest first; else those nearest to it.

    Effects on a part's own type are tried where there are no others.
    """
    across = [e for e in fit.effects if not e.own] or list(fit.effects)
    order = sorted(across, key=lambda e: (0.0, -abs(e.gain)) if e.shown else (1.0, e.p))
    return tuple(order[:most])


def confirm_levels(parts: int, repeats: int) -> Array:
    """Return doublings [runs, parts] of a full factorial of -1 and +1, each cell ``repeats`` times.

    Raises :class:`AssayError` where no freedom would be left for the noise.
    """
    cells = list(itertools.product((-1.0, 1.0), repeat=parts))
    if repeats * len(cells) < parts + 1 + _LEFT:
        raise AssayError(
            "too few runs to tell an effect from noise", place="repeats", value=repeats,
            expected=f"at least {-(-(parts + 1 + _LEFT) // len(cells))}",
        )  # fmt: skip
    return np.array(cells * repeats)


def confirm_effects(first: Sequence[Effect], runs: MixRuns, levels: Array) -> tuple[Confirmed, ...]:
    """Return what runs at another size say of effects; ``levels`` [runs, parts] as they were designed.

    Least squares on the main effects; what pairs of parts do together counts as noise.
    """
    targets = runs.oriented()
    table = np.column_stack([np.ones(len(levels)), levels])
    inverse = np.linalg.inv(table.T @ table)
    weights = inverse @ table.T @ targets
    left = len(table) - table.shape[1]
    variance, freedom = moderated(((targets - table @ weights) ** 2).sum(axis=0) / left, left)
    places = [(runs.names.index(e.part), runs.types.index(e.type)) for e in first]
    again = np.array([weights[1 + part, kind] for part, kind in places])
    errors = np.array([np.sqrt(inverse[1 + part, 1 + part] * variance[kind]) for part, kind in places])
    sign = np.array([1.0 if e.gain >= 0 else -1.0 for e in first])
    p = stdtr(freedom, -sign * again / errors)
    same, other = np.array(holm(p.tolist())), np.array(holm((1 - p).tolist()))
    reach = float(stdtrit(freedom, 0.5 + _INTERVAL / 2)) * errors
    rows = zip(first, again.tolist(), (again - reach).tolist(), (again + reach).tolist(), strict=True)
    return tuple(
        Confirmed(e.part, e.type, e, value, low, high, float(one), _word(e, low, high, one, against))
        for (e, value, low, high), one, against in zip(rows, same, other, strict=True)
    )


def _word(effect: Effect, low: float, high: float, same: float, other: float) -> ConfirmWord:
    if same <= _LEVEL:
        return "confirmed"
    if other <= _LEVEL:
        return "contradicted"
    below = high < effect.gain / 2 if effect.gain >= 0 else low > effect.gain / 2
    return "smaller" if below else "open"
