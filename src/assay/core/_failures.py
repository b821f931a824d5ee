"""Failures that are to be expected, as errors with place and remedy: full disks, permissions, cut files.

The one list of them: runner, command and servers translate with :func:`as_assay_error`, readers of
small files use :func:`read_json`.
"""

from __future__ import annotations

import codecs
import errno
import json
import os
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from assay.core._errors import AssayError
from assay.core._extras import DISTRIBUTION, extra_with

_SPACE = "free some space (of temporary files too: TMPDIR) and run the same command: what is finished is kept"
_ELSEWHERE = "choose another place, or change the permissions"
_BY_ERRNO: dict[int, tuple[str, str]] = {
    errno.ENOSPC: ("the disk is full", _SPACE),
    errno.EDQUOT: ("the disk quota is used up", _SPACE),
    errno.EFBIG: ("the file is too large for this file system", "choose a place on another file system"),
    errno.EROFS: ("the file system is read-only", "choose a place that can be written"),
    errno.EACCES: ("permission denied", _ELSEWHERE),
    errno.EPERM: ("operation not permitted", _ELSEWHERE),
    errno.ENAMETOOLONG: ("the file name is too long", "choose a shorter name or a folder less deep"),
    errno.ENOENT: ("no such file or folder", "check the path"),
    errno.ENOTDIR: ("a part of the path is a file, not a folder", "check the path"),
    errno.EISDIR: ("this is a folder, not a file", "give the path of a file"),
    errno.EEXIST: ("the file exists already", "choose another name"),
    errno.ENOTEMPTY: ("the folder is not empty", "choose another folder"),
    errno.EMFILE: ("too many open files", "raise the limit (`ulimit -n`)"),
    errno.ENFILE: ("too many open files on this machine", "close other programs"),
    errno.ENOMEM: ("memory ran out", "use fewer workers or smaller batches"),
    errno.EIO: ("the disk reports an input/output error", "check the disk; restore the file from a copy"),
    errno.ESTALE: ("the network file system lost the file", "mount it anew and run the same command"),
    errno.ELOOP: ("too many symbolic links", "check the path"),
    errno.ETXTBSY: ("the file is in use", "wait until it is free"),
    errno.EADDRINUSE: ("the port is in use", "choose another port with --port"),
    errno.EADDRNOTAVAIL: ("this machine does not have the address", "choose another --host"),
}
_CUT = "the file is cut or not what its name says: restore it from a copy or write it again"


def as_assay_error(error: BaseException, place: str | None = None) -> AssayError | None:
    """Return an expected failure as an error with place and remedy; None for a fault of the program.

    ``place`` is used where the failure does not name a file itself.
    """
    if isinstance(error, AssayError):
        return error
    if isinstance(error, OSError) and error.errno in _BY_ERRNO:
        problem, hint = _BY_ERRNO[error.errno]
        named = [str(name) for name in (error.filename, error.filename2) if name is not None]
        return AssayError(problem, place=" → ".join(named) or place, hint=hint)
    if (number := _said_number(error)) is not None:
        problem, hint = _BY_ERRNO[number]
        return AssayError(problem, place=place, hint=hint)
    if isinstance(error, MemoryError):
        return AssayError("memory ran out", place=place, hint="use fewer workers or smaller batches")
    if isinstance(error, json.JSONDecodeError):
        return AssayError(f"not JSON ({error})", place=place, expected="a JSON file", hint=_CUT)
    if isinstance(error, UnicodeDecodeError):
        problem = f"not UTF-8 (byte {error.start})"
        return AssayError(problem, place=place, expected="UTF-8 text", hint=_CUT)
    if isinstance(error, EOFError | zlib.error | zipfile.BadZipFile):
        return AssayError(f"the file ends early or is damaged ({error})", place=place, hint=_CUT)
    if isinstance(error, RecursionError):
        return AssayError("nested too deeply", place=place, expected="less than about 1,000 levels")
    if isinstance(error, ModuleNotFoundError) and (brought := extra_with(error.name or "")) is not None:
        extra, package = brought
        install = f'pip install "{DISTRIBUTION}[{extra}]"'
        return AssayError(f"the package {package} is not installed", place=place, hint=install)
    return None


_RUST = re.compile(r"\(os error (\d+)\)")
_SAID = {
    "database or disk is full": errno.ENOSPC,
    "attempt to write a readonly database": errno.EROFS,
    "unable to open database file": errno.EACCES,
    "disk I/O error": errno.EIO,
    **{os.strerror(number): number for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)},
}


def _said_number(error: BaseException) -> int | None:
    """Return the number of a system's failure that a library (safetensors, polars, SQLite) tells in words."""
    text = str(error)
    if (match := _RUST.search(text)) is not None and int(match[1]) in _BY_ERRNO:
        return int(match[1])
    return next((number for words, number in _SAID.items() if words in text), None)


@contextmanager
def expected_failures(place: str | None = None) -> Iterator[None]:
    """Raise what fails inside as an :class:`AssayError` where :func:`as_assay_error` knows it."""
    try:
        yield
    except Exception as error:
        known = as_assay_error(error, place)
        if known is None or known is error:
            raise
        raise known from error


_MOST_LINE = 64 << 20
MOST_BYTES = 256 << 20
"""Files that are read whole (studies, rules, rubrics, tables of points) are refused beyond this."""


def read_text(path: Path, *, hint: str | None = None) -> str:
    """Return the text (UTF-8) of a file that is read whole.

    Raises :class:`AssayError` with the place where it cannot be read or has more than :data:`MOST_BYTES`.
    """
    with expected_failures(str(path)):
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise AssayError(
                "the file is too large to be what is read here",
                place=str(path),
                value=f"{size:,} bytes",
                expected=f"at most {MOST_BYTES:,}",
                hint=hint or "check the path",
            )
        return path.read_text(encoding="utf-8-sig")


def read_json_lines(path: Path, *, hint: str | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (``file:line``, object) for each line of JSON of our own that is not blank.

    Lines end at line feeds alone: Unicode's other line ends are part of the texts.  Raises
    :class:`AssayError` with the line that is no object.
    """
    with expected_failures(str(path)), path.open("rb") as file:
        for number, line in enumerate(iter(lambda: file.readline(_MOST_LINE), b""), start=1):
            place = f"{path}:{number}"
            if len(line) == _MOST_LINE:
                raise AssayError(
                    "the line is too long", place=place, expected=f"less than {_MOST_LINE:,} bytes"
                )
            if line.strip():
                yield place, _object(line.removeprefix(codecs.BOM_UTF8), place, hint)


def _object(line: bytes, place: str, hint: str | None) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        said = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise AssayError(
            f"not JSON ({said})", place=place, value=_shown(line), expected="an object", hint=hint
        ) from None
    if not isinstance(value, dict):
        raise AssayError("not an object", place=place, value=_shown(line), expected="an object", hint=hint)
    return value


def _shown(line: bytes) -> str:
    return line[:120].decode("utf-8", "replace")


def read_json(path: Path, kind: type = dict, *, hint: str | None = None) -> Any:
    """Return the value of a JSON file (UTF-8) of our own.

    Raises :class:`AssayError` with the place where the file cannot be read, is cut, or holds no ``kind``.
    """
    text = read_text(path, hint=hint)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        said = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise AssayError(
            f"not JSON ({said})", place=str(path), expected="a JSON file", hint=hint or _CUT
        ) from None
    if not isinstance(value, kind):
        raise AssayError(
            "unexpected content in this file",
            place=str(path),
            value=type(value).__name__,
            expected="an object" if kind is dict else "a list" if kind is list else kind.__name__,
            hint=hint or _CUT,
        )
    return value
