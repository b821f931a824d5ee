"""Read curves from a table of points of any tool."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from assay import curves, view
from assay.core import AssayError, CurvePower, File, OnCommand, Point, Reading, task_type

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
    import polars

    if isinstance(table, str | Path):
        frame, table = _read_table(Path(table)), str(table)
    elif isinstance(table, list | tuple) and table and all(isinstance(row, Point) for row in table):
        return [row for row in table if isinstance(row, Point)]
    else:
        frame, table = polars.DataFrame(table, infer_schema_length=None), "points"
    frame = frame.rename({c: c.strip().lower() for c in frame.columns})
    columns = set(frame.columns)
    metrics = [m for m in ("score", "loss", "bits_per_byte") if m in columns]
    long = {"metric", "value"} <= columns
    if "n_train" not in columns or not (metrics or long):
        raise AssayError(
            "columns are missing",
            place=table,
            value=", ".join(frame.columns),
            expected="n_train, and score or loss (or metric and value); type, seed, arm, n_eval, se if known",
        )
    points = []
    for line, row in enumerate(frame.iter_rows(named=True), start=2):
        pairs = [(row["metric"], row["value"])] if long else [(m, row[m]) for m in metrics]
        points += [_point(f"{table}:{line}", row, m, v) for m, v in pairs if v is not None]
    return points


def _read_table(table: Path) -> Any:
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
    return readers[table.suffix](table)


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
