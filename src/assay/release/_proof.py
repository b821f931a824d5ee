"""What an export costs: the same items measured before and after it, compared one by one."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from scipy.special import stdtr, stdtrit

from assay import judging
from assay.core import OVERALL, ExportDrop, Sample
from assay.curves import holm

_LEVEL = 0.9
_ALARM = 0.1
RELATIVE_LOSS = 0.005
"""The smallest change of loss that matters, as a share of the loss before export."""


@dataclass(frozen=True, slots=True)
class Loss:
    """Nats of one reference answer and the tokens they are spread over."""

    nats: float
    tokens: int


@dataclass(frozen=True, slots=True)
class _Paired:
    """One item's loss before export, and what was added; ``cluster`` of items that err alike."""

    cluster: str
    tokens: int
    before: float
    added: float


def score_drops(
    before: Sequence[judging.Judgement], after: Sequence[judging.Judgement], smallest: float
) -> list[ExportDrop]:
    """Return the drop of the mean score by type and overall, paired and clustered (Miller 2024)."""
    other = {row.item: row.score for row in after}
    means: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for row in before:
        later = other.get(row.item)
        if row.score is not None and later is not None:
            means[row.type].append((row.score, later))
    by_type = {kind: tuple(math.fsum(c) / len(c) for c in zip(*p, strict=True)) for kind, p in means.items()}
    if by_type:
        columns = zip(*by_type.values(), strict=True)
        by_type[OVERALL] = tuple(math.fsum(column) / len(column) for column in columns)
    rows = []
    for found in judging.compare_judgements(before, after, level=_LEVEL):
        first, second = by_type.get(found.type, (None, None))
        drop = ExportDrop(
            found.type, "score", first, second, found.difference, found.se, found.low, found.high,
            found.p_adjusted, found.n, found.left_out, smallest, "undecided",
        )  # fmt: skip
        rows.append(replace(drop, word=_word(drop)))
    return rows


def loss_drops(
    items: Sequence[Sample], before: Sequence[Loss | None], after: Sequence[Loss | None]
) -> list[ExportDrop]:
    """Return what is added to the nats per token, by type and overall (the unweighted mean of types).

    What matters is 0.5 % of a type's loss, or of the overall loss where that is larger: types that the model
    knows by heart have a loss of nearly nothing.

    A ratio of sums over the same items; both are spread over the tokens before export, so that a backend
    that cuts text differently is held to the same unit.  Standard error of the ratio (Cochran 1977, section
    6.4) over clusters, corrected for few clusters; Student's t.
    """
    pairs: dict[str, list[_Paired]] = {}
    left: dict[str, int] = defaultdict(int)
    for item, first, second in zip(items, before, after, strict=True):
        kind = item.type or "untyped"
        own = pairs.setdefault(kind, [])
        if first is None or second is None or not first.tokens:
            left[kind] += 1
        else:
            added = second.nats - first.nats
            own.append(_Paired(item.group or item.id, first.tokens, first.nats, added))
    full = {kind: rows for kind, rows in pairs.items() if rows}
    parts: dict[str, list[list[_Paired]]] = {kind: [rows] if rows else [] for kind, rows in pairs.items()}
    if len(full) > 1:
        parts[OVERALL] = list(full.values())
        left[OVERALL] = sum(left.values())
    rows = [_loss_drop(kind, found, left[kind]) for kind, found in parts.items()]
    tested = [i for i, (_, p) in enumerate(rows) if p is not None]
    adjusted = dict(zip(tested, holm([rows[i][1] or 0.0 for i in tested]), strict=True))
    whole = max((drop.before or 0.0 for drop, _ in rows[-1:]), default=0.0)
    drops = [
        replace(
            drop,
            p_adjusted=float(adjusted[i]) if i in adjusted else None,
            threshold=RELATIVE_LOSS * max(whole, drop.before or 0.0),
        )
        for i, (drop, _) in enumerate(rows)
    ]
    return [replace(drop, word=_word(drop)) for drop in drops]


def _loss_drop(kind: str, parts: Sequence[list[_Paired]], left: int) -> tuple[ExportDrop, float | None]:
    """Return the mean over parts of the added loss, and its p before correction."""
    if not parts:
        empty = ExportDrop(kind, "loss", None, None, None, None, None, None, None, 0, left, 0.0, "undecided")
        return empty, None
    sums: dict[str, float] = defaultdict(float)
    before = cost = 0.0
    for rows in parts:
        tokens = sum(row.tokens for row in rows)
        ratio = math.fsum(row.added for row in rows) / tokens
        before += math.fsum(row.before for row in rows) / tokens / len(parts)
        cost += ratio / len(parts)
        for row in rows:
            sums[row.cluster] += (row.added - ratio * row.tokens) / tokens / len(parts)
    se = low = high = p = None
    if (clusters := len(sums)) > 1:
        se = math.sqrt(math.fsum(part * part for part in sums.values()) * clusters / (clusters - 1))
        reach = float(stdtrit(clusters - 1, 0.5 + _LEVEL / 2)) * se
        low, high = cost - reach, cost + reach
        p = 2 * float(stdtr(clusters - 1, -abs(cost) / se)) if se else float(cost == 0)
    n = sum(map(len, parts))
    after = before + cost
    drop = ExportDrop(kind, "loss", before, after, cost, se, low, high, None, n, left, 0.0, "undecided")
    return drop, p


def _word(drop: ExportDrop) -> Literal["worse", "better", "as good", "undecided"]:
    """Return what is known of a cost; one too small to matter is none, however surely it is there."""
    if drop.low is None or drop.high is None or drop.cost is None or drop.p_adjusted is None:
        return "undecided"
    if -drop.threshold <= drop.low and drop.high <= drop.threshold:
        return "as good"
    if drop.p_adjusted <= _ALARM:
        return "worse" if drop.cost > 0 else "better"
    return "undecided"


def same_answers(before: Iterable[str | None], after: Iterable[str | None]) -> float | None:
    """Return the share of answers that the export left as they were."""
    pairs = [(a, b) for a, b in zip(before, after, strict=True) if a is not None and b is not None]
    return sum(a == b for a, b in pairs) / len(pairs) if pairs else None


def losses(table: Mapping[str, Sequence[float | None]]) -> list[Loss | None]:
    """Return the losses of a table with columns ``nats`` and ``tokens``."""
    rows = zip(table["nats"], table["tokens"], strict=True)
    return [None if nats is None or not tokens else Loss(nats, int(tokens)) for nats, tokens in rows]
