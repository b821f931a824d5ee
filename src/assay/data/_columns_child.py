"""A process of its own that reads Arrow and Parquet files: a corrupt one may end it, and nothing else.

Speaks over its pipes.  Each line of input is a JSON object: ``{"open": path, "container": kind}`` or
``{"next": true}``.  Each answer is one byte that says what it is, eight bytes of length, and as many bytes:
``B`` a batch of rows as an Arrow stream, ``R`` rows that are rejected, ``E`` why no more can be read, ``D``
the end.  It imports nothing of the package, so that it starts in a tenth of a second.
"""

from __future__ import annotations

import json
import os
import resource
import select
import struct
import sys
from collections.abc import Iterator
from typing import Any, BinaryIO

_CPU_SECONDS = 4
_BATCH = 1024
_MEMORY = 8 << 30
# As of compressed files of text; a cell takes some bytes in memory even where it is empty.
_MAX_GROWTH, _MOST_UNASKED, _CELL = 200, 64 << 20, 8


def _patience() -> None:
    """Allow some seconds of work until the next answer: a corrupt file can keep a decoder busy forever."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + _CPU_SECONDS + 1, most))


def _bounded(path: str) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    wanted = _MEMORY + 8 * os.path.getsize(path)  # noqa: PTH202 - no pathlib, to start fast
    resource.setrlimit(resource.RLIMIT_AS, (wanted if most < 0 else min(wanted, most), most))


def _readable(kind: Any) -> Any:
    """Return a type whose values Python can hold: dates, small floats and decimals become their texts."""
    import pyarrow as pa

    t = pa.types
    if t.is_dictionary(kind):
        return _readable(kind.value_type)
    if t.is_temporal(kind) and not t.is_interval(kind):
        return pa.string()
    if t.is_decimal(kind) or t.is_float32(kind) or t.is_float16(kind):
        return pa.string()
    if t.is_struct(kind):
        return pa.struct([pa.field(f.name, _readable(f.type), f.nullable) for f in kind])
    if t.is_list(kind):
        return pa.list_(_readable(kind.value_type))
    if t.is_large_list(kind):
        return pa.large_list(_readable(kind.value_type))
    if t.is_map(kind):
        return pa.map_(kind.key_type, _readable(kind.item_type))
    return kind


def _plain(batch: Any) -> Any:
    """Return a batch whose columns Python can read."""
    import pyarrow as pa

    columns = []
    for column in batch.columns:
        wanted = _readable(column.type)
        if wanted != column.type:
            try:
                column = column.cast(wanted)
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
                column = column.cast(pa.int64()).cast(pa.string())
        columns.append(column)
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


class _Bomb(Exception):  # noqa: N818 - a verdict on a file
    """A file that would give far more than it stores."""


def _check(stored: int, rows: int, columns: int, size: int = 0) -> None:
    """Refuse rows that take more memory than a file of its size can need: said before they are read."""
    given = max(size, rows * max(columns, 1) * _CELL)
    if given > max(_MOST_UNASKED, _MAX_GROWTH * stored):
        raise _Bomb(
            f"{stored:,} bytes hold {rows:,} rows of {given:,} bytes or more, {_MAX_GROWTH} times as many: "
            "a decompression bomb, or one row repeated many times; to read it anyway, write it as JSON lines "
            "first"
        )


def _batches(path: str, container: str) -> Iterator[Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    stored = os.path.getsize(path)  # noqa: PTH202 - no pathlib, to start fast
    if container == "parquet":
        file = pq.ParquetFile(path, page_checksum_verification=True)
        told = file.metadata
        size = sum(told.row_group(i).total_byte_size for i in range(told.num_row_groups))
        _check(stored, told.num_rows, told.num_columns, size)
        yield from file.iter_batches(_BATCH, use_threads=False)
        return
    rows = 0
    for batch in _record_batches(pa, path):
        rows += batch.num_rows
        _check(stored, rows, batch.num_columns)
        yield batch


def _record_batches(pa: Any, path: str) -> Iterator[Any]:
    with pa.memory_map(path) as source:
        try:
            stream = pa.ipc.open_stream(source)
        except pa.ArrowInvalid:
            reader = pa.ipc.open_file(source)
            for index in range(reader.num_record_batches):
                yield reader.get_batch(index)
        else:
            yield from stream


def _sound(batch: Any) -> Iterator[tuple[bytes, bytes]]:
    """Yield a batch, or its halves where one row of it is broken."""
    import pyarrow as pa

    try:
        batch.validate(full=True)
        ready = _plain(batch)
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, ready.schema) as writer:
            writer.write_batch(ready)
        yield b"B", sink.getvalue().to_pybytes()
    except (pa.ArrowException, OSError, ValueError, TypeError, KeyError) as error:
        if batch.num_rows <= 1:
            reason = f"the row cannot be read: {str(error).splitlines()[0]}"
            yield b"R", json.dumps({"rows": batch.num_rows, "reason": reason[:300]}).encode()
            return
        half = batch.num_rows // 2
        yield from _sound(batch.slice(0, half))
        yield from _sound(batch.slice(half))


def _grown(stored: int, given: int) -> str:
    return (
        f"{stored:,} bytes grew to more than {given:,}, {_MAX_GROWTH} times as many: a decompression "
        "bomb, or one text repeated many times; to read it anyway, write it as JSON lines first"
    )


def _answers(path: str, container: str) -> Iterator[tuple[bytes, bytes]]:
    """Yield the pieces of a file; nothing is raised."""
    stored, given = os.path.getsize(path), 0  # noqa: PTH202 - no pathlib, to start fast
    try:
        _bounded(path)
        for batch in _batches(path, container):
            for start in range(0, batch.num_rows, _BATCH):
                for kind, content in _sound(batch.slice(start, _BATCH)):
                    given += len(content)
                    yield kind, content
                if given > max(_MOST_UNASKED, _MAX_GROWTH * stored):
                    yield b"E", _grown(stored, given).encode()
                    return
        yield b"D", b""
    except MemoryError:
        yield b"E", b"it asks for more memory than a file of its size can need"
    except Exception as error:
        yield b"E", (str(error) or type(error).__name__).splitlines()[0].encode("utf-8", "replace")


def _asked(source: BinaryIO, busy: list[bool]) -> Iterator[dict[str, Any]]:
    """Yield what is asked, until the one who asks is gone or, with no file open, asks nothing for a while."""
    buffer, parent, patience = b"", os.getppid(), float(sys.argv[1])
    while True:
        if not select.select([source], [], [], patience)[0]:
            if busy[0] and os.getppid() == parent:
                continue
            return
        block = os.read(source.fileno(), 1 << 16)
        if not block:
            return
        buffer += block
        *whole, buffer = buffer.split(b"\n")
        for line in whole:
            yield json.loads(line)


def main() -> None:
    """Answer until the end of the input."""
    answers: Iterator[tuple[bytes, bytes]] = iter(())
    busy = [False]
    for asked in _asked(sys.stdin.buffer, busy):
        _patience()
        if "open" in asked:
            answers, busy[0] = _answers(asked["open"], asked["container"]), True
            continue
        kind, content = next(answers, (b"D", b""))
        busy[0] = kind in b"BR"
        sys.stdout.buffer.write(kind + struct.pack("<Q", len(content)) + content)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
