"""Two models on the same items: differences by item, clustered, corrected for their number."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from scipy.special import stdtr, stdtrit

from assay.core import OVERALL
from assay.curves import holm
from assay.judging._judge import Judgement
from assay.judging._power import items_wanted, visible_effect

_Pairs: TypeAlias = list[tuple[str, float]]


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """The mean difference a − b over the items that both have a score for.

    ``sd`` is the standard deviation of differences by item (ω, with the judge's noise in it), ``p_adjusted``
    by Holm over all rows, ``items_wanted`` how many items show ``effect``, and ``visible`` the smallest
    difference that this many items show (80 % power, 0.05 two-sided).  The error is that of the items alone:
    a claim about the size of data needs runs with other seeds too (``assay curve``).
    """

    type: str
    difference: float | None
    se: float | None
    low: float | None
    high: float | None
    p: float | None
    p_adjusted: float | None
    n: int
    left_out: int
    sd: float | None
    effect: float
    items_wanted: int | None
    visible: float | None


def compare_judgements(
    a: Sequence[Judgement], b: Sequence[Judgement], *, effect: float = 0.03, level: float = 0.9
) -> list[PairedDifference]:
    """Compare two models' judgements of the same items, by type and overall (the unweighted mean of types).

    SE = √(Σ_c (Σ_{i∈c} rᵢ)²)/n over the differences (Miller 2024, sections 2.2 and 3), Student's t over
    clusters.  Items that only one has, or without a score in one, are left out and counted.
    """
    pairs, left = _matched(a, b)
    rows = [
        _row(kind, [(found, 1.0)] if found else [], left[kind], effect, level)
        for kind, found in pairs.items()
    ]
    full = [found for found in pairs.values() if found]
    if len(full) > 1:
        parts = [(found, 1 / len(full)) for found in full]
        rows.append(_row(OVERALL, parts, sum(left.values()), effect, level))
    tested = [i for i, row in enumerate(rows) if row.p is not None]
    for i, p in zip(tested, holm([rows[i].p or 0.0 for i in tested]), strict=True):
        rows[i] = replace(rows[i], p_adjusted=float(p))
    return rows


def _matched(a: Sequence[Judgement], b: Sequence[Judgement]) -> tuple[dict[str, _Pairs], dict[str, int]]:
    """Return (cluster, difference) of each item by type, and how many of each type are left out."""
    other = {row.item: row for row in b}
    pairs: dict[str, _Pairs] = {row.type: [] for row in (*a, *b)}
    left = dict.fromkeys(pairs, 0)
    for row in a:
        match = other.pop(row.item, None)
        if match is None or row.score is None or match.score is None:
            left[row.type] += 1
        else:
            pairs[row.type].append((row.group or row.item, row.score - match.score))
    for row in other.values():
        left[row.type] += 1
    return pairs, left


def _row(
    kind: str, parts: Sequence[tuple[_Pairs, float]], left: int, effect: float, level: float
) -> PairedDifference:
    """Return the weighted sum of the means of some sets of differences, with its error over clusters."""
    values = [d for pairs, _ in parts for _, d in pairs]
    n, sd = len(values), float(np.std(values, ddof=1)) if len(values) > 1 else None
    mean = sum(weight * float(np.mean([d for _, d in pairs])) for pairs, weight in parts) if n else None
    se, freedom = _error(parts)
    low = high = p = None
    if se is not None and mean is not None:
        reach = float(stdtrit(freedom, 0.5 + level / 2)) * se
        low, high = mean - reach, mean + reach
        p = 2 * float(stdtr(freedom, -abs(mean) / se)) if se else float(mean == 0)
    return PairedDifference(
        type=kind,
        difference=mean,
        se=se,
        low=low,
        high=high,
        p=p,
        p_adjusted=None,
        n=n,
        left_out=left,
        sd=sd,
        effect=effect,
        items_wanted=items_wanted(effect, sd) if sd else None,
        visible=visible_effect(n, sd) if sd else None,
    )


def _error(parts: Sequence[tuple[_Pairs, float]]) -> tuple[float | None, int]:
    """Return the clustered standard error with its correction for few clusters, and degrees of freedom."""
    sums: dict[str, float] = defaultdict(float)
    for pairs, weight in parts:
        mean = float(np.mean([d for _, d in pairs]))
        for name, d in pairs:
            sums[name] += weight * (d - mean) / len(pairs)
    clusters = len(sums)
    if clusters < 2:
        return None, 0
    squares = math.fsum(part * part for part in sums.values())
    return math.sqrt(squares * clusters / (clusters - 1)), clusters - 1
