"""Read curves from a table of points of any tool."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from assay import curves, view
from assay.core import AssayError, CurvePower, File, OnCommand, Point, Reading, task_type
from assay.jobs._pool import rows_of

Table: TypeAlias = Annotated[str | Path | Sequence[Point | Mapping[str, Any]], OnCommand(Path)]
"""A file of points, or points, rows, a table of polars or pandas."""


def curve(
    table: Table,
    *,
    satisfied_at: float | None = None,
    smallest_gain: float = 0.01,
    smallest_relative_gain: float = 0.005,
    reach: float = 2.0,
    form: str | None = None,
    price: float | None = None,
    plot: File | None = None,
) -> Reading:
    """Read curves from any table: verdicts, next runs, best sizes, double descent, balance points.

    Example: `assay curve results.csv --satisfied-at 0.8 --plot curves.html`

        >>> rows = [{"n_train": 1000 * 2**k, "seed": s, "score": 0.3 + 0.08 * k + 0.004 * s}
        ...         for k in range(5) for s in range(3)]
        >>> assay.curve(rows).curves["overall"].verdict.word
        'rising'

    Parameters
    ----------
    table
        CSV, TSV or Parquet with columns n_train and score or loss; type, seed, arm, n_eval and se if known.
        In Python also points, rows, or a table of polars or pandas.
    satisfied_at
        The score that satisfies.
    smallest_gain
        The smallest gain from a doubling that matters, in score.
    smallest_relative_gain
        The same for losses, as a share of the last loss.
    reach
        How far to predict, in largest sizes: 2, at most 4; beyond 2 is speculative.
    form
        Use one curve form (bnsl, power, or a plugin's) instead of the posterior over families.
    price
        What 1,000 samples cost, for the gain per unit of money.
    plot
        Write a chart here: .html, .svg, .png or .json.
    """
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
        view.write_plot(reading.curves, points, Path(plot))
    return reading


def curve_power(
    rungs: Sequence[int],
    *,
    seeds: int = 3,
    n_eval: int = 100,
    run_sd: float = 0.01,
    item_sd: float = 0.3,
    wanted: float = 0.02,
    smallest_gain: float = 0.01,
    types: int = 12,
) -> CurvePower:
    """Say before any run what a ladder can show: detectable effects, items and seeds wanted.

    Example: `assay curve power 1000 2000 4000 8000 --seeds 3 --n-eval 200 --wanted 0.02`

        >>> 0 < assay.curve_power([1000, 2000, 4000]).detectable < 0.2
        True

    Parameters
    ----------
    rungs
        Sizes of the ladder.
    seeds
        Seeds at each size.
    n_eval
        Evaluation items per type.
    run_sd
        Standard deviation of a type's score between seeds.
    item_sd
        Standard deviation of the scores of a type's items; 0.5 for right or wrong at one half.
    wanted
        The effect to be seen, in score.
    smallest_gain
        The smallest gain from a doubling that matters, for the chances of a verdict.
    types
        How many types share the headline.
    """
    return curves.curve_power(
        list(rungs), seeds=seeds, n_eval=n_eval, run_sd=run_sd, item_sd=item_sd, wanted=wanted,
        smallest_gain=smallest_gain, types=types,
    )  # fmt: skip


def read_points(table: Table) -> list[Point]:
    """Read points from columns type, n_train, seed and score, loss or (metric, value).

    Optional columns: arm, n_eval, se.  Column names may be in any case.  Raises :class:`AssayError` with the
    row for values that are not numbers; an empty value is a missing point and is left out.
    """
    if isinstance(table, list | tuple) and table and all(isinstance(row, Point) for row in table):
        return [row for row in table if isinstance(row, Point)]
    place, first = (str(table), 2) if isinstance(table, str | Path) else ("points", 1)
    given: Iterable[Any] = _table_rows(Path(table)) if isinstance(table, str | Path) else rows_of(table)
    rows = [{str(name).strip().lower(): value for name, value in row.items()} for row in given]
    columns = dict.fromkeys(name for row in rows for name in row)
    metrics = [m for m in ("score", "loss", "bits_per_byte") if m in columns]
    long = {"metric", "value"} <= set(columns)
    if "n_train" not in columns or not (metrics or long):
        raise AssayError(
            "columns are missing",
            place=place,
            value=", ".join(columns),
            expected="n_train, and score or loss (or metric and value); type, seed, arm, n_eval, se if known",
        )
    points = []
    for line, row in enumerate(rows, start=first):
        pairs = [(row.get("metric"), row.get("value"))] if long else [(m, row.get(m)) for m in metrics]
        points += [_point(f"{place}:{line}", row, str(m), v) for m, v in pairs if v is not None]
    return points


def _table_rows(table: Path) -> list[dict[str, Any]]:
    """Return the rows of a file; an empty cell is None."""
    separators = {".csv": ",", ".tsv": "\t"}
    if not table.exists() or table.suffix not in (*separators, ".parquet"):
        raise AssayError(
            "no such table", value=str(table), expected="an existing .csv, .tsv or .parquet file"
        )
    if table.suffix == ".parquet":
        import polars  # slow to import

        return polars.read_parquet(table).to_dicts()
    try:
        with table.open(encoding="utf-8-sig", newline="") as lines:
            found = list(csv.DictReader(lines, delimiter=separators[table.suffix], strict=True))
    except (csv.Error, UnicodeDecodeError) as error:
        raise AssayError(f"the table cannot be read ({error})", place=str(table)) from None
    for line, row in enumerate(found, start=2):
        if None in row:
            raise AssayError("more cells than columns", place=f"{table}:{line}", value=row[None])
    if not found:
        raise AssayError("the table has no rows", place=str(table))
    return [{name: value or None for name, value in row.items()} for row in found]


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
