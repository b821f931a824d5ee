"""The files of a report: deterministic, complete, readable again."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import polars
import pytest

from assay.core import AssayError, DataSummary, StudyResult
from assay.view import load_result, points_frame, restore, write_report


def digests(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


def test_the_same_result_gives_the_same_bytes(result: StudyResult, tmp_path: Path) -> None:
    written = write_report(result, tmp_path / "a")
    write_report(result, tmp_path / "b")
    assert digests(tmp_path / "a") == digests(tmp_path / "b")
    names = {"report.html", "report.md", "points.csv", "points.parquet", "result.json", "says.json"}
    assert {p.name for p in written} == names == set(digests(tmp_path / "a"))


@pytest.mark.parametrize("name", ["result", "chinese", "nasty"])
def test_a_result_reads_back_as_it_was(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    value = request.getfixturevalue(name)
    write_report(value, tmp_path)
    assert load_result(tmp_path / "result.json") == value


def test_the_tables_hold_every_point(result: StudyResult, tmp_path: Path) -> None:
    write_report(result, tmp_path)
    frame = points_frame(result)
    assert frame.height == len(result.points)
    assert polars.read_parquet(tmp_path / "points.parquet").equals(frame)
    csv = polars.read_csv(tmp_path / "points.csv", infer_schema_length=None)
    assert csv["value"].to_list() == pytest.approx(frame["value"].to_list())
    missing = [p for p in result.points if p.se is None]
    assert missing and csv["se"].null_count() == len(missing)


def test_what_is_no_result_is_refused_with_its_place(result: StudyResult, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    for text in ("", "[]", "{}", '{"name": 3}'):
        path.write_text(text)
        with pytest.raises(AssayError) as caught:
            load_result(path)
        assert str(path) in str(caught.value)
    with pytest.raises(AssayError, match="no such file"):
        load_result(tmp_path / "absent.json")


def test_restore_is_strict() -> None:
    with pytest.raises(AssayError, match="samples"):
        restore(DataSummary, {"sources": [], "samples": "12"})


def test_surrogates_in_data_break_no_file(result: StudyResult, tmp_path: Path) -> None:
    write_report(replace(result, name="bad \ud800 name", notes=("nul \0 inside",)), tmp_path)
    assert "\ufffd" in (tmp_path / "report.html").read_text(encoding="utf-8")
