"""Samples in memory or in files, to go through as often as they are asked for."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from tempfile import TemporaryFile
from typing import Annotated, Any, TypeAlias, TypeVar, overload

import numpy as np
import orjson
from numpy.typing import NDArray

from assay import data
from assay.core import (
    AssayError,
    Column,
    File,
    Message,
    OnCommand,
    Page,
    Paragraph,
    Sample,
    Shown,
    Table,
    page,
    say,
)
from assay.data import Part, Rejected, ShardRows
from assay.plan import Advance

_SHOWN = 5
_MANY_FILES = 8

T = TypeVar("T")


@dataclass(frozen=True, slots=True, repr=False)
class Dataset(Shown, Sequence[Sample]):
    """Samples in memory, in their order, with the rows that were none and why; ``name`` says where from."""

    samples: tuple[Sample, ...]
    rejected: tuple[Rejected, ...] = ()
    name: str = ""

    def __len__(self) -> int:
        return len(self.samples)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> Dataset: ...
    def __getitem__(self, index: int | slice) -> Sample | Dataset:
        """Return a sample, or a data set of some of them; ``rejected`` stays with the whole."""
        if isinstance(index, slice):
            return Dataset(self.samples[index], name=self.name)
        return self.samples[index]

    def __iter__(self) -> Iterator[Sample]:
        return iter(self.samples)

    def __repr__(self) -> str:
        lost = f", {len(self.rejected):,} rows rejected" if self.rejected else ""
        return f"<Dataset{' ' + self.name if self.name else ''}: {len(self):,} samples{lost}>"

    def as_page(self) -> Page:
        """Return how many there are, the first of them, and what was rejected by reason."""
        columns = (
            Column(say("col.type"), "@type"),
            Column(say("dataset.prompt")),
            Column(say("dataset.answer")),
        )
        rows = tuple(
            (s.type, *(" ".join(t.split())[:80] for t in (s.prompt[-1].content, s.answer or "")))
            for s in self.samples[:_SHOWN]
        )
        head = say("dataset.of" if self.name else "dataset.head", name=self.name, n=len(self))
        lost = say("dataset.rejected", n=len(self.rejected)) if self.rejected else None
        return page(
            Paragraph(head), None if lost is None else Paragraph(lost, "warning"),
            Table(columns, rows) if rows else None,
        )  # fmt: skip

    def write(self, out: File, format: data.Format = "samples") -> int:
        """Write the samples to a file, in any format of `assay data convert`, and return how many."""
        Path(out).parent.mkdir(parents=True, exist_ok=True)
        return data.write(self.samples, Path(out), format)


Data: TypeAlias = Annotated[
    str | Path | Iterable[str | Path | Sample | Mapping[str, Any]], OnCommand(list[str])
]
"""A data set, samples, rows, or places to read: files, folders of shards, globs, ``hf:owner/name``."""


def load(place: Data, map: data.Map = None) -> Dataset:
    """Read samples into memory; rows that are no samples are in ``rejected``, with their reasons.

    Example:

        >>> pool = assay.load([{"instruction": "Add 2 and 3.", "output": "5"}, {"instruction": ""}])
        >>> len(pool), pool[0].answer, pool.rejected[0].reason
        (1, '5', 'the instruction is empty')
        >>> assay.load([{"q": "Why?", "a": "So."}], map={"prompt": "q", "answer": "a"})[0].answer
        'So.'

    Parameters
    ----------
    place
        A file, a folder of shards, a glob, `hf:owner/name`, several of them, or rows: samples, dictionaries,
        a table of polars or pandas.
    map
        Which fields hold what, in a layout that Assay does not know: `{"prompt": "question", "answer":
        "response"}`, or the same as `prompt=question,answer=response`.

    Raises
    ------
    AssayError
        Where there is nothing to read. Broken rows never raise.
    """
    if isinstance(place, Dataset) and map is None:
        return place
    places = _places(place)
    if places is None:
        rows: Iterable[Sample | Rejected] = data.read_rows(rows_of(place), map=map)
        name = ""
    else:
        rows = chain.from_iterable(data.read(one, map=map) for one in places)
        name = ", ".join(places)
    found, lost = [], []
    for row in rows:
        found.append(row) if isinstance(row, Sample) else lost.append(row)
    return Dataset(tuple(found), tuple(lost), name)


def held(value: T, **parts: Any) -> T:
    """Return a report that knows its parts, which it would otherwise read from its files."""
    vars(value).update(parts)
    return value


def _places(given: Data) -> tuple[str, ...] | None:
    """Return places to read; None for samples and rows."""
    if isinstance(given, str | Path):
        return (str(given),)
    if isinstance(given, list | tuple) and given and all(isinstance(one, str | Path) for one in given):
        return data.as_places(given)
    return None


def rows_of(given: Any) -> Iterable[Sample | Mapping[str, Any]]:
    """Return the rows of a table or of any iterable."""
    if hasattr(given, "iter_rows"):
        given = given.iter_rows(named=True)
    elif hasattr(given, "to_dict") and hasattr(given, "columns"):
        given = given.to_dict("records")
    if isinstance(given, Iterable) and not isinstance(given, Mapping):
        return given
    raise AssayError(
        "no samples and no place of samples", place="samples", value=type(given).__name__,
        expected="a path, a Dataset, samples, dictionaries, or a table of polars or pandas",
    )  # fmt: skip


class Pool:
    """The samples of files, which are read each time, or of memory."""

    def __init__(
        self,
        source: Data,
        rejected: Callable[[Rejected], None] = lambda row: None,
        advance: Advance = lambda done, total, unit: None,
    ) -> None:
        """Read no file yet; ``rejected`` is told of each unusable row, ``advance`` of the bytes read."""
        if isinstance(source, Pool):
            source = source.source
        places = () if isinstance(source, list | tuple) and not source else _places(source)
        self.source: Dataset | tuple[str, ...] = load(source) if places is None else places
        self.rejected, self.advance = rejected, advance

    @property
    def name(self) -> str:
        """Where the samples are from."""
        return self.source.name if isinstance(self.source, Dataset) else ", ".join(self.source)

    def __iter__(self) -> Iterator[Sample]:
        """Yield the usable samples."""
        yield from self._usable(self._read())

    def parts(self) -> Iterator[Part]:
        """Yield the samples in parts for workers, in order: of files of lines what they read themselves.

        Rows that are none are told by those who read them.  Other files are read by workers too where there
        are many of them, else here; ``advance`` is told as parts are taken.
        """
        if isinstance(self.source, Dataset):
            for row in self.source.rejected:
                self.rejected(row)
            yield from data.in_batches(self.source.samples)
            return
        readings = [data.read(place) for place in self.source]
        total = sum(path.stat().st_size for reading in readings for path in reading.files)
        done = 0
        for reading in readings:
            if not reading.files:
                yield from data.in_batches(self._usable(reading))
                continue
            many = len(reading.files) >= _MANY_FILES
            for part in reading.shards(data.PART_BYTES):
                done += part.size
                self.advance(done / 1e6, total / 1e6, "MB")
                here = part.end is None and not many
                yield from data.in_batches(self._usable(ShardRows(part))) if here else (part,)

    def _usable(self, rows: Iterable[Sample | Rejected]) -> Iterator[Sample]:
        for row in rows:
            if isinstance(row, Sample):
                yield row
            else:
                self.rejected(row)

    def _read(self) -> Iterable[Sample | Rejected]:
        def watch(done: int, total: int) -> None:
            self.advance(done / 1e6, total / 1e6, "MB")

        if isinstance(self.source, Dataset):
            return chain(self.source.rejected, self.source.samples)
        return chain.from_iterable(data.read(place, watch=watch) for place in self.source)

    def take(self, rows: Collection[int], counts: Sequence[int]) -> dict[int, Sample]:
        """Return the samples of row numbers; ``counts`` are the samples of each part (:meth:`parts`).

        Only parts that hold one of them are read.
        """
        found: dict[int, Sample] = {}
        wanted, first = sorted(rows), 0
        for part, count in zip(Pool(self.source).parts(), counts, strict=False):
            own = wanted[bisect_left(wanted, first) : bisect_left(wanted, first + count)]
            if own:
                usable = [row for row in data.rows_of_part(part) if isinstance(row, Sample)]
                found |= {row: usable[row - first] for row in own}
            first += count
        return found

    def collected(self, *orders: NDArray[np.int64]) -> Mapping[int, Sample]:
        """Return the samples of the row numbers in all orders, by row number, from one pass.

        Those of files are in a file without a name, from which each is read when it is asked for.
        """
        wanted = np.zeros(1 + max((int(order.max()) for order in orders if len(order)), default=0), bool)
        for order in orders:
            wanted[order] = True
        rows = ((row, sample) for row, sample in enumerate(islice(self, len(wanted))) if wanted[row])
        return dict(rows) if isinstance(self.source, Dataset) else Spool(rows)

    def rows(
        self, rows: NDArray[np.int64], see: Callable[[int, Sample], None] = lambda row, sample: None
    ) -> Iterator[Sample]:
        """Yield the samples of row numbers in that order: as they stream by where they rise, or collected.

        ``see`` is shown every sample of the pool.
        """
        wanted, rising = np.zeros(1 + int(rows.max(initial=-1)), bool), bool(np.all(np.diff(rows) > 0))
        wanted[rows] = True
        found: dict[int, Sample] = {}
        for row, sample in enumerate(self):
            see(row, sample)
            if row < len(wanted) and wanted[row]:
                if rising:
                    yield sample
                else:
                    found[row] = sample
        if not rising:
            yield from (found[row] for row in rows.tolist())


class Spool(Mapping[int, Sample]):
    """Samples by row number in a file without a name (in ``TMPDIR``); memory holds 16 bytes for each."""

    def __init__(self, rows: Iterable[tuple[int, Sample]]) -> None:
        """Write samples whose row numbers rise."""
        self._file = TemporaryFile()  # noqa: SIM115 - closed with the object
        numbers, places = array("q"), array("q", [0])
        for row, sample in rows:
            numbers.append(row)
            places.append(places[-1] + self._file.write(orjson.dumps(sample)))
        self._rows, self._places = np.array(numbers, np.int64), np.array(places, np.int64)

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[int]:
        return iter(self._rows.tolist())

    def __getitem__(self, row: int) -> Sample:
        """Return the sample of a row number; raises KeyError where it was not written."""
        at = int(np.searchsorted(self._rows, row))
        if at == len(self._rows) or self._rows[at] != row:
            raise KeyError(row)
        self._file.seek(self._places[at])
        found = orjson.loads(self._file.read(int(self._places[at + 1] - self._places[at])))
        return Sample(**{**found, "messages": tuple(Message(**turn) for turn in found["messages"])})
