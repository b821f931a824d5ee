"""Cleaning a pool: every removal has a receipt, and large losses of one group raise an alarm."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.core import AssayError, Sample
from assay.data import HashedTexts, hashed
from assay.select._near import Rows, kernel, near_duplicates
from assay.select._novel import novel

RULES = ("broken", "exact", "evaluation", "near", "novelty")
"""Rules in the order in which they are applied; a sample has the receipt of the first that removes it."""

_GRAM = 8
_ALARM_LEAST = 20


@dataclass(frozen=True, slots=True)
class CleanRules:
    """Which rules to apply.

    ``near``: exact Jaccard similarity of 5-token shingles from which on prompt and answer together are a
    near-duplicate (None: off).  ``novelty``: ROUGE-L F1 with a kept instruction from which on a sample goes
    (None: off; 0.7 is the rule of self-instruct).  ``contained``: share of an evaluation prompt's 8-token
    runs found in a sample from which on it is contaminated.  ``alarm``: share that a source, language or type
    may lose.
    """

    near: float | None = 0.8
    novelty: float | None = None
    contained: float = 0.6
    alarm: float = 0.1


@dataclass(frozen=True, slots=True)
class Receipt:
    """Why a sample was removed: the rule, the kept partner or evaluation item, how alike, what was seen."""

    row: int
    id: str
    origin: str
    rule: str
    partner: str | None = None
    score: float | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Alarm:
    """A group that lost more than the share allowed."""

    kind: str
    name: str
    lost: int
    samples: int
    rule: str
    """The rule that took most of them."""


@dataclass(frozen=True)
class Cleaned:
    """Which rows stay, the receipts of all others in row order, and alarms."""

    kept: Rows
    receipts: tuple[Receipt, ...]
    removed_by: Mapping[str, int]
    alarms: tuple[Alarm, ...]
    samples: int


@dataclass
class _Pool:
    """What one pass keeps of each sample: digests and names, not texts."""

    ids: list[str] = field(default_factory=list)
    origins: list[str] = field(default_factory=list)
    groups: list[tuple[str, str, str]] = field(default_factory=list)
    broken: dict[int, str] = field(default_factory=dict)
    sizes: list[int] = field(default_factory=list)

    def add(self, sample: Sample) -> tuple[str, str]:
        row = len(self.ids)
        self.ids.append(sample.id)
        self.origins.append(sample.origin)
        groups = (sample.source, sample.language or "unknown", sample.type or "untyped")
        self.groups.append(groups)
        reason = _broken(sample)
        if reason:
            self.broken[row] = reason
        answer = sample.answer or ""
        self.sizes.append(len(answer))
        return "\n".join(m.content for m in sample.prompt), answer


def _broken(sample: Sample) -> str:
    """Return why a sample cannot be learnt from, or ""."""
    answer = sample.answer
    if answer is None or not answer.strip():
        return "no answer"
    if not any(c.isalnum() for c in answer):
        return "the answer has no letter or digit"
    prompt = "".join(m.content for m in sample.prompt).strip()
    if not prompt:
        return "no prompt"
    broken = answer.count("\ufffd")
    if broken and broken * 50 >= len(answer):
        return "letters lost to a wrong encoding"
    return ""


def clean(
    samples: Iterable[Sample],
    rules: CleanRules = CleanRules(),
    *,
    evaluation: Iterable[Sample] = (),
    quality: Sequence[float] | None = None,
) -> Cleaned:
    """Decide which samples stay, in one pass over them; memory is some 40 bytes a token, no text is kept.

    Of a cluster the sample of the highest ``quality`` stays (one number a sample, NaN last), by default the
    one with the longest answer, then the first.  Raises :class:`AssayError` where ``quality`` has another
    length.
    """
    pool = _Pool()
    prompts: list[HashedTexts] = []
    wholes: list[HashedTexts] = []
    for part in _chunks(samples, pool):
        prompts.append(hashed(prompt for prompt, _ in part))
        wholes.append(hashed(f"{prompt}\n{answer}" for prompt, answer in part))
    prompt, whole = _joined(prompts), _joined(wholes)
    order = _priority(pool, quality)
    removed: dict[int, Receipt] = {
        row: Receipt(row, pool.ids[row], pool.origins[row], "broken", detail=why)
        for row, why in pool.broken.items()
    }
    _exact(pool, order, removed)
    _evaluation(pool, prompt, list(evaluation), rules.contained, removed)
    if rules.near is not None:
        left = np.array([row for row in order if row not in removed], np.int64)
        partner, score = near_duplicates(whole, left, similarity=rules.near)
        _pairs(pool, "near", partner, score, removed)
    if rules.novelty is not None:
        left = np.array([row for row in order if row not in removed], np.int64)
        partner, score = novel(prompt, left, limit=rules.novelty)
        _pairs(pool, "novelty", partner, score, removed)
    receipts = tuple(removed[row] for row in sorted(removed))
    kept = np.setdiff1d(np.arange(len(pool.ids)), np.array(sorted(removed), np.int64))
    counts = Counter(receipt.rule for receipt in receipts)
    return Cleaned(
        kept=kept,
        receipts=receipts,
        removed_by={rule: counts[rule] for rule in RULES if counts[rule]},
        alarms=_alarms(pool, removed, rules.alarm),
        samples=len(pool.ids),
    )


_CHUNK = 20_000


def _chunks(samples: Iterable[Sample], pool: _Pool) -> Iterable[list[tuple[str, str]]]:
    part: list[tuple[str, str]] = []
    for sample in samples:
        part.append(pool.add(sample))
        if len(part) == _CHUNK:
            yield part
            part = []
    if part:
        yield part


def _joined(parts: Sequence[HashedTexts]) -> HashedTexts:
    tokens = np.concatenate([p.tokens for p in parts]) if parts else np.empty(0, np.uint32)
    lengths = [p.lengths for p in parts]
    offsets = np.concatenate([[0], np.cumsum(np.concatenate(lengths))]) if parts else np.zeros(1)
    return HashedTexts(tokens, offsets.astype(np.int64))


def _priority(pool: _Pool, quality: Sequence[float] | None) -> Rows:
    count = len(pool.ids)
    best = np.array(pool.sizes if quality is None else quality, np.float64)
    if len(best) != count:
        raise AssayError("quality has another length than the pool", value=len(best), expected=str(count))
    best = np.where(np.isnan(best), -np.inf, best)
    return np.lexsort((np.arange(count), -best)).astype(np.int64)


def _exact(pool: _Pool, order: Rows, removed: dict[int, Receipt]) -> None:
    first: dict[str, int] = {}
    for row in order.tolist():
        if row in removed:
            continue
        kept = first.setdefault(pool.ids[row], row)
        if kept != row:
            partner = pool.origins[kept] or pool.ids[kept]
            removed[row] = Receipt(row, pool.ids[row], pool.origins[row], "exact", partner, 1.0)


def _pairs(
    pool: _Pool, rule: str, partner: Rows, score: NDArray[np.float32], removed: dict[int, Receipt]
) -> None:
    for row in np.flatnonzero(partner >= 0).tolist():
        kept = int(partner[row])
        name = pool.origins[kept] or pool.ids[kept]
        removed[row] = Receipt(row, pool.ids[row], pool.origins[row], rule, name, round(float(score[row]), 4))


def _evaluation(
    pool: _Pool, prompts: HashedTexts, items: Sequence[Sample], least: float, removed: dict[int, Receipt]
) -> None:
    """Remove samples whose prompt holds at least ``least`` of the 8-token runs of an evaluation prompt."""
    if not items:
        return
    wanted = hashed("\n".join(m.content for m in item.prompt) for item in items)
    grams, owners = _runs(wanted)
    index: dict[int, set[int]] = {}
    for gram, owner in zip(grams.tolist(), owners.tolist(), strict=True):
        index.setdefault(gram, set()).add(owner)
    distinct = Counter(owner for found in index.values() for owner in found)
    seen, rows = _runs(prompts)
    hits = np.isin(seen, np.fromiter(index, np.uint64, len(index)))
    found: dict[int, dict[int, set[int]]] = {}
    for gram, row in zip(seen[hits].tolist(), rows[hits].tolist(), strict=True):
        for owner in index[gram]:
            found.setdefault(row, {}).setdefault(owner, set()).add(gram)
    for row, by_item in found.items():
        share, owner = max((len(own) / distinct[item], -item) for item, own in by_item.items())
        if share >= least and row not in removed:
            item = items[-owner]
            detail = f"holds {share:.0%} of the runs of {_GRAM} tokens of an evaluation prompt"
            name = item.origin or item.id
            removed[row] = Receipt(
                row, pool.ids[row], pool.origins[row], "evaluation", name, round(share, 4), detail
            )


def _runs(texts: HashedTexts) -> tuple[NDArray[np.uint64], Rows]:
    """Return the hashes of all runs of 8 tokens, and the text of each; a shorter text is one run."""
    hashes = np.empty(len(texts.tokens), np.uint64)
    owners = np.empty(len(texts.tokens), np.int64)
    used = kernel(_hash_runs)(texts.tokens, texts.offsets, _GRAM, hashes, owners)
    return hashes[:used], owners[:used]


def _hash_runs(tokens: Any, edges: Any, width: int, hashes: Any, owners: Any) -> int:
    used = 0
    for t in range(len(edges) - 1):
        size = edges[t + 1] - edges[t]
        wide = min(width, size)
        if size == 0:
            continue
        for i in range(edges[t], edges[t + 1] - wide + 1):
            state = np.uint64(wide)
            for k in range(wide):
                state = (state ^ np.uint64(tokens[i + k])) * np.uint64(1099511628211)
            hashes[used] = state
            owners[used] = t
            used += 1
    return used


def _alarms(pool: _Pool, removed: Mapping[int, Receipt], share: float) -> tuple[Alarm, ...]:
    """Return the groups of at least 20 samples that lost more than ``share``, the greatest loss first."""
    alarms = []
    for place, kind in enumerate(("source", "language", "type")):
        whole = Counter(groups[place] for groups in pool.groups)
        lost: dict[str, Counter[str]] = {}
        for row, receipt in removed.items():
            lost.setdefault(pool.groups[row][place], Counter())[receipt.rule] += 1
        for name, rules in lost.items():
            if whole[name] >= _ALARM_LEAST and rules.total() > share * whole[name]:
                rule = rules.most_common(1)[0][0]
                alarms.append(Alarm(kind, name, rules.total(), whole[name], rule))
    return tuple(sorted(alarms, key=lambda a: -a.lost / a.samples))
