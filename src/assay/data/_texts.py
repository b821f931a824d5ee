"""Plain texts of any data set, for tokenizers and language models rather than instructions."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

from assay.core import AssayError, Sample
from assay.data._compressed import STREAM_ERRORS
from assay.data._files import Mark, open_bytes, raw_rows, sniff
from assay.data._json import bounded_lines
from assay.data._raw import MARKED, Broken, encodable, excerpt, printable
from assay.data._read import Watch, find_files, read


def read_texts(place: str | Path, *, watch: Watch | None = None) -> Iterator[str]:
    """Yield the texts of a place: lines of ``.txt`` files, ``text`` fields, else the turns of samples.

    Files may be compressed; ``watch`` is told (bytes read, bytes in all).  Rows without a text are left out.
    Raises :class:`AssayError` where a line of a ``.txt`` file does not decode.
    """
    if str(place).startswith("hf:"):
        yield from _turns(place, None)
        return
    files = find_files(str(place))
    total = sum(path.stat().st_size for path in files)
    before = 0
    for path in files:

        def told(done: int, _: int, before: int = before) -> None:
            if watch is not None:
                watch(before + done, total)

        yield from _of_file(path, told)
        before += path.stat().st_size


def holds_texts(path: Path) -> bool:
    """Return whether a file holds plain texts (lines of ``.txt``, or rows with ``text``), not samples."""
    if ".txt" in path.suffixes:
        return True
    first = next((row for _, row in raw_rows(path, sniff(path)) if not isinstance(row, Mark)), None)
    return isinstance(first, Mapping) and isinstance(first.get("text"), str)


def plain_rows(path: Path) -> Iterator[Mapping[str, object]]:
    """Yield the rows of a file as they stand; raise :class:`AssayError` for one that cannot be read."""
    for number, (_, row) in enumerate(raw_rows(path, sniff(path)), start=1):
        if isinstance(row, Broken):
            raise AssayError(row.reason, place=f"{printable(str(path))}:{number}", value=row.excerpt)
        if isinstance(row, Mapping):
            yield row


def _of_file(path: Path, watch: Watch) -> Iterator[str]:
    size = path.stat().st_size
    kind = sniff(path)
    if ".txt" in path.suffixes:
        stream, _ = open_bytes(path, lambda done: watch(done, size))
        with io.TextIOWrapper(stream, encoding=kind.encoding or "utf-8", errors=MARKED) as lines:
            yield from _lines(lines, path)
        return
    if not holds_texts(path):
        yield from _turns(path, watch)
        return
    for _, row in raw_rows(path, kind, lambda done: watch(done, size)):
        if isinstance(row, Mapping) and isinstance(row.get("text"), str):
            yield row["text"]


def _numbered(lines: IO[str], path: Path) -> Iterator[tuple[int, str | Broken]]:
    number = 0
    try:
        for number, line in enumerate(bounded_lines(lines), start=1):
            yield number, line
    except STREAM_ERRORS as error:
        raise AssayError(
            f"the file breaks off: {error or type(error).__name__}",
            place=f"{printable(str(path))}:{number + 1}",
            hint="unpack it by itself, or restore it from a copy",
        ) from None


def _lines(lines: IO[str], path: Path) -> Iterator[str]:
    """Yield the lines that hold something; raise :class:`AssayError` for one that does not decode."""
    for number, line in _numbered(lines, path):
        if isinstance(line, Broken):
            raise AssayError(line.reason, place=f"{printable(str(path))}:{number}", value=line.excerpt)
        text = line.rstrip("\n").removeprefix("\ufeff")
        if not encodable(text):
            raise AssayError(
                "the line does not decode",
                place=f"{printable(str(path))}:{number}",
                value=excerpt(text),
                expected="one encoding in the whole file: UTF-8, UTF-16, UTF-32 or GB18030",
                hint="convert the file to UTF-8, or cut the line out",
            )
        if text:
            yield text


def _turns(place: str | Path, watch: Watch | None) -> Iterator[str]:
    for row in read(place, watch=watch):
        if isinstance(row, Sample):
            yield from (message.content for message in row.messages)
