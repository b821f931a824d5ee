"""Cleaning in parts: a killed run goes on from the parts that it had read."""

from __future__ import annotations

from pathlib import Path

import pytest

import assay
from assay import data
from assay.selection import _columns


def test_a_killed_cleaning_goes_on(in_parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    look, calls = _columns._columns_of_shard, list[int]()

    def dies(part: data.Shard) -> _columns.Columns:
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return look(part)

    whole, out = tmp_path / "whole" / "out.jsonl", tmp_path / "out.jsonl"
    whole.parent.mkdir()
    assay.clean(str(in_parts), out=whole, near=0.5, pool="inline")
    monkeypatch.setattr(_columns, "_columns_of_shard", dies)
    with pytest.raises(KeyboardInterrupt):
        assay.clean(str(in_parts), out=out, near=0.5, pool="inline")
    kept = len(list(tmp_path.glob(".out.jsonl.parts/*.npz")))
    assert kept == 3 and not out.exists()
    calls[:] = [1] * 10
    assay.clean(str(in_parts), out=out, near=0.5, pool="inline")
    assert len(calls) - 10 == len(list(data.read(in_parts).shards(3_000))) - kept
    for name in ("out.jsonl", "out.jsonl.removed.jsonl", "out.html"):
        assert (tmp_path / name).read_bytes() == (whole.parent / name).read_bytes()
    assert not list(tmp_path.rglob(".*.parts"))


def test_what_is_kept_of_a_part_is_what_was_found(in_parts: Path, tmp_path: Path) -> None:
    look, parts = _columns.Look(str(tmp_path)), list(data.read(in_parts).shards(3_000))
    for part in parts:
        for name in ("ids", "lines", "best", "prompts", "keys", "asked", "places", "groups", "broken",
                     "rejected", "path", "stopped"):  # fmt: skip
            made, read = getattr(look(part), name), getattr(look(part), name)
            assert repr(made) == repr(read)
    assert len(list(tmp_path.glob("*.npz"))) == len(parts)
