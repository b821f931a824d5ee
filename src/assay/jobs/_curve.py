"""Read curves from a table of points of any tool."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from assay import curves, view
from assay.core import AssayError, Point, Reading, task_type


def curves_of_table(
    table: Path,
    *,
    satisfied_at: float | None,
    smallest_gain: float,
    smallest_relative_gain: float,
    reach: float,
    form: str | None,
    price: float | None,
    plot: Path | None,
) -> Reading:
    """Read a table of points from any tool: curves, comparisons, double descent, balance; plot them."""
    points = read_points(table)
    reading = curves.read_curves(
        points,
        satisfied_at=satisfied_at,
        smallest_gain=smallest_gain,
        smallest_relative_gain=smallest_relative_gain,
        reach=reach,
        form=None if form is None else curves.free_form(form),
        price=price,
    )
    if plot is not None:
        view.write_plot(reading.curves, points, plot)
    return reading


def read_points(table: Path) -> list[Point]:
    """Read points from columns type, n_train, seed and score, loss or (metric, value).

    Optional columns: arm, n_eval, se.  Column names may be in any case.  Raises :class:`AssayError` with the
    row for values that are not numbers; an empty value is a missing point and is left out.
    """
    import polars

    readers: dict[str, Callable[[Path], Any]] = {
        ".parquet": polars.read_parquet,
        ".tsv": lambda p: polars.read_csv(p, separator="\t", infer_schema_length=None),
        ".csv": lambda p: polars.read_csv(p, infer_schema_length=None),
    }
    if not table.exists() or table.suffix not in readers:
        raise AssayError(
            "no such table", value=str(table), expected="an existing .csv, .tsv or .parquet file"
        )
    frame = readers[table.suffix](table)
    frame = frame.rename({c: c.strip().lower() for c in frame.columns})
    columns = set(frame.columns)
    metrics = [m for m in ("score", "loss", "bits_per_byte") if m in columns]
    long = {"metric", "value"} <= columns
    if "n_train" not in columns or not (metrics or long):
        raise AssayError(
            "columns are missing",
            place=str(table),
            value=", ".join(frame.columns),
            expected="n_train, and score or loss (or metric and value); type, seed, arm, n_eval, se if known",
        )
    points = []
    for line, row in enumerate(frame.iter_rows(named=True), start=2):
        pairs = [(row["metric"], row["value"])] if long else [(m, row[m]) for m in metrics]
        points += [_point(f"{table}:{line}", row, m, v) for m, v in pairs if v is not None]
    return points


def _point(place: str, row: dict[str, Any], metric: str, value: Any) -> Point:
    def number(name: str, default: float | None) -> float | None:
        found = row.get(name)
        if found is None:
            return default
        try:
            return float(found)
        except (TypeError, ValueError):
            raise AssayError("not a number", place=f"{place}, {name}", value=found) from None

    try:
        measured = float(value)
    except (TypeError, ValueError):
        raise AssayError("not a number", place=f"{place}, {metric}", value=value) from None
    n_train, n_eval = number("n_train", None), number("n_eval", None)
    if n_train is None or n_train < 0:
        raise AssayError("no training size", place=f"{place}, n_train", value=n_train, expected="0 or more")
    return Point(
        type=task_type(str(row.get("type") or "overall")),
        n_train=round(n_train),
        seed=round(number("seed", 0) or 0),
        metric=metric,
        value=measured,
        n_eval=None if n_eval is None else round(n_eval),
        se=number("se", None),
        arm=str(row.get("arm") or "random"),
        own_share=number("own_share", None),
    )
