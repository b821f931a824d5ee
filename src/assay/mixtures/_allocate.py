"""The mixture of a given size that the effects make best, within one doubling of the base mixture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtr, stdtrit

from assay.core import AssayError
from assay.mixtures._fit import MixEffects, MixRuns
from assay.mixtures._shrink import Z

Array = NDArray[np.float64]

Word: TypeAlias = Literal["better", "worse", "as good", "undecided", "beyond"]

REACH = 1.0
"""Doublings from the base mixture; beyond it nothing was measured."""

_SURE = 0.9
_LENT = 4
"""Runs that the noise about the fit counts for beside that of the runs that confirm it."""
_ROUNDS = 200


@dataclass(frozen=True, slots=True)
class Against:
    """The chosen mixture minus another of the same size, in the weighted mean over types.

    ``gain`` with its 90 % interval; ``p``: probability that the chosen one is better.  ``word``: ``better``
    or ``worse`` where that is so by more than the smallest gain with probability 0.9, ``as good`` where the
    interval lies within it; ``beyond`` (then the figures are None) where the other has parts that are more
    than one doubling from the base mixture, where nothing was measured.
    """

    name: str
    counts: tuple[int, ...]
    word: Word
    gain: float | None
    low: float | None
    high: float | None
    p: float | None


@dataclass(frozen=True, slots=True)
class Allocation:
    """The best mixture of ``total`` samples: ``counts`` by part, ``worth`` of doubling each (weighted mean).

    ``limited``: parts that are at the edge of what was measured, or of what the pool holds.
    """

    names: tuple[str, ...]
    total: int
    counts: tuple[int, ...]
    base: tuple[int, ...]
    worth: tuple[float, ...]
    limited: tuple[str, ...]
    against: tuple[Against, ...]
    smallest: float


def worth(fit: MixEffects, weights: Mapping[str, float]) -> tuple[Array, Array]:
    """Return what doubling each part gains in the weighted mean over types, with its standard deviation.

    ``weights`` by type; those that are not named have none.  Errors of types go together as far as the
    residuals of runs do.
    """
    unknown = [name for name in weights if name not in fit.types]
    total = sum(weights.values())
    if unknown or total <= 0 or min(weights.values()) < 0:
        raise AssayError(
            "the weights do not fit the types", place="weights", value=dict(weights),
            expected="weights of at least 0, some above, of: " + ", ".join(fit.types),
        )  # fmt: skip
    w = np.array([weights.get(kind, 0.0) for kind in fit.types]) / total
    shape = (len(fit.names), len(fit.types))
    gain = np.array([e.gain for e in fit.effects]).reshape(shape)
    sd = np.array([e.high - e.low for e in fit.effects]).reshape(shape) / (2 * Z)
    own = ((w * sd) ** 2).sum(axis=1)
    variance = (1 - fit.alike) * own + fit.alike * (w * sd).sum(axis=1) ** 2
    return gain @ w, np.sqrt(variance)


def allocate(
    fit: MixEffects,
    base: Mapping[str, float],
    total: int,
    *,
    weights: Mapping[str, float] | None = None,
    held: Mapping[str, int] | None = None,
    others: Mapping[str, Mapping[str, float]] | None = None,
    smallest: float = 0.005,
) -> Allocation:
    """Return the mixture of ``total`` samples that gains most in the weighted mean over types.

    ``base``: shares of the base mixture, by part; each part stays within half and double of its share, and
    within what the pool holds (``held``).  The gain is sum_j c_j log2(n_j): what a part is worth per
    doubling decides its share, and parts that harm get the least.  ``others``: mixtures to compare with, by
    name; equal shares always are.  Raises :class:`AssayError` where the pool holds too few samples.
    """
    kinds = weights or dict.fromkeys(fit.types, 1.0)
    value, sd = worth(fit, kinds)
    shares = np.array([base[name] for name in fit.names], float)
    start = total * shares / shares.sum()
    low, high = start / 2**REACH, start * 2**REACH
    if held is not None:
        high = np.minimum(high, [held[name] for name in fit.names])
    if high.sum() < total or (low > high).any():
        raise AssayError(
            "the pool holds too few samples for this total", place="total", value=total,
            expected=f"at most {int(_most(start, high, total)):,} within one doubling of the base mixture",
        )  # fmt: skip
    counts = _rounded(_filled(value, low, high, total), total)
    equal = dict.fromkeys(fit.names, 1.0)
    rows = {"equal": equal, **(others or {})}
    return Allocation(
        fit.names, total, tuple(counts.tolist()), tuple(_rounded(start, total).tolist()),
        tuple(value.tolist()),
        tuple(
            name
            for name, count, least, most in zip(fit.names, counts, low, high, strict=True)
            if count - 1 <= least or count + 1 >= most
        ),
        tuple(
            _against(name, np.array([own[n] for n in fit.names], float), counts, start, value, sd, smallest)
            for name, own in rows.items()
        ),
        smallest,
    )  # fmt: skip


def _most(start: Array, high: Array, total: int) -> float:
    """Return the largest total whose parts the pool holds within one doubling of the base mixture."""
    part = start / total
    sizes = np.linspace(0, total, 1001)
    fits = [s for s in sizes if np.minimum(part * s * 2, high).sum() >= s and (part * s / 2 <= high).all()]
    return float(max(fits))


def _filled(value: Array, low: Array, high: Array, total: float) -> Array:
    """Return counts within bounds that sum to ``total`` and make sum value log(counts) largest.

    Parts of positive worth get it in proportion, between their bounds; those that harm get their least, and
    only where the total asks for it more, those that harm least per sample first.
    """
    good = value > 1e-9 * float(np.abs(value).max())
    found = low.copy()
    if high[good].sum() + low[~good].sum() <= total:
        found[good] = high[good]
        room = np.maximum(high - low, 1e-12)
        for place in np.argsort(-value * np.log2(high / low) / room):
            if not good[place]:
                found[place] += min(high[place] - low[place], total - found.sum())
        return found
    price_low, price_high = float((value / high)[good].min()), float((value / low)[good].max())
    for _ in range(_ROUNDS):
        price = float(np.sqrt(price_low * price_high))
        found[good] = np.clip(value[good] / price, low[good], high[good])
        price_low, price_high = (price, price_high) if found.sum() > total else (price_low, price)
    return found


def _rounded(counts: Array, total: int) -> NDArray[np.int64]:
    """Return whole counts with the same total, by largest remainders."""
    found = np.floor(counts + 1e-9).astype(np.int64)
    for place in np.argsort(-(counts - found), kind="stable")[: total - int(found.sum())]:
        found[place] += 1
    return found


def _against(
    name: str, other: Array, counts: NDArray[np.int64], start: Array, value: Array, sd: Array, smallest: float
) -> Against:
    other = other * counts.sum() / other.sum()
    rounded = tuple(_rounded(other, int(counts.sum())).tolist())
    if np.abs(np.log2(other / start)).max() > REACH + 0.01:
        return Against(name, rounded, "beyond", None, None, None, None)
    step = np.log2(np.maximum(counts, 1)) - np.log2(other)
    mean, error = float(value @ step), float(np.sqrt(((sd * step) ** 2).sum()))
    low, high = mean - Z * error, mean + Z * error
    better, worse = 1 - _normal(smallest, mean, error), _normal(-smallest, mean, error)
    word = _word(better, worse, low, high, smallest)
    return Against(name, rounded, word, mean, low, high, 1 - _normal(0.0, mean, error))


def _word(better: float, worse: float, low: float, high: float, smallest: float, sure: float = _SURE) -> Word:
    if better >= sure or worse >= sure:
        return "better" if better >= sure else "worse"
    return "as good" if -smallest <= low and high <= smallest else "undecided"


def compared(
    runs: MixRuns, mixtures: Mapping[str, tuple[int, ...]], weights: Mapping[str, float] | None,
    smallest: float, fit: MixEffects | None = None,
) -> tuple[Against, ...]:  # fmt: skip
    """Return what runs say of the first mixture beside each other one: trained, not foretold.

    ``runs`` hold the ``mixtures`` in turn, each as often, twice at least; intervals by Student's t, from how
    much runs of one mixture differ over all of them, drawn towards how much the runs of ``fit`` differ from
    it as by four more.  Better and worse at such probabilities that of ten studies without any difference
    nine say neither, however many mixtures they hold (Bonferroni).
    """
    w = np.array([1.0 if weights is None else weights.get(kind, 0.0) for kind in runs.types])
    w /= w.sum()
    table = (runs.oriented() @ w).reshape(-1, len(mixtures))
    freedom = (len(table) - 1) * len(mixtures)
    squares = float(((table - table.mean(axis=0)) ** 2).sum())
    if fit is not None:
        freedom, squares = freedom + _LENT, squares + _LENT * fit.noise(w)
    error, reach = max(np.sqrt(2 * squares / freedom / len(table)), 1e-12), float(stdtrit(freedom, 0.95))
    sure = 1 - (1 - _SURE) / (2 * max(len(mixtures) - 1, 1))
    chosen, *others = zip(mixtures.items(), table.mean(axis=0).tolist(), strict=True)

    def against(name: str, counts: tuple[int, ...], mean: float) -> Against:
        gain = chosen[1] - mean
        low, high = gain - reach * error, gain + reach * error
        above, below = (float(stdtr(freedom, (gain - x) / error)) for x in (smallest, -smallest))
        word = _word(above, 1 - below, low, high, smallest, sure)
        return Against(name, counts, word, gain, low, high, float(stdtr(freedom, gain / error)))

    return tuple(against(name, counts, mean) for (name, counts), mean in others)


def _normal(place: float, mean: float, error: float) -> float:
    return float(ndtr((place - mean) / error)) if error > 0 else float(mean < place)


def weights_of(texts: Sequence[str], place: str = "weights") -> dict[str, float]:
    """Return numbers written as ``NAME=NUMBER``; raise :class:`AssayError` for anything else."""
    found = {}
    for text in texts:
        name, _, number = text.rpartition("=")
        try:
            found[name] = float(number)
        except ValueError:
            name = ""
        if not name:
            raise AssayError(
                "not a name and a number", place=place, value=text, expected="NAME=NUMBER: math=2"
            )
    return found
