"""From the losses of trained subsets to a rule: least squares as published, ridge by leave-one-out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from assay.core import AssayError
from assay.regression._design import inflation

Array = NDArray[np.float64]

_PENALTIES = np.logspace(-4, 4, 81)
_BOOTSTRAPS = 1000
_LEVEL = 0.05


@dataclass(frozen=True)
class LinearFit:
    """Ordinary least squares of log loss on indicator means; ``intercept`` and one entry for each name."""

    names: tuple[str, ...]
    intercept: float
    coefficients: tuple[float, ...]
    errors: tuple[float, ...]
    t: tuple[float, ...]
    p: tuple[float, ...]
    inflation: tuple[float, ...]
    r2: float
    r2_adjusted: float
    residuals: tuple[float, ...]


@dataclass(frozen=True)
class RidgeFit:
    """Ridge regression by leave-one-out.

    ``signs``: share of bootstrap fits in which each coefficient has the sign it has here; ``rank``: Spearman
    correlation of the left-out predictions, less the mean of the others, with the losses, over distinct rows
    of the design.
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
    found: Any = sm.OLS(losses, sm.add_constant(table, has_constant="add")).fit()
    columns = {"coefficients": found.params, "errors": found.bse, "t": found.tvalues, "p": found.pvalues}
    own = {name: tuple(float(v) for v in values[1:]) for name, values in columns.items()}
    return LinearFit(
        tuple(names),
        float(found.params[0]),
        **own,
        inflation=tuple(float(v) for v in inflation(table)),
        r2=float(found.rsquared),
        r2_adjusted=float(found.rsquared_adj),
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
    table: Array, losses: Array, names: Sequence[str], *, groups: Sequence[str] | None = None, seed: int = 0
) -> RidgeFit:
    """Return ridge regression on standardised columns, the penalty by leave-one-out (closed form).

    ``groups`` names rows that are repeats of one design row: the rank correlation is over their means, and
    the bootstrap draws groups.  Coefficients are per unit of the columns as given.
    """
    _enough(table, losses, names)
    centre, spread = table.mean(axis=0), table.std(axis=0)
    spread = np.where(spread > 0, spread, 1)
    scaled = (table - centre) / spread
    errors = {penalty: _left_out(scaled, losses, penalty) for penalty in _PENALTIES}
    penalty = min(errors, key=lambda p: float((errors[p] ** 2).sum()))
    weights = _solve(scaled, losses, penalty)
    named = np.asarray(list(range(len(losses))) if groups is None else groups).astype(str)
    kinds = np.unique(named)
    rng = np.random.default_rng(seed)
    draws = []
    for _ in range(_BOOTSTRAPS):
        picked = np.concatenate([np.flatnonzero(named == k) for k in rng.choice(kinds, len(kinds))])
        draws.append(_solve(scaled[picked], losses[picked], penalty) / spread)
    low, high = np.quantile(draws, (0.05, 0.95), axis=0)
    # A left-out prediction holds the mean of the others, which falls as the loss left out rises: taken off,
    # or a rule that knows nothing would rank all rows upside down.
    others = (losses.sum() - losses) / (len(losses) - 1)
    predicted = losses - errors[penalty] - others
    means = [(predicted[named == k].mean(), losses[named == k].mean()) for k in kinds]
    return RidgeFit(
        tuple(names),
        intercept=float(losses.mean() - (weights / spread) @ centre),
        coefficients=tuple(float(w) for w in weights / spread),
        low=tuple(float(v) for v in low),
        high=tuple(float(v) for v in high),
        signs=tuple(float(v) for v in (np.sign(draws) == np.sign(weights)).mean(axis=0)),
        penalty=float(penalty),
        error=float(np.sqrt((errors[penalty] ** 2).mean())),
        rank=_spearman(*np.array(means).T),
    )


def _solve(scaled: Array, losses: Array, penalty: float) -> Array:
    own = scaled - scaled.mean(axis=0)
    gram = own.T @ own + penalty * np.eye(own.shape[1])
    found: Array = np.linalg.solve(gram, own.T @ (losses - losses.mean()))
    return found


def _left_out(scaled: Array, losses: Array, penalty: float) -> Array:
    """Return the error at each row of the fit without it: residual / (1 - leverage)."""
    gram = scaled.T @ scaled + penalty * np.eye(scaled.shape[1])
    hat = scaled @ np.linalg.solve(gram, scaled.T) + 1 / len(losses)
    found: Array = (losses - hat @ losses) / np.maximum(1 - np.diag(hat), 1e-9)
    return found


def _spearman(a: Array, b: Array) -> float:
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(np.corrcoef(rankdata(a), rankdata(b))[0, 1])


def slopes(table: Array, losses: Array, names: Sequence[str], shares: Array) -> tuple[Slopes, ...]:
    """Compare, indicator by indicator, how loss moves with it between sources and within them.

    ``shares`` [m, sources] are the sources' shares in each subset.  The part of a column that the shares
    explain is between sources; what is left is within them.
    """
    source = np.column_stack([np.ones(len(losses)), shares[:, 1:]])
    explained = source @ np.linalg.lstsq(source, table, rcond=None)[0]
    found = []
    for column, name in enumerate(names):
        between = _slope(explained[:, column], losses)
        inner = np.column_stack([source[:, 1:], table[:, column] - explained[:, column]])
        within = _slope(inner[:, -1], losses, inner[:, :-1])
        both = all(abs(s) > 2 * e for s, e in (between, within))
        found.append(Slopes(name, *between, *within, agree=not (both and between[0] * within[0] < 0)))
    return tuple(found)


def _slope(column: Array, losses: Array, others: Array | None = None) -> tuple[float, float]:
    """Return the slope on one column, others held, and its standard error; (0, inf) where it is constant."""
    if column.std() < 1e-9:
        return 0.0, float("inf")
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
