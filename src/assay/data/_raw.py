"""What every container yields: numbered rows, pieces that are no row, and marks between them."""

from __future__ import annotations

import codecs
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

MAX_LINE_BYTES = 64 << 20
"""Longer lines are rejected unread: no field of that size is an instruction."""

MAX_DEPTH = 100
"""Rows nested deeper are rejected: no known layout needs a tenth of it."""

_MARKED = "assay-marked"


@dataclass(frozen=True, slots=True)
class Broken:
    """A piece of a file that is no row."""

    reason: str
    excerpt: str = ""


@dataclass(frozen=True, slots=True)
class Mark:
    """No row: the rows that follow belong to ``split``, or ``unused`` names a field beside the rows."""

    split: str | None = None
    unused: str | None = None


@dataclass(frozen=True, slots=True)
class Number:
    """A number as it is written in the file: ``text`` has every digit."""

    text: str


@dataclass(frozen=True, slots=True)
class NoNumber:
    """What JSON has no number for: NaN, Infinity or -Infinity."""

    text: str


RawRow = tuple[int, Any]
"""(line or row number from 1, the row, :class:`Broken` or :class:`Mark`)."""


def excerpt(text: bytes | str) -> str:
    """Return the beginning of a text, fit to be written anywhere."""
    shown = text[:400].decode("utf-8", "replace") if isinstance(text, bytes) else text[:400]
    return printable(shown[:120].replace("\0", "\ufffd").strip())


def printable(text: str) -> str:
    """Return a text that UTF-8 can hold: half a surrogate pair is shown as its escape."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def encodable(text: str) -> bool:
    """Say whether UTF-8 can hold a text: it has no half of a surrogate pair."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _mark(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "".join(chr(0xDC00 + byte) for byte in error.object[error.start : error.end]), error.end


codecs.register_error(_MARKED, _mark)
MARKED: str = _MARKED
"""Error handler that turns bytes which do not decode into halves of surrogate pairs, in any encoding."""

Watch = Callable[[int], None]
