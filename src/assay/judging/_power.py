"""How often to ask a judge, and how many items show a difference (methods after Miller 2024, section 5)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaincinv, ndtri

from assay.core import AssayError

PILOT_ITEMS, PILOT_REPEATS = 100, 3
_ALIKE = 0.58
"""Correlation over items of two models' scores: six fine-tunes under one judge, WildBench."""


@dataclass(frozen=True, slots=True)
class JudgeNoise:
    """How much a judge differs from itself: standard deviation within items, its 90 % interval, items."""

    sd: float
    low: float
    high: float
    items: int
    item_sd: float


@dataclass(frozen=True, slots=True)
class RepeatChoice:
    """How often each answer is worth asking about, and what that was reckoned from."""

    repeats: int
    best: float
    judge_sd: float
    paired_sd: float
    cost_ratio: float


def judge_noise(scores: Sequence[Sequence[float | None]]) -> JudgeNoise:
    """Measure σ_j, a judge's standard deviation over repeats, pooled over items with two or more scores.

    ``item_sd`` is the standard deviation of the items' means without the share that is the judge's noise.
    Raises :class:`AssayError` where fewer than two items have two scores.
    """
    rows = [np.array([s for s in row if s is not None], float) for row in scores]
    rows = [row for row in rows if len(row) > 1]
    freedom = sum(len(row) - 1 for row in rows)
    if len(rows) < 2:
        raise AssayError(
            "repeats are missing", value=f"{len(rows)} items", expected="at least two items scored twice"
        )
    squares = math.fsum(float(((row - row.mean()) ** 2).sum()) for row in rows)
    within = squares / freedom
    means = np.array([row.mean() for row in rows])
    between = float(means.var(ddof=1)) - within * float(np.mean([1 / len(row) for row in rows]))
    low, high = (math.sqrt(squares / (2 * gammaincinv(freedom / 2, q))) for q in (0.95, 0.05))
    return JudgeNoise(math.sqrt(within), low, high, len(rows), math.sqrt(max(between, 0.0)))


def paired_sd(item_sd: float, correlation: float = _ALIKE) -> float:
    """Return ω, the standard deviation of differences by item between two models, from that of one.

    ω = sd·√(2(1 − ρ)); ρ is by default what six fine-tunes of one base had.
    """
    return item_sd * math.sqrt(2 * (1 - correlation))


def choose_repeats(
    judge_sd: float, paired: float, *, cost_ratio: float = 1.0, most: int = 10
) -> RepeatChoice:
    """Return K, the replies per answer that make a difference most exact for a given cost.

    K* = √(c·2σ_j²/ω²), where c is the cost of one more item over that of one reply of the judge; of the
    whole numbers beside it the one with the lower (c + K)·(ω² + 2σ_j²/K).
    """
    if paired <= 0:
        return RepeatChoice(most if judge_sd > 0 else 1, math.inf, judge_sd, paired, cost_ratio)
    best = math.sqrt(cost_ratio * 2 * judge_sd**2 / paired**2)
    around = [k for k in (math.floor(best), math.ceil(best)) if 1 <= k <= most] or [1 if best < 1 else most]

    def cost(k: int) -> float:
        return (cost_ratio + k) * (paired**2 + 2 * judge_sd**2 / k)

    return RepeatChoice(min(around, key=cost), best, judge_sd, paired, cost_ratio)


def items_wanted(
    effect: float,
    paired: float,
    *,
    judge_sd: float = 0.0,
    repeats: int = 1,
    comparisons: int = 1,
    level: float = 0.05,
    power: float = 0.8,
) -> int:
    """Return how many items show a difference of ``effect`` between two models, two-sided.

    n = (z_{α/2} + z_β)²·(ω² + 2σ_j²/K)/δ², with α shared among ``comparisons`` (Holm's worst case).
    """
    variance = paired**2 + 2 * judge_sd**2 / repeats
    return math.ceil(_reach(level, power, comparisons) ** 2 * variance / effect**2)


def visible_effect(
    n: int,
    paired: float,
    *,
    judge_sd: float = 0.0,
    repeats: int = 1,
    comparisons: int = 1,
    level: float = 0.05,
    power: float = 0.8,
) -> float:
    """Return the smallest difference that ``n`` items show; the inverse of :func:`items_wanted`."""
    variance = paired**2 + 2 * judge_sd**2 / repeats
    return _reach(level, power, comparisons) * math.sqrt(variance / n)


def _reach(level: float, power: float, comparisons: int) -> float:
    return float(ndtri(1 - level / (2 * comparisons)) + ndtri(power))
