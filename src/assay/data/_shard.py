"""Parts of a data set that can be read by themselves, in any process: files, or whole lines of one.

The parts of a reading one after another are the reading: the same samples, origins and rejections.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, TypeAlias, TypeVar

from assay.core import Sample, Undefined
from assay.data._files import Broken, FileKind, Lines, Mark, raw_rows
from assay.data._languages import languages_of
from assay.data._layouts import SCHEMAS, Schema
from assay.data._mapping import mapped
from assay.data._plugins import READERS, placed, plugin_rows
from assay.data._raw import NoNumber, Number, printable
from assay.data._rows import Draft, Reject, draft, plain_draft

_BATCH, _BATCH_CHARACTERS = 128, 1 << 22


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that is no sample: where it stands, why, and how it begins."""

    place: str
    line: int
    reason: str
    excerpt: str


@dataclass(frozen=True, slots=True)
class Shard:
    """A file of a data set, or its lines in the bytes from ``start`` to ``end``, with ``line`` before them.

    ``layout`` is the place of its main layout in :data:`SCHEMAS`, ``fields`` a map in its stead, ``reader`` a
    plug-in that reads it; ``name`` stands in origins, ``source`` in samples; ``named``: a user gave it.
    """

    path: Path
    kind: FileKind
    name: str
    source: str
    named: bool = False
    layout: int | None = None
    fields: tuple[tuple[str, str], ...] | None = None
    reader: str = ""
    start: int = 0
    end: int | None = None
    line: int = 0

    @property
    def size(self) -> int:
        """Stored bytes."""
        return (self.path.stat().st_size if self.end is None else self.end) - self.start


Part: TypeAlias = "Shard | tuple[Sample, ...]"
"""What a worker is given: lines of a file, which it reads, or samples."""

PART_BYTES = 4 << 20
PART_ROWS = 4096


def rows_of_part(part: Part) -> Iterable[Sample | Rejected]:
    """Return the rows of a part to iterate; those of a shard are a :class:`ShardRows`."""
    return ShardRows(part) if isinstance(part, Shard) else part


def in_batches(samples: Iterable[Sample], rows: int = PART_ROWS) -> Iterator[tuple[Sample, ...]]:
    """Yield samples in parts of so many."""
    stream = iter(samples)
    return iter(lambda: tuple(islice(stream, rows)), ())


class Worked(Protocol):
    """What a worker returns of a part: its file, and whether that is left unread from there on."""

    @property
    def path(self) -> str:
        """The file, or ""."""

    @property
    def stopped(self) -> bool:
        """See :class:`ShardRows`."""


W = TypeVar("W", bound=Worked)


def whole_files(parts: Iterable[W]) -> Iterator[W]:
    """Yield what was made of parts, without those behind the place where their file is left unread."""
    stopped: set[str] = set()
    for part in parts:
        if not part.path or part.path not in stopped:
            yield part
        if part.stopped:
            stopped.add(part.path)


class RowReader:
    """Makes samples of rows, and counts in them what :class:`assay.data.Reading` tells."""

    def __init__(self, fields: Mapping[str, str] | None) -> None:
        """Count nothing yet; ``fields`` is a user's map."""
        self._fields = fields
        self.forget()

    def forget(self) -> None:
        """Begin to count anew."""
        self.unused: Counter[str] = Counter()
        self.notes: Counter[str] = Counter()
        self.splits: Counter[str] = Counter()

    def converted(
        self, row: Any, schema: Schema | None, source: str, place: str, line: int
    ) -> Sample | Rejected | Draft:
        """Return one row as a sample, as what it says of one, or as a rejection."""
        origin = f"{place}:{line}"
        if type(row) is dict and schema is not None and schema.plain is not None:
            plain = plain_draft(row, schema.plain, source, origin)
            if plain is not None:
                return plain
        if isinstance(row, Broken):
            return Rejected(place, line, row.reason, row.excerpt)
        if isinstance(row, Undefined):
            return Rejected(place, line, printable(row.reason), "")
        if isinstance(row, Sample):
            return placed(row, source, origin)
        try:
            found, unused, notes = draft(row, schema, source, origin, self._fields)
        except Reject as reason:
            return Rejected(place, line, printable(str(reason)), _show(row))
        if unused or notes:
            self.unused.update(map(printable, unused))
            self.notes.update(notes)
        return found


class ShardRows(RowReader):
    """The rows of a shard to iterate: yields :class:`Sample` or :class:`Rejected`.

    After an iteration ``stopped`` says that the rest of the file is left unread, later shards of it too.
    """

    def __init__(self, shard: Shard, watch: Callable[[int], None] | None = None) -> None:
        """Open nothing yet; ``watch`` is told the stored bytes read."""
        super().__init__(None if shard.fields is None else dict(shard.fields))
        self.shard, self._watch, self.stopped = shard, watch, False

    @cached_property
    def _schema(self) -> Schema | None:
        if self._fields is not None:
            return mapped(self._fields)
        return None if self.shard.layout is None else SCHEMAS[self.shard.layout]

    def __iter__(self) -> Iterator[Sample | Rejected]:
        """Read the rows."""
        self.forget()
        self.stopped = False
        return sampled(self._drafts())

    def _rows(self) -> Iterator[tuple[int, Any]]:
        shard = self.shard
        if shard.reader:
            return plugin_rows(READERS[shard.reader], shard.path)
        lines = None if shard.end is None else Lines(shard.start, shard.end, shard.line)
        return raw_rows(shard.path, shard.kind, self._watch, lines, self._stop)

    def _stop(self) -> None:
        self.stopped = True

    def _drafts(self) -> Iterator[Sample | Rejected | Draft]:
        shard = self.shard
        own, name, split = printable(shard.source), shard.name, ""
        source, place = own, name
        for line, row in self._rows():
            if type(row) is Mark:
                if row.unused is not None:
                    self.unused[f"{printable(row.unused)} (beside the rows)"] += 1
                else:
                    split = printable(row.split or "")
                    self.splits[split] += 0
                    place = f"{name}[{split}]"
                    source = own if shard.named else f"{own}/{split}"
                continue
            if split:
                self.splits[split] += 1
            yield self.converted(row, self._schema, source, place, line)


def sampled(rows: Iterable[Sample | Rejected | Draft]) -> Iterator[Sample | Rejected]:
    """Yield rows with the samples of drafts, in batches that grow, since languages are told together."""
    stream, size = iter(rows), 1
    while batch := _batch(stream, size):
        told = iter(languages_of([row[-1] for row in batch if type(row) is tuple and not row[2]]))
        for row in batch:
            if type(row) is tuple:
                messages, kind, language, source, checker, group, origin, _ = row
                yield Sample(messages, kind, language or next(told), source, checker, group, origin)
            else:
                yield row  # type: ignore[misc]
        size = min(2 * size, _BATCH)


def _batch(rows: Iterator[Sample | Rejected | Draft], size: int) -> list[Sample | Rejected | Draft]:
    """Return the next rows, fewer where their texts are long."""
    batch, room = [], _BATCH_CHARACTERS
    for row in islice(rows, size):
        batch.append(row)
        if type(row) is tuple:
            for message in row[0]:
                room -= len(message.content)
            if room < 0:
                break
    return batch


def _show(row: Any) -> str:
    """Return how a row begins, fit to be written anywhere."""
    if not isinstance(row, dict):
        return printable(_shown(row)[:120])
    return printable(", ".join(f"{str(k)[:40]}: {_shown(v)[:60]}" for k, v in list(row.items())[:12])[:120])


def _shown(value: Any) -> str:
    if isinstance(value, str | Number | NoNumber):
        return str(getattr(value, "text", value))[:120]
    try:
        return str(value)[:120]
    except (ValueError, RecursionError):
        return f"({type(value).__name__})"
