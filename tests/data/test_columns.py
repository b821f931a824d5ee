"""Arrow and Parquet files are read by a process of its own; what becomes of it is said."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from assay.core import Sample
from assay.data import Rejected, _columns, read

FILES = Path(__file__).parent / "cases" / "files"


@pytest.mark.parametrize(
    ("death", "said"),
    [("SIGSEGV", r"ended \(SIGSEGV\)"), ("SIGXCPU", "does not come to an end"), ("SIGKILL", "SIGKILL")],
)  # fmt: skip
def test_a_file_that_ends_its_process_is_said(
    death: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = tmp_path / "child.py"
    child.write_text(f"import os, signal, sys\nsys.stdin.readline()\nos.kill(os.getpid(), signal.{death})\n")
    monkeypatch.setattr(_columns, "_CHILD", child)
    monkeypatch.setattr(_columns, "_idle", [])
    (found,) = read(FILES / "ok.parquet")
    assert isinstance(found, Rejected)
    assert re.search(said, found.reason), found.reason


def table(rows: int) -> pa.Table:
    return pa.table({"instruction": [f"q{i}" for i in range(rows)], "output": ["a"] * rows})


@pytest.mark.parametrize("rows", [0, 1, 1023, 1024, 1025, 5000])
@pytest.mark.parametrize("container", ["parquet", "stream", "file"])
def test_all_rows_come_in_order(rows: int, container: str, tmp_path: Path) -> None:
    path = tmp_path / "x.data"
    if container == "parquet":
        pq.write_table(table(rows), path, row_group_size=700)
    else:
        with (pa.ipc.new_stream if container == "stream" else pa.ipc.new_file)(
            path, table(rows).schema
        ) as writer:
            writer.write_table(table(rows), max_chunksize=1500)
    found = list(read(path))
    assert [s.prompt[0].content for s in found if isinstance(s, Sample)] == [f"q{i}" for i in range(rows)]
    assert len(found) == rows


def test_one_row_that_is_no_text_costs_no_other(tmp_path: Path) -> None:
    made = table(3000)
    raw = pa.array([b"a"] * 1500 + [b"\xff\xfe"] + [b"a"] * 1499, pa.binary())
    spoilt = pa.Array.from_buffers(pa.string(), 3000, raw.buffers())
    with pa.ipc.new_file(tmp_path / "x.arrow", made.schema) as writer:
        writer.write_table(made.set_column(1, "output", spoilt))
    found = list(read(tmp_path / "x.arrow"))
    assert len(found) == 3000
    refused = [row for row in found if isinstance(row, Rejected)]
    assert [row.line for row in refused] == [1501] and "UTF8" in refused[0].reason


def test_readings_may_be_left_and_meet(tmp_path: Path) -> None:
    pq.write_table(table(4000), tmp_path / "x.parquet")
    one, other = iter(read(tmp_path / "x.parquet")), iter(read(tmp_path / "x.parquet"))
    for index in range(2500):
        for rows in (one, other):
            row = next(rows)
            assert isinstance(row, Sample) and row.origin == f"x.parquet:{index + 1}"
    one.close()  # type: ignore[attr-defined]
    assert sum(1 for _ in other) == 1500
    assert sum(1 for _ in read(tmp_path / "x.parquet")) == 4000


def test_dates_and_small_numbers_are_read_as_their_texts(tmp_path: Path) -> None:
    made = pa.table(
        {
            "instruction": pa.array([2**62, -(2**63)], pa.timestamp("us")),
            "input": pa.array([0.1, 1e-7], pa.float32()),
            "output": pa.array([2**70, 1], pa.decimal128(38, 0)),
        }
    )
    pq.write_table(made, tmp_path / "x.parquet")
    one, other = read(tmp_path / "x.parquet")
    assert isinstance(one, Sample) and isinstance(other, Sample)
    assert one.answer == "1180591620717411303424" and one.prompt[0].content.endswith("\n\n0.1")
    assert "out of range" in other.prompt[0].content


def test_the_process_ends_when_nothing_is_asked_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_columns, "_IDLE_SECONDS", 1.0)
    monkeypatch.setattr(_columns, "_idle", [])
    pq.write_table(table(10), tmp_path / "x.parquet")
    assert sum(1 for _ in read(tmp_path / "x.parquet")) == 10
    child = _columns._idle[-1]._process
    for _ in range(300):
        if child.poll() is not None:
            break
        time.sleep(0.1)
    assert child.poll() == 0
    assert not Path(f"/proc/{child.pid}").exists() or os.name != "posix"
    assert sum(1 for _ in read(tmp_path / "x.parquet")) == 10


@pytest.mark.parametrize("container", ["parquet", "arrow"])
def test_a_small_file_of_very_many_rows_is_refused_before_they_are_read(
    container: str, tmp_path: Path
) -> None:
    path, rows = tmp_path / f"x.{container}", 10_000_000
    made = pa.table({"instruction": pa.nulls(rows), "output": pa.nulls(rows)})
    if container == "parquet":
        pq.write_table(made, path)
    else:
        with pa.ipc.new_file(path, made.schema) as writer:
            writer.write_table(made)
    (found,) = read(path)
    assert isinstance(found, Rejected)
    assert "10,000,000 rows" in found.reason and "write it as JSON lines first" in found.reason
