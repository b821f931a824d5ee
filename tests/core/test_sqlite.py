"""Files that several processes share can be opened by all of them at the same moment."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from threading import Barrier

import pytest

from assay.core import make_durable
from assay.indicators import Cache
from assay.llm import Chat

_AT_ONCE, _TIMES = 6, 40
needs_inspect = pytest.mark.skipif(find_spec("inspect_ai") is None, reason="inspect-ai is not installed")


def bare(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "new.sqlite", isolation_level=None)) as connection:
        make_durable(connection)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def calls(folder: Path) -> None:
    Chat("openai/any", base_url="http://127.0.0.1:9/v1", calls=folder).close()


def cache(folder: Path) -> None:
    Cache(folder, "any").put({"a": 1.0})


@pytest.mark.parametrize("open_once", [bare, pytest.param(calls, marks=needs_inspect), cache])
def test_many_open_a_new_file_at_once(tmp_path: Path, open_once: Callable[[Path], None]) -> None:
    for time in range(_TIMES):
        folder = tmp_path / str(time)
        folder.mkdir()
        ready = Barrier(_AT_ONCE)

        def go(_: int, folder: Path = folder, ready: Barrier = ready) -> None:
            ready.wait()
            open_once(folder)

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(go, range(_AT_ONCE)))
