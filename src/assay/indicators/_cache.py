"""Values by key on disk: what a model has said of a text is not asked again, whatever happens in between."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeAlias

from assay.core import make_durable

Stored: TypeAlias = float | str | bytes

_MANY = 500


class Cache:
    """A table of one kind of value; several processes may read and write it at once."""

    def __init__(self, folder: Path, name: str) -> None:
        """Open (and make) ``folder/name.sqlite``."""
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / f"{name}.sqlite"
        with closing(self._connect()) as connection, connection:
            make_durable(connection)
            connection.execute("CREATE TABLE IF NOT EXISTS entry (key TEXT PRIMARY KEY, value) WITHOUT ROWID")

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=60)

    def get(self, keys: Sequence[str]) -> dict[str, Stored]:
        """Return what is known of the keys."""
        found: dict[str, Stored] = {}
        with closing(self._connect()) as connection:
            for part in _parts(keys):
                marks = ",".join("?" * len(part))
                # Only question marks are put into the text.
                query = f"SELECT key, value FROM entry WHERE key IN ({marks})"  # noqa: S608
                found.update(connection.execute(query, part))
        return found

    def put(self, values: Mapping[str, Stored]) -> None:
        """Keep values; after the call they survive a kill."""
        with closing(self._connect()) as connection, connection:
            connection.executemany("INSERT OR REPLACE INTO entry VALUES (?, ?)", values.items())


def _parts(keys: Sequence[str]) -> Iterator[list[str]]:
    for start in range(0, len(keys), _MANY):
        yield list(keys[start : start + _MANY])
