"""What the pages of a quality rule and of a search show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from assay.core._points import ArmComparison


@dataclass(frozen=True, slots=True)
class Remark:
    """Something to be said in the reader's language: a kind, and what is filled in."""

    kind: str
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RuleSlope:
    """One indicator of a rule: slopes of log loss per standard deviation over the pool.

    ``low`` and ``high`` bound the ridge slope (90 %, bootstrap over subsets), ``sign`` is the share of
    bootstrap fits with its sign; ``ols`` with ``ols_low`` to ``ols_high`` (90 %), ``p`` and ``inflation`` are
    of least squares; ``between`` and ``within`` sources are per unit of the subset mean, None where a design
    does not vary both.
    """

    name: str
    slope: float
    low: float
    high: float
    sign: float
    ols: float
    p: float
    inflation: float
    between: float | None = None
    within: float | None = None
    ols_low: float | None = None
    ols_high: float | None = None


@dataclass(frozen=True, slots=True)
class RulePage:
    """A fitted rule: what it says, how it holds, and what the trial said of it.

    ``predicted`` and ``measured`` are log losses by subset, ``doubled`` marks those at twice the tilt, which
    served only to see whether the line is straight.
    """

    name: str
    base: str
    n: int
    slopes: tuple[RuleSlope, ...]
    rank: float
    error: float
    noise: float | None
    r2: float
    length_r2: float
    predicted: tuple[float, ...]
    measured: tuple[float, ...]
    doubled: tuple[bool, ...]
    warnings: tuple[Remark, ...] = ()
    verdict: Remark | None = None
    trial: tuple[ArmComparison, ...] = ()


@dataclass(frozen=True, slots=True)
class SearchPage:
    """A search for the best size: runs (``sizes``, ``losses``), the smoothed curve, and the choice.

    ``curve_sizes``, ``mean``, ``below`` and ``above`` are the posterior of the loss (90 %); the best size
    lies between ``low`` and ``high`` (90 %); ``reported`` and ``random`` are mean losses on the study's set.
    """

    name: str
    arm: str
    method: str
    size: int
    low: int
    high: int
    samples: int
    sizes: tuple[int, ...]
    losses: tuple[float, ...]
    curve_sizes: tuple[float, ...]
    mean: tuple[float, ...]
    below: tuple[float, ...]
    above: tuple[float, ...]
    reported: float
    random: float
    seeds: int
    end: str | None = None
    """``low`` or ``high`` where the choice stands at that end of the range: the best may lie beyond."""
