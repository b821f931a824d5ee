"""Which subsets to train so that their losses tell indicators apart (methods: within-source tilts).

The mean of an indicator over a random subset hardly varies, so random subsets say nothing; mixing sources
varies it, but along with everything else in which sources differ.  A tilted subset keeps the share of every
source, type and length of the pool and draws, within each, samples with more of some indicators and less of
others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import hadamard
from scipy.special import ndtri

from assay.core import AssayError

Array = NDArray[np.float64]
Rows = NDArray[np.int64]

TILT = 0.35
MOST = 15
"""Indicators that a folded Hadamard design of order 16 can tell apart."""

REACH = 3.0
"""Standard deviations beyond which a sample counts as one that lies there."""

_COLLINEAR = 5.0
_NOTHING = 1e-12
"""Sum of squares of a column that others explain wholly, but for rounding."""
_LENGTH_CLASSES = 8


@dataclass(frozen=True)
class Design:
    """Subsets to train.

    ``rows``: for each run the pool's row numbers [n]; ``levels`` [runs, k]: the tilt of each indicator (or of
    each direction where ``whitened``), 0 in mixtures; ``means`` [runs, k]: the indicators' means over each
    subset, in the pool's standard deviations from its mean; ``squares`` [runs, k]: the means of their
    squares, each held to at most 9, so that a few far samples do not decide them.
    """

    names: tuple[str, ...]
    rows: tuple[Rows, ...]
    levels: Array
    means: Array
    squares: Array
    whitened: bool


@dataclass(frozen=True, slots=True)
class Power:
    """What a design can see of one indicator, in relative loss per standard deviation of the pool.

    ``error`` is the standard error of its slope, ``detectable`` the smallest slope that is found with a
    chance of 80 % at a level of 5 %; ``spread`` the standard deviation of its means over the subsets.
    """

    name: str
    spread: float
    error: float
    detectable: float


def tilted(
    values: Array,
    names: Sequence[str],
    n: int,
    *,
    strata: Sequence[str],
    lengths: Sequence[float],
    runs: int = 32,
    tilt: float = TILT,
    whiten: bool | None = None,
    doubled: int = 0,
    paired: bool = False,
    seed: int = 0,
) -> Design:
    """Return subsets of ``n`` rows tilted by a folded Hadamard design of order 16, repeated up to ``runs``.

    ``values`` [rows, k] are indicators, NaN where undefined: such rows are in no subset.  ``strata`` names
    the source (and type) of each row; together with eight classes of ``lengths`` it keeps its share in every
    subset, so that size and tokens are the same in all.  Indicators are standardised within strata and, where
    a variance inflation factor is above 5 (or ``whiten`` says so), whitened.  ``doubled`` further subsets
    have twice the tilt: they show whether loss goes on in a straight line.  ``paired`` takes each row of the
    design with its mirror image, so that a few runs are balanced too: enough to try a rule, too few
    directions to fit one.  Raises :class:`AssayError` for
    more than 15 indicators, or where too few rows are usable.
    """
    if not 1 <= len(names) <= MOST:
        raise AssayError("too many indicators for the design", value=len(names), expected=f"1 to {MOST}")
    usable = np.flatnonzero(np.isfinite(values).all(axis=1))
    if len(usable) < 2 * n:
        raise AssayError(
            "too few samples have all indicators",
            value=len(usable),
            expected=f"at least {2 * n:,}, twice the subset",
            hint="leave out the indicator that is undefined most often, or take smaller subsets",
        )
    sources = np.asarray(strata, object)[usable].astype(str)
    whole = _standardised(values[usable])
    scores = _within(values[usable], sources)
    whitened = bool((inflation(scores) > _COLLINEAR).any()) if whiten is None else whiten
    if whitened:
        scores = scores @ _whitener(scores)
    cells = _cells(sources, np.asarray(lengths, np.float64)[usable])
    pattern = hadamard(16)[:, 1 : len(names) + 1].astype(float)
    folded = np.vstack([pattern, -pattern])
    # From either half of the fold in turn, so that both ends are reached.
    ends = folded.reshape(2, len(pattern), -1).swapaxes(0, 1).reshape(folded.shape)
    levels = np.vstack([ends if paired else folded] * -(-runs // len(folded)))[:runs]
    levels = np.vstack([levels, 2 * ends[:doubled]])
    rng = np.random.default_rng(seed)
    rows = []
    for level in levels:
        wish = tilt * (scores @ level) + rng.gumbel(size=len(usable))
        rows.append(_by_quota(wish, cells, n))
    taken = tuple(usable[chosen] for chosen in rows)
    return Design(tuple(names), taken, levels, *_moments(whole, rows), whitened)


def mixtures(
    values: Array, names: Sequence[str], n: int, *, sources: Sequence[str], runs: int = 129, seed: int = 0
) -> Design:
    """Return subsets that mix sources at random shares: the way of INSTRUCTMINING (section 3.2, 129 x 1,000).

    Rows without a value are in no subset; a source that is too small for its share gives all it has.
    """
    usable = np.flatnonzero(np.isfinite(values).all(axis=1))
    own = np.asarray(sources, object)[usable].astype(str)
    kinds = np.unique(own)
    whole = _standardised(values[usable])
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(runs):
        share = rng.dirichlet(np.ones(len(kinds)))
        wish = np.log(share[np.searchsorted(kinds, own)] + 1e-12) - np.log(
            np.bincount(np.searchsorted(kinds, own))[np.searchsorted(kinds, own)]
        )
        rows.append(np.argsort(-(wish + rng.gumbel(size=len(usable))))[:n])
    taken, levels = tuple(usable[chosen] for chosen in rows), np.zeros((runs, len(names)))
    return Design(tuple(names), taken, levels, *_moments(whole, rows), whitened=False)


def power(design: Design, sd: float) -> tuple[Power, ...]:
    """Return what a design can see, before anything runs; ``sd`` is that of a run's log loss."""
    errors = sd / np.sqrt(_own(design.means))
    reach = ndtri(0.975) + ndtri(0.8)
    spread = design.means.std(axis=0)
    return tuple(
        Power(name, float(s), float(e), float(reach * e))
        for name, s, e in zip(design.names, spread, errors, strict=True)
    )


def _own(table: Array) -> Array:
    """Return for each column the sum of squares that neither a constant nor the other columns explain."""
    found = []
    for column in range(table.shape[1]):
        others = np.column_stack([np.ones(len(table)), np.delete(table, column, axis=1)])
        left = table[:, column] - others @ np.linalg.lstsq(others, table[:, column], rcond=None)[0]
        found.append(max(float(left @ left), _NOTHING))
    return np.array(found)


def inflation(table: Array) -> Array:
    """Return the variance inflation factor of each column: 1 / (1 - R^2) of it on the others.

    1 for a column that never moves: no other explains any of it.
    """
    found = np.ones(table.shape[1])
    moving = np.ptp(table, axis=0) > 0
    if moving.sum() > 1:
        found[moving] = np.diag(np.linalg.pinv(np.corrcoef(table[:, moving].T)))
    return found


def _moments(whole: Array, rows: Sequence[Rows]) -> tuple[Array, Array]:
    """Return the means [runs, k] of standardised indicators over subsets, and those of their squares."""
    squares = np.minimum(whole**2, REACH**2)
    return (
        np.stack([whole[chosen].mean(axis=0) for chosen in rows]),
        np.stack([squares[chosen].mean(axis=0) for chosen in rows]),
    )


def _standardised(values: Array) -> Array:
    spread = values.std(axis=0)
    found: Array = (values - values.mean(axis=0)) / np.where(spread > 0, spread, 1)
    return found


def _within(values: Array, sources: NDArray[np.str_]) -> Array:
    found = np.empty_like(values)
    for source in np.unique(sources):
        own = sources == source
        found[own] = _standardised(values[own])
    # One far outlier would be in half of all subsets.
    return np.clip(found, -REACH, REACH)


def _whitener(scores: Array) -> Array:
    """Return C^(-1/2), which changes each direction as little as whitening can (ZCA)."""
    values, vectors = np.linalg.eigh(np.cov(scores.T))
    found: Array = vectors @ np.diag(1 / np.sqrt(np.maximum(values, 1e-6))) @ vectors.T
    return found


def _cells(sources: NDArray[np.str_], lengths: Array) -> Rows:
    """Return a number for each source and class of length."""
    found = np.empty(len(sources), np.int64)
    for number, source in enumerate(np.unique(sources)):
        own = np.flatnonzero(sources == source)
        ranks = np.argsort(np.argsort(lengths[own], kind="stable"), kind="stable")
        found[own] = number * _LENGTH_CLASSES + ranks * _LENGTH_CLASSES // len(own)
    return found


def _by_quota(wish: Array, cells: Rows, n: int) -> Rows:
    """Return the n rows most wished for, as many of each cell as its share (largest remainders)."""
    kinds, counts = np.unique(cells, return_counts=True)
    exact = n * counts / len(cells)
    quota = np.floor(exact).astype(int)
    for place in np.argsort(-(exact - quota), kind="stable")[: n - quota.sum()]:
        quota[place] += 1
    chosen = []
    for kind, wanted in zip(kinds, quota, strict=True):
        own = np.flatnonzero(cells == kind)
        chosen.append(own[np.argsort(-wish[own], kind="stable")[:wanted]])
    return np.sort(np.concatenate(chosen)).astype(np.int64)
