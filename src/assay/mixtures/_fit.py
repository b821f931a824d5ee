"""From the measurements of many mixtures to the effect of each part on each type, per doubling."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma, polygamma, stdtr, stdtrit

from assay.core import OVERALL, AssayError
from assay.curves import benjamini_hochberg, holm, inverse_trigamma
from assay.mixtures._shrink import LEVEL, shrink

Array = NDArray[np.float64]

_FALSE = 0.1
"""The share of false ones that is allowed among effects that are said to be shown."""
_OUTLYING, _FAR = 0.01, 5.0
_MOST_FAILED = 0.15
_OFFSETS = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
_FREE = 3
_TENTH = 0.1


@dataclass(frozen=True)
class MixRuns:
    """Measured mixtures: ``counts`` [runs, parts] of samples (or shares), ``values`` [runs, types].

    ``names`` are the parts, ``types`` what was judged; ``loss`` says that values are losses, which are taken
    on their logarithm and are better where they fall.  A missing value is NaN.  ``labels`` name the runs.
    ``near_zero`` [types] is added to each type's losses; by default what :func:`near_zero` says of them.
    """

    names: tuple[str, ...]
    types: tuple[str, ...]
    counts: Array
    values: Array
    loss: bool
    labels: tuple[str, ...]
    near_zero: tuple[float, ...] | None = None

    @property
    def offsets(self) -> Array:
        """Return what is added to each type's losses [types]; 0 for scores."""
        if not self.loss:
            return np.zeros(len(self.types))
        return near_zero(self.values) if self.near_zero is None else np.array(self.near_zero)

    def oriented(self) -> Array:
        """Return the values [runs, types] on the scale of effects, better where they rise."""
        if not self.loss:
            return self.values
        with np.errstate(invalid="ignore", divide="ignore"):
            found: Array = -np.log(self.values + np.where(self.values > 0, self.offsets, 0.0))
        return found


def near_zero(values: Array) -> Array:
    """Return what to add to each type's losses [types] before their logarithm is taken; mostly 0.

    A loss that falls below a tenth of what others are is noisy by itself, not in proportion: 0.0002 and 0.002
    are alike where 0.3 was before.  As for curves; what is high is the 95th percentile of the runs.
    """
    known = np.where(np.isfinite(values) & (values > 0), values, np.nan)
    if np.isnan(known).all(axis=0).any():
        return np.zeros(values.shape[1])
    high, low = np.nanquantile(known, 0.95, axis=0), np.nanmin(known, axis=0)
    found: Array = np.maximum(_TENTH * high - low, 0.0) / (1 - _TENTH)
    return found


@dataclass(frozen=True, slots=True)
class Effect:
    """What twice as much of ``part`` does to ``type``: ``gain`` is oriented, above zero is better.

    In score, or in log loss (0.01 is 1 % of the loss).  ``gain`` with ``low`` and ``high`` (90 %) is drawn
    towards the other effects of its kind; ``raw`` with ``error`` is least squares.  ``p`` is two-sided,
    ``q`` corrected for all pairs of its kind; ``shown`` where q is at most 0.1
    and the interval leaves out zero.
    """

    part: str
    type: str
    own: bool
    gain: float
    low: float
    high: float
    raw: float
    error: float
    p: float
    q: float
    shown: bool


@dataclass(frozen=True, slots=True)
class Curvature:
    """Whether a type's gain from all parts bends: base mixture beside the mean of the mixtures around it.

    ``bend`` is oriented, in the units of effects: what two doublings of everything from half the base miss of
    a straight line, for all parts together (below zero: gains get smaller); ``p`` is two-sided, corrected for
    the number of types (Holm).
    """

    type: str
    bend: float
    low: float
    high: float
    p: float
    shown: bool


@dataclass(frozen=True, slots=True)
class Failed:
    """A run that lies far off what all others say of its mixture, in most types; it was left out."""

    label: str
    off: float
    """Standard errors of the mean over types from what all other runs say."""


@dataclass(frozen=True)
class MixEffects:
    """The matrix of effects, what bends, and what was left out.

    ``sd`` [types]: standard deviation of a run about the fit; ``found``: the smallest effect across types
    that was found with a chance of 80 % among all pairs; ``offset``: what was added to each share, where
    some mixtures had none of a part; ``alike``: mean correlation of the residuals of two types, at least 0;
    ``near_zero`` [types]: what was added to losses that come near 0, of whose sum effects are shares then.
    """

    names: tuple[str, ...]
    types: tuple[str, ...]
    loss: bool
    runs: int
    effects: tuple[Effect, ...]
    curvature: tuple[Curvature, ...]
    failed: tuple[Failed, ...]
    sd: tuple[float, ...]
    freedom: float
    found: float
    offset: float
    alike: float
    near_zero: tuple[float, ...] = ()

    @property
    def types_near_zero(self) -> tuple[str, ...]:
        """Return the types to whose losses something was added."""
        return tuple(kind for kind, more in zip(self.types, self.near_zero, strict=False) if more > 0)

    def noise(self, weights: Array) -> float:
        """Return the variance of a run's mean over types by ``weights`` [types] about the fit."""
        sd = np.array(self.sd)
        own, whole = float(((weights * sd) ** 2).sum()), float((weights * sd).sum()) ** 2
        return (1 - self.alike) * own + self.alike * whole


def fit_effects(runs: MixRuns) -> MixEffects:
    """Return the effects of all parts on all types by least squares on doublings, then shrunk.

    Each type: value (log of a loss) = a + sum_j gain_j log2(n_j / n_j0) + bend sum_j log2(n_j / n_j0)^2.
    In a design of two levels the square is one column, the base mixture against all others, so that no
    effect depends on it.  Variances are moderated over types (Smyth 2004); shown effects are chosen by
    Benjamini and Hochberg's method among those across types and those on own types, apart.  Raises
    :class:`AssayError` where the runs cannot tell the parts apart.
    """
    offset = _offset(runs)
    made, failed = _fitted(runs, offset)
    effects = made.effects()
    return MixEffects(
        runs.names, runs.types, runs.loss, int(made.kept.sum()), effects, made.curvature(),
        tuple(Failed(runs.labels[row], off) for row, off in failed), tuple(made.sd.tolist()), made.freedom,
        made.found(effects), offset, made.alike(), tuple(runs.offsets.tolist()),
    )  # fmt: skip


def _fitted(runs: MixRuns, offset: float) -> tuple[_Table, list[tuple[int, float]]]:
    """Return the fit without the runs that failed, and these with how far off they lie.

    Two tests have to agree: far from all mixtures of its size, by more than the parts do, and far from the
    fit without all that are.  The second alone cannot tell a run from its mirror image where a folded design
    is full: both then leave the same residual.
    """
    every = np.ones(len(runs.counts), bool)
    made = _Table(runs, offset, every)
    apart, suspects = every.copy(), []
    for row in made.suspects():
        apart[row] = False
        # A run without which the parts cannot be distinguished stays, whatever it measured.
        if made.tells(apart):
            suspects.append(row)
        else:
            apart[row] = True
    if not suspects:
        return made, []
    without = _Table(runs, offset, apart)
    failed = [(row, without.off(row)) for row in suspects if without.is_off(row)]
    kept = every.copy()
    kept[[row for row, _ in failed]] = False
    return _Table(runs, offset, kept), failed


def change(gain: float, *, loss: bool) -> float:
    """Return a gain as people read it: of a log loss, by which share the loss is lower."""
    return -math.expm1(-gain) if loss else gain


def doublings(counts: Array, offset: float, centre: Array) -> Array:
    """Return log2 of counts over ``centre`` [parts]; ``offset`` is added, in units of the centre."""
    found: Array = np.log2((counts / centre + offset) / (1 + offset))
    return found


def centre_of(counts: Array) -> Array:
    """Return the count that effects are about: of each part the median over runs, where that is not 0."""
    middle = np.median(counts, axis=0)
    return np.where(middle > 0, middle, np.maximum(counts.mean(axis=0), 1e-12))


def _offset(runs: MixRuns) -> float:
    """Return 0 where every mixture has some of each part, else the offset that leaves out best."""
    if (runs.counts > 0).all():
        return 0.0
    every = np.ones(len(runs.counts), bool)
    return min(_OFFSETS, key=lambda o: _Table(runs, o, every).left_out())


class _Table:
    """Least squares of all types on one table of doublings."""

    def __init__(self, runs: MixRuns, offset: float, kept: NDArray[np.bool_]) -> None:
        self.runs, self.kept = runs, kept
        self.centre = centre_of(runs.counts)
        steps = doublings(runs.counts, offset, self.centre)
        self.bent = _tells((steps[kept] ** 2).sum(axis=1), steps[kept])
        columns = [np.ones(len(steps)), *steps.T] + ([(steps**2).sum(axis=1)] if self.bent else [])
        self.every = np.column_stack(columns)
        self.targets = runs.oriented()
        self.table, self.values = self.every[kept], self.targets[kept]
        self._check(steps[kept])
        self.inverse = np.linalg.pinv(self.table.T @ self.table)
        self.weights = self.inverse @ self.table.T @ self.values
        self.residuals = self.values - self.table @ self.weights
        self.left = len(self.table) - self.table.shape[1]
        self.variance, self.freedom = moderated((self.residuals**2).sum(axis=0) / self.left, self.left)
        self.sd = np.sqrt(self.variance)

    def _check(self, steps: Array) -> None:
        missing = ~np.isfinite(self.values).all(axis=1)
        if missing.any():
            raise AssayError(
                "a mixture has no value of a type", place=self.runs.labels[int(np.flatnonzero(missing)[0])],
                expected="a finite value of each type (a loss above 0) in every row",
                hint="leave out the row or the type",
            )  # fmt: skip
        if len(steps) < steps.shape[1] + 1 + _FREE:
            raise AssayError(
                "too few mixtures for so many parts", value=f"{len(steps)} runs, {steps.shape[1]} parts",
                expected=f"at least {steps.shape[1] + 1 + _FREE} runs",
                hint="`assay mix design` chooses them",
            )  # fmt: skip
        still = [n for n, column in zip(self.runs.names, steps.T, strict=True) if np.ptp(column) < 1e-9]
        if still:
            raise AssayError("a part never changes, so its effect cannot be seen", value=", ".join(still),
                             hint="leave the column out, or train mixtures in which it changes")  # fmt: skip
        if np.linalg.matrix_rank(self.table, tol=1e-8 * len(steps)) < self.table.shape[1]:
            raise AssayError(
                "these mixtures cannot tell the parts apart: some always change together",
                value=", ".join(_tied(self.runs.names, steps)),
                hint="`assay mix design` chooses mixtures that can",
            )  # fmt: skip

    def left_out(self) -> float:
        """Return the mean square of the left-out errors, each type by its own variance."""
        leverage = (self.table @ self.inverse * self.table).sum(axis=1)
        errors = self.residuals / np.maximum(1 - leverage, 1e-9)[:, None]
        return float((errors**2 / np.maximum(self.values.var(axis=0), 1e-18)).mean())

    def _far(self) -> Array:
        """Return robust standard deviations of each run's mean over types from runs of its size."""
        size = np.column_stack([self.table[:, 0], self.table[:, 1 : len(self.runs.names) + 1].sum(axis=1)])
        spread = np.median(np.abs(self.values - np.median(self.values, axis=0)), axis=0)
        mean = (self.values / np.maximum(spread, 1e-12)).mean(axis=1)
        rest = mean - size @ np.linalg.lstsq(size, mean, rcond=None)[0]
        rest = rest - np.median(rest)
        found: Array = rest / max(1.4826 * float(np.median(np.abs(rest))), 1e-12)
        return found

    def tells(self, rows: NDArray[np.bool_]) -> bool:
        """Say whether some of the rows tell the parts apart, and how noisy runs are."""
        table = self.every[rows]
        rank = int(np.linalg.matrix_rank(table, tol=1e-8 * len(table)))
        return bool(len(table) >= table.shape[1] + _FREE and rank == table.shape[1])

    def suspects(self) -> list[int]:
        """Return the rows that are far from all others of their size, the farthest first, few of them."""
        far = np.abs(self._far())
        rows = [int(row) for row in np.argsort(-far) if far[row] > _FAR]
        return rows[: max(1, int(_MOST_FAILED * len(far)))]

    def off(self, row: int) -> float:
        """Return how far a row that was not fitted lies off, in standard errors of the mean over types."""
        new = self.every[row]
        error = math.sqrt(1 + float(new @ self.inverse @ new))
        spread = float((self.residuals / self.sd).mean(axis=1) @ (self.residuals / self.sd).mean(axis=1))
        away = float(((self.targets[row] - new @ self.weights) / self.sd).mean())
        return away / (error * math.sqrt(max(spread / self.left, 1e-18)))

    def is_off(self, row: int) -> bool:
        """Say whether chance does not explain how far a row lies off (Bonferroni at 0.01)."""
        p = 2 * float(stdtr(self.left, -abs(self.off(row))))
        return p * len(self.every) < _OUTLYING

    def effects(self) -> tuple[Effect, ...]:
        """Return the effect of each part on each type, parts first."""
        names, types = self.runs.names, self.runs.types
        raw = self.weights[1 : len(names) + 1]
        errors = np.sqrt(np.diag(self.inverse)[1 : len(names) + 1, None] * self.variance)
        own = np.array([[part == kind for kind in types] for part in names])
        p = 2 * stdtr(self.freedom, -np.abs(raw / errors))
        q = np.ones_like(p)
        for kind in (own, ~own):
            q[kind] = benjamini_hochberg(p[kind].tolist())
        flat = [a.ravel() for a in (raw, errors, own, p, q)]
        drawn = shrink(flat[0], flat[1], np.full(raw.size, self.freedom), flat[2])
        pairs = [(part, kind) for part in names for kind in types]
        # What is said beside its interval must not be denied by it.
        shown = (flat[4] <= _FALSE) & ((drawn.low > 0) | (drawn.high < 0))
        columns = (flat[2], drawn.mean, drawn.low, drawn.high, flat[0], flat[1], flat[3], flat[4], shown)
        rows = zip(pairs, *(column.tolist() for column in columns), strict=True)
        return tuple(Effect(*pair, *row) for pair, *row in rows)

    def found(self, effects: Sequence[Effect]) -> float:
        """Return the smallest effect across types that is found with a chance of 0.8, one among all pairs."""
        errors = [effect.error for effect in effects if not effect.own] or [e.error for e in effects]
        reach = float(stdtrit(self.freedom, 1 - _FALSE / (2 * len(errors))) + stdtrit(self.freedom, 0.8))
        return reach * float(np.median(errors))

    def alike(self) -> float:
        """Return how alike runs err in two types: the mean correlation of residuals, at least 0."""
        scaled = self.residuals / np.maximum(np.sqrt((self.residuals**2).mean(axis=0)), 1e-18)
        k = scaled.shape[1]
        if k < 2:
            return 0.0
        pairs = (float((scaled.sum(axis=1) ** 2).mean()) - k) / (k * (k - 1))
        return float(np.clip(pairs, 0.0, 1.0))

    def curvature(self) -> tuple[Curvature, ...]:
        """Return what bends; nothing where the design cannot tell."""
        if not self.bent:
            return ()
        bend = self.weights[-1] * len(self.runs.names)
        error = np.sqrt(self.inverse[-1, -1] * self.variance) * len(self.runs.names)
        reach = float(stdtrit(self.freedom, 1 - LEVEL / 2)) * error
        p = holm((2 * stdtr(self.freedom, -np.abs(bend / error))).tolist())
        rows = zip(self.runs.types, bend, bend - reach, bend + reach, p, strict=True)
        found = tuple(
            Curvature(t, float(b), float(low), float(high), float(one), bool(one <= LEVEL))
            for t, b, low, high, one in rows
        )
        return (self._overall(), *found) if len(found) > 1 else found

    def _overall(self) -> Curvature:
        """Return what bends in the mean over types, which is seen sooner than in any one of them."""
        bend = float(self.weights[-1].mean()) * len(self.runs.names)
        mean = self.residuals.mean(axis=1)
        variance = float(self.inverse[-1, -1]) * float(mean @ mean) / self.left
        error = math.sqrt(variance) * len(self.runs.names)
        reach = float(stdtrit(self.left, 1 - LEVEL / 2)) * error
        p = 2 * float(stdtr(self.left, -abs(bend) / error)) if error else 1.0
        return Curvature(OVERALL, bend, bend - reach, bend + reach, p, p <= LEVEL)


def _tells(square: Array, steps: Array) -> bool:
    """Say whether a column of squares is more than the constant and the lines, with runs left to fit it."""
    others = np.column_stack([np.ones(len(steps)), steps])
    rest = square - others @ np.linalg.lstsq(others, square, rcond=None)[0]
    moves = float(rest @ rest) > 1e-6 * max(float(square @ square), 1e-12)
    return moves and len(steps) >= steps.shape[1] + 2 + _FREE


def _tied(names: Sequence[str], steps: Array) -> list[str]:
    """Return the parts that are a sum of others and a constant."""
    found = []
    for column, name in enumerate(names):
        others = np.column_stack([np.ones(len(steps)), np.delete(steps, column, axis=1)])
        rest = steps[:, column] - others @ np.linalg.lstsq(others, steps[:, column], rcond=None)[0]
        if float(rest @ rest) < 1e-8 * max(float(steps[:, column].var()) * len(steps), 1e-12):
            found.append(name)
    return found


def moderated(variance: Array, freedom: int) -> tuple[Array, float]:
    """Return variances [types] drawn towards each other as far as they are alike, and their freedom."""
    variance = np.maximum(variance, 1e-6 * max(float(variance.max()), 1e-18))
    if len(variance) < _FREE:
        return variance, float(freedom)
    centred = np.log(variance) - digamma(freedom / 2) + math.log(freedom / 2)
    between = float(centred.var(ddof=1) - polygamma(1, freedom / 2))
    # Runs are shared by all types: their variances never pool to more freedom than ten designs have.
    weight = 10.0 * freedom if between <= 0 else min(2 * inverse_trigamma(between), 10.0 * freedom)
    common = math.exp(float(centred.mean()) + float(digamma(weight / 2)) - math.log(weight / 2))
    return (weight * common + freedom * variance) / (weight + freedom), weight + freedom
