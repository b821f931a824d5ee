"""Inspecting and converting in parts: the same in every pool."""

from __future__ import annotations

from pathlib import Path

import pytest

from assay import data


def test_inspecting_and_converting_in_parts(
    in_parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    twice = [str(in_parts), str(in_parts)]
    whole = data.inspect(twice, pool="inline")
    assert (whole.samples, whole.rejected, whole.duplicates) == (578, 22, 289)
    assert [row.duplicates for row in whole.sources] == [0, 289]
    monkeypatch.setattr("assay.data._read._WORTH_WORKERS", 0)
    assert data.inspect(twice, pool="processes:2") == whole
    made = []
    for name, text in (("inl", "inline"), ("pro", "processes:2")):
        bad = tmp_path / f"{name}.bad.jsonl"
        made.append(data.convert(str(in_parts), tmp_path / f"{name}.jsonl", rejected=bad, pool=text))
    assert [(one.rows, one.rejected) for one in made] == [(289, 11)] * 2
    assert (tmp_path / "inl.jsonl").read_bytes() == (tmp_path / "pro.jsonl").read_bytes()
    assert (tmp_path / "inl.bad.jsonl").read_bytes() == (tmp_path / "pro.bad.jsonl").read_bytes()
