"""Answers to judgements, and judgements to means with their errors."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from assay.core import Sample
from assay.data import synthetic
from assay.judging._metrics import chrf, exact_match, rouge_l
from assay.judging._plugins import PLUGINS, score_by

METRICS: Mapping[str, Callable[[str, str], float]] = {
    "exact_match": exact_match,
    "chrf": chrf,
    "rouge_l": rouge_l,
}
CHECKER = "checker"
VERSION = 1

# Short answers are right or wrong; translations are near or far letter by letter; the rest by words.
_BY_TYPE: Mapping[str, str] = {
    "math": "exact_match",
    "classification": "exact_match",
    "translation": "chrf",
}


@dataclass(frozen=True, slots=True)
class Judgement:
    """The score in [0, 1] of one answer, or None with the reason why there is none.

    The rest is of chat models: ``scores`` of the repeats (None: unparsed or not had) whose mean ``score`` is,
    ``replies`` as they came, the ``rubric`` used, how many replies stayed ``unparsed``, the probability
    ``outside`` of the scale (mean over repeats, where log-probabilities gave the score), and a ``note``.
    """

    item: str
    type: str
    group: str | None
    method: str
    score: float | None
    reason: str | None = None
    scores: tuple[float | None, ...] = ()
    replies: tuple[str, ...] = ()
    rubric: str | None = None
    unparsed: int = 0
    outside: float | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    """Mean score of one type over its scored items, with the item-level standard error.

    ``se`` is None for a single cluster; ``missing`` counts items without a score.
    """

    type: str
    mean: float
    se: float | None
    n: int
    missing: int


def default_method(item: Sample) -> str | None:
    """Return how an item is scored where no question was given for: its checker, else by type, else not."""
    if item.checker is not None:
        return CHECKER
    if not item.answer:
        return None
    return _BY_TYPE.get(item.type or "", "rouge_l")


def judge(item: Sample, answer: str, method: str | None = None) -> Judgement:
    """Score one answer by a named method, or by the item's own (:func:`default_method`).

    Raises :class:`AssayError` for an unknown method; an item that the method cannot score gives a judgement
    without a score.
    """
    chosen = method or default_method(item)
    other = None if chosen is None else PLUGINS.get(chosen)
    if chosen is not None and chosen not in PLUGINS.names:
        raise PLUGINS.unknown(chosen, "measure.method")
    score, reason = _score(item, answer, chosen) if other is None else score_by(other, item, answer)
    name = f"{chosen or 'none'}-v{VERSION}"
    if other is not None:
        entry = PLUGINS.entry(other.name)
        name = f"{other.name}-v{other.version} ({entry.distribution} {entry.version})"
    return Judgement(item.id, item.type or "untyped", item.group, name, score, reason)


def _score(item: Sample, answer: str, method: str | None) -> tuple[float | None, str | None]:
    if method is None:
        return None, "no checker and no reference"
    if method == CHECKER:
        if item.checker is None:
            return None, "no checker"
        return synthetic.check(item.checker, answer), None
    if not item.answer:
        return None, "no reference"
    return METRICS[method](answer, item.answer), None


def summarise(judgements: Iterable[Judgement]) -> list[Summary]:
    """Return the mean of each type with its standard error, clustered by group (Miller 2024, section 2.2).

    SE = sqrt(sum over clusters of (sum of residuals)^2) / n.  Items without a score are counted, not scored.
    """
    by_type: dict[str, list[Judgement]] = defaultdict(list)
    for judgement in judgements:
        by_type[judgement.type].append(judgement)
    summaries = []
    for kind, rows in by_type.items():
        scored = [(row.group or row.item, row.score) for row in rows if row.score is not None]
        if scored:
            mean, se = clustered(scored)
            summaries.append(Summary(kind, mean, se, len(scored), len(rows) - len(scored)))
    return summaries


def clustered(scored: Sequence[tuple[str, float]]) -> tuple[float, float | None]:
    """Return the mean of (cluster, score) and its standard error, None for a single cluster."""
    mean = math.fsum(score for _, score in scored) / len(scored)
    sums: dict[str, float] = defaultdict(float)
    for cluster, score in scored:
        sums[cluster] += score - mean
    if len(sums) < 2:
        return mean, None
    return mean, math.sqrt(math.fsum(r * r for r in sums.values())) / len(scored)
