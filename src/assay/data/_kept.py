"""Finished parts of work on files, beside what is made of them, so that a run that was killed goes on."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from assay.core import digest
from assay.data._shard import Shard


def part_key(part: Shard, work: Sequence[object]) -> str:
    """Return the name of the result of a ``work`` on a part: another where its content is another."""
    with part.path.open("rb") as file:
        file.seek(part.start)
        content = hashlib.sha256(file.read(part.size)).hexdigest()
    said = [part.name, part.source, part.line, part.layout, part.fields, part.reader, content]
    return digest([*said, *work])


@contextmanager
def kept_beside(out: Path) -> Iterator[Path]:
    """Give the folder for finished parts, which goes when ``out`` is there."""
    folder = out.with_name(f".{out.name}.parts")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield folder
    except BaseException:
        with suppress(OSError):
            folder.rmdir()  # where nothing is in it
        raise
    shutil.rmtree(folder, ignore_errors=True)
