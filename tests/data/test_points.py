"""Tables as people have them: wide and long, percent, semicolons, groups, steps, pasted rows."""

from __future__ import annotations

from pathlib import Path

import polars
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.core import AssayError, Point
from assay.data import PointTable, read_points


def table(folder: Path, text: str, name: str = "results.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def read(folder: Path, text: str, **options: object) -> PointTable:
    return read_points(table(folder, text), **options)  # type: ignore[arg-type]


def triples(found: PointTable) -> list[tuple[str, int, float]]:
    return [(p.type, p.n_train, p.value) for p in found.points]


def test_our_own_columns_are_read_as_before(tmp_path: Path) -> None:
    found = read(tmp_path, "type,n_train,seed,arm,score,n_eval,se\nclosed-qa,1000,2,mined,0.5,40,0.02\n")
    assert found == PointTable((Point("closed_qa", 1000, 2, "score", 0.5, 40, 0.02, "mined"),), ())


def test_wide_tables_have_sizes_as_columns(tmp_path: Path) -> None:
    text = 'dataset,metric,1k,"2,000",n=4000\nboolq,accuracy,0.5,0.6,\nrte,accuracy,0.4,0.5,0.7\n'
    found = read(tmp_path, text)
    expected = [
        ("boolq", 1000, 0.5),
        ("boolq", 2000, 0.6),
        ("rte", 1000, 0.4),
        ("rte", 2000, 0.5),
        ("rte", 4000, 0.7),
    ]
    assert triples(found) == expected and {p.metric for p in found.points} == {"score"}
    assert "“accuracy” is read as a score" in str(found.notes[0])


def test_a_wide_table_needs_to_say_what_was_measured(tmp_path: Path) -> None:
    text = "task,1000,2000\nboolq,3.1,2.9\n"
    with pytest.raises(AssayError, match="the metric is not named"):
        read(tmp_path, text)
    assert {p.metric for p in read(tmp_path, text, metric="perplexity").points} == {"loss"}


def test_semicolons_decimal_commas_and_percent(tmp_path: Path) -> None:
    found = read(tmp_path, "n_train;accuracy;se\n1000;57,5;1,5\n2000;61;1,4\n")
    assert [(p.value, p.se) for p in found.points] == [(0.575, 0.015), (0.61, pytest.approx(0.014))]
    assert str(found.notes[0]) == "“accuracy” is in percent and was divided by 100"
    assert [p.value for p in read(tmp_path, "n_train,f1\n1000,0.5%\n2000,0.7%\n").points] == pytest.approx(
        [0.005, 0.007]
    )


def test_percent_and_shares_in_one_column_are_refused(tmp_path: Path) -> None:
    with pytest.raises(AssayError, match="percent and shares") as caught:
        read(tmp_path, "n_train,accuracy\n1000,57.5\n2000,0.61\n")
    assert "results.csv:3" in str(caught.value)


def test_a_judges_ten_and_losses_are_no_percent(tmp_path: Path) -> None:
    assert read(tmp_path, "n_train,score\n1000,6.5\n2000,7\n").points[0].value == 6.5
    assert read(tmp_path, "n_train,loss\n1000,12.5\n2000,11\n").points[0].value == 12.5


def test_models_and_datasets_tell_ladders_apart(tmp_path: Path) -> None:
    text = "model,dataset,n,seed,exact_match\na,x,100,0,0.1\na,x,200,0,0.2\nb,x,100,0,0.3\nb,x,200,0,0.4\n"
    assert {p.type for p in read(tmp_path, text).points} == {"a", "b"}
    both = text + "a,y,100,0,0.5\na,y,200,0,0.6\n"
    assert {p.type for p in read(tmp_path, both).points} == {"x / a", "x / b", "y / a"}


def test_two_scores_of_one_row_are_two_ladders(tmp_path: Path) -> None:
    found = read(tmp_path, "task,n_train,f1,accuracy,loss\nqa,100,0.1,0.2,1.5\nqa,200,0.2,0.3,1.4\n")
    assert {(p.type, p.metric) for p in found.points} == {
        ("qa / f1", "score"),
        ("qa / accuracy", "score"),
        ("qa", "loss"),
    }


def test_steps_times_batch_are_a_size(tmp_path: Path) -> None:
    found = read(tmp_path, "step,batch_size,eval_loss\n100,32,2.0\n200,32,1.9\n")
    assert triples(found) == [("overall", 3200, 2.0), ("overall", 6400, 1.9)]


def test_rows_without_seeds_are_numbered(tmp_path: Path) -> None:
    found = read(tmp_path, "n,acc\n100,0.5\n100,0.5\n200,0.6\n200,0.7\n")
    assert [(p.n_train, p.seed) for p in found.points] == [(100, 0), (100, 1), (200, 0), (200, 1)]


@pytest.mark.parametrize(
    "text",
    [
        "n,seed,acc\n100,1,0.5\n100,1,0.6\n200,1,0.7\n",
        "n,acc\n100,0.5\n200,0.6\n100,0.5\n200,0.6\n",
    ],
)
def test_pasted_rows_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(AssayError, match="twice"):
        read(tmp_path, text)


def test_a_metric_of_unknown_direction_is_asked_for(tmp_path: Path) -> None:
    text = "n_train,metric,value\n100,wobble,5\n200,wobble,4\n"
    with pytest.raises(AssayError, match="direction of this metric"):
        read(tmp_path, text)
    assert {p.metric for p in read(tmp_path, text, lower_is_better=True).points} == {"loss"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "columns are missing"),
        ("n_train,score\n100,good\n", "not a number"),
        ("n_train,score\n-1,0.5\n", "training size"),
        ("n_train,score\n,0.5\n", "not a number"),
        ("n_train,score\n100,\n", "no values"),
        ("n_train,Score,score\n1,2,3\n", "one name"),
    ],
)
def test_errors_say_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(AssayError, match=message):
        read(tmp_path, text)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(AssayError, match="no such table"):
        read_points(tmp_path / "none.csv")


@given(
    st.lists(
        st.tuples(st.integers(1, 10**6), st.integers(0, 9), st.floats(0, 1)),
        min_size=1,
        max_size=20,
        unique_by=lambda row: row[:2],
    )
)
@settings(max_examples=40, deadline=None)
def test_csv_tsv_and_parquet_say_the_same(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, int, float]]
) -> None:
    folder = tmp_path_factory.mktemp("tables")
    frame = polars.DataFrame(rows, schema=["n_train", "seed", "score"], orient="row")
    frame.write_csv(folder / "a.csv")
    frame.write_csv(folder / "a.tsv", separator="\t")
    frame.write_parquet(folder / "a.parquet")
    found = [read_points(folder / f"a.{suffix}") for suffix in ("csv", "tsv", "parquet")]
    assert found[0] == found[1] == found[2]
    assert [(p.n_train, p.seed, p.value) for p in found[0].points] == rows


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", b"n_train,score\n100,0.5\n200,0.\xff6\n", "does not decode"),
        ("a.parquet", b"PAR1 but nothing of the kind", "cannot be read"),
        ("a.csv", b"PK\x03\x04 a workbook", "Excel"),
        ("a.csv", b"n_train,score\n" + b"9" * 400 + b",0.5\n", "missing or negative"),
        ("a.csv", b"n_train,score,n_eval\n100,0.5,inf\n", "not a number"),
        ("a.csv", b"n_train,score,seed\n100,0.5,nan\n", "not a number"),
    ],
)
def test_a_broken_table_is_an_error_with_its_place(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(AssayError, match=said) as caught:
        read_points(tmp_path / name)
    assert name in (caught.value.place or "")


@pytest.mark.parametrize("encoding", ["utf-16", "gb18030", "utf-8-sig"])
def test_tables_as_spreadsheets_save_them(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.tsv"
    path.write_bytes("type\tn_train\tscore\r\n数学\t100\t0.5\r\n代码\t100\t0.25\r\n".encode(encoding))
    assert sorted(point.value for point in read_points(path).points) == [0.25, 0.5]
