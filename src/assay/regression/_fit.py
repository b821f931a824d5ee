"""From the losses of trained subsets to a rule: least squares as published, ridge by leave-one-out."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.core import AssayError
from assay.regression._design import inflation

Array = NDArray[np.float64]

_PENALTIES = np.logspace(-4, 4, 81)
_BOOTSTRAPS = 1000
_LEVEL = 0.05
_SHOWN = 0.1
"""One less the coverage of the intervals that are shown."""


@dataclass(frozen=True)
class LinearFit:
    """Ordinary least squares of log loss on indicator means; ``intercept`` and one entry for each name.

    ``low`` and ``high`` bound each coefficient (90 %, Student's t); a column that never moves has a
    coefficient of 0 without bounds, and a p of 1.
    """

    names: tuple[str, ...]
    intercept: float
    coefficients: tuple[float, ...]
    errors: tuple[float, ...]
    t: tuple[float, ...]
    p: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    inflation: tuple[float, ...]
    r2: float
    r2_adjusted: float
    residuals: tuple[float, ...]


@dataclass(frozen=True)
class RidgeFit:
    """Ridge regression by leave-one-out.

    ``low`` and ``high`` bound each coefficient (90 %, bootstrap with the penalty chosen anew, and a quarter
    of it taken); ``signs``: share of these fits in which each coefficient has the sign it has here; ``rank``:
    Spearman correlation of the left-out predictions, less the mean of the others, with the losses, over
    distinct rows of the design.
    """

    names: tuple[str, ...]
    intercept: float
    coefficients: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    signs: tuple[float, ...]
    penalty: float
    error: float
    """Root mean square of the left-out errors."""
    rank: float


@dataclass(frozen=True, slots=True)
class Slopes:
    """Slope of log loss on one indicator between sources, and within them.

    ``agree`` is False where their signs differ though both are beyond their errors: then the rule does not
    hold for single samples (the ecological fallacy).
    """

    name: str
    between: float
    between_error: float
    within: float
    within_error: float
    agree: bool


def least_squares(table: Array, losses: Array, names: Sequence[str]) -> LinearFit:
    """Return OLS of ``losses`` [m] (log) on ``table`` [m, k], as INSTRUCTMINING fits its rule."""
    import statsmodels.api as sm

    _enough(table, losses, names)
    moving = np.flatnonzero(np.ptp(table, axis=0) > 0)
    with warnings.catch_warnings():
        # Columns that are sums of others are for the variance inflation to show.
        warnings.simplefilter("ignore")
        found: Any = sm.OLS(losses, np.column_stack([np.ones(len(losses)), table[:, moving]])).fit()
    ends = found.conf_int(_SHOWN)
    columns: dict[str, tuple[Any, float]] = {
        "coefficients": (found.params, 0.0), "errors": (found.bse, math.inf), "t": (found.tvalues, 0.0),
        "p": (found.pvalues, 1.0), "low": (ends[:, 0], -math.inf), "high": (ends[:, 1], math.inf),
    }  # fmt: skip
    own = {}
    for field, (values, still) in columns.items():
        every = np.full(len(names), still)
        every[moving] = values[1:]
        own[field] = tuple(every.tolist())
    return LinearFit(
        tuple(names),
        float(found.params[0]),
        **own,
        inflation=tuple(float(v) for v in inflation(table)),
        r2=float(found.rsquared) if len(moving) else 0.0,
        r2_adjusted=float(found.rsquared_adj) if len(moving) else 0.0,
        residuals=tuple(float(v) for v in found.resid),
    )


def stepwise(table: Array, losses: Array, names: Sequence[str], *, level: float = _LEVEL) -> LinearFit:
    """Choose indicators forward by R^2, and keep one only while every p-value stays below ``level``.

    The paper's choice by R^2 and p; its p-values do not know of the choosing and are too small.  With no
    indicator below the level the best single one is returned: look at its p.
    """
    chosen: list[int] = []
    best = None
    while len(chosen) < min(len(names), len(losses) - 3):
        fits = {}
        for column in range(len(names)):
            if column not in chosen:
                picked = [*chosen, column]
                fits[column] = least_squares(table[:, picked], losses, [names[c] for c in picked])
        column, fit = max(fits.items(), key=lambda pair: pair[1].r2)
        if best is not None and max(fit.p) >= level:
            break
        chosen.append(column)
        best = fit
        if max(fit.p) >= level:
            break
    assert best is not None  # noqa: S101 - least_squares refuses tables without a column
    return best


def ridge(
    table: Array,
    losses: Array,
    names: Sequence[str],
    *,
    groups: Sequence[str] | None = None,
    share: float = 0.25,
    seed: int = 0,
) -> RidgeFit:
    """Return ridge regression on standardised columns, the penalty by leave-one-out (closed form).

    ``groups`` names rows that are repeats of one design row: they count once, by their means.  Coefficients
    are per unit of the columns as given.  The bootstrap adds residuals of least squares, drawn with
    replacement, to its line, and chooses the penalty anew each time: with the penalty held, or with rows
    drawn, the slopes of weak indicators among collinear ones are covered far less often than they should be.
    Its fits take a ``share`` of the penalty: the penalty that predicts best shrinks slopes by as much as
    their error, and an interval has to be about the slope itself (undersmoothing; Hall 1992, The Bootstrap
    and Edgeworth Expansion, chapter 4).  At a half strong slopes are still missed, at a tenth intervals are
    hardly narrower than those of least squares (`benchmarks/rule_design.py --coverage`).
    """
    _enough(table, losses, names)
    if groups is not None:
        table, losses = _by_group(table, losses, groups)
    centre, spread = table.mean(axis=0), table.std(axis=0)
    spread = np.where(spread > 0, spread, 1)
    path = _Path((table - centre) / spread)
    (weights,), (left,), (place,) = path.fit(losses[None])
    draws, _, _ = path.fit(_resampled(path, losses, seed), share)
    low, high = np.quantile(draws / spread, (_SHOWN / 2, 1 - _SHOWN / 2), axis=0)
    # A left-out prediction holds the mean of the others, which falls as the loss left out rises: taken off,
    # or a rule that knows nothing would rank all rows upside down.
    others = (losses.sum() - losses) / (len(losses) - 1)
    return RidgeFit(
        tuple(names),
        intercept=float(losses.mean() - (weights / spread) @ centre),
        coefficients=tuple(float(w) for w in weights / spread),
        low=tuple(float(v) for v in low),
        high=tuple(float(v) for v in high),
        signs=tuple(float(v) for v in (np.sign(draws) == np.sign(weights)).mean(axis=0)),
        penalty=float(_PENALTIES[place]),
        error=float(np.sqrt((left**2).mean())),
        rank=_spearman(losses - left - others, losses),
    )


def _by_group(table: Array, losses: Array, groups: Sequence[str]) -> tuple[Array, Array]:
    """Return the mean row and loss of each group."""
    named = np.asarray(groups).astype(str)
    kinds = [named == kind for kind in np.unique(named)]
    return np.stack([table[own].mean(axis=0) for own in kinds]), np.array(
        [losses[own].mean() for own in kinds]
    )


def _resampled(path: _Path, losses: Array, seed: int) -> Array:
    """Return losses [bootstraps, m] about the line of least squares, with its residuals drawn anew.

    Residuals of a fit are smaller than errors by the root of rows over free rows; that is made good.  The
    scale of the errors is itself known from the free rows alone: each draw has one of its own, as in
    Student's t.
    """
    line = losses.mean() + path.left @ (path.left.T @ losses)
    free = max(len(losses) - 1 - path.left.shape[1], 1)
    residuals = (losses - line) * math.sqrt(len(losses) / free)
    rng = np.random.default_rng(seed)
    scales = np.sqrt(free / rng.chisquare(free, (_BOOTSTRAPS, 1)))
    drawn: Array = line + scales * rng.choice(residuals, (_BOOTSTRAPS, len(losses)))
    return drawn


class _Path:
    """Ridge at every penalty from one decomposition of the columns [m, k], which have a mean of 0."""

    def __init__(self, scaled: Array) -> None:
        left, values, right = np.linalg.svd(scaled, full_matrices=False)
        kept = values > values.max(initial=0) * 1e-10
        self.left, self.values, self.right = left[:, kept], values[kept], right[kept]
        self.shrunk = self.values**2 / (self.values**2 + _PENALTIES[:, None])
        self.leverage = self.shrunk @ (self.left**2).T + 1 / len(scaled)

    def fit(self, losses: Array, share: float = 1) -> tuple[Array, Array, NDArray[np.int64]]:
        """Return, for each row of ``losses`` [b, m], ridge at the penalty with the least left-out errors.

        Coefficients [b, k] at a ``share`` of that penalty, left-out errors [b, m], places of penalties [b].
        """
        own = losses - losses.mean(axis=1, keepdims=True)
        turned = own @ self.left
        least, errors = np.full(len(losses), np.inf), np.empty_like(own)
        places = np.zeros(len(losses), dtype=np.int64)
        for place, (shrunk, leverage) in enumerate(zip(self.shrunk, self.leverage, strict=True)):
            # The error at each row of the fit without it: residual / (1 - leverage).
            left = (own - (shrunk * turned) @ self.left.T) / np.maximum(1 - leverage, 1e-9)
            total = np.einsum("bm,bm->b", left, left)
            better = total < least
            least[better], errors[better], places[better] = total[better], left[better], place
        solve = self.values / (self.values**2 + share * _PENALTIES[places, None])
        return (solve * turned) @ self.right, errors, places


def _spearman(a: Array, b: Array) -> float:
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    from scipy.stats import rankdata  # slow to import

    return float(np.corrcoef(rankdata(a), rankdata(b))[0, 1])


def slopes(
    table: Array, losses: Array, names: Sequence[str], shares: Array, *, least: float = 0.0
) -> tuple[Slopes, ...]:
    """Compare, indicator by indicator, how loss moves with it between sources and within them.

    ``shares`` [m, sources] are the sources' shares in each subset.  The part of a column that the shares
    explain is between sources; what is left is within them.  An indicator is compared only where both parts
    have a spread above ``least``: the means of random subsets of n samples differ by about 1 / sqrt(n) in any
    design, and a slope on that is a slope on nothing.
    """
    source = np.column_stack([np.ones(len(losses)), shares[:, 1:]])
    explained = source @ np.linalg.lstsq(source, table, rcond=None)[0]
    found = []
    for column, name in enumerate(names):
        inner = np.column_stack([source[:, 1:], table[:, column] - explained[:, column]])
        if min(explained[:, column].std(), inner[:, -1].std()) <= max(least, 1e-9):
            continue
        between = _slope(explained[:, column], losses)
        within = _slope(inner[:, -1], losses, inner[:, :-1])
        both = all(abs(s) > 2 * e for s, e in (between, within))
        found.append(Slopes(name, *between, *within, agree=not (both and between[0] * within[0] < 0)))
    return tuple(found)


def _slope(column: Array, losses: Array, others: Array | None = None) -> tuple[float, float]:
    """Return the slope on one column, others held, and its standard error."""
    parts = [np.ones(len(losses)), column] + ([] if others is None else list(others.T))
    design = np.column_stack(parts)
    weights = np.linalg.lstsq(design, losses, rcond=None)[0]
    free = max(len(losses) - np.linalg.matrix_rank(design), 1)
    noise = float(((losses - design @ weights) ** 2).sum() / free)
    error = np.sqrt(noise * np.linalg.pinv(design.T @ design)[1, 1])
    return float(weights[1]), float(error)


@dataclass(frozen=True, slots=True)
class Linearity:
    """Whether the rule holds at twice the tilt: the error there, and its ratio to the left-out error."""

    runs: int
    error: float
    ratio: float


def linearity(fit: RidgeFit, table: Array, losses: Array) -> Linearity:
    """Compare what ``fit`` predicts for subsets of twice the tilt with their losses."""
    predicted = fit.intercept + table @ np.array(fit.coefficients)
    error = float(np.sqrt(((losses - predicted) ** 2).mean()))
    return Linearity(len(losses), error, error / fit.error if fit.error > 0 else float("inf"))


def _enough(table: Array, losses: Array, names: Sequence[str]) -> None:
    if table.shape != (len(losses), len(names)) or not names:
        raise AssayError(
            "the table does not fit",
            value=table.shape,
            expected=f"{len(losses)} rows, a column for each name",
        )
    if len(losses) < len(names) + 3:
        raise AssayError(
            "too few runs for so many indicators",
            value=len(losses),
            expected=f"at least {len(names) + 3}",
            hint="train more subsets, or leave out indicators",
        )
    if not (np.isfinite(table).all() and np.isfinite(losses).all()):
        raise AssayError("a run has no value", expected="finite losses and indicator means")
