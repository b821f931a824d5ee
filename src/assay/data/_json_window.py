"""JSON lists and objects of any size to rows, over a sliding window, in time that is linear in the file."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from typing import IO, Any

from assay.data._json import ENCODINGS, FAST, TOO_DEEP, TooDeep, exact, lost, texts_of
from assay.data._raw import MARKED, MAX_LINE_BYTES, Broken, Mark, RawRow, encodable, excerpt

_SPACE = re.compile(r"[\s,]*+")
_SIGN = re.compile(r'"(?:[^"\\]|\\.)*+("?)|[\[\]{}]', re.DOTALL)
_NEXT = re.compile(
    r"""\}[\s,]*+(?:\][\s,]*+)?(?:("(?:[^"\\\n]|\\[^\n]){1,60}")\s{0,99}:\s{0,99})?(?:\[\s*+)?(?=\{)"""
    r"""|,[ \t]*+\r?\n\s*+(?=\{)"""
)
BEGINS_ROWS = re.compile(r"""\[\s*+(?:[{\]]|"[^"\\]{0,60}"\s*+:|(?!true|false|null|NaN|Inf)[A-Za-z])""")
"""A list that is empty, holds objects, or begins with an object that lost its brace or with a bare word."""
_LOOK = 1_000
_OPENING = re.compile(r"[\[{]")
_PLAIN = re.compile(r'[^,\[\]{}"]*+')
_BORDER = re.compile(r"\}\s*+,\s*+\{")
_KEY = re.compile(r'("(?:[^"\\]|\\.)*+")\s*+:\s*+', re.DOTALL)
# Characters that may be read again for nothing; one sign of structure takes as long as some characters.
_WORK, _SIGN_WORK = 8 << 20, 32
ROW_LISTS = frozenset(
    "conversations conversation messages instances history answers choices replies turns dialog "
    "dialogue chat tools functions methods steps sections documents context contexts evidence".split()
)
"""Lists of objects that are part of a row."""


def values(stream: IO[bytes], encoding: str, *, wrapped: bool) -> Iterator[RawRow]:
    """Yield the elements of JSON arrays and JSON objects, one after another, until the file ends.

    ``wrapped``: the first object holds lists of rows, each of which begins with a :class:`Mark`.  Works over
    a sliding window, so that a file of any size is read in bounded memory.
    """
    window = _Window(io.TextIOWrapper(stream, encoding, errors=MARKED), encoding)
    while window.skip_space():
        sign = window.sign()
        if sign == "[":
            window.skip(1)
            yield from _list(window)
        elif sign == "{" and wrapped:
            window.skip(1)
            yield from _lists(window)
        elif sign == "{":
            yield from _element(window)
        else:
            yield window.line, Broken("no JSON object or list begins here", window.excerpt())
            window.skip_text()
        wrapped = False
        if window.tired:
            yield (
                window.line,
                Broken("too much of the file is broken; the rest is left unread", window.excerpt()),
            )
            return


def _element(window: _Window) -> Iterator[RawRow]:
    """Yield the value at the window's place and go behind it."""
    line, value = window.value()
    yield line, value
    if isinstance(value, Broken) and not window.behind:
        key = window.skip_broken()
        if key is not None:
            yield window.line, Mark(split=key)


def _list(window: _Window) -> Iterator[RawRow]:
    while window.skip_space():
        if window.sign() == "]":
            window.skip(1)
            return
        yield from _element(window)
        if window.tired or window.lost:
            return
    yield window.line, Broken("the list is not closed: the file is cut off")


def _lists(window: _Window) -> Iterator[RawRow]:
    """Yield the rows of the lists in an object, and a mark for each of its keys."""
    while window.skip_space():
        if window.sign() == "}":
            window.skip(1)
            return
        key = window.key()
        if key is None:
            yield window.line, Broken("broken JSON: expected a key of the outer object", window.excerpt())
            window.skip_broken()
            if not window.lost:
                yield from _list(window)
        elif not window.skip_space():
            yield window.line, Broken("a key without a value: the file is cut off")
            return
        elif window.begins_rows():
            yield window.line, Mark(split=key)
            window.skip(1)
            yield from _list(window)
        else:
            line, value = window.value()
            if isinstance(value, Broken):
                yield line, value
                if not window.behind:
                    window.skip_broken()
                if not (window.behind or window.lost):
                    yield from _list(window)
            else:
                yield line, Mark(unused=key)
        if window.tired or window.lost:
            return
    yield window.line, Broken("the object is not closed: the file is cut off")


class _Window:
    """A buffer over a text stream with a place in it and the line of that place.

    What is read again after something broken is counted: a file that needs more than a few times its own
    length is given up (``tired``) rather than read for hours.
    """

    BLOCK = 1 << 18

    def __init__(self, text: io.TextIOWrapper, encoding: str) -> None:
        self._text, self._name = text, ENCODINGS.get(encoding, "UTF-8")
        self.buffer, self.place, self.line, self.ended = "", 0, 1, False
        self._marked = False
        self._length = self._wasted = 0
        self.behind = self.lost = False
        self._read()

    @property
    def tired(self) -> bool:
        """More work went into broken pieces than the file is worth."""
        return self._wasted > _WORK + 4 * self._length

    def _read(self, size: int = 0) -> bool:
        block = self._text.read(max(size, self.BLOCK))
        if not self._length:
            block = block.removeprefix("\ufeff")
        self._marked = self._marked or not (block.isascii() or encodable(block))
        self._length += len(block)
        self.buffer = self.buffer[self.place :] + block
        self.place = 0
        self.ended = self.ended or not block
        return bool(block)

    def sign(self) -> str:
        """Return the character at the place."""
        return self.buffer[self.place]

    def begins_rows(self) -> bool:
        """Say whether a list begins at the place that is empty or holds objects."""
        if len(self.buffer) - self.place < _LOOK:
            self._read_more()
        return BEGINS_ROWS.match(self.buffer, self.place) is not None

    def excerpt(self) -> str:
        """Return the text from the place on, for a report."""
        return excerpt(self.buffer[self.place : self.place + 120])

    def skip(self, count: int) -> None:
        """Go on by some characters."""
        self.line += self.buffer.count("\n", self.place, self.place + count)
        self.place += count

    def skip_space(self) -> bool:
        """Go to the next character that is no space or comma; False at the end of the file."""
        while True:
            found = _SPACE.match(self.buffer, self.place)
            self.skip(found.end() - self.place if found else 0)
            if self.place < len(self.buffer):
                return True
            if not self._read():
                return False

    def key(self) -> str | None:
        """Read a key and its colon, or return None where there is none."""
        found = _KEY.match(self.buffer, self.place)
        while (not found or found.end() == len(self.buffer)) and self._read_more() and not self._long():
            found = _KEY.match(self.buffer, self.place)
        if not found:
            return None
        self.skip(found.end() - self.place)
        try:
            return str(json.loads(found[1], strict=False))
        except ValueError:
            return None

    def value(self) -> RawRow:
        """Decode the value at the place, reading on while it is merely incomplete.

        ``behind`` says whether the place is behind it: of a broken value the end may be unknown.
        """
        line = self.line
        while True:
            try:
                value, end = FAST.raw_decode(self.buffer, self.place)
            except json.JSONDecodeError as error:
                problem, at = f"broken JSON: {error.msg}", error.pos
                open_ended = error.msg.startswith("Unterminated")
            except RecursionError:
                problem, at, open_ended = TOO_DEEP, self.place, False
            else:
                if end < len(self.buffer) or not self._read_more():
                    found = self._checked(value, end)
                    self.skip(end - self.place)
                    self.behind = True
                    return line, found
                continue
            self._wasted += (len(self.buffer) if open_ended else at) - self.place
            # An error near the end of the buffer, or an open string, may only mean: not all read yet.
            near_end = at > len(self.buffer) - 64 or open_ended
            if near_end and not self._long() and self._read_more():
                continue
            if self._long():
                problem = f"the value has more than {MAX_LINE_BYTES:,} characters, or does not end"
            broken = Broken(problem, self.excerpt())
            self.behind = self._skip_balanced()
            return line, broken

    def _checked(self, value: Any, end: int) -> Any:
        """Return a decoded value, or :class:`Broken` where it is not to be trusted."""
        shown = self.excerpt
        if self._marked and not encodable(self.buffer[self.place : end]):
            return Broken(f"not valid {self._name}", shown())
        try:
            texts, _ = texts_of(value)
        except (TooDeep, RecursionError):
            return Broken(TOO_DEEP, shown())
        buffer, place = self.buffer, self.place
        quotes, escaped = (buffer.count(sign, place, end) for sign in ('"', '\\"'))
        doubtful = buffer.find('\\\\"', place, end) >= 0
        return exact(buffer[place:end]) if lost(texts, quotes, escaped, doubtful=doubtful) else value

    def _long(self) -> bool:
        return len(self.buffer) - self.place > MAX_LINE_BYTES

    def _read_more(self) -> bool:
        """Double the window."""
        return not self.ended and self._read(len(self.buffer) - self.place)

    def _skip_balanced(self) -> bool:
        """Go behind the brackets that open at the place, if they close and a list can go on there."""
        while True:
            end = self._closing()
            if end:
                rest = self.buffer[end : end + 64].lstrip()
                if not rest or rest[0] in ",]}[{":
                    self.skip(end - self.place)
                    return True
                return False
            if end == 0 or self._long() or self.tired or not self._read_more():
                return False

    def _closing(self) -> int | None:
        """Return the place behind the bracket that closes the one at the place, or None if it is not seen.

        Behind a value that is no bracket it is the next comma or bracket.  A "string" that holds the border
        of two objects means that a quote is missing somewhere: there is no telling what closes what (0).
        """
        if self.sign() not in "[{":
            after = _PLAIN.match(self.buffer, self.place)
            stop = after.end() if after else self.place
            return stop if self.place < stop < len(self.buffer) and self.buffer[stop] != '"' else None
        signs, end, opened = 0, len(self.buffer), list[str]()
        closed: int | None = None
        for found in _SIGN.finditer(self.buffer, self.place):
            sign, signs, end = found[0], signs + 1, found.end()
            if sign[0] == '"':
                if not found[1]:
                    break
                hopeless = _BORDER.search(sign) is not None
            elif sign in "[{":
                opened.append("]" if sign == "[" else "}")
                hopeless = False
            else:
                hopeless = opened.pop() != sign
            if hopeless or not opened:
                closed = 0 if hopeless else end
                break
        self._wasted += max(_SIGN_WORK * signs, end - self.place)
        return closed

    def skip_broken(self) -> str | None:
        """Go to the next start of an object after an end of one, or to the end of the file (``lost``).

        Returns the key of the list that begins there, if one does.
        """
        start = self.place + 1
        while True:
            found = _NEXT.search(self.buffer, start) if "{" in self.buffer else None
            if found:
                self.skip(found.end() - self.place)
                key = str(json.loads(found[1], strict=False)) if found[1] else None
                return None if key in ROW_LISTS else key
            keep = max(self.place, len(self.buffer) - 400)
            self.skip(keep - self.place)
            start = 0
            if not self._read():
                self.skip(len(self.buffer) - self.place)
                self.lost = True
                return None

    def skip_text(self) -> None:
        """Go to the next place where an object or a list may begin."""
        start = self.place + 1
        while not (found := _OPENING.search(self.buffer, start)):
            self.skip(len(self.buffer) - self.place)
            start = 0
            if not self._read():
                return
        self.skip(found.start() - self.place)
