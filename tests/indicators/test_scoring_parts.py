"""Scoring in parts: a killed run goes on, a part that changed is measured anew."""

from __future__ import annotations

from pathlib import Path

import polars
import pytest

import assay
from assay import data
from assay.indicators import _table


def test_a_killed_run_goes_on(in_parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, out = tmp_path / "whole.parquet", tmp_path / "out.parquet"
    assay.score(str(in_parts), ["len_out"], out=whole, pool="inline")
    measure, calls = _table._measure, list[int]()

    def dies(*given: object) -> object:
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return measure(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(_table, "_measure", dies)
    with pytest.raises(KeyboardInterrupt):
        assay.score(str(in_parts), ["len_out"], out=out, pool="inline")
    kept = len(list(tmp_path.glob(".out.parquet.parts/*.arrow")))
    assert kept == 3 and not out.exists()
    calls[:] = [1] * 10
    assay.score(str(in_parts), ["len_out"], out=out, pool="inline")
    again, parts = len(calls) - 10, len(list(data.read(in_parts).shards(3_000)))
    assert again == parts - kept and polars.read_parquet(out).equals(polars.read_parquet(whole))
    assert not list(tmp_path.glob(".*.parts"))


def test_a_changed_part_is_measured_anew(in_parts: Path, tmp_path: Path) -> None:
    work = _table._Work(("len_out",), {}, str(tmp_path))
    first = next(data.read(in_parts).shards(3_000))
    before = work(first).table["len_out"].to_pylist()
    in_parts.write_text(in_parts.read_text("utf-8").replace('"word two ', '"word two, too ', 1), "utf-8")
    changed = next(data.read(in_parts).shards(3_000))
    assert work(changed).table["len_out"].to_pylist() != before
