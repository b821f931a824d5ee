"""Work in parts: the same results in every pool and from memory."""

from __future__ import annotations

from pathlib import Path

import polars
import pytest

import assay
from assay.core import AssayError


def test_the_same_table_in_every_pool_and_from_memory(in_parts: Path, tmp_path: Path) -> None:
    names = ["mtld", "len_out", "novelty"]
    tables = []
    for text in ("inline", "processes:2"):
        made = assay.score(str(in_parts), names[:2], out=tmp_path / f"{text[:3]}.parquet", pool=text)
        assert not list(tmp_path.glob(".*.parts")) and made.page is not None
        tables.append(polars.read_parquet(tmp_path / f"{text[:3]}.parquet"))
    loaded = assay.load(str(in_parts))
    assert len(loaded.rejected) == 11
    assert tables[0].equals(tables[1]) and tables[0].equals(assay.score(loaded, names[:2]).frame)
    assert assay.score(str(in_parts), names).samples == len(loaded)
    pages = [(tmp_path / f"{text}.html").read_text("utf-8") for text in ("inl", "pro")]
    assert pages[0].replace("inl", "pro") == pages[1].replace("inl", "pro")


def test_cleaning_is_the_same_in_every_pool_and_from_memory(in_parts: Path, tmp_path: Path) -> None:
    found = [assay.clean(str(in_parts), near=0.5, to=200, pool=text) for text in ("inline", "processes:2")]
    found.append(assay.clean(assay.load(str(in_parts)), near=0.5, to=200))
    assert found[0].samples == found[1].samples and found[0].removed == found[1].removed
    assert [s.id for s in found[0].samples] == [s.id for s in found[2].samples]
    assert {r.id: r for r in found[0].removed} == {r.id: r for r in found[2].removed} and found[0].rows == 300


def test_selected_samples_are_read_from_their_file(in_parts: Path, tmp_path: Path) -> None:
    table = tmp_path / "scores.parquet"
    assay.score(str(in_parts), ["len_out"], out=table)
    chosen = assay.select(str(in_parts), out=tmp_path / "best.jsonl", top=20, by="len_out", scores=table)
    inside = assay.select(assay.load(str(in_parts)), top=20, by="len_out")
    assert chosen.ids == inside.ids
    assert {n: [s.id for s in b] for n, b in chosen.baselines.items()} == {
        n: [s.id for s in b] for n, b in inside.baselines.items()
    }


def test_of_a_sample_that_a_table_has_twice_the_last_row_counts(tmp_path: Path) -> None:
    pool = assay.load([{"instruction": f"Question {n}?", "output": "word " * (n + 1)} for n in range(4)])
    table = polars.DataFrame({
        "id": [pool[n].id for n in (0, 1, 2, 3, 1)] + ["of another tool"],
        "len_out": [5.0, 9.0, None, 7.0, 1.0, 99.0],
    })  # fmt: skip
    table.write_parquet(tmp_path / "t.parquet")
    found = assay.select(pool, n=3, by="len_out", scores=tmp_path / "t.parquet")
    assert found.ids == tuple(pool[n].id for n in (3, 0, 1)) and found.without_score == 1
    table[1:4].write_parquet(tmp_path / "t.parquet")
    with pytest.raises(AssayError, match="not in the table"):
        assay.select(pool, n=2, by="len_out", scores=tmp_path / "t.parquet")
