"""Scoring, cleaning, selecting and explaining files: tables, receipts, baselines and pages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars
import pytest

import assay
from assay.core import AssayError
from assay.data import synthetic
from assay.indicators import Models
from assay.view import said

EVIL = '<img src=x onerror="alert(1)"></script><script>alert(2)</script>'


@pytest.fixture(autouse=True)
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


LEXICAL = Models(embedder="lexical")


@pytest.fixture
def pool(tmp_path: Path) -> str:
    rows = [
        {"instruction": "\n".join(m.content for m in p.sample.prompt), "output": p.sample.answer}
        for p in synthetic.generate(300, seed=2, defects={"near_duplicate": 0.05, "refusal": 0.05})
    ]
    rows += [
        rows[0],
        {"instruction": EVIL, "output": f"{EVIL} and some words more"},
        {"instruction": "no output"},
    ]
    path = tmp_path / "pool.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def test_a_table_has_a_page_with_both_ends(pool: str, tmp_path: Path) -> None:
    found = assay.score(
        [pool], out=tmp_path / "s.parquet", indicators=["len_out", "knn", "tags"], models=LEXICAL
    )
    table = polars.read_parquet(tmp_path / "s.parquet")
    assert table.columns == ["id", "origin", "len_out", "knn", "tags", "why"]
    page = (tmp_path / "s.html").read_text()
    assert found.page == str(tmp_path / "s.html") and page.count("<figure>") == 3
    longest = table.sort("len_out", descending=True)["id"][0]
    assert longest[:12] in page and "Content-Security-Policy" in page
    assert "<img src=x" not in page and "<script>alert" not in page


def test_receipts_add_up_and_the_page_shows_them(pool: str, tmp_path: Path) -> None:
    found = assay.clean([pool], out=tmp_path / "c.jsonl", novelty=0.9, to=150, by="mtld", language="zh")
    kept = (tmp_path / "c.jsonl").read_text().splitlines()
    receipts = [json.loads(line) for line in (tmp_path / "c.jsonl.removed.jsonl").read_text().splitlines()]
    assert len(kept) == found.kept <= 150 and len(kept) + len(receipts) == found.rows == 303
    assert sum(found.removed_by.values()) == len(receipts)
    assert {"exact", "surplus"} <= set(found.removed_by)
    page = (tmp_path / "c.html").read_text()
    assert "完全重复" in page and "移除的数据" in page
    assert not list(tmp_path.glob(".*.partial"))
    again = assay.clean([pool], out=tmp_path / "d.jsonl", novelty=0.9, to=150, by="mtld", pool="inline")
    assert (tmp_path / "d.jsonl").read_bytes() == (tmp_path / "c.jsonl").read_bytes()
    assert again.removed_by == found.removed_by


@pytest.mark.parametrize("rule", ["top", "qdit", "deita", "k_center", "clusters", "tags", "target", "quota"])
def test_selections_stand_beside_their_baselines(rule: str, pool: str, tmp_path: Path) -> None:
    by = "len_out" if rule in ("top", "qdit", "deita", "quota") else None
    models = Models(embedder="lexical", target=[pool] if rule == "target" else ())
    found = assay.select(
        [pool],
        out=tmp_path / "b.jsonl",
        n=40,
        rule=rule,
        by=by,
        groups="length",
        models=models,  # type: ignore[arg-type]
    )
    assert {f.rule for f in found.files} == {rule, "random", "longest"}
    for file in found.files:
        assert len(Path(file.path).read_text().splitlines()) == 40 == file.rows
    page = (tmp_path / "b.html").read_text()
    assert "What the selection changed" in page and "<img src=x" not in page


def test_a_quota_of_lengths_keeps_the_length_of_the_pool(pool: str, tmp_path: Path) -> None:
    def median(**more: Any) -> float:
        found = assay.select([pool], out=tmp_path / "b.jsonl", n=80, by="len_out", **more)
        change = next(s for s in found.shifts if s.kind == "length" and s.name == "median")
        return change.selected / change.pool

    assert median(rule="quota", groups="length") == pytest.approx(1, abs=0.15)
    assert median(rule="top") > 1.5


def test_scores_of_a_table_are_taken(pool: str, tmp_path: Path) -> None:
    table = tmp_path / "s.parquet"
    assay.score([pool], out=table, indicators=["compression"])
    files = []
    for name, scores in (("a", table), ("b", None)):
        assay.select([pool], out=tmp_path / f"{name}.jsonl", n=50, by="compression", scores=scores)
        files.append((tmp_path / f"{name}.jsonl").read_bytes())
    assert files[0] == files[1]
    with pytest.raises(AssayError, match="no such column"):
        assay.select([pool], out=tmp_path / "c.jsonl", n=5, by="hdd", scores=table)


def test_one_sample_is_explained(pool: str, tmp_path: Path) -> None:
    assay.score([pool], out=tmp_path / "s.parquet", indicators=["len_out", "mtld"])
    assay.clean([pool], out=tmp_path / "c.jsonl")
    copy = "pool.jsonl:301"
    options: dict[str, Any] = {
        "scores": tmp_path / "s.parquet",
        "removed": tmp_path / "c.jsonl.removed.jsonl",
        "selected": [str(tmp_path / "c.jsonl")],
    }
    by_place = assay.explain(copy, [pool], **options)
    assert said(by_place.fate[0]).startswith("removed by the rule exact copy in favour of pool.jsonl:1")
    assert [s.name for s in by_place.scores] == ["len_out", "mtld"]
    assert by_place.scores[0].percentile is not None and 0 < by_place.scores[0].percentile <= 1
    kept = assay.explain("pool.jsonl:300", [pool], **options)
    assert [said(fate).split(" ")[0] for fate in kept.fate] == ["kept", "selected"]
    assert len(kept.neighbours) == 5
    assert [n.similarity for n in kept.neighbours] == sorted(
        (n.similarity for n in kept.neighbours), reverse=True
    )
    assert assay.explain(kept.id[:10], [pool]).id == kept.id
    with pytest.raises(AssayError, match="no such sample"):
        assay.explain("abcdefabcdef", [pool])
