"""Read curves from a table of points of any tool."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from assay import curves, data, view
from assay._version import __version__
from assay.core import (
    ArmRow,
    Cost,
    Curves,
    DataSummary,
    File,
    OnCommand,
    Point,
    Reading,
    StudyResult,
)
from assay.jobs._pool import rows_of
from assay.plan import progress_bar

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
    metric: str | None = None,
    lower_is_better: bool | None = None,
    between: tuple[int, int] | None = None,
    asked: int | None = None,
    plot: File | None = None,
) -> Reading:
    """Fit curves to a table of results: verdicts, next runs, best sizes, double descent.

    Example: `assay curve results.csv --satisfied-at 0.8 --plot curves.html`

        >>> rows = [{"n_train": 1000 * 2**k, "seed": s, "score": 0.3 + 0.08 * k + 0.004 * s}
        ...         for k in range(5) for s in range(3)]
        >>> assay.curve(rows).curves["overall"].verdict.word
        'rising'

    Parameters
    ----------
    table
        CSV, TSV or Parquet: a size (n_train, n, samples, or steps and batch_size) and score, loss, accuracy,
        f1 ... in each row, or sizes as columns; type, model, dataset, seed, arm, n_eval and se if known.
        Percent and semicolons are understood. In Python also points, rows, or a table of polars or pandas.
    satisfied_at
        Target score.
    smallest_gain
        Smallest gain in score per doubling that matters.
    smallest_relative_gain
        Smallest gain in loss per doubling that matters, as a share of the last loss.
    reach
        How far to extrapolate, as a multiple of the largest size: at most 4; beyond 2 is speculative.
    form
        Use a single curve form (bnsl, power, or a plug-in's) instead of the posterior over families.
    price
        Price of 1,000 samples, for the gain per unit of money.
    metric
        Metric of a wide table (sizes as columns) that does not name it.
    lower_is_better
        Direction of a metric that Assay does not know.
    between
        Two measured sizes, as `--between 500000 1000000`: give the verdict on that step instead of the next
        doubling.
    asked
        Size whose doubling an earlier reading asked about, to answer the same question after the proposed
        runs.
    plot
        File for the report of a study (.html), or for a chart: .svg, .png or .json.
    """
    given = _read(table, metric, lower_is_better)
    points = list(given.points)
    with progress_bar("curves") as advance:
        reading = curves.read_curves(
            points,
            satisfied_at=satisfied_at,
            smallest_gain=smallest_gain,
            smallest_relative_gain=smallest_relative_gain,
            reach=reach,
            form=None if form is None else curves.free_form(form),
            price=price,
            asked=asked,
            told=lambda done, total: advance(done, total, "curves"),
        )
    reading = replace(reading, notes=given.notes)
    if between is not None:
        steps = curves.verdicts_between(
            points, *between, smallest_gain=smallest_gain, smallest_relative_gain=smallest_relative_gain
        )
        asked_of = (
            replace(c, verdict=steps.get((c.type, c.arm, c.metric), c.verdict)) for c in reading.curves
        )
        reading = replace(reading, curves=Curves(asked_of), answer=None)
    if plot is not None:
        question = {"satisfied_at": satisfied_at, "smallest_gain": smallest_gain}
        _draw(reading, points, Path(plot), question, _name(table))
    return reading


def _name(table: Table) -> str:
    """Return what a table is called: its file's name, where it has one."""
    return Path(table).name if isinstance(table, str | Path) else "points"


def _draw(
    reading: Reading, points: Sequence[Point], out: Path, question: Mapping[str, float | None], name: str
) -> None:
    """Write the report of a study on these points (.html), or one chart of all curves."""
    language = view.reader_language()
    if out.suffix == ".html" and any(curve.band for curve in reading.curves):
        view.write_report_page(result_of(reading, points, question, name, language), out)
    else:
        view.write_plot(reading.curves, points, out, language)


def result_of(
    reading: Reading, points: Sequence[Point], question: Mapping[str, float | None], name: str, language: str
) -> StudyResult:
    """Return the result that the report of a table is made of, without what only a study knows."""
    nothing = DataSummary((), 0, {}, {}, {}, {})
    return StudyResult(
        name=name, assay_version=__version__, language=language, base={}, recipe={}, question=question,
        pool=nothing, evaluation=nothing, arms=tuple(_arms(points)), points=tuple(points),
        curves=reading.curves, comparisons=reading.comparisons, runs=(),
        cost=Cost(0, 0, 0, 0.0, 0.0, ""), answers=(),
        answer=curves.recommend(reading.curves, reading.comparisons), notes=reading.notes,
        worth=reading.worth, descents=reading.descents, balances=reading.balances,
        held_out=reading.held_out, imported=(name,),
    )  # fmt: skip


def _arms(points: Sequence[Point]) -> Iterator[ArmRow]:
    for arm in dict.fromkeys(point.arm for point in points):
        own = [point for point in points if point.arm == arm]
        sizes, seeds = ({getattr(p, name) for p in own} for name in ("n_train", "seed"))
        yield ArmRow(arm, arm, tuple(sorted(sizes)), tuple(sorted(seeds)))


def read_points(
    table: Table, *, metric: str | None = None, lower_is_better: bool | None = None
) -> list[Point]:
    """Read points from a table as people have it, long or wide; see :func:`assay.data.read_points`."""
    return list(_read(table, metric, lower_is_better).points)


def _read(table: Table, metric: str | None, lower_is_better: bool | None) -> data.PointTable:
    if isinstance(table, list | tuple) and table and all(isinstance(row, Point) for row in table):
        return data.PointTable(tuple(row for row in table if isinstance(row, Point)), ())
    given: Any = Path(table) if isinstance(table, str | Path) else rows_of(table)
    return data.read_points(given, metric=metric, lower_is_better=lower_is_better)
