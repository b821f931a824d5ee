"""Scoring in parts: the same table in every pool and from memory, and a killed run goes on."""

from __future__ import annotations

import json
from pathlib import Path

import polars
import pytest

import assay
from assay import data
from assay.indicators import _table


@pytest.fixture
def pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(data, "PART_BYTES", 3_000)
    rows = [{"instruction": f"Question {n}?", "output": "word two " * (n % 30)} for n in range(300)]
    lines = [json.dumps(row) for row in rows]
    lines[70] = '{"instruction": "cut'
    (tmp_path / "pool.jsonl").write_text("\n".join(lines), "utf-8")
    return tmp_path / "pool.jsonl"


def test_the_same_table_in_every_pool_and_from_memory(pool: Path, tmp_path: Path) -> None:
    names = ["mtld", "len_out", "novelty"]
    tables = []
    for text in ("inline", "processes:2"):
        made = assay.score(str(pool), names[:2], out=tmp_path / f"{text[:3]}.parquet", pool=text)
        assert not list(tmp_path.glob(".*.parts")) and made.page is not None
        tables.append(polars.read_parquet(tmp_path / f"{text[:3]}.parquet"))
    loaded = assay.load(str(pool))
    assert len(loaded.rejected) == 11
    assert tables[0].equals(tables[1]) and tables[0].equals(assay.score(loaded, names[:2]).frame)
    assert assay.score(str(pool), names).samples == len(loaded)
    pages = [(tmp_path / f"{text}.html").read_text("utf-8") for text in ("inl", "pro")]
    assert pages[0].replace("inl", "pro") == pages[1].replace("inl", "pro")


def test_a_killed_run_goes_on(pool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, out = tmp_path / "whole.parquet", tmp_path / "out.parquet"
    assay.score(str(pool), ["len_out"], out=whole, pool="inline")
    measure, calls = _table._measure, list[int]()

    def dies(*given: object) -> object:
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return measure(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(_table, "_measure", dies)
    with pytest.raises(KeyboardInterrupt):
        assay.score(str(pool), ["len_out"], out=out, pool="inline")
    kept = len(list(tmp_path.glob(".out.parquet.parts/*.arrow")))
    assert kept == 3 and not out.exists()
    calls[:] = [1] * 10
    assay.score(str(pool), ["len_out"], out=out, pool="inline")
    again, parts = len(calls) - 10, len(list(data.read(pool).shards(3_000)))
    assert again == parts - kept and polars.read_parquet(out).equals(polars.read_parquet(whole))
    assert not list(tmp_path.glob(".*.parts"))


def test_a_changed_part_is_measured_anew(pool: Path, tmp_path: Path) -> None:
    work = _table._Work(("len_out",), {}, str(tmp_path))
    first = next(data.read(pool).shards(3_000))
    before = work(first).table["len_out"].to_pylist()
    pool.write_text(pool.read_text("utf-8").replace('"word two ', '"word two, too ', 1), "utf-8")
    changed = next(data.read(pool).shards(3_000))
    assert work(changed).table["len_out"].to_pylist() != before


def test_cleaning_is_the_same_in_every_pool_and_from_memory(pool: Path, tmp_path: Path) -> None:
    found = [assay.clean(str(pool), near=0.5, to=200, pool=text) for text in ("inline", "processes:2")]
    found.append(assay.clean(assay.load(str(pool)), near=0.5, to=200))
    assert found[0].samples == found[1].samples and found[0].removed == found[1].removed
    assert [s.id for s in found[0].samples] == [s.id for s in found[2].samples]
    assert {r.id: r for r in found[0].removed} == {r.id: r for r in found[2].removed} and found[0].rows == 300


def test_selected_samples_are_read_from_their_file(pool: Path, tmp_path: Path) -> None:
    table = tmp_path / "scores.parquet"
    assay.score(str(pool), ["len_out"], out=table)
    chosen = assay.select(str(pool), out=tmp_path / "best.jsonl", top=20, by="len_out", scores=table)
    inside = assay.select(assay.load(str(pool)), top=20, by="len_out")
    assert chosen.ids == inside.ids
    assert {n: [s.id for s in b] for n, b in chosen.baselines.items()} == {
        n: [s.id for s in b] for n, b in inside.baselines.items()
    }


def test_inspecting_and_converting_in_parts(
    pool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    twice = [str(pool), str(pool)]
    whole = data.inspect(twice, pool="inline")
    assert (whole.samples, whole.rejected, whole.duplicates) == (578, 22, 289)
    assert [row.duplicates for row in whole.sources] == [0, 289]
    monkeypatch.setattr("assay.data._read._WORTH_WORKERS", 0)
    assert data.inspect(twice, pool="processes:2") == whole
    made = []
    for name, text in (("inl", "inline"), ("pro", "processes:2")):
        bad = tmp_path / f"{name}.bad.jsonl"
        made.append(data.convert(str(pool), tmp_path / f"{name}.jsonl", rejected=bad, pool=text))
    assert [(one.rows, one.rejected) for one in made] == [(289, 11)] * 2
    assert (tmp_path / "inl.jsonl").read_bytes() == (tmp_path / "pro.jsonl").read_bytes()
    assert (tmp_path / "inl.bad.jsonl").read_bytes() == (tmp_path / "pro.bad.jsonl").read_bytes()
