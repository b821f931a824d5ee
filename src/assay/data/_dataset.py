"""Samples on disk: Parquet shards with an order, written as a stream and read by row number."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from assay.core import Message, Sample

_TEXTS = ("type", "language", "source", "checker", "group", "origin")
_ROW_GROUP = 5_000


def _schema() -> Any:
    import pyarrow as pa

    turn = pa.struct([("role", pa.string()), ("content", pa.string())])
    columns = [("id", pa.string()), ("messages", pa.list_(turn)), *((n, pa.string()) for n in _TEXTS)]
    return pa.schema([*columns, ("extras", pa.string())])


def write_dataset(samples: Iterable[Sample], folder: Path, *, shard_rows: int = 50_000) -> int:
    """Write samples as Parquet shards and return how many; the same samples give the same bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir(parents=True, exist_ok=True)
    stream, schema, count, shard = iter(samples), _schema(), 0, 0
    while True:
        first = list(islice(stream, min(_ROW_GROUP, shard_rows)))
        if not first and shard:
            return count
        with pq.ParquetWriter(folder / f"{shard:05}.parquet", schema, compression="zstd") as writer:
            block, written = first, 0
            while block:
                writer.write_table(pa.Table.from_pylist([_row(s) for s in block], schema))
                written += len(block)
                block = list(islice(stream, min(_ROW_GROUP, shard_rows - written)))
        count, shard = count + written, shard + 1
        if written < shard_rows:
            return count


def _row(sample: Sample) -> dict[str, Any]:
    turns = [{"role": m.role, "content": m.content} for m in sample.messages]
    extras = [m.extras for m in sample.messages]
    texts = {name: getattr(sample, name) for name in _TEXTS}
    # What few turns have (tool calls, weights) is JSON text, null for plain samples.
    return {"id": sample.id, "messages": turns, "extras": json.dumps(extras) if any(extras) else None} | texts


def _sample(row: dict[str, Any]) -> Sample:
    extras = json.loads(row["extras"]) if row.get("extras") else [{}] * len(row["messages"])
    pairs = zip(row["messages"], extras, strict=True)
    turns = tuple(Message(m["role"], m["content"], **extra) for m, extra in pairs)
    fields = {name: row[name] for name in _TEXTS}
    fields["source"] = fields["source"] or ""
    return Sample(turns, **fields)


class Dataset:
    """A folder written by :func:`write_dataset`."""

    def __init__(self, folder: Path) -> None:
        """Find the shards and count their rows."""
        import pyarrow.parquet as pq

        self.paths = sorted(folder.glob("*.parquet"))
        self._starts = np.cumsum([0, *(pq.read_metadata(path).num_rows for path in self.paths)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __iter__(self) -> Iterator[Sample]:
        import pyarrow.parquet as pq

        for path in self.paths:
            for batch in pq.ParquetFile(path).iter_batches(batch_size=1024):
                yield from (_sample(row) for row in batch.to_pylist())

    def column(self, name: str) -> Any:
        """Return one column of all rows as a pyarrow array."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        parts = [pq.read_table(path, columns=[name]).column(0) for path in self.paths]
        return pa.chunked_array([chunk for part in parts for chunk in part.chunks], pa.string())

    def take(self, rows: Sequence[int]) -> list[Sample]:
        """Return the samples of the given row numbers, in that order."""
        import pyarrow.parquet as pq

        wanted = np.asarray(rows, np.int64)
        shards = np.searchsorted(self._starts, wanted, side="right") - 1
        found: dict[int, Sample] = {}
        for shard in np.unique(shards):
            places = np.unique(wanted[shards == shard])
            table = pq.read_table(self.paths[shard]).take(places - self._starts[shard])
            found |= dict(zip(places.tolist(), map(_sample, table.to_pylist()), strict=True))
        return [found[int(row)] for row in wanted]
