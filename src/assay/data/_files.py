"""From a file's bytes to raw rows: compression, encoding, container.  Nothing here knows of samples."""

from __future__ import annotations

import codecs
import io
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import orjson

from assay.core import AssayError
from assay.data._columns import columnar
from assay.data._compressed import MAGIC, STREAM_ERRORS, open_bytes
from assay.data._csv import table
from assay.data._json import FAST, jsonl
from assay.data._json_window import BEGINS_ROWS, ROW_LISTS, values
from assay.data._raw import MAX_LINE_BYTES, Broken, Mark, RawRow, printable

__all__ = [
    "Broken", "FileKind", "Lines", "Mark", "RawRow", "cut", "open_bytes", "raw_rows", "sniff", "splittable",
]  # fmt: skip

SNIFF_BYTES = 1 << 16
_BOMS = {
    codecs.BOM_UTF8: ("utf-8-sig", "UTF-8 with a byte order mark"),
    codecs.BOM_UTF32_LE: ("utf-32", "UTF-32"),
    codecs.BOM_UTF32_BE: ("utf-32", "UTF-32"),
    codecs.BOM_UTF16_LE: ("utf-16", "UTF-16"),
    codecs.BOM_UTF16_BE: ("utf-16", "UTF-16"),
}
_FOREIGN = {
    b"PK\x03\x04": "a zip archive or an Excel workbook",
    b"PK\x05\x06": "an empty zip archive",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!\x1a\x07": "a RAR archive",
    b"%PDF-": "a PDF file",
    b"SQLite format 3\0": "an SQLite database",
    b"\x89HDF\r\n\x1a\n": "an HDF5 file",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "an old Excel or Word file",
    b'\x04"M\x18': "a file compressed by LZ4",
    b"\xff\x06\0\0sNaPpY": "a file compressed by Snappy",
    b"\x1f\x9d": "a file compressed by compress",
    b"\x80\x02}": "a pickle",
    b"\x80\x03": "a pickle",
    b"\x80\x04\x95": "a pickle",
    b"\x80\x05\x95": "a pickle",
    b"\x93NUMPY": "a NumPy array",
    b"<?xml": "an XML file",
    b"{\\rtf": "a text of a word processor (RTF)",
    b"ORC": "an ORC file",
    b"Obj\x01": "an Avro file",
    b"\x89PNG\r\n\x1a\n": "a picture",
    b"\x7fELF": "a program",
    b"<!DOCTYPE html": "a web page",
    b"<html": "a web page",
    b"version https://git-lfs": "a pointer of Git LFS, not the file itself",
}


@dataclass(frozen=True, slots=True)
class FileKind:
    """How a file is stored."""

    container: str
    compression: str
    encoding: str
    encoding_words: str


def sniff(path: Path) -> FileKind:
    """Tell how a file is stored from its first bytes; the name is only a hint for CSV and TSV."""
    try:
        stream, compression = open_bytes(path)
    except OSError as error:
        raise AssayError(
            f"the file cannot be opened: {error.strerror or error}",
            place=printable(str(path)),
            expected="a file that may be read",
        ) from None
    with stream:
        try:
            head = stream.read(SNIFF_BYTES)
        except STREAM_ERRORS:
            head = b""
    _refuse_foreign(head, path, compression)
    if head.startswith(b"PAR1"):
        return FileKind("parquet", compression, "", "binary")
    if head.startswith((b"ARROW1", b"\xff\xff\xff\xff")) and b"schema" not in head[:4]:
        return FileKind("arrow", compression, "", "binary")
    encoding, said = _encoding(head)
    text = head.decode(encoding, "replace").lstrip("\ufeff")
    return FileKind(_container(text, path), compression, encoding, said)


def _refuse_foreign(head: bytes, path: Path, compression: str) -> None:
    kind = next((name for magic, name in _FOREIGN.items() if head.startswith(magic)), None)
    kind = "a tar archive" if kind is None and head[257:262] == b"ustar" else kind
    again = next((name for magic, name in MAGIC.items() if head.startswith(magic)), "")
    kind = f"{again} within {compression}" if again and compression != "none" else kind
    if kind is not None:
        raise AssayError(
            f"this is {kind}",
            place=printable(str(path)),
            expected="JSON, JSON lines, CSV, TSV, Parquet or Arrow, plain or in gzip, xz, zstd or bzip2",
            hint="unpack it or export it to one of these",
        )


def _encoding(head: bytes) -> tuple[str, str]:
    for bom, found in _BOMS.items():
        if head.startswith(bom):
            return found
    for name, places in (("utf-32-le", (1, 2, 3)), ("utf-32-be", (0, 1, 2))):
        zeros = b"".join(head[place:400:4] for place in places)
        if len(zeros) >= 24 and zeros.count(0) * 10 > 9 * len(zeros):
            return name, "UTF-32 without a byte order mark"
    for name, zeros in (("utf-16-le", head[1:400:2]), ("utf-16-be", head[0:400:2])):
        if len(zeros) >= 8 and zeros.count(0) * 2 > len(zeros):
            return name, "UTF-16 without a byte order mark"
    if _decodes(head, "utf-8"):
        return "utf-8", "UTF-8"
    if _decodes(head, "gb18030") and _is_chinese(head):
        return "gb18030", "GB18030 (GBK)"
    return "utf-8", "UTF-8 with broken places"


_PAIRS = re.compile(rb"[\x81-\xfe][\x40-\xfe]")
_COMMON = re.compile(rb"[\xa1\xa3\xb0-\xf7][\xa1-\xfe]")
_FEW = 12
"""So many signs of GB 2312, none of its second half, are no Chinese: of real texts four in ten are there."""


def _is_chinese(head: bytes) -> bool:
    """Say whether most characters of a text in GB18030 are those of GB 2312, and spread as in Chinese.

    Nearly any bytes decode: Latin-1 ("été"), Big5 and Shift-JIS would become other, rare characters unsaid;
    the syllables of EUC-KR lie where the first half of GB 2312 is, by pinyin.
    """
    pairs = _PAIRS.findall(head)
    common = [pair[0] for pair in pairs if _COMMON.match(pair)]
    signs = [lead for lead in common if lead >= 0xB0]
    late = sum(lead >= 0xC9 for lead in signs)
    return 5 * len(common) >= 3 * len(pairs) and (len(signs) < _FEW or 20 * late >= len(signs))


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
    if start.startswith("{") and "\n" not in start and "\r" in start.rstrip():
        return "json objects"  # lines end as they did on old Macs
    if start.startswith("["):
        return "json array"
    if start.startswith("{"):
        lines = [line for line in start.splitlines()[:20] if line.strip()]
        objects = sum(_is_object(line) for line in lines)
        if objects < 2 and _holds_lists(start):
            return "json list in an object"
        if objects:
            return "jsonl"
        return "json objects" if len(lines) > 1 and not lines[1].startswith("{") else "jsonl"
    suffixes = [s.lower() for s in path.suffixes]
    first = start.split("\n", 1)[0]
    if ".tsv" in suffixes or (first.count("\t") > first.count(",") and ".csv" not in suffixes):
        return "tsv"
    named = {".jsonl", ".json", ".ndjson"} & set(suffixes)
    if ".csv" in suffixes or (not named and ("," in first or ";" in first)):
        return "csv"
    return "jsonl"


def _is_object(line: str) -> bool:
    try:
        return isinstance(orjson.loads(line.encode("utf-8", "replace")), dict)
    except orjson.JSONDecodeError:
        return False


_EMPTY = re.compile(r"\[\s*+\]")
_KEY = re.compile(r'\s*+,?\s*+("(?:[^"\\]|\\.)*+")\s*+:\s*+')


def _holds_lists(text: str) -> bool:
    """Say whether the object that begins a text holds lists of rows rather than being a row."""
    place = 1
    while found := _KEY.match(text, place):
        place = found.end()
        if BEGINS_ROWS.match(text, place) and not _EMPTY.match(text, place):
            return json.loads(found[1], strict=False) not in ROW_LISTS
        try:
            _, place = FAST.raw_decode(text, place)
        except (json.JSONDecodeError, RecursionError):
            return False
    return False


@dataclass(frozen=True, slots=True)
class Lines:
    """Whole lines of a file: its bytes from ``start`` to ``end``, with ``before`` lines in front of them."""

    start: int
    end: int
    before: int


def splittable(kind: FileKind) -> bool:
    """Say whether whole lines of a file can be read by themselves."""
    wide = kind.encoding.startswith(("utf-16", "utf-32"))
    return kind.container == "jsonl" and kind.compression == "none" and not wide


def cut(path: Path, size: int) -> Iterator[Lines]:
    """Yield a file's lines in parts of at least ``size`` bytes (the last may be smaller), in order.

    No part begins with a blank line, so that a run of them is counted in one part.
    """
    start = line = 0
    with path.open("rb") as file:
        while block := file.read(size):
            lines = block.count(b"\n")
            while tail := file.readline(MAX_LINE_BYTES):
                if block.endswith(b"\n") and len(tail) < 3 and not tail.strip():
                    lines += 1
                    continue
                if block.endswith(b"\n"):
                    file.seek(-len(tail), 1)
                    break
                block = tail[-1:]
                lines += tail.endswith(b"\n")
            yield Lines(start, file.tell(), line)
            start, line = file.tell(), line + lines


class _Section(io.RawIOBase):
    """The bytes of a file in front of an end."""

    def __init__(self, file: IO[bytes], lines: Lines) -> None:
        self._file, self._left = file, lines.end - lines.start
        file.seek(lines.start)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)[: self._left]
        count = self._file.readinto(view)  # type: ignore[attr-defined]
        self._left -= count
        return int(count)

    def close(self) -> None:
        self._file.close()
        super().close()


def raw_rows(
    path: Path,
    kind: FileKind,
    watch: Callable[[int], None] | None = None,
    lines: Lines | None = None,
    stop: Callable[[], None] = lambda: None,
) -> Iterator[RawRow]:
    """Yield the raw rows of a file in order; what cannot be read is :class:`Broken`, never an exception.

    ``lines`` are those of a part; ``stop`` is called where the rest of a file of lines is left unread.
    """
    if kind.container in ("parquet", "arrow"):
        if kind.compression != "none":
            yield 1, Broken(f"a {kind.container} file inside {kind.compression}: decompress it first")
            return
        yield from columnar(path, kind.container)
        return
    stream, _ = open_bytes(path, watch)
    if lines is not None:
        stream = io.BufferedReader(_Section(stream, lines), 1 << 17)
    last = before = 0 if lines is None else lines.before
    with stream:
        try:
            for row in _text_rows(stream, kind, before):
                last = row[0]
                yield row
            if lines is not None and stream.read(1):
                stop()
        except STREAM_ERRORS as error:
            yield last + 1, Broken(f"the file breaks off after line {last}: {error or type(error).__name__}")
            stop()


def _text_rows(stream: IO[bytes], kind: FileKind, before: int) -> Iterator[RawRow]:
    if kind.container == "jsonl":
        return jsonl(stream, kind.encoding, before)
    if kind.container in ("csv", "tsv"):
        return table(stream, kind.encoding, tabs=kind.container == "tsv")
    return values(stream, kind.encoding, wrapped=kind.container == "json list in an object")
