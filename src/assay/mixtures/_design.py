"""Which mixtures to train so that the effects of the parts on each type can be estimated separately.

Levels are doublings of a part's number of samples from the base mixture: +1 is twice as many, -1 half.
Amounts are varied, not shares: at a fixed total every part that grows makes the others shrink, and what one
does to a type cannot be told from what the others do (methods: Dong et al. 2023; a mixture's best shares
change with its size).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import hadamard
from scipy.special import ndtri

from assay.core import AssayError

Array = NDArray[np.float64]

Way: TypeAlias = Literal["folded", "hadamard", "single", "dirichlet"]
WAYS: tuple[Way, ...] = get_args(Way)

FOUND = 0.8
"""The chance with which a detectable effect is found."""

_PRIMES = (11, 19, 23, 43, 47, 59, 67, 71, 79, 83)
_LEVEL = 0.05
_REPEATS = 2


@dataclass(frozen=True)
class MixDesign:
    """Mixtures to train: ``counts`` [runs, parts] of samples; the last ``centres`` rows are the base mixture.

    ``base`` [parts] are the counts of the base mixture, ``levels`` [runs, parts] the doublings from it that
    were wanted; counts are rounded to whole samples.
    """

    names: tuple[str, ...]
    way: Way
    base: tuple[int, ...]
    levels: Array
    counts: NDArray[np.int64]
    centres: int


@dataclass(frozen=True, slots=True)
class MixPower:
    """What a design can see of one part's effect, per doubling, on one type.

    ``error``: standard error of the effect; ``alone``: the smallest effect that is found with a chance of
    80 % at a level of 5 %; ``among``: the same where it is the only one among all pairs of parts and types.
    """

    name: str
    error: float
    alone: float
    among: float


def mix_design(
    base: Mapping[str, int], way: Way = "folded", *, centres: int = 2, step: float = 2.0, seed: int = 0,
    levels: Array | None = None,
) -> MixDesign:  # fmt: skip
    """Return mixtures around ``base`` (samples of each part), then ``centres`` runs of the base itself.

    ``folded``: a Plackett-Burman design and its mirror image (Plackett and Burman 1946; Box and Wilson 1951):
    main effects are free of all effects of pairs.  ``hadamard``: the same without the mirror image, half the
    runs, main effects mixed with effects of pairs.  ``single``: one part at a time, up and down.
    ``dirichlet``: random shares at a fixed total, twice as many runs as parts; shares, not amounts.
    ``step`` is the factor by which a part grows or shrinks; ``levels`` [runs, parts] are doublings in place
    of a design's.  Raises :class:`AssayError` for fewer than two parts, an empty part, or a factor of at
    most 1.
    """
    _check(base, step, least=2 if levels is None else 1)
    names, counts = tuple(base), np.array(list(base.values()), np.int64)
    if levels is None:
        levels = _WAYS[way](counts, seed) * (1.0 if way == "dirichlet" else np.log2(step))
    levels = np.vstack([levels, np.zeros((centres, len(names)))])
    rounded = np.maximum(np.rint(counts * 2.0**levels), 1).astype(np.int64)
    return MixDesign(names, way, tuple(base.values()), levels, rounded, centres)


def _check(base: Mapping[str, int], step: float, *, least: int) -> None:
    if len(base) < least:
        raise AssayError("a mixture has at least two parts", value=list(base), expected="two parts or more")
    empty = [name for name, count in base.items() if count < 2]
    if empty:
        raise AssayError(
            "a part of the base mixture is too small to be halved", value=", ".join(empty),
            expected="at least 2 samples of each part", hint="raise mix.n, or name the parts in mix.parts",
        )  # fmt: skip
    if step <= 1:
        raise AssayError("the factor changes nothing", place="mix.step", value=step, expected="more than 1")


def _folded(counts: NDArray[np.int64], seed: int) -> Array:
    # The first column is the sign of the fold: as a factor of its own it costs nothing.
    square = _orthogonal(len(counts))[:, : len(counts)]
    return np.vstack([square, -square])


def _half(counts: NDArray[np.int64], seed: int) -> Array:
    return _orthogonal(len(counts) + 1)[:, 1 : len(counts) + 1]


def _single(counts: NDArray[np.int64], seed: int) -> Array:
    return np.vstack([np.eye(len(counts)), -np.eye(len(counts))])


def _dirichlet(counts: NDArray[np.int64], seed: int) -> Array:
    share = counts / counts.sum()
    drawn = np.random.default_rng(seed).dirichlet(share * len(share), _REPEATS * len(share))
    found: Array = np.log2(np.maximum(drawn * counts.sum(), 1) / counts)
    return found


_WAYS: Mapping[Way, Callable[[NDArray[np.int64], int], Array]] = {
    "folded": _folded, "hadamard": _half, "single": _single, "dirichlet": _dirichlet,
}  # fmt: skip


def _orthogonal(columns: int) -> Array:
    """Return the smallest matrix of +1 and -1 with orthogonal columns, at least ``columns``; the first is +1.

    Sylvester's where the order is a power of two, else Paley's by the squares modulo a prime, which for the
    orders 12, 20 and 24 is that of Plackett and Burman.
    """
    orders = {2**k: None for k in range(1, 7)} | {prime + 1: prime for prime in _PRIMES}
    order = next((n for n in sorted(orders) if n >= columns), None)
    if order is None:
        raise AssayError(
            "too many parts for one design", value=columns, expected=f"at most {max(orders)}",
            hint="name those that matter in mix.parts; the others stay as in the base mixture",
        )  # fmt: skip
    prime = orders[order]
    return np.asarray(hadamard(order), float) if prime is None else _paley(prime)


def _paley(prime: int) -> Array:
    squares = {i * i % prime for i in range(1, prime)}
    sign = np.array([0.0] + [1.0 if i in squares else -1.0 for i in range(1, prime)])
    inner = sign[(np.arange(prime)[:, None] - np.arange(prime)) % prime] - np.eye(prime)
    found: Array = np.block([[np.ones((1, 1)), np.ones((1, prime))], [np.ones((prime, 1)), inner]])
    return found


def mix_power(design: MixDesign, sd: float, types: int) -> tuple[MixPower, ...]:
    """Return what a design can see of each part; ``sd``: standard deviation of a run on the scale of effects.

    ``types``: how many types are judged, for the smallest effect that is found among all pairs.
    """
    levels = design.levels
    table = np.column_stack([np.ones(len(levels)), levels])
    errors = sd * np.sqrt(np.diag(np.linalg.pinv(table.T @ table))[1:])
    pairs = max(types * len(design.names), 1)
    one, many = (float(ndtri(1 - _LEVEL / (2 * n)) + ndtri(FOUND)) for n in (1, pairs))
    return tuple(
        MixPower(name, float(e), one * float(e), many * float(e))
        for name, e in zip(design.names, errors, strict=True)
    )


def widest(design: MixDesign) -> Sequence[int]:
    """Return the most samples of each part that any run takes."""
    found: list[int] = design.counts.max(axis=0).tolist()
    return found
