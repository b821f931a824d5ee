"""The parts of a data set, one after another, are the data set."""

from __future__ import annotations

import gzip
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.core import Sample
from assay.data import Reading, Rejected, Shard, ShardRows, _json, read

_LINES = st.sampled_from(
    [
        b'{"instruction": "Add 2 and 3.", "output": "5"}',
        '{"instruction": "加", "output": "五", "unused": 1}'.encode(),
        b'{"instruction": "", "output": "x"}',
        b'{"instruction": "x", "output": "y", "output": "z"}',
        b'{"instruction": "x", "output": 1.50}',
        b"",
        b" ",
        b"\r",
        b'{"instruction": "cut',
        b"\xff\xfe broken",
        b'{"instruction": "a long line ' + b"word " * 40 + b'", "output": "y"}',
    ]
)


def whole(path: Path) -> tuple[list[Sample | Rejected], dict[str, int], dict[str, int]]:
    reading = read(path)
    rows = list(reading)
    return rows, dict(reading.unused), dict(reading.notes)


def in_parts(path: Path, size: int) -> tuple[list[Sample | Rejected], dict[str, int], dict[str, int]]:
    reading = read(path)
    rows: list[Sample | Rejected] = []
    stopped: set[Path] = set()
    for shard in reading.shards(size):
        if shard.path in stopped:
            continue
        part = ShardRows(pickle.loads(pickle.dumps(shard)))
        rows += part
        reading.count(part)
        if part.stopped:
            stopped.add(shard.path)
    return rows, dict(reading.unused), dict(reading.notes)


@given(lines=st.lists(_LINES, max_size=40), size=st.integers(1, 400), ends=st.booleans(), bom=st.booleans())
@settings(max_examples=200, deadline=None)
def test_parts_of_lines(
    lines: list[bytes], size: int, ends: bool, bom: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("parts") / "x.jsonl"
    path.write_bytes((b"\xef\xbb\xbf" if bom else b"") + b"\n".join(lines) + (b"\n" if ends else b""))
    assert in_parts(path, size) == whole(path)


def _parts(reading: Reading, size: int) -> list[Shard]:
    return list(reading.shards(size))


def test_a_large_file_has_several_parts_and_others_are_whole(tmp_path: Path) -> None:
    rows = [{"instruction": f"Add {n} and 1.", "output": str(n + 1)} for n in range(500)]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "a.jsonl").write_text(text, "utf-8")
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(text.encode()))
    (tmp_path / "c.json").write_text(json.dumps(rows), "utf-8")
    (tmp_path / "d.jsonl").write_text(text, "utf-16")
    parts = _parts(read(tmp_path), 5_000)
    count: dict[str, Any] = {}
    for part in parts:
        count[part.name] = count.get(part.name, 0) + 1
    assert count["a.jsonl"] > 4
    assert [count[name] for name in ("b.jsonl.gz", "c.json", "d.jsonl")] == [1, 1, 1]
    assert in_parts(tmp_path, 5_000) == whole(tmp_path)


def test_blank_lines_without_end_end_the_file_in_parts_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_json, "_MAX_BLANK", 30)
    row = b'{"instruction": "Add 2 and 3.", "output": "5"}\n'
    path = tmp_path / "blank.jsonl"
    path.write_bytes(row * 5 + b"\n" * 40 + row * 20)
    rows, _, _ = in_parts(path, 100)
    assert (rows, {}, {}) == whole(path)
    assert isinstance(rows[-1], Rejected) and "left unread" in rows[-1].reason
