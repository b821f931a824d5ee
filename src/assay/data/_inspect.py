"""One pass over a data set: counts, lengths, duplicates, rejected rows."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

from assay.core import Block, Cell, Column, Page, Paragraph, Sample, Shown, SourceRow, Table, page, say
from assay.data._read import Rejected, Watch, read

SHOWN_REJECTED = 20
_BINS_PER_DOUBLING = 2
_GROUPS = 15


@dataclass(frozen=True, slots=True)
class LengthCounts:
    """Lengths in characters: the extremes, quantiles to one bin, and (upper edge, count) of each bin.

    Bins are half doublings, so a quantile is exact to a factor of the square root of two.
    """

    shortest: int
    p10: float
    p50: float
    p90: float
    longest: int
    mean: float
    bins: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Inspection(Shown):
    """What a data set holds."""

    sources: tuple[SourceRow, ...]
    samples: int
    items_without_answer: int
    turns: Mapping[str, int]
    by_type: Mapping[str, int]
    by_language: Mapping[str, int]
    by_source: Mapping[str, int]
    prompt_characters: LengthCounts | None
    answer_characters: LengthCounts | None
    duplicates: int
    rejected: int
    rejected_by_reason: Mapping[str, int]
    rejected_first: tuple[Rejected, ...]

    def as_page(self) -> Page:
        """Return what was detected, counts, lengths drawn, and rejected rows."""
        names = ("file", "detected", "rows", "kept", "rejected")
        forms = ("", "", ",", ",", ",")
        columns = tuple(Column(say(f"inspect.{name}"), form) for name, form in zip(names, forms, strict=True))
        sources = tuple((r.place, r.detected, r.rows, r.kept, r.rejected) for r in self.sources)
        counts = {"n": self.samples, "duplicates": self.duplicates, "open": self.items_without_answer}
        blocks: list[Block] = [
            Table(columns, sources),
            Paragraph(say("inspect.counts", **counts, rejected=self.rejected)),
            _counts("type", self.by_type),
            _counts("language", self.by_language),
            _counts("source", self.by_source),
            _counts("turns", self.turns),
        ]
        for kind, lengths in (("prompt", self.prompt_characters), ("answer", self.answer_characters)):
            blocks += [] if lengths is None else [_lengths(kind, lengths)]
        return page(*blocks, *(_rejected(self) if self.rejected else ()))


def _counts(kind: str, counts: Mapping[str, int]) -> Table:
    """Return the largest groups with their shares; the others are one row."""
    total = sum(counts.values())
    rows = [(str(name), n, n / total, n) for name, n in sorted(counts.items(), key=lambda row: -row[1])]
    shown: list[tuple[Cell, ...]] = [*rows[:_GROUPS]]
    if len(rows) > _GROUPS:
        rest = sum(row[1] for row in rows[_GROUPS:])
        shown.append((say("inspect.more", n=len(rows) - _GROUPS), rest, rest / total, rest))
    columns = (
        Column(say(f"inspect.by.{kind}"), "@type" if kind == "type" else ""),
        Column(say("inspect.samples"), ","),
        Column(say("inspect.share"), "percent"), Column("", "bar"),
    )  # fmt: skip
    return Table(columns, tuple(shown))


def _lengths(kind: str, lengths: LengthCounts) -> Table:
    columns = (
        Column(say(f"inspect.length.{kind}")), Column(say("inspect.samples"), ","), Column("", "bar"),
    )  # fmt: skip
    rows = tuple((say("inspect.up_to", n=edge), count, count) for edge, count in lengths.bins)
    note = say("inspect.length.note", median=lengths.p50, p90=lengths.p90, longest=lengths.longest)
    return Table(columns, rows, note=note)


def _rejected(found: Inspection) -> tuple[Table, Table]:
    reasons = (Column(say("inspect.reason")), Column(say("inspect.rows"), ","))
    heads = (Column(say("inspect.place")), Column(say("inspect.line"), ","), Column(say("inspect.why")),
             Column(say("inspect.excerpt")))  # fmt: skip
    rows = tuple((row.place, row.line, row.reason, row.excerpt or "") for row in found.rejected_first)
    return Table(reasons, tuple(found.rejected_by_reason.items())), Table(heads, rows)


class _Lengths:
    def __init__(self) -> None:
        self.counts: Counter[int] = Counter()
        self.shortest, self.longest, self.sum, self.n = math.inf, 0, 0, 0

    def add(self, length: int) -> None:
        place = math.ceil(_BINS_PER_DOUBLING * math.log2(length)) if length else -1
        self.counts[place] += 1
        self.shortest, self.longest = min(self.shortest, length), max(self.longest, length)
        self.sum, self.n = self.sum + length, self.n + 1

    def frozen(self) -> LengthCounts | None:
        if not self.n:
            return None
        edges = sorted(self.counts)
        bins = tuple((_edge(e), self.counts[e]) for e in edges)
        p10, p50, p90 = (self._quantile(q, bins) for q in (0.1, 0.5, 0.9))
        return LengthCounts(
            int(self.shortest), p10, p50, p90, self.longest, round(self.sum / self.n, 1), bins
        )

    def _quantile(self, q: float, bins: Sequence[tuple[int, int]]) -> float:
        below = 0
        for edge, count in bins:
            below += count
            if below >= q * self.n:
                return float(max(min(edge, self.longest), self.shortest))
        return float(self.longest)


def _edge(place: int) -> int:
    return 0 if place < 0 else math.floor(2 ** (place / _BINS_PER_DOUBLING))


class _Counts:
    """What one pass counts, in memory that grows with the number of distinct samples only."""

    def __init__(self, report: TextIO | None) -> None:
        self.report = report
        self.seen: set[bytes] = set()
        self.types: Counter[str] = Counter()
        self.languages: Counter[str] = Counter()
        self.names: Counter[str] = Counter()
        self.turns: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.prompts, self.answers = _Lengths(), _Lengths()
        self.first: list[Rejected] = []
        self.samples = self.duplicates = self.open_items = self.rejected = 0

    def keep(self, sample: Sample) -> bool:
        """Count a sample; return whether it was seen before."""
        self.samples += 1
        self.types[sample.type or "untyped"] += 1
        self.languages[sample.language or "unknown"] += 1
        self.names[sample.source] += 1
        pairs = sum(m.role == "user" for m in sample.messages)
        self.turns["1" if pairs == 1 else "2-3" if pairs < 4 else "4+"] += 1
        self.prompts.add(sum(len(m.content) for m in sample.prompt))
        if sample.answer is None:
            self.open_items += 1
        else:
            self.answers.add(len(sample.answer))
        key = bytes.fromhex(sample.id)
        known = key in self.seen
        self.seen.add(key)
        self.duplicates += known
        return known

    def reject(self, row: Rejected) -> None:
        self.rejected += 1
        self.reasons[_reason(row.reason)] += 1
        if len(self.first) < SHOWN_REJECTED:
            self.first.append(row)
        if self.report is not None:
            self.report.write(json.dumps(asdict(row), ensure_ascii=False) + "\n")


def _reason(reason: str) -> str:
    """Return a reason without what differs from row to row, so that rows can be counted by it."""
    head = reason.split(":")[0]
    return " ".join("…" if any(c.isdigit() for c in word) else word for word in head.split())


def inspect(places: Sequence[str], *, rejected: Path | None = None, watch: Watch | None = None) -> Inspection:
    """Read data sets once and count them, in bounded memory.

    ``rejected`` is a JSONL file for all rejected rows with place and reason; ``watch`` is told
    (bytes read, bytes in all) of each place.
    """
    report = rejected.open("w", encoding="utf-8") if rejected is not None else None
    try:
        counts, rows = _Counts(report), []
        for place in places:
            rows.append(_one(place, counts, watch))
    finally:
        if report is not None:
            report.close()
    return Inspection(
        sources=tuple(rows),
        samples=counts.samples,
        items_without_answer=counts.open_items,
        turns=dict(sorted(counts.turns.items())),
        by_type=dict(counts.types.most_common()),
        by_language=dict(counts.languages.most_common()),
        by_source=dict(counts.names.most_common(50)),
        prompt_characters=counts.prompts.frozen(),
        answer_characters=counts.answers.frozen(),
        duplicates=counts.duplicates,
        rejected=counts.rejected,
        rejected_by_reason=dict(counts.reasons.most_common(20)),
        rejected_first=tuple(counts.first),
    )


def _one(place: str, counts: _Counts, watch: Watch | None) -> SourceRow:
    reading = read(place, watch=watch)
    kept = rejected = duplicates = 0
    for row in reading:
        if isinstance(row, Sample):
            kept += 1
            duplicates += counts.keep(row)
        else:
            rejected += 1
            counts.reject(row)
    detected = f"{reading.detection.format}: {reading.detection.why}"
    return SourceRow(place, detected, kept + rejected, kept, rejected, duplicates, "")
