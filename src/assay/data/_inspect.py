"""One pass over a data set: counts, lengths, duplicates, rejected rows."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from assay.core import (
    Block,
    Cell,
    Column,
    File,
    Items,
    Page,
    Paragraph,
    Pool,
    Sample,
    Shown,
    SourceRow,
    Table,
    mapped,
    page,
    say,
)
from assay.data._output import output
from assay.data._read import Map, Places, Reading, as_places, read, workers_for
from assay.data._shard import PART_BYTES, Rejected, Shard, ShardRows, whole_files

SHOWN_REJECTED = 20
_BINS_PER_DOUBLING = 2
_GROUPS = 15
_ID = 16


@dataclass(frozen=True, slots=True)
class LengthCounts:
    """Lengths in characters: extremes, exact quantiles, and (upper edge, count) of bins of half doublings."""

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
    unused_fields: Mapping[str, int] = field(default_factory=dict)
    """Rows in which a field was not read, by its name."""
    notes: Mapping[str, int] = field(default_factory=dict)
    """Rows that a remark of the readers is about, by the remark."""

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
        notes = tuple(say("inspect.note", note=note, n=n) for note, n in self.notes.items())
        unused = [Paragraph(say("inspect.unused", counts=self.unused_fields))] if self.unused_fields else []
        return page(
            *blocks, *unused, Items(notes, "warning") if notes else None,
            *(_rejected(self) if self.rejected else ()),
        )  # fmt: skip


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
    reasons = (Column(say("inspect.reason"), "@reason"), Column(say("inspect.rows"), ","))
    heads = (
        Column(say("inspect.place")), Column(say("inspect.line"), ","), Column(say("inspect.why"), "@reason"),
        Column(say("inspect.excerpt")),
    )  # fmt: skip
    rows = tuple((row.place, row.line, row.reason, row.excerpt or "") for row in found.rejected_first)
    return Table(reasons, tuple(found.rejected_by_reason.items())), Table(heads, rows)


class _Lengths:
    """How often each length occurs: exact, in memory that grows with the number of distinct lengths only."""

    def __init__(self) -> None:
        self.counts: Counter[int] = Counter()

    def frozen(self) -> LengthCounts | None:
        if not self.counts:
            return None
        lengths = np.array(sorted(self.counts))
        times = np.array([self.counts[n] for n in lengths.tolist()])
        total = int(times.sum())
        bins: Counter[int] = Counter()
        for length, count in self.counts.items():
            bins[_edge(length)] += count
        p10, p50, p90 = (_quantile(lengths, np.cumsum(times), q) for q in (0.1, 0.5, 0.9))
        mean = round(int((lengths * times).sum()) / total, 1)
        return LengthCounts(
            int(lengths[0]), p10, p50, p90, int(lengths[-1]), mean, tuple(sorted(bins.items()))
        )


def _quantile(lengths: NDArray[np.int64], below: NDArray[np.int64], q: float) -> float:
    """Return a quantile as numpy's default does: between the two lengths beside it, in proportion."""
    at = q * (int(below[-1]) - 1)
    low, high = math.floor(at), math.ceil(at)
    first, second = (float(lengths[np.searchsorted(below, place, side="right")]) for place in (low, high))
    return first + (second - first) * (at - low)


def _edge(length: int) -> int:
    """Return the upper edge of the half doubling in which a length lies."""
    place = math.ceil(_BINS_PER_DOUBLING * math.log2(length)) if length else -1
    return 0 if place < 0 else math.floor(2 ** (place / _BINS_PER_DOUBLING))


class _Counts:
    """What is counted in one part or in several: 16 bytes for each sample, and what is counted by name."""

    def __init__(self) -> None:
        self.ids = bytearray()
        self.types: Counter[str] = Counter()
        self.languages: Counter[str] = Counter()
        self.names: Counter[str] = Counter()
        self.turns: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.prompts, self.answers = _Lengths(), _Lengths()
        self.rejected: list[Rejected] = []
        self.unused: Counter[str] = Counter()
        self.notes: Counter[str] = Counter()
        self.open_items = self.lost = 0
        self.path, self.stopped = "", False

    @property
    def samples(self) -> int:
        return len(self.ids) // _ID

    def keep(self, sample: Sample) -> None:
        """Count a sample."""
        self.types[sample.type or "untyped"] += 1
        self.languages[sample.language or "unknown"] += 1
        self.names[sample.source] += 1
        pairs = characters = 0
        for message in sample.messages:
            pairs += message.role == "user"
            characters += len(message.content)
        self.turns["1" if pairs == 1 else "2-3" if pairs < 4 else "4+"] += 1
        answer = sample.answer
        if answer is None:
            self.open_items += 1
        else:
            self.answers.counts[len(answer)] += 1
            characters -= len(answer)
        self.prompts.counts[characters] += 1
        self.ids += bytes.fromhex(sample.id)

    def add(self, part: _Counts) -> None:
        """Add what another part counted, the rows that it rejected apart."""
        self.ids += part.ids
        for name in ("types", "languages", "names", "turns", "reasons", "unused", "notes"):
            getattr(self, name).update(getattr(part, name))
        self.prompts.counts.update(part.prompts.counts)
        self.answers.counts.update(part.answers.counts)
        self.open_items += part.open_items
        self.lost += part.lost

    def duplicates(self) -> NDArray[np.int64]:
        """Return the numbers of the samples whose conversation stands before them."""
        ids = np.frombuffer(self.ids, np.uint64).reshape(-1, 2)
        order = np.lexsort((ids[:, 1], ids[:, 0]))
        again = (ids[order][1:] == ids[order][:-1]).all(axis=1)
        return np.sort(order[1:][again])


def _counted(part: Shard) -> _Counts:
    """Count a part in a worker."""
    rows, counts = ShardRows(part), _Counts()
    _count(rows, counts)
    counts.unused, counts.notes = rows.unused, rows.notes
    counts.path, counts.stopped = str(part.path), rows.stopped
    return counts


def _count(rows: Iterable[Sample | Rejected], counts: _Counts) -> None:
    for row in rows:
        if isinstance(row, Sample):
            counts.keep(row)
        else:
            counts.lost += 1
            counts.reasons[_reason(row.reason)] += 1
            counts.rejected.append(row)


def _reason(reason: str) -> str:
    """Return a reason without what differs from row to row, so that rows can be counted by it."""
    head = reason.split(":")[0]
    return " ".join("…" if any(c.isdigit() for c in word) else word for word in head.split())


def inspect(
    places: Places,
    *,
    rejected: File | None = None,
    map: Map = None,
    force: bool = False,
    pool: str = "processes:2",
) -> Inspection:
    """Count a data set by type, language and length, with duplicates and the reason for each rejected row.

    Example: `assay data inspect alpaca.json "shards/*.jsonl.zst" --rejected rejected.jsonl`

        >>> assay.data.inspect("pool.jsonl").samples
        40

    Parameters
    ----------
    places
        Files, folders of shards, globs, or `hf:owner/name`.
    rejected
        Write rejected rows, with line and reason, to this JSONL file.
    map
        Field names for a layout that Assay does not know: `prompt=question,answer=response`.
    force
        Overwrite an existing file.
    pool
        Where work runs: `inline`, `processes:N` or `ray[:address]`; does not affect the result.
    """
    with ExitStack() as stack:
        report, inputs = None, as_places(places)
        if rejected is not None:
            out = output(rejected, inputs=inputs, force=force, suffixes=(".jsonl", ".ndjson"))
            partial = stack.enter_context(out.partial())
            report = stack.enter_context(partial.open("w", encoding="utf-8", errors="backslashreplace"))
        workers = stack.enter_context(workers_for(inputs, pool))
        counts, first = _Counts(), list[Rejected]()
        rows, ends = [], []
        for place in inputs:
            before, lost = counts.samples, counts.lost
            reading = read(place, map=map)
            for part in _parts_of(reading, workers):
                counts.add(part)
                first += part.rejected[: SHOWN_REJECTED - len(first)]
                for row in part.rejected if report is not None else ():
                    report.write(json.dumps(asdict(row), ensure_ascii=False) + "\n")  # type: ignore[union-attr]
            kept, lost = counts.samples - before, counts.lost - lost
            detected = f"{reading.detection.format}: {reading.detection.why}"
            rows.append(SourceRow(place, detected, kept + lost, kept, lost, 0, ""))
            ends.append(counts.samples)
    again = counts.duplicates()
    upto = np.searchsorted(again, ends)
    rows = [replace(r, duplicates=int(n)) for r, n in zip(rows, np.diff(upto, prepend=0), strict=True)]
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
        duplicates=len(again),
        rejected=counts.lost,
        rejected_by_reason=dict(counts.reasons.most_common(20)),
        rejected_first=tuple(first),
        unused_fields=dict(counts.unused.most_common()),
        notes=dict(counts.notes.most_common()),
    )


def _parts_of(reading: Reading, pool: Pool) -> Iterator[_Counts]:
    """Yield what is counted in each part of a place, in order."""
    if reading.files:
        yield from whole_files(mapped(pool, _counted, reading.shards(PART_BYTES)))
        return
    counts = _Counts()
    _count(reading, counts)
    counts.unused, counts.notes = reading.unused, reading.notes
    yield counts
