"""The files of a report: written to the same bytes for the same result."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.core import (
    AnswerBook,
    BasesResult,
    ExportPage,
    Point,
    StudyResult,
    canonical_json,
    read_json,
    replacing,
)
from assay.view._bases import render_bases_html, render_bases_markdown
from assay.view._book import ANSWERS, load_book
from assay.view._files import HTML, RESULT, SAYS, load_result, replace_file, restore, study_command
from assay.view._first import naming
from assay.view._format import clean
from assay.view._markdown import page_markdown
from assay.view._report import render_html
from assay.view._says import headline
from assay.view._study import report
from assay.view._words import LANGUAGES

if TYPE_CHECKING:
    import polars


def points_frame(result: StudyResult | BasesResult) -> polars.DataFrame:
    """Return all measured points, one a row, in the result's order; a missing cell is null, never 0.

    Of several bases each row names its own.
    """
    import polars

    if isinstance(result, BasesResult):
        frames = [(base.name, points_frame(base.result)) for base in result.bases]
        return polars.concat(
            frame.insert_column(0, polars.lit(clean(name)).alias("base")) for name, frame in frames
        )
    return frame_of(result.points)


def frame_of(points: Iterable[Point]) -> polars.DataFrame:
    """Return points, one a row; a missing cell is null, never 0."""
    import polars

    schema = {
        "type": polars.String,
        "arm": polars.String,
        "n_train": polars.Int64,
        "seed": polars.Int64,
        "metric": polars.String,
        "value": polars.Float64,
        "se": polars.Float64,
        "n_eval": polars.Int64,
        "run": polars.String,
        "own_share": polars.Float64,
    }
    own = list(points)
    rows = {name: [_cell(point, name) for point in own] for name in schema}
    return polars.DataFrame(rows, schema=schema)


def _cell(point: Point, name: str) -> Any:
    value = getattr(point, name)
    return clean(value) if isinstance(value, str) else value


def write_points(points: Iterable[Point], out: Path) -> Path:
    """Write points to a .csv or .parquet file that :func:`assay.curve` reads, and return it."""
    frame = frame_of(points)
    if out.suffix == ".parquet":
        with replacing(out) as partial:
            frame.write_parquet(partial, compression="zstd", statistics=False)
        return out
    return replace_file(out, _harmless(frame).write_csv().encode())


def write_report(
    result: StudyResult | BasesResult, folder: Path, book: AnswerBook | None = None
) -> list[Path]:
    """Write report.html, report.md, points.csv, points.parquet and result.json; return their paths.

    With ``book`` answers.json too: every answer, which the page lets look through.  The same result gives the
    same bytes, but that the page's commands name the study's own file where the folder says which that is.
    Each file appears whole, by a rename.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # Where a report lies is not part of it.
    result = replace(result, report="")
    frame = points_frame(result)
    html, markdown = _rendered(result, book)
    texts = {
        HTML: naming(html, study_command(folder)),
        "report.md": markdown,
        "points.csv": _harmless(frame).write_csv(),
        RESULT: canonical_json(result) + "\n",
        **({} if book is None else {ANSWERS: canonical_json(book) + "\n"}),
        **({SAYS: canonical_json(_said(result)) + "\n"} if isinstance(result, StudyResult) else {}),
    }
    written = [replace_file(folder / name, clean(text).encode()) for name, text in texts.items()]
    parquet = folder / "points.parquet"
    with replacing(parquet) as partial:
        frame.write_parquet(partial, compression="zstd", statistics=False)
    return [*written, parquet]


def name_command(folder: Path) -> None:
    """Let the commands of a report that was copied to ``folder`` name the study's own file."""
    page = folder / HTML
    if (file := study_command(folder)) is not None and page.is_file():
        replace_file(page, naming(page.read_text(encoding="utf-8"), file).encode())


def write_report_page(result: StudyResult, out: Path) -> Path:
    """Write the report's page alone."""
    out.parent.mkdir(parents=True, exist_ok=True)
    return replace_file(out, render_html(result).encode())


def _said(result: StudyResult) -> dict[str, str]:
    return {language: headline(result, language) for language in LANGUAGES}


def _harmless(frame: Any) -> Any:
    """Return a table in which no text is taken for a formula by a program for spreadsheets."""
    import polars

    return frame.with_columns(polars.col(polars.String).str.replace(r"^([=+\-@\t\r])", "'$1"))


def _rendered(result: StudyResult | BasesResult, book: AnswerBook | None) -> tuple[str, str]:
    if isinstance(result, BasesResult):
        return render_bases_html(result), render_bases_markdown(result)
    return render_html(result, book), page_markdown(report(result))


EXPORTS, EXPORT_VALUES = "exports", "export.json"
"""Folder of a study's exports, and the file of each that holds its values."""


def show_exports(folder: Path) -> None:
    """Write the report of a study again, with the exports that lie in its folder."""
    result = folder / "result.json"
    found = [read_json(p) for p in sorted(folder.glob(f"{EXPORTS}/*/{EXPORT_VALUES}"))]
    if found and result.is_file():
        pages = tuple(restore(ExportPage, page) for page in found)
        write_report(replace(load_result(result), exports=pages), folder, load_book(folder))
