"""From a file's bytes to raw rows: compression, encoding, container.  Nothing here knows of samples."""

from __future__ import annotations

import bz2
import codecs
import csv
import gzip
import io
import json
import lzma
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import orjson

SNIFF_BYTES = 1 << 16
MAX_LINE_BYTES = 64 << 20
"""Longer lines are rejected unread: no field of that size is an instruction."""

_MAGIC = {b"\x1f\x8b": "gzip", b"\xfd7zXZ\x00": "xz", b"(\xb5/\xfd": "zstd", b"BZh": "bzip2"}
_BOMS = {
    codecs.BOM_UTF8: ("utf-8-sig", "UTF-8 with a byte order mark"),
    codecs.BOM_UTF16_LE: ("utf-16", "UTF-16"),
    codecs.BOM_UTF16_BE: ("utf-16", "UTF-16"),
}
_WRAPPED = re.compile(r'\s*\{\s*"(?!conversations|messages|instances|history)[^"]{1,60}"\s*:\s*\[\s*(?=\{)')
STREAM_ERRORS = (EOFError, OSError, zlib.error, lzma.LZMAError)


@dataclass(frozen=True, slots=True)
class Broken:
    """A piece of a file that is no row."""

    reason: str
    excerpt: str = ""


RawRow = tuple[int, Any]
"""(line or row number from 1, the row or :class:`Broken`)."""


@dataclass(frozen=True, slots=True)
class FileKind:
    """How a file is stored."""

    container: str
    compression: str
    encoding: str
    encoding_words: str


class _ZstdReader(io.RawIOBase):
    """Decompresses zstd frames and, unlike the library's own reader, notices a cut-off end."""

    def __init__(self, raw: IO[bytes]) -> None:
        import zstandard

        self._make = zstandard.ZstdDecompressor().decompressobj
        self._error = zstandard.ZstdError
        self._raw, self._frame, self._ready, self._fed = raw, self._make(), b"", False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready:
            block = self._frame.unused_data if self._frame.eof else b""
            block = block or self._raw.read(1 << 17)
            if not block:
                if self._fed and not self._frame.eof:
                    raise EOFError("the zstd frame is cut off")
                return 0
            if self._frame.eof:
                self._frame = self._make()
            self._fed = True
            try:
                self._ready = self._frame.decompress(block)
            except self._error as error:
                raise OSError(str(error)) from None
        size = min(len(buffer), len(self._ready))
        buffer[:size] = self._ready[:size]
        self._ready = self._ready[size:]
        return size


def open_bytes(path: Path, watch: Callable[[int], None] | None = None) -> tuple[IO[bytes], str]:
    """Return the decompressed stream of a file and the name of its compression.

    ``watch`` is told the number of stored bytes read so far.
    """
    raw: IO[bytes] = path.open("rb")
    if watch is not None:
        raw = io.BufferedReader(_Watched(raw, watch), 1 << 17)
    head = raw.peek(8)[:8] if hasattr(raw, "peek") else b""
    kind = next((name for magic, name in _MAGIC.items() if head.startswith(magic)), "none")
    opened: Any = raw
    if kind == "gzip":
        opened = gzip.GzipFile(fileobj=raw)
    elif kind == "xz":
        opened = lzma.LZMAFile(raw)  # noqa: SIM115 - handed to the caller
    elif kind == "bzip2":
        opened = bz2.BZ2File(raw)
    elif kind == "zstd":
        opened = io.BufferedReader(_ZstdReader(raw), 1 << 17)
    return opened, kind


class _Watched(io.RawIOBase):
    def __init__(self, raw: IO[bytes], watch: Callable[[int], None]) -> None:
        self._raw, self._watch, self._read = raw, watch, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = self._raw.readinto(buffer)  # type: ignore[attr-defined]
        self._read += count
        self._watch(self._read)
        return int(count)


def sniff(path: Path) -> FileKind:
    """Tell how a file is stored from its first bytes; the name is only a hint for CSV and TSV."""
    stream, compression = open_bytes(path)
    with stream:
        try:
            head = stream.read(SNIFF_BYTES)
        except STREAM_ERRORS:
            head = b""
    if head.startswith(b"PAR1"):
        return FileKind("parquet", compression, "", "binary")
    if head.startswith((b"ARROW1", b"\xff\xff\xff\xff")) and b"schema" not in head[:4]:
        return FileKind("arrow", compression, "", "binary")
    encoding, said = _encoding(head)
    text = head.decode(encoding, "replace")
    return FileKind(_container(text, path), compression, encoding, said)


def _encoding(head: bytes) -> tuple[str, str]:
    for bom, found in _BOMS.items():
        if head.startswith(bom):
            return found
    if _decodes(head, "utf-8"):
        return "utf-8", "UTF-8"
    if _decodes(head, "gb18030"):
        return "gb18030", "GB18030 (GBK)"
    return "utf-8", "UTF-8 with broken places"


def _decodes(head: bytes, encoding: str) -> bool:
    """Say whether the bytes decode, forgiving a character cut off by the end of the sniff."""
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        decoder.decode(head, final=len(head) < SNIFF_BYTES)
    except UnicodeDecodeError:
        return False
    return True


def _container(text: str, path: Path) -> str:
    start = text.lstrip("\ufeff \t\r\n")
    if start.startswith("["):
        lines = start.splitlines()
        # A list of lists a line is not known; a list over the whole file is.
        return "json array" if len(lines) < 2 or not _is_object(lines[0]) else "jsonl"
    if start.startswith("{"):
        lines = [line for line in start.splitlines()[:20] if line.strip()]
        objects = sum(_is_object(line) for line in lines)
        if objects < 2 and _WRAPPED.match(start):
            return "json list in an object"
        if objects:
            return "jsonl"
        return "json objects" if len(lines) > 1 and not lines[1].startswith("{") else "jsonl"
    suffixes = [s.lower() for s in path.suffixes]
    first = start.split("\n", 1)[0]
    if ".tsv" in suffixes or (first.count("\t") > first.count(",") and ".csv" not in suffixes):
        return "tsv"
    if ".csv" in suffixes or ("," in first and not {".jsonl", ".json", ".ndjson"} & set(suffixes)):
        return "csv"
    return "jsonl"


def _is_object(line: str) -> bool:
    try:
        return isinstance(orjson.loads(line.encode("utf-8", "replace")), dict)
    except orjson.JSONDecodeError:
        return False


def raw_rows(path: Path, kind: FileKind, watch: Callable[[int], None] | None = None) -> Iterator[RawRow]:
    """Yield the raw rows of a file in order; what cannot be read is :class:`Broken`, never an exception."""
    if kind.container in ("parquet", "arrow"):
        yield from _columnar(path, kind.container)
        return
    stream, _ = open_bytes(path, watch)
    readers = {"jsonl": _jsonl, "csv": _csv, "tsv": _csv}
    last = 0
    with stream:
        try:
            for number, row in readers.get(kind.container, _values)(stream, kind):
                last = number
                yield number, row
        except STREAM_ERRORS as error:
            yield last + 1, Broken(f"the file breaks off after line {last}: {error or type(error).__name__}")


def _jsonl(stream: IO[bytes], kind: FileKind) -> Iterator[RawRow]:
    if kind.encoding == "utf-16":
        stream = _Recoded(stream, "utf-16")  # type: ignore[assignment]
    number = 0
    while line := stream.readline(MAX_LINE_BYTES):
        number += 1
        if len(line) == MAX_LINE_BYTES and not line.endswith(b"\n"):
            length = len(line)
            while (more := stream.readline(MAX_LINE_BYTES)) and not more.endswith(b"\n"):
                length += len(more)
            yield number, Broken(f"the line has more than {length:,} bytes", _excerpt(line))
            continue
        if number == 1:
            line = line.removeprefix(codecs.BOM_UTF8)
        if line.strip():
            yield number, _json_line(line, kind.encoding)


class _Recoded:
    """Lines of a text in another encoding as UTF-8 bytes."""

    def __init__(self, stream: IO[bytes], encoding: str) -> None:
        self._lines = io.TextIOWrapper(stream, encoding, errors="replace", newline="\n")

    def readline(self, limit: int) -> bytes:
        return self._lines.readline(limit).encode("utf-8", "surrogatepass")


def _json_line(line: bytes, encoding: str) -> Any:
    if encoding == "gb18030":
        try:
            line = line.decode("gb18030").encode()
        except UnicodeDecodeError as error:
            return Broken(f"not valid GB18030 at byte {error.start + 1}", _excerpt(line))
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError as error:
        try:
            line.decode("utf-8")
        except UnicodeDecodeError as wrong:
            return Broken(f"not valid UTF-8 at byte {wrong.start + 1}", _excerpt(line))
        return Broken(f"broken JSON: {str(error).split(': line')[0]}", _excerpt(line))


def _excerpt(text: bytes | str) -> str:
    shown = text if isinstance(text, str) else text[:400].decode("utf-8", "replace")
    return shown[:120].replace("\0", "�").strip()


_SPACE = re.compile(r"[\s,]*")
_NEXT = re.compile(r"\}\s*,?\s*(?=\{)")


def _values(stream: IO[bytes], kind: FileKind) -> Iterator[RawRow]:
    """Yield the elements of a JSON array (plain or in an object), or JSON objects one after another.

    Works over a sliding window, so that a file of any size is read in bounded memory.  After a broken
    element it goes on at the next place where one object ends and another begins.
    """
    text = io.TextIOWrapper(stream, kind.encoding, errors="surrogateescape")
    window = _Window(text)
    listed = kind.container != "json objects"
    if kind.container == "json list in an object":
        found = _WRAPPED.match(window.buffer)
        window.skip(found.end() if found else 0)
    elif listed:
        window.skip(window.buffer.find("[") + 1)
    while True:
        window.skip_space()
        if window.at_end():
            if listed:
                yield window.line, Broken("the list is not closed: the file is cut off")
            return
        if listed and window.buffer[window.place] == "]":
            return
        line, value = window.value()
        yield line, value
        if isinstance(value, Broken) and not window.resync():
            return


class _Window:
    """A buffer over a text stream with a place in it and the line of that place."""

    BLOCK = 1 << 18

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._text, self._decoder = text, json.JSONDecoder()
        self.buffer, self.place, self.line, self.ended = "", 0, 1, False
        self._read()

    def _read(self, size: int = 0) -> bool:
        block = self._text.read(max(size, self.BLOCK))
        self.buffer = self.buffer[self.place :] + block
        self.place = 0
        self.ended = self.ended or not block
        return bool(block)

    def skip(self, count: int) -> None:
        self.line += self.buffer.count("\n", self.place, self.place + count)
        self.place += count

    def skip_space(self) -> None:
        while True:
            found = _SPACE.match(self.buffer, self.place)
            self.skip(found.end() - self.place if found else 0)
            if self.place < len(self.buffer) or not self._read():
                return

    def at_end(self) -> bool:
        return self.place >= len(self.buffer) and not self._read()

    def value(self) -> RawRow:
        """Decode the value at the place, reading on while it is merely incomplete."""
        line = self.line
        while True:
            try:
                value, end = self._decoder.raw_decode(self.buffer, self.place)
            except json.JSONDecodeError as error:
                problem, at = error.msg, error.pos
            except RecursionError:
                problem, at = "nested too deeply", self.place
            else:
                if end < len(self.buffer) or not self._read_more():
                    self.skip(end - self.place)
                    return line, value
                continue
            # An error near the end of the buffer, or an open string, may only mean: not all read yet.
            near_end = at > len(self.buffer) - 64 or problem.startswith("Unterminated")
            long = len(self.buffer) - self.place > MAX_LINE_BYTES
            if near_end and not long and self._read_more():
                continue
            return line, Broken(
                f"broken JSON: {problem}", _excerpt(self.buffer[self.place : self.place + 120])
            )

    def _read_more(self) -> bool:
        """Double the window."""
        return not self.ended and self._read(len(self.buffer) - self.place)

    def resync(self) -> bool:
        """Go to the next start of an object after an end of one; False if there is none."""
        start = self.place + 1
        while True:
            found = _NEXT.search(self.buffer, start)
            if found:
                self.skip(found.end() - self.place)
                return True
            keep = max(self.place, len(self.buffer) - 32)
            self.skip(keep - self.place)
            start = 0
            if not self._read():
                self.skip(len(self.buffer) - self.place)
                return False


def _csv(stream: IO[bytes], kind: FileKind) -> Iterator[RawRow]:
    csv.field_size_limit(MAX_LINE_BYTES)
    encoding = "utf-8-sig" if kind.encoding == "utf-8" else kind.encoding
    text = io.TextIOWrapper(stream, encoding, errors="surrogateescape", newline="")
    reader = csv.reader(text, delimiter="\t" if kind.container == "tsv" else ",")
    header: list[str] | None = None
    while True:
        number = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield number, Broken(f"broken CSV: {error}")
            continue
        if not any(field.strip() for field in fields):
            continue
        if header is None:
            header = [name.strip().lower() for name in fields]
        elif len(fields) != len(header):
            problem = f"{len(fields)} fields where the header has {len(header)}"
            yield number, Broken(problem, _excerpt(" ".join(fields)))
        else:
            yield number, dict(zip(header, fields, strict=True))


def _columnar(path: Path, container: str) -> Iterator[RawRow]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        if container == "parquet":
            batches = pq.ParquetFile(path).iter_batches(batch_size=1024)
        else:
            batches = iter(_arrow_batches(path))
        for batch in batches:
            for row in batch.to_pylist():
                number += 1
                yield number, row
    except (pa.ArrowException, OSError, ValueError) as error:
        yield number + 1, Broken(f"the {container} file cannot be read after row {number}: {error}"[:300])


def _arrow_batches(path: Path) -> Iterator[Any]:
    import pyarrow as pa

    with pa.memory_map(str(path)) as source:
        try:
            yield from pa.ipc.open_stream(source)
        except pa.ArrowInvalid:
            reader = pa.ipc.open_file(source)
            for index in range(reader.num_record_batches):
                yield reader.get_batch(index)
