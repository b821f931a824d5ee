"""Cleaning a pool: every removal has a receipt, and large losses of one group raise an alarm."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

from assay.core import AssayError, Inline, Pool, Sample, mapped
from assay.data import Part, Rejected, in_batches, joined, whole_files
from assay.selection._columns import AnswersOf, Columns, Look, Quality, Table, columns_of, said
from assay.selection._conflicts import POLICIES, Conflict, Found, Policy, conflicting, resolved
from assay.selection._evaluation import Match, alike, holding, prompt_of
from assay.selection._near import Answers, Rows, near_duplicates
from assay.selection._novel import novel
from assay.selection._pick import pick
from assay.selection._similar import Vectors, similar

RULES = ("broken", "exact", "conflict", "evaluation", "near", "semantic", "novelty", "surplus")
"""Rules in the order in which they are applied; a sample has the receipt of the first that removes it."""

INLINE = Inline()
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


class Receipts(Sequence[Receipt]):
    """The receipts of a cleaning in row order, each made when it is asked for: some 20 bytes a row."""

    def __init__(self, table: Table, gone: _Gone) -> None:
        """Look into a table and what was removed of it."""
        self._table, self._gone = table, gone
        self._rows = np.flatnonzero(gone.rule)

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Receipt: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Receipt]: ...
    def __getitem__(self, index: int | slice) -> Receipt | Sequence[Receipt]:
        """Return one receipt, or some of them."""
        if isinstance(index, slice):
            return tuple(map(self._receipt, self._rows[index].tolist()))
        return self._receipt(int(self._rows[index]))

    def _receipt(self, row: int) -> Receipt:
        table, gone = self._table, self._gone
        partner, score = int(gone.partner[row]), float(gone.score[row])
        name, detail, span = gone.more.get(row, (None, "", None))
        return Receipt(
            row - table.old, table.id(row), table.origin(row), RULES[int(gone.rule[row]) - 1],
            table.name(partner) if partner >= 0 else name, None if np.isnan(score) else round(score, 4),
            detail, span,
        )  # fmt: skip

    def __eq__(self, other: object) -> bool:
        """Say whether the receipts are equal."""
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))


class _Gone:
    """By row: the rule that removes it (from 1; 0: it stays), its partner's row, and how alike they are."""

    def __init__(self, rows: int) -> None:
        self.rule = np.zeros(rows, np.int8)
        self.partner = np.full(rows, -1, np.int32)
        self.score = np.full(rows, np.nan, np.float64)
        self.more: dict[int, tuple[str | None, str, tuple[int, int] | None]] = {}
        """What few rows have: a partner that is no row, what was seen, and where."""

    def put(self, rule: str, row: int, partner: int = -1, score: float = np.nan) -> None:
        self.rule[row], self.partner[row], self.score[row] = RULES.index(rule) + 1, partner, score

    @property
    def mask(self) -> NDArray[np.bool_]:
        return self.rule > 0


@dataclass(frozen=True)
class Cleaned:
    """Which rows stay, the receipts of all others in row order, alarms, and conflicts of answers."""

    kept: Rows
    receipts: Receipts
    removed_by: Mapping[str, int]
    alarms: tuple[Alarm, ...]
    samples: int
    conflicts: tuple[Conflict, ...] = ()


def clean(
    samples: Iterable[Sample],
    rules: CleanRules = CleanRules(),
    *,
    evaluation: Iterable[Sample] = (),
    against: Iterable[Sample] = (),
    quality: Quality | None = None,
    embed: Callable[[Sequence[str]], Vectors] | None = None,
    pool: Pool = INLINE,
    parts: Iterable[Part] | None = None,
    reject: Callable[[Rejected], None] = lambda row: None,
    kept: Path | None = None,
) -> Cleaned:
    """Decide which samples stay, in one pass over them.

    Memory is some 100 bytes a sample, and 4 bytes a token for those that share a bucket with another; tokens
    go to a file without a name (4 bytes each).  Embeddings, and novelty, hold theirs in memory.

    ``against`` are samples that are there already: what is equal or like one of them is removed, and none of
    them is.  Of a cluster the sample of the highest ``quality`` stays (one number for each sample of a
    batch, NaN last), by default the one with the longest answer, then the first.  ``embed`` returns unit
    vectors [n, d] of texts, for the rules that compare embeddings.  Without both, ``parts`` (the samples
    again, by default in batches of them) are hashed in the ``pool``, which changes nothing else; ``reject``
    is told of the rows of theirs that are none, and what was made of parts of files stays in the folder
    ``kept``, from which a run that was killed goes on.  Raises :class:`AssayError` where ``quality`` returns
    another number of values, or an embedding is needed and there is none.
    """
    if embed is None and (rules.semantic is not None or rules.alike is not None):
        raise AssayError("the rules compare embeddings, but no embedding model was given", place="clean")
    if rules.conflicts not in POLICIES:
        raise AssayError("no such rule for conflicts", place="clean.conflicts", value=rules.conflicts,
                         expected=", ".join(POLICIES))  # fmt: skip
    items = list(evaluation)
    seen = _Seen(rules, quality, embed if items or rules.semantic is not None else None)
    table = Table()
    for part in in_batches(against):
        table.add(seen.columns(part))
    table.old = len(table)
    if quality is None and embed is None:
        found = mapped(
            pool, Look("" if kept is None else str(kept)), in_batches(samples) if parts is None else parts
        )
    else:
        found = map(seen.columns, in_batches(samples))
    for columns in whole_files(found):
        for row in columns.rejected:
            reject(row)
        table.add(columns)
    table.close()
    return _decided(table, rules, items, seen, embed)


class _Seen:
    """Looks at samples in this process: their quality and their embeddings."""

    def __init__(
        self,
        rules: CleanRules,
        quality: Quality | None,
        embed: Callable[[Sequence[str]], Vectors] | None,
    ) -> None:
        self.rules, self.quality, self.embed = rules, quality, embed
        self.asked: list[Vectors] = []
        self.meant: list[Vectors] = []

    def columns(self, part: Sequence[Sample]) -> Columns:
        found = columns_of(part)
        if self.embed is not None and self.rules.semantic is not None:
            self.meant.append(self.embed([f"{prompt_of(s)}\n{said(s)}" for s in part]))
        if self.embed is not None and self.rules.alike is not None:
            self.asked.append(self.embed([prompt_of(s) for s in part]))
        if self.quality is None:
            return found
        values = self.quality(part)
        if len(values) != len(part):
            raise AssayError(
                "the number of quality values and samples differs",
                value=len(values),
                expected=str(len(part)),
            )
        return replace(found, best=np.array(values, np.float64))


def _decided(
    table: Table,
    rules: CleanRules,
    items: Sequence[Sample],
    seen: _Seen,
    embed: Callable[[Sequence[str]], Vectors] | None,
) -> Cleaned:
    """Apply the rules in their order."""
    gone, answers, old = _Gone(len(table)), AnswersOf(table), table.old
    for row, why in table.broken.items():
        if row >= old:
            gone.put("broken", row)
            gone.more[row] = (None, why, None)
    found = conflicting(table.prompts, table.keys, answers.lengths, gone.mask, old)
    _exact(table, gone)
    _conflicts(table, rules.conflicts, found, gone)
    for first, texts in table.texts.chunks() if items else ():
        _evaluation(
            table, holding(table.prompts_of(texts, first), items, rules.contained), items, gone, first
        )
    if embed is not None and rules.alike is not None and seen.asked and items:
        wanted = embed([prompt_of(item) for item in items])
        _evaluation(table, alike(np.concatenate(seen.asked), wanted, rules.alike), items, gone)
    if rules.near is not None:
        given = Answers(table.keys, answers)
        near = near_duplicates(
            table.texts, table.left(gone.mask), similarity=rules.near, answers=given, fixed=np.arange(old)
        )
        _pairs(table, "near", near, gone)
    if rules.semantic is not None and seen.meant:
        left = table.left(gone.mask)
        _pairs(table, "semantic", similar(np.concatenate(seen.meant), left, rules.semantic), gone)
    if rules.novelty is not None and len(table):
        prompts = joined(table.all_prompts())
        _pairs(table, "novelty", novel(prompts, table.left(gone.mask), limit=rules.novelty), gone)
    alarms = _alarms(table, gone, rules.alarm)
    if rules.to is not None:
        _surplus(table, rules.to, gone, by_quality=seen.quality is not None)
    counts = np.bincount(gone.rule, minlength=len(RULES) + 1).tolist()
    return Cleaned(
        kept=np.flatnonzero(gone.rule[old:] == 0),
        receipts=Receipts(table, gone),
        removed_by={rule: n for rule, n in zip(RULES, counts[1:], strict=True) if n},
        alarms=alarms,
        samples=len(table) - old,
        conflicts=tuple(
            Conflict(tuple(r - old for r in rows), tuple(map(table.name, rows)), len(set(keys)))
            for rows, keys in found
        ),
    )


def _conflicts(table: Table, policy: Policy, found: Found, gone: _Gone) -> None:
    place = np.empty(len(table), np.int64)
    place[table.left()] = np.arange(len(table))
    for rows, keys in found:
        for row, partner in resolved(policy, rows, keys, place).items():
            if row >= table.old and not gone.rule[row]:
                detail = f"its prompt has {len(set(keys))} answers that contradict each other"
                gone.put("conflict", row, partner)
                gone.more[row] = (None, detail, None)


def _exact(table: Table, gone: _Gone) -> None:
    left = table.left(gone.mask)
    ids = table.ids[left]
    order = np.lexsort((np.arange(len(left)), ids[:, 1], ids[:, 0]))
    rows, ids = left[order], ids[order]
    begins = np.ones(len(rows), np.bool_)
    begins[1:] = (ids[1:] != ids[:-1]).any(axis=1)
    first = rows[np.maximum.accumulate(np.where(begins, np.arange(len(rows)), 0))]
    again = ~begins & (rows >= table.old)
    for row, kept in zip(rows[again].tolist(), first[again].tolist(), strict=True):
        gone.put("exact", row, kept, 1.0)


def _pairs(table: Table, rule: str, found: tuple[Rows, NDArray[np.float32]], gone: _Gone) -> None:
    partner, score = found
    for row in np.flatnonzero(partner >= 0).tolist():
        if row >= table.old:
            gone.put(rule, row, int(partner[row]), float(score[row]))


def _surplus(table: Table, most: int, gone: _Gone, *, by_quality: bool) -> None:
    """Remove what is beyond the number asked for."""
    left = table.left(gone.mask)
    left = left[left >= table.old]
    if not by_quality:
        left = left[pick([table.id(row) for row in left.tolist()], "random")]
    for row in left[most:].tolist():
        gone.put("surplus", row)
        gone.more[row] = (None, f"beyond the {most:,} asked for", None)


def _evaluation(
    table: Table, matches: Mapping[int, Match], items: Sequence[Sample], gone: _Gone, first: int = 0
) -> None:
    for number, match in matches.items():
        row = first + number
        if not gone.rule[row] and row >= table.old:
            item = items[match.item]
            gone.put("evaluation", row, score=match.score)
            gone.more[row] = (item.origin or item.id, match.detail, match.span)


def _alarms(table: Table, gone: _Gone, share: float) -> tuple[Alarm, ...]:
    """Return the groups of at least 20 samples that lost more than ``share``, the greatest loss first."""
    alarms = []
    groups, rule = table.groups[table.old :], gone.rule[table.old :].astype(np.int64)
    wide = len(RULES) + 1
    for place, kind in enumerate(("source", "language", "type")):
        cells = groups[:, place].astype(np.int64) * wide + rule
        counts = np.bincount(cells, minlength=len(table.group_names) * wide).reshape(-1, wide)
        for name, row in zip(table.group_names, counts.tolist(), strict=True):
            whole, lost = sum(row), sum(row[1:])
            if whole >= _ALARM_LEAST and lost > share * whole:
                worst = RULES[max(range(len(RULES)), key=lambda k, row=row: row[k + 1])]  # type: ignore[misc]
                alarms.append(Alarm(kind, name, lost, whole, worst))
    return tuple(sorted(alarms, key=lambda a: -a.lost / a.samples))
