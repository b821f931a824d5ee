"""Files that appear whole: written under a name of their own beside the place, and renamed at the end."""

from __future__ import annotations

import hashlib
import itertools
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

_LONGEST = 255
_COUNT = itertools.count()


@cache
def _machine() -> str:
    """Return what tells apart the process numbers of machines and containers that share a folder."""
    space = "0"
    with suppress(OSError):
        space = str(Path("/proc/self/ns/pid").stat().st_ino)
    return hashlib.sha256(f"{os.uname().nodename} {space}".encode()).hexdigest()[:6]


def partial_of(path: Path) -> Path:
    """Return a name for ``path`` while it is written: hidden, beside it, and of no other process or call.

    What processes that were killed left of the same file is removed.
    """
    tail = f".{_machine()}-{os.getpid()}-{next(_COUNT)}.partial"
    head = f".{path.name}"
    while len(os.fsencode(head + tail)) > _LONGEST:
        head = head[:-1]
    _sweep(path.parent, head)
    return path.with_name(head + tail)


def _sweep(folder: Path, head: str) -> None:
    mine = re.compile(rf"{re.escape(head)}\.{_machine()}-(\d+)-\d+\.partial")
    with suppress(OSError):
        for entry in list(folder.iterdir()):
            match = mine.fullmatch(entry.name)
            if match is None or _alive(int(match[1])):
                continue
            if entry.is_dir():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                entry.unlink(missing_ok=True)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


@contextmanager
def replacing(path: Path, *, private: bool = False) -> Iterator[Path]:
    """Give the place where ``path`` is to be written; it takes its name where the block ends well.

    Several processes may write the same file at once: each time it is the whole of one.  ``private`` files
    can be read by their owner alone, as those with prompts or keys are.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = partial_of(path)
    try:
        if private:
            os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
