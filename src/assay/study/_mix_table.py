"""The table of measured mixtures: a row for each run, amounts of parts and values of types as columns."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay import data
from assay.core import AssayError, Point, replacing
from assay.mixtures import MixRuns

COUNT = "n_"
METRICS = ("score", "loss")
_LABELS = ("run", "label", "name", "index")


def write_runs(
    path: Path, names: Sequence[str], counts: NDArray[np.int64], labels: Sequence[str],
    points: Sequence[Sequence[Point]],
) -> Path:  # fmt: skip
    """Write the table; a value that was not measured is an empty cell."""
    known = dict.fromkeys((p.metric, p.type) for own in points for p in own if p.metric in METRICS)
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["run", *(COUNT + name for name in names), *(f"{m}_{kind}" for m, kind in known)])
    for label, amounts, own in zip(labels, counts.tolist(), points, strict=True):
        values = {(p.metric, p.type): p.value for p in own}
        writer.writerow([label, *amounts, *(values.get(key, "") for key in known)])
    with replacing(path) as partial:
        partial.write_text(text.getvalue(), encoding="utf-8")
    return path


def read_runs(table: str | Path | Iterable[Mapping[str, Any]], metric: str | None = None) -> MixRuns:
    """Read a .csv, .tsv or .parquet file, rows, or a table of polars or pandas.

    Columns ``n_NAME`` are amounts of parts (or shares), ``score_NAME`` and ``loss_NAME`` values of types;
    ``metric`` says which of both is meant where a table has both (default: score).  Raises
    :class:`AssayError` with the place for what is no number, and for columns that are missing.
    """
    place = str(table) if isinstance(table, str | Path) else "runs"
    rows = _rows(table, place)
    header = list(dict.fromkeys(name for row in rows for name in row))
    parts = [name for name in header if name.startswith(COUNT)]
    metric = metric or next((m for m in METRICS if any(c.startswith(f"{m}_") for c in header)), None)
    if metric not in METRICS:
        raise AssayError(
            "no such metric" if metric else "the table has no values", place="metric" if metric else place,
            value=metric or ", ".join(header),
            expected="columns score_NAME or loss_NAME; metric score or loss",
        )  # fmt: skip
    judged = [name for name in header if name.startswith(f"{metric}_")]
    if not (parts and judged and rows):
        raise AssayError(
            "columns are missing" if rows else "the table has no rows", place=place, value=", ".join(header),
            expected=f"n_NAME for the amount of each part, {metric}_NAME for what was measured on each type",
        )  # fmt: skip
    label = next((name for name in _LABELS if name in header), None)
    counts = np.array([[_number(row, c, f"{place}:{i + 2}") for c in parts] for i, row in enumerate(rows)])
    values = np.array([[_number(row, c, f"{place}:{i + 2}") for c in judged] for i, row in enumerate(rows)])
    _check_counts(counts, parts, place)
    return MixRuns(
        tuple(name.removeprefix(COUNT) for name in parts),
        tuple(name.removeprefix(f"{metric}_") for name in judged),
        counts, values, metric == "loss",
        tuple(str(row[label]) if label else f"row {i + 2}" for i, row in enumerate(rows)),
    )  # fmt: skip


def _rows(table: Any, place: str) -> Sequence[Mapping[str, Any]]:
    if isinstance(table, str | Path):
        return _of_file(Path(table), place)
    if hasattr(table, "iter_rows"):
        return list(table.iter_rows(named=True))
    if hasattr(table, "to_dict") and hasattr(table, "columns"):
        return list(table.to_dict("records"))
    return [dict(row) for row in table]


def _of_file(path: Path, place: str) -> Sequence[Mapping[str, Any]]:
    if not path.is_file() or path.suffix not in (".csv", ".tsv", ".parquet"):
        raise AssayError(
            "no such table", place=place,
            expected="an existing .csv, .tsv or .parquet file, or a study file (.yaml)",
        )  # fmt: skip
    return data.read_rows_of_text(path, as_written=True)


def _number(row: Mapping[str, Any], column: str, place: str) -> float:
    """Return a number; an empty cell is a missing one (NaN)."""
    value = row.get(column)
    if value is None or value == "":
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError):
        raise AssayError("not a number", place=f"{place}, {column}", value=value) from None


def _check_counts(counts: NDArray[np.float64], parts: Sequence[str], place: str) -> None:
    wrong = np.argwhere(~(np.isfinite(counts) & (counts >= 0)))
    if len(wrong):
        row, column = wrong[0].tolist()
        raise AssayError(
            "an amount is missing or negative", place=f"{place}:{row + 2}, {parts[column]}",
            value=float(counts[row, column]), expected="a number of samples, or a share",
        )  # fmt: skip
