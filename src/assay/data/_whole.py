"""Files that appear whole: written under another name, and renamed when nothing is missing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from assay.core import partial_of
from assay.core import replacing as replacing


@contextmanager
def replacing_text(path: Path, *, private: bool = False) -> Iterator[TextIO]:
    """Give an open UTF-8 file that becomes ``path`` where the block ends well.

    Half a surrogate pair, which UTF-8 cannot hold, is written as JSON's escape for it, so that it is read
    back as it was.
    """
    with (
        replacing(path, private=private) as partial,
        partial.open("w", encoding="utf-8", errors="backslashreplace") as lines,
    ):
        yield lines


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Give an empty folder that becomes ``path`` where the block ends well; the old one goes after that."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial, old = partial_of(path), partial_of(path)
    partial.mkdir()
    try:
        yield partial
        if path.exists():
            path.rename(old)
        partial.rename(path)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_lines(rows: Iterable[Mapping[str, Any]], path: Path) -> int:
    """Write rows as JSON lines and return how many."""
    count = 0
    with replacing_text(path) as lines:
        for row in rows:
            lines.write(json.dumps(row, ensure_ascii=False) + "\n")
            count += 1
    return count


def write_json(path: Path, value: object) -> None:
    """Write readable JSON; it appears whole, by a rename."""
    with replacing_text(path) as file:
        file.write(json.dumps(value, ensure_ascii=False, indent=1) + "\n")
