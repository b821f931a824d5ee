"""One pass over a data set: counts, lengths, duplicates, rejected rows."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

from assay.core import File, Sample, Shown, SourceRow
from assay.data._read import Places, Rejected, as_places, read

SHOWN_REJECTED = 20
_BINS_PER_DOUBLING = 2


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


def inspect(places: Places, *, rejected: File | None = None) -> Inspection:
    """Count a data set by type, language and length; show duplicates and each rejected row's reason.

    Example: `assay data inspect alpaca.json "shards/*.jsonl.zst" --rejected rejected.jsonl`

        >>> assay.data.inspect("pool.jsonl").samples
        40

    Parameters
    ----------
    places
        Files, folders of shards, globs, or `hf:owner/name`.
    rejected
        Write all rejected rows, with place and reason, to this JSONL file.
    """
    with nullcontext() if rejected is None else Path(rejected).open("w", encoding="utf-8") as report:
        counts = _Counts(report)
        rows = [_one(place, counts) for place in as_places(places)]
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


def _one(place: str, counts: _Counts) -> SourceRow:
    reading = read(place)
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
