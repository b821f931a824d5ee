"""JSON texts to values: numbers as written, no key given twice, bounded depth."""

from __future__ import annotations

import codecs
import io
import json
import re
from collections.abc import Iterator
from typing import IO, Any, AnyStr

import orjson

from assay.data._raw import MARKED, MAX_DEPTH, MAX_LINE_BYTES, Broken, NoNumber, Number, RawRow, excerpt

_MAX_OVERLONG = 16
_MAX_BLANK = 1 << 20
TOO_DEEP = f"nested more than {MAX_DEPTH} levels deep"
_CHINESE_UTF8 = re.compile(rb"[\xe0-\xef][\x80-\xbf]{2}")


class _Twice(ValueError):  # noqa: N818 - a verdict on a row
    """A key stands twice in one object."""


class TooDeep(ValueError):  # noqa: N818 - a verdict on a row
    """A row is nested too deeply."""


def _whole(text: str) -> int | Number:
    return Number(text) if len(text) > 18 or text == "-0" else int(text)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        raise _Twice(next(key for key, _ in pairs if key in seen or seen.add(key)))  # type: ignore[func-returns-value]
    return found


_KINDS: dict[str, Any] = {"parse_int": _whole, "parse_float": Number, "parse_constant": NoNumber}
FAST = json.JSONDecoder(**_KINDS)
_strict = json.JSONDecoder(**_KINDS, object_pairs_hook=_object)


_FLOAT, _ZERO, _DEEP_FLOAT = 1, 2, 4


def texts_of(value: Any, depth: int = 0) -> tuple[int, int]:
    """Return how many texts a value has at all levels, keys too, and which numbers may not be as written."""
    if depth > MAX_DEPTH:
        raise TooDeep
    if isinstance(value, dict):
        count, inside = len(value), value.values()
    elif isinstance(value, list):
        count, inside = 0, value  # type: ignore[assignment]
    elif type(value) is str:
        return 1, 0
    else:
        if type(value) is float:
            return 0, _FLOAT if depth == 1 else _DEEP_FLOAT
        return 0, _ZERO if value == 0 and value is not False else 0
    numbers = 0
    for item in inside:
        if type(item) is str:
            count += 1
        elif item is not None:
            more, other = texts_of(item, depth + 1)
            count, numbers = count + more, numbers | other
    return count, numbers


def _flat(value: Any) -> bool:
    """Say whether a value is an object of texts alone, as most rows are."""
    if type(value) is not dict:
        return False
    for item in value.values():  # noqa: SIM110 - any() takes twice as long
        if type(item) is not str:
            return False
    return True


def lost(texts: int, quotes: int, escaped: int, *, doubtful: bool) -> bool:
    """Say whether a JSON text may hold more ``texts`` than its value, which lost those of a key given twice.

    Each has two of the ``quotes`` that are not ``escaped``; ``doubtful``: a backslash may itself be escaped.
    """
    return quotes - escaped != 2 * texts or (escaped > 0 and doubtful)


def jsonl(stream: IO[bytes], encoding: str, before: int = 0) -> Iterator[RawRow]:
    """Yield one value per line that is not blank; ``before`` lines are in front of the first."""
    if encoding.startswith(("utf-16", "utf-32")):
        stream = _Recoded(stream, encoding)  # type: ignore[assignment]
    for number, line in enumerate(bounded_lines(stream), start=before + 1):
        if isinstance(line, Broken):
            yield number, line
            continue
        line = line.removeprefix(codecs.BOM_UTF8)  # where files were joined too
        if line and not line.isspace():
            yield number, json_line(line, encoding)


def bounded_lines(stream: IO[AnyStr]) -> Iterator[AnyStr | Broken]:
    """Yield the lines of a stream, one that is too long as :class:`Broken`.

    The last is one without an end, and one of more than a million blank lines without another between them.
    """
    blank = 0
    while line := stream.readline(MAX_LINE_BYTES):
        blank = blank + 1 if len(line) < 3 and not line.strip() else 0
        if blank > _MAX_BLANK:
            yield Broken(f"more than {_MAX_BLANK:,} blank lines; the file is left unread from here on")
            return
        if len(line) < MAX_LINE_BYTES or _ends(line):
            yield line
            continue
        reason, ended = _overlong(stream, len(line))
        yield Broken(reason, excerpt(line))
        if not ended:
            return


def _ends(line: bytes | str) -> bool:
    return line.endswith(b"\n") if isinstance(line, bytes) else line.endswith(("\n", "\r"))


def _overlong(stream: IO[AnyStr], length: int) -> tuple[str, bool]:
    """Skip the rest of a line; return the reason and whether the line has an end that is worth reading to."""
    for _ in range(_MAX_OVERLONG):
        more = stream.readline(MAX_LINE_BYTES)
        length += len(more)
        if not more or _ends(more):
            return f"the line has more than {MAX_LINE_BYTES:,} bytes", True
    return f"the line has more than {length:,} bytes; the file is left unread from here on", False


class _Recoded:
    """Lines of a text in another encoding as UTF-8 bytes; what does not decode is no valid UTF-8."""

    def __init__(self, stream: IO[bytes], encoding: str) -> None:
        self._lines = io.TextIOWrapper(stream, encoding, errors=MARKED, newline="\n")

    def readline(self, limit: int) -> bytes:
        return self._lines.readline(limit).encode("utf-8", "surrogatepass")


def text_of(line: bytes, encoding: str) -> str:
    """Return the text of a line; raise UnicodeDecodeError where it does not decode.

    In a file of GB18030 a line that is UTF-8 with Chinese in it is read as UTF-8: two files were joined.
    """
    if encoding == "gb18030" and not line.isascii() and not (_CHINESE_UTF8.search(line) and _is_utf8(line)):
        return line.decode("gb18030")
    return line.decode()


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


ENCODINGS = {"gb18030": "GB18030", "utf-16": "UTF-16", "utf-16-le": "UTF-16", "utf-16-be": "UTF-16",
             "utf-32": "UTF-32", "utf-32-le": "UTF-32", "utf-32-be": "UTF-32"}  # fmt: skip
"""Names of encodings for users; all others are UTF-8."""


def json_line(line: bytes, encoding: str) -> Any:
    """Return the value of a line, or :class:`Broken` with the reason why it has none."""
    if encoding == "gb18030":
        try:
            line = text_of(line, encoding).encode()
        except UnicodeDecodeError as error:
            return Broken(f"not valid GB18030 at byte {error.start + 1}", excerpt(line))
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return _other_json(line, encoding, str(error))
    try:
        texts, numbers = (2 * len(value), 0) if _flat(value) else texts_of(value)
    except (TooDeep, RecursionError):
        return Broken(TOO_DEEP, excerpt(line))
    quotes = line.count(b'"')
    if quotes != 2 * texts:  # else none is escaped and none is lost
        escaped = line.count(b'\\"')
        if lost(texts, quotes, escaped, doubtful=escaped > 0 and b'\\\\"' in line):
            return exact(line.decode())
    if numbers and (numbers & _DEEP_FLOAT or b"-0" in line or not _as_written(value, line)):
        return FAST.decode(line.decode())
    return value


def _as_written(value: Any, line: bytes) -> bool:
    """Say whether each float among the values of a row stands in the line as Python writes it.

    Its key with the quotes cannot be within a text, where quotes are escaped.
    """
    if not isinstance(value, dict):
        return False
    for key, number in value.items():
        if type(number) is float:
            place = line.find(b'"%s": %r' % (key.encode(), number))
            end = place + len(key.encode()) + 4 + len(repr(number))
            if place < 0 or line[end : end + 1] not in (b",", b"}"):
                return False
    return True


def _other_json(line: bytes, encoding: str, problem: str) -> Any:
    """Read what orjson refuses: NaN, half surrogate pairs; or say what is wrong."""
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as wrong:
        name = ENCODINGS.get(encoding, "UTF-8")
        where = f" at byte {wrong.start + 1}" if name == "UTF-8" else ""
        return Broken(f"not valid {name}{where}", excerpt(line))
    return exact(text, problem.split(": line")[0])


def exact(text: str, problem: str = "") -> Any:
    """Return the value of a text with its numbers as written and no key twice, or :class:`Broken`."""
    try:
        value = _strict.decode(text)
        texts_of(value)
    except _Twice as twice:
        return Broken(f"the key {excerpt(str(twice))!r} is given twice", excerpt(text))
    except (TooDeep, RecursionError):
        return Broken(TOO_DEEP, excerpt(text))
    except json.JSONDecodeError as error:
        return Broken(f"broken JSON: {problem or error.msg}", excerpt(text))
    return value
