"""A SQLite file that several processes share: a commit survives a kill, and any may open it at any time."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

_WAIT = 60.0
"""Seconds that one process may hold up the others."""


def make_durable(connection: sqlite3.Connection) -> None:
    """Have commits go through a write-ahead log and reach the disk before they return.

    The first process to open a new file changes how it is kept.  SQLite tells the others at once that the
    file is locked, without the wait that ``timeout`` asks for; so they try again here.

    :raises sqlite3.OperationalError: where the file stays locked for a minute, or cannot be written
    """
    from sqlite3 import SQLITE_BUSY, OperationalError

    until = time.monotonic() + _WAIT
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            break
        except OperationalError as error:
            if error.sqlite_errorcode & 0xFF != SQLITE_BUSY or time.monotonic() > until:
                raise
        time.sleep(random.uniform(0.001, 0.02))
    connection.execute("PRAGMA synchronous=FULL")
