"""Tables of text to rows: a quote that is missing costs its own line, never the rows behind it."""

from __future__ import annotations

import csv
import io
import re
from collections import deque
from collections.abc import Iterator, Sequence
from typing import IO

from assay.data._json import ENCODINGS, bounded_lines, text_of
from assay.data._raw import MARKED, MAX_LINE_BYTES, Broken, RawRow, encodable, excerpt

_MAX_CELL = 4 << 20
_AHEAD = 2
_RETURN = re.compile(r"(?<=\r)(?!\n)")
# Lines in a quoted cell that look like rows of their own: with two columns one comma makes such a line.
_LEAST_SWALLOWED = {2: 8}
_LISTED = re.compile(r"\s*(?:[-*•·]|\(?\d{1,3}[.)、:]|[a-zA-Z][.)])")


def delimiter_of(header: str, *, tabs: bool) -> str:
    """Return the delimiter of a table from its header line."""
    if tabs:
        return "\t"
    bare = re.sub(r'"[^"]*"', "", header)
    return max(",;\t|", key=lambda sign: (bare.count(sign), -",;\t|".index(sign)))


def table(stream: IO[bytes], encoding: str, *, tabs: bool) -> Iterator[RawRow]:
    """Yield the rows of a table whose first line that is not blank names the columns."""
    csv.field_size_limit(MAX_LINE_BYTES)
    lines = _Lines(stream, encoding)
    header: list[str] = []
    delimiter, twice = ",", ""
    while lines.more():
        if not lines.first().strip():
            lines.take()
            continue
        if not header:
            delimiter = delimiter_of(lines.first(), tabs=tabs)
            header, problem = _header(lines, delimiter)
            if problem:
                yield lines.number, problem
                return
            twice = next((name for name in header if header.count(name) > 1), "")
            continue
        for number, row in _Records(lines, delimiter, len(header)).read():
            if twice and not isinstance(row, Broken):
                row = Broken(f"the header has the column {excerpt(twice)!r} twice", excerpt(" ".join(row)))
            elif not isinstance(row, Broken) and [name.strip().lower() for name in row] == header:
                row = Broken("the header stands here again: files were joined", excerpt(" ".join(row)))
            yield number, row if isinstance(row, Broken) else dict(zip(header, row, strict=True))


def _header(lines: _Lines, delimiter: str) -> tuple[list[str], Broken | None]:
    taken = [lines.take()]
    fields, problem = _parse(taken, lines, delimiter)
    if problem or not encodable("".join(fields)):
        return [], Broken(f"the header cannot be read: {problem or 'it does not decode'}", excerpt(taken[0]))
    return [name.strip().lower() for name in fields], None


class _Long(str):
    """Stands for a line that was too long to be kept: its beginning, and why it is no row."""

    broken: Broken

    def __new__(cls, broken: Broken) -> _Long:
        made = super().__new__(cls, (broken.excerpt or "?") + "\n")
        made.broken = broken
        return made


class _Lines:
    """Physical lines with their numbers, of which some may be put back."""

    def __init__(self, stream: IO[bytes], encoding: str) -> None:
        self._source = self._decoded(stream, encoding)
        self._waiting: deque[str] = deque()
        self.number = 0

    @staticmethod
    def _decoded(stream: IO[bytes], encoding: str) -> Iterator[str]:
        if encoding in ENCODINGS and encoding != "gb18030":
            wide = io.TextIOWrapper(stream, encoding, errors=MARKED, newline="")
            lines = bounded_lines(wide)
            yield from (_Long(x) if isinstance(x, Broken) else x.removeprefix("\ufeff") for x in lines)
            return
        for raw in bounded_lines(stream):
            if isinstance(raw, Broken):
                yield _Long(raw)
                continue
            try:
                text = text_of(raw, encoding)
            except UnicodeDecodeError:
                text = raw.decode(encoding, MARKED)
            text = text.removeprefix("\ufeff")  # where files were joined too
            yield from (_RETURN.split(text) if "\r" in text[:-2] else (text,))

    def more(self, count: int = 1) -> bool:
        """Say whether so many lines are left, reading ahead."""
        while len(self._waiting) < count:
            line = next(self._source, None)
            if line is None:
                return False
            if line:
                self._waiting.append(line)
        return True

    def first(self) -> str:
        return self._waiting[0]

    def ahead(self, count: int) -> list[str]:
        """Return up to ``count`` of the lines that follow."""
        self.more(count)
        return list(self._waiting)[:count]

    def take(self) -> str:
        self.number += 1
        return self._waiting.popleft()

    def put_back(self, lines: Sequence[str]) -> None:
        self.number -= len(lines)
        self._waiting.extendleft(reversed(lines))


def _parse(taken: list[str], lines: _Lines, delimiter: str) -> tuple[list[str], str]:
    """Read one record that begins with ``taken[0]``, taking more lines as its quotes ask for.

    Returns its fields, and what is wrong with it or "".
    """
    if isinstance(taken[0], _Long):
        return [], taken[0].broken.reason
    if '"' not in taken[0]:
        return taken[0].rstrip("\r\n").split(delimiter), ""

    def feed() -> Iterator[str]:
        yield taken[0]
        size = 0
        while size < _MAX_CELL and lines.more() and not isinstance(lines.first(), _Long):
            taken.append(lines.take())
            size += len(taken[-1])
            yield taken[-1]

    try:
        return next(csv.reader(feed(), delimiter=delimiter, strict=True)), ""
    except StopIteration:
        return [], "it has no field"
    except csv.Error as error:
        return [], str(error)


class _Records:
    """One record, or the lines of one that is broken."""

    def __init__(self, lines: _Lines, delimiter: str, columns: int) -> None:
        self._lines, self._delimiter, self._columns = lines, delimiter, columns

    def read(self) -> Iterator[tuple[int, list[str] | Broken]]:
        """Yield the next record and, if its quotes are broken, the lines that belong to it."""
        number = self._lines.number + 1
        taken = [self._lines.take()]
        fields, problem = _parse(taken, self._lines, self._delimiter)
        if not problem and len(taken) > 2 and self._swallowed(taken):
            count = len(taken) - 2
            reason = (
                f"inside the quoted cell that opens in line {number}: {count} of its lines look like rows"
            )
            yield from ((number + i, Broken(reason, excerpt(line))) for i, line in enumerate(taken))
        elif not problem:
            if any(map(str.strip, fields)):  # else a line of empty cells, as spreadsheets leave them
                yield number, self._checked(fields)
        elif len(taken) == 1:
            yield number, Broken(f"broken CSV: {problem}", excerpt(taken[0]))
        else:
            self._lines.put_back(taken[1:])
            yield (
                number,
                Broken("a quote that opens in this line is not closed as it should be", excerpt(taken[0])),
            )
            yield from self._rest(number)

    def _checked(self, fields: list[str]) -> list[str] | Broken:
        if len(fields) != self._columns:
            problem = f"{len(fields)} fields where the header has {self._columns}"
            return Broken(problem, excerpt(" ".join(fields)))
        return (
            fields if encodable("".join(fields)) else Broken("the line does not decode", excerpt(fields[0]))
        )

    def _rest(self, opened: int) -> Iterator[tuple[int, Broken]]:
        """Reject lines until one that begins a run of rows: they belong to the cell that was left open."""
        while self._lines.more():
            line = self._lines.first()
            if line.strip():
                if self._sound(line) and all(map(self._may_begin, self._lines.ahead(1 + _AHEAD)[1:])):
                    return
                reason = (
                    f"belongs to a cell whose quote, opened in line {opened}, is not closed as it should be"
                )
                yield self._lines.number + 1, Broken(reason, excerpt(line))
            self._lines.take()

    def _sound(self, line: str) -> bool:
        """Say whether a line is a record by itself."""
        if isinstance(line, _Long):
            return False
        try:
            return len(next(csv.reader([line], delimiter=self._delimiter, strict=True), ())) == self._columns
        except csv.Error:
            return False

    def _may_begin(self, line: str) -> bool:
        return not line.strip() or self._sound(line) or line.count('"') % 2 == 1

    def _swallowed(self, taken: Sequence[str]) -> bool:
        """Say whether a quoted cell holds nothing but lines that look like rows."""
        inner = [line for line in taken[1:-1] if line.strip()]
        least = _LEAST_SWALLOWED.get(self._columns, 3)
        if self._columns < 2 or len(inner) < least or all(map(_LISTED.match, inner)):
            return False
        return all(line.count(self._delimiter) == self._columns - 1 and '"' not in line for line in inner)
