"""Cleaning a pool: every removal has a receipt, and large losses of one group raise an alarm."""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.core import AssayError, Sample, tie_to_parent
from assay.data import HashedTexts, hashed, placeholder
from assay.selection._conflicts import POLICIES, Conflict, Found, Policy, conflicting, resolved
from assay.selection._evaluation import Match, alike, holding, prompt_of
from assay.selection._near import Answers, Rows, near_duplicates, text_key
from assay.selection._novel import novel
from assay.selection._pick import pick
from assay.selection._similar import Vectors, similar

RULES = ("broken", "exact", "conflict", "evaluation", "near", "semantic", "novelty", "surplus")
"""Rules in the order in which they are applied; a sample has the receipt of the first that removes it."""

_ALARM_LEAST = 20


@dataclass(frozen=True, slots=True)
class CleanRules:
    """Which rules to apply.

    ``near``: exact Jaccard similarity of 5-token shingles from which on prompt and answer together, and the
    answer alone, are a near-duplicate (None: off); short answers have to be equal.  ``conflicts``: what
    becomes of prompts with contradictory answers: ``keep`` them all (they are reported), ``drop`` them all,
    or keep the answer of the ``majority`` or of the ``best`` sample.  ``novelty``: ROUGE-L F1 with a kept
    instruction from which on a sample goes (None: off; 0.7 is the rule of self-instruct).  ``contained``:
    share of an evaluation prompt's 8-token runs found in a sample from which on it is contaminated.
    ``semantic``: cosine of the embeddings of prompt and answer above which a sample is a semantic duplicate
    (None: off).  ``alike``: cosine of its prompt's embedding with an evaluation prompt from which on a
    sample is contaminated (None: off).  ``to``: keep at most so many, the best by quality or, without it,
    some at random.  ``alarm``: share that a source, language or type may lose.
    """

    near: float | None = 0.8
    novelty: float | None = None
    contained: float = 0.6
    semantic: float | None = None
    alike: float | None = None
    to: int | None = None
    alarm: float = 0.1
    conflicts: Policy = "keep"


@dataclass(frozen=True, slots=True)
class Receipt:
    """Why a sample was removed: the rule, the kept partner or evaluation item, how alike, what was seen.

    ``span``: tokens of the prompt that hold the evaluation item, first and after the last; None where the
    whole sample is meant.
    """

    row: int
    id: str
    origin: str
    rule: str
    partner: str | None = None
    score: float | None = None
    detail: str = ""
    span: tuple[int, int] | None = None


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
    """Which rows stay, the receipts of all others in row order, alarms, and conflicts of answers."""

    kept: Rows
    receipts: tuple[Receipt, ...]
    removed_by: Mapping[str, int]
    alarms: tuple[Alarm, ...]
    samples: int
    conflicts: tuple[Conflict, ...] = ()


class _Pool:
    """What one pass keeps of each sample: digests and names, not texts."""

    def __init__(self, quality: Callable[[Sequence[Sample]], Sequence[float]] | None) -> None:
        self.ids: list[str] = []
        self.origins: list[str] = []
        self.groups: list[tuple[str, str, str]] = []
        self.broken: dict[int, str] = {}
        self.best: list[float] = []
        self.prompts: list[int] = []
        self.keys: list[int] = []
        self.old = 0
        """Rows in front that are only compared with: they are never removed."""
        self.quality = quality

    def chunks(self, samples: Iterable[Sample]) -> Iterator[list[tuple[str, str]]]:
        """Yield prompts and answers, noting what is kept of their samples."""
        stream = iter(samples)
        while part := list(islice(stream, _CHUNK)):
            texts = [self._add(sample) for sample in part]
            values = [len(answer) for _, answer in texts] if self.quality is None else self.quality(part)
            if len(values) != len(part):
                raise AssayError(
                    "the number of quality values and samples differs",
                    value=len(values),
                    expected=str(len(part)),
                )
            self.best += values
            yield texts

    def older(self, samples: Iterable[Sample]) -> Iterator[list[tuple[str, str]]]:
        """Yield prompts and answers of samples that are only compared with."""
        yield from self.chunks(samples)
        self.old = len(self.ids)

    def _add(self, sample: Sample) -> tuple[str, str]:
        reason = _broken(sample)
        if reason:
            self.broken[len(self.ids)] = reason
        self.ids.append(sample.id)
        self.origins.append(sample.origin)
        self.groups.append((sample.source, sample.language or "unknown", sample.type or "untyped"))
        answer = _said(sample)
        prompt = prompt_of(sample)
        self.prompts.append(text_key(prompt))
        self.keys.append(text_key(answer))
        return prompt, answer

    def unusable(self) -> dict[int, Receipt]:
        """Return the receipts of broken samples."""
        return {
            row: Receipt(row, self.ids[row], self.origins[row], "broken", detail=why)
            for row, why in self.broken.items()
            if row >= self.old
        }

    def left(self, removed: Mapping[int, Receipt]) -> Rows:
        """Return the rows that stay so far, the best first."""
        best = np.array(self.best, np.float64)
        best[: self.old] = np.inf
        order = np.lexsort((np.arange(len(best)), -np.where(np.isnan(best), -np.inf, best)))
        gone = np.zeros(len(best), bool)
        gone[list(removed)] = True
        return order[~gone[order]].astype(np.int64)

    def name(self, row: int) -> str:
        """Return how a receipt names a row."""
        return self.origins[row] or self.ids[row]

    def receipt(self, row: int, rule: str, **what: Any) -> Receipt:
        """Return the receipt of a row."""
        return Receipt(row, self.ids[row], self.origins[row], rule, **what)


def _said(sample: Sample) -> str:
    """Return the answer of a sample with its tool calls, or ""."""
    return "" if sample.answer is None else sample.messages[-1].said


def _broken(sample: Sample) -> str:
    """Return why a sample cannot be learnt from, or ""."""
    answer = _said(sample)
    if not answer.strip():
        return "no answer"
    if placeholder(answer, answer=True):
        return f"the answer says that there is none ({answer.strip()})"
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
    against: Iterable[Sample] = (),
    quality: Callable[[Sequence[Sample]], Sequence[float]] | None = None,
    embed: Callable[[Sequence[str]], Vectors] | None = None,
    workers: int = 1,
) -> Cleaned:
    """Decide which samples stay, in one pass over them; memory is some 40 bytes a token, no text is kept.

    ``against`` are samples that are there already: what is equal or like one of them is removed, and none of
    them is.  Of a cluster the sample of the highest ``quality`` stays (one number for each sample of a
    batch, NaN last), by default the one with the longest answer, then the first.  ``embed`` returns unit
    vectors [n, d] of texts, for the rules that compare embeddings.  ``workers`` processes hash texts; they
    change nothing else.  Raises :class:`AssayError` where ``quality`` returns another number of values, or
    an embedding is needed and there is none.
    """
    if embed is None and (rules.semantic is not None or rules.alike is not None):
        raise AssayError("the rules compare embeddings, but no embedding model was given", place="clean")
    if rules.conflicts not in POLICIES:
        raise AssayError("no such rule for conflicts", place="clean.conflicts", value=rules.conflicts,
                         expected=", ".join(POLICIES))  # fmt: skip
    items = list(evaluation)
    pool = _Pool(quality)
    asked: list[Vectors] = []
    meant: list[Vectors] = []

    def texts() -> Iterator[list[tuple[str, str]]]:
        for part in chain(pool.older(against), pool.chunks(samples)):
            if embed is not None and rules.semantic is not None:
                meant.append(embed([f"{prompt}\n{answer}" for prompt, answer in part]))
            if embed is not None and rules.alike is not None and items:
                asked.append(embed([prompt for prompt, _ in part]))
            yield part

    prompt, whole = _hashed(texts(), workers)
    removed = pool.unusable()
    lengths = (whole.lengths - prompt.lengths).tolist()
    found = conflicting(pool.prompts, pool.keys, lengths, removed, pool.old)
    _exact(pool, removed)
    _conflicts(pool, rules.conflicts, found, removed)
    if items:
        _evaluation(pool, holding(prompt, items, rules.contained), items, removed)
    if embed is not None and rules.alike is not None and asked:
        wanted = embed([prompt_of(item) for item in items])
        _evaluation(pool, alike(np.concatenate(asked), wanted, rules.alike), items, removed)
    if rules.near is not None:
        answers = Answers(np.array(pool.keys, np.int64), _answers(prompt, whole))
        near = near_duplicates(
            whole, pool.left(removed), similarity=rules.near, answers=answers, fixed=np.arange(pool.old)
        )
        _pairs(pool, "near", near, removed)
    if rules.semantic is not None and meant:
        _pairs(pool, "semantic", similar(np.concatenate(meant), pool.left(removed), rules.semantic), removed)
    if rules.novelty is not None:
        _pairs(pool, "novelty", novel(prompt, pool.left(removed), limit=rules.novelty), removed)
    alarms = _alarms(pool, removed, rules.alarm)
    if rules.to is not None:
        _surplus(pool, rules.to, removed, by_quality=quality is not None)
    old = pool.old
    receipts = tuple(replace(removed[row], row=row - old) for row in sorted(removed))
    kept = np.setdiff1d(np.arange(old, len(pool.ids)), np.array(sorted(removed), np.int64)) - old
    counts = Counter(receipt.rule for receipt in receipts)
    return Cleaned(
        kept=kept,
        receipts=receipts,
        removed_by={rule: counts[rule] for rule in RULES if counts[rule]},
        alarms=alarms,
        samples=len(pool.ids) - old,
        conflicts=tuple(
            Conflict(tuple(r - old for r in rows), tuple(map(pool.name, rows)), len(set(keys)))
            for rows, keys in found
        ),
    )


_CHUNK = 20_000
_AHEAD = 2


def _hashed(parts: Iterable[list[tuple[str, str]]], workers: int) -> tuple[HashedTexts, HashedTexts]:
    """Return the hashed prompts and whole samples of all parts."""
    if workers <= 1:
        found = [_hash_part(part) for part in parts]
    else:
        with ProcessPoolExecutor(workers, initializer=tie_to_parent, initargs=(os.getpid(),)) as pool:
            found, waiting = [], deque[Future[tuple[HashedTexts, HashedTexts]]]()
            for part in parts:
                waiting.append(pool.submit(_hash_part, part))
                if len(waiting) >= _AHEAD * workers:
                    found.append(waiting.popleft().result())
            found += [future.result() for future in waiting]
    return _joined([prompt for prompt, _ in found]), _joined([whole for _, whole in found])


def _hash_part(part: Sequence[tuple[str, str]]) -> tuple[HashedTexts, HashedTexts]:
    return hashed(prompt for prompt, _ in part), hashed(f"{prompt}\n{answer}" for prompt, answer in part)


def _joined(parts: Sequence[HashedTexts]) -> HashedTexts:
    tokens = np.concatenate([p.tokens for p in parts]) if parts else np.empty(0, np.uint32)
    lengths = [p.lengths for p in parts]
    offsets = np.concatenate([[0], np.cumsum(np.concatenate(lengths))]) if parts else np.zeros(1)
    return HashedTexts(tokens, offsets.astype(np.int64))


def _answers(prompt: HashedTexts, whole: HashedTexts) -> HashedTexts:
    """Return the tokens of the answers: those of the whole samples behind those of their prompts."""
    lengths = whole.lengths - prompt.lengths
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    starts = np.repeat(whole.offsets[:-1] + prompt.lengths - offsets[:-1], lengths)
    return HashedTexts(whole.tokens[starts + np.arange(offsets[-1])], offsets)


def _conflicts(
    pool: _Pool,
    policy: Policy,
    found: Found,
    removed: dict[int, Receipt],
) -> None:
    place = {row: number for number, row in enumerate(pool.left({}).tolist())}
    for rows, keys in found:
        for row, partner in resolved(policy, rows, keys, place).items():
            if row >= pool.old and row not in removed:
                detail = f"its prompt has {len(set(keys))} answers that contradict each other"
                removed[row] = pool.receipt(row, "conflict", partner=pool.name(partner), detail=detail)


def _exact(pool: _Pool, removed: dict[int, Receipt]) -> None:
    first: dict[str, int] = {}
    for row in pool.left(removed).tolist():
        kept = first.setdefault(pool.ids[row], row)
        if kept != row and row >= pool.old:
            removed[row] = pool.receipt(row, "exact", partner=pool.name(kept), score=1.0)


def _pairs(
    pool: _Pool, rule: str, found: tuple[Rows, NDArray[np.float32]], removed: dict[int, Receipt]
) -> None:
    partner, score = found
    for row in np.flatnonzero(partner >= 0).tolist():
        if row >= pool.old:
            name = pool.name(int(partner[row]))
            removed[row] = pool.receipt(row, rule, partner=name, score=round(float(score[row]), 4))


def _surplus(pool: _Pool, most: int, removed: dict[int, Receipt], *, by_quality: bool) -> None:
    """Remove what is beyond the number asked for."""
    left = pool.left(removed)
    left = left[left >= pool.old]
    if not by_quality:
        left = left[pick([pool.ids[row] for row in left.tolist()], "random")]
    for row in left[most:].tolist():
        detail = f"beyond the {most:,} asked for"
        removed[row] = Receipt(row, pool.ids[row], pool.origins[row], "surplus", detail=detail)


def _evaluation(
    pool: _Pool, matches: Mapping[int, Match], items: Sequence[Sample], removed: dict[int, Receipt]
) -> None:
    for row, match in matches.items():
        if row not in removed and row >= pool.old:
            item = items[match.item]
            removed[row] = Receipt(
                row, pool.ids[row], pool.origins[row], "evaluation", item.origin or item.id,
                round(match.score, 4), match.detail, match.span,
            )  # fmt: skip


def _alarms(pool: _Pool, removed: Mapping[int, Receipt], share: float) -> tuple[Alarm, ...]:
    """Return the groups of at least 20 samples that lost more than ``share``, the greatest loss first."""
    alarms = []
    for place, kind in enumerate(("source", "language", "type")):
        whole = Counter(groups[place] for groups in pool.groups[pool.old :])
        lost: dict[str, Counter[str]] = {}
        for row, receipt in removed.items():
            lost.setdefault(pool.groups[row][place], Counter())[receipt.rule] += 1
        for name, rules in lost.items():
            if whole[name] >= _ALARM_LEAST and rules.total() > share * whole[name]:
                rule = rules.most_common(1)[0][0]
                alarms.append(Alarm(kind, name, rules.total(), whole[name], rule))
    return tuple(sorted(alarms, key=lambda a: -a.lost / a.samples))
