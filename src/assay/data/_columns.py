"""Arrow and Parquet files as rows, read by a process that a corrupt file may end."""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from assay.data._raw import Broken, RawRow, excerpt

_CHILD = Path(__file__).with_name("_columns_child.py")
_AHEAD = 2
_IDLE_SECONDS = 30.0
_idle: list[_Child] = []


class _Gone(Exception):  # noqa: N818 - expected of a corrupt file
    """The process ended."""


class _Child:
    """The process that reads; it ends by itself when no question was given of it for some seconds."""

    def __init__(self) -> None:
        command = [sys.executable, "-I", str(_CHILD), str(_IDLE_SECONDS)]
        self._process = subprocess.Popen(  # noqa: S603 - our own file
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        if self._process.stdin is None or self._process.stdout is None:
            raise _Gone
        self._to, self._from = self._process.stdin, self._process.stdout
        self.owner = os.getpid()
        self._asked = 0

    @property
    def alive(self) -> bool:
        return self.owner == os.getpid() and self._process.poll() is None

    def open(self, path: Path, container: str) -> None:
        self._say({"open": os.fsdecode(path.absolute()), "container": container})

    def ask(self) -> None:
        self._say({"next": True})
        self._asked += 1

    def _say(self, what: dict[str, Any]) -> None:
        try:
            self._to.write(json.dumps(what).encode() + b"\n")
            self._to.flush()
        except OSError:
            raise _Gone from None

    def answer(self) -> tuple[bytes, bytes]:
        """Return the next answer; raise :class:`_Gone` where the process ended."""
        head = self._from.read(9)
        size = struct.unpack("<Q", head[1:])[0] if len(head) == 9 else 1
        content = self._from.read(size) if len(head) == 9 else b""
        if len(content) < size:
            raise _Gone
        self._asked -= 1
        return head[:1], content

    def drain(self) -> None:
        while self._asked:
            self.answer()

    def why(self) -> str:
        """Say how the process ended."""
        self.close()
        code = self._process.wait()
        if code == -signal.SIGXCPU:
            return "decoding it does not come to an end"
        how = f" ({signal.Signals(-code).name})" if code < 0 else ""
        return f"the process that read it ended{how}: the file is corrupt"

    def close(self) -> None:
        for pipe in (self._to, self._from):
            with suppress(OSError):
                pipe.close()


def _started(path: Path, container: str) -> _Child:
    """Return a process that has the file open, an idle one if there is one."""
    while _idle:
        child = _idle.pop()
        if not child.alive:
            continue
        try:
            child.open(path, container)
        except _Gone:
            continue
        return child
    child = _Child()
    child.open(path, container)
    return child


def columnar(path: Path, container: str) -> Iterator[RawRow]:
    """Yield the rows of a file; what cannot be read is :class:`Broken`."""
    child = _started(path, container)
    number, ended = 0, False
    try:
        for _ in range(_AHEAD):
            child.ask()
        while not ended:
            kind, content = child.answer()
            if kind in b"BR":
                child.ask()
            for row in _rows(kind, content):
                number += 1
                yield number, row
            ended = kind in b"DE"
            if kind == b"E":
                reason = content.decode("utf-8", "replace")[:300]
                yield number + 1, Broken(f"the {container} file cannot be read after row {number}: {reason}")
        child.drain()
        _idle.append(child)
    except _Gone:
        yield number + 1, Broken(f"the {container} file cannot be read after row {number}: {child.why()}")
    finally:
        if not (ended or child in _idle):
            _leave(child)


def _leave(child: _Child) -> None:
    """Give up a file before its end."""
    try:
        child.drain()
        _idle.append(child)
    except (_Gone, ValueError):
        child.close()


def _rows(kind: bytes, content: bytes) -> list[Any]:
    """Return the rows of an answer."""
    if kind == b"R":
        told = json.loads(content)
        return [Broken(told["reason"])] * told["rows"]
    if kind != b"B":
        return []
    import pyarrow as pa

    batch = pa.ipc.open_stream(content).read_next_batch()
    try:
        return list(batch.to_pylist())
    except (ValueError, OverflowError, TypeError, KeyError, pa.ArrowException):
        return [_row(batch.slice(i, 1)) for i in range(batch.num_rows)]


def _row(one: Any) -> Any:
    try:
        return one.to_pylist()[0]
    except Exception as error:
        return Broken(f"the row cannot be read: {excerpt(str(error))}")
