"""Tables of measured results as people have them, read into points: long or wide, percent or not."""

from __future__ import annotations

import csv
import io
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.core import (
    DIRECTIONS,
    MOST_BYTES,
    AssayError,
    Point,
    Say,
    Text,
    say,
    task_type,
)
from assay.data._columns import columnar
from assay.data._files import Broken, sniff

_SIZES = ("n_train", "n", "size", "samples", "n_samples", "train_size", "num_train", "examples", "n_examples")
_STEPS, _BATCHES = ("step", "steps", "global_step"), ("batch", "batch_size", "global_batch_size")
_SEEDS = ("seed", "seeds", "run", "replicate", "trial")
_GROUPS = ("type", "task", "category", "dataset", "data", "model", "base", "source")
_NUMBERS = ("n_eval", "se", "own_share")
_OURS = ("score", "loss", "bits_per_byte")
_SCALED = frozenset(
    ("score", "accuracy", "acc", "f1", "exact_match", "em", "precision", "recall", "win_rate", "pass@1")
)
_WIDE = re.compile(r"(?:n\s*=\s*)?(\d[\d,_ ]*(?:\.\d+)?)\s*([km])?", re.IGNORECASE)
_JUDGES_TEN = 10.0
"""Scores that reach no further are taken as a judge's, not as percent: nobody's best is a tenth."""


@dataclass(frozen=True, slots=True)
class PointTable:
    """The points of a table, and what was decided in reading it that its writer should know."""

    points: tuple[Point, ...]
    notes: tuple[Text, ...]


@dataclass(frozen=True, slots=True)
class _Given:
    """A table as text: where it stands, the number of its first row, its columns and its rows."""

    place: str
    first: int
    header: list[str]
    rows: list[dict[str, str]]


@dataclass(frozen=True, slots=True)
class Cell:
    """One measured value with all that its row says."""

    place: str
    n: int
    metric: str
    value: float
    percent: bool
    row: Mapping[str, str]


def read_points(
    table: Path | Iterable[Mapping[str, Any]],
    *,
    metric: str | None = None,
    lower_is_better: bool | None = None,
) -> PointTable:
    """Read the points of a .csv, .tsv or .parquet file, or of rows.

    Long tables have a size (``n_train``, ``n``, ``size``, ``samples`` ..., or ``steps`` and ``batch_size``)
    and a column for each metric (``score``, ``loss``, ``accuracy``, ``f1``, ``exact_match`` ...) or
    ``metric`` and
    ``value``; wide tables have sizes as columns (1000, 1k, n=2000) and ``metric`` as a column or argument.
    Further columns: seed (rows of one size are numbered where it lacks), arm, n_eval, se; type, task, dataset
    and model tell ladders apart.  Metrics are read as ``score`` or ``loss`` by their direction: that of
    :data:`~assay.core.DIRECTIONS`, or ``lower_is_better``.  Scores that all lie in (1, 100] are percent, and
    a note says so.  Empty cells are missing points.  Raises :class:`AssayError` with the place for what is no
    number, a metric of unknown direction, percent mixed with shares, and rows that were pasted twice.
    """
    cells, notes = read_cells(table, metric)
    header = list(cells[0].row)
    names = sorted({cell.metric for cell in cells})
    ours = {name: _ours(name, lower_is_better) for name in names}
    crowded = {kind for kind, count in Counter(ours.values()).items() if count > 1}
    varying = [c for c in _GROUPS if len({cell.row.get(c, "") for cell in cells}) > 1]
    types = varying or [c for c in ("type", "task", "category") if c in header][:1]
    groups: dict[tuple[str, str, str], list[Cell]] = defaultdict(list)
    for cell in cells:
        kind = _type(cell, types, cell.metric if ours[cell.metric] in crowded else "")
        groups[kind, cell.row.get("arm") or "random", ours[cell.metric]].append(cell)
    points = [point for key, own in groups.items() for point in _points(*key, own)]
    return PointTable(tuple(points), (*notes, *(_renamed(n, ours[n]) for n in names if n not in _OURS)))


def read_cells(
    table: Path | Iterable[Mapping[str, Any]], metric: str | None = None
) -> tuple[list[Cell], list[Say]]:
    """Return every value of a table with all that its row says, percent as shares, and notes on that.

    The table is as :func:`read_points` takes it, and so are the errors.
    """
    given = _given(table)
    cells = list(_cells(given, metric))
    if not cells:
        raise AssayError("the table holds no values", place=given.place)
    return _unpercented(cells)


def read_rows_of_text(
    table: Path | Iterable[Mapping[str, Any]], *, as_written: bool = False
) -> list[dict[str, str]]:
    """Return the rows of a .csv, .tsv or .parquet file, or of rows, as text.

    Names are in small letters, or ``as_written``.  The errors are those of :func:`read_points`.
    """
    return _given(table, as_written=as_written).rows


def has_size(row: Mapping[str, str]) -> bool:
    """Say whether a row names its size, so that its steps are those of a run and no part of the size."""
    return any(column in row for column in _SIZES)


def cell_number(cell: Cell, column: str) -> float | None:
    """Return a number of a cell's row, or None where it says none."""
    return _optional(cell, column)


def _renamed(name: str, ours: str) -> Say:
    return say(f"note.table.{'score' if ours == 'score' else 'loss'}", name=name)


def _given(table: Path | Iterable[Mapping[str, Any]], *, as_written: bool = False) -> _Given:
    """Return the cells of a file or of rows as text; separators are found out."""
    place, first, names, rows = _cells_of(table)
    return _named(place, first, names if as_written else [name.lower() for name in names], rows)


def _cells_of(
    table: Path | Iterable[Mapping[str, Any]],
) -> tuple[str, int, Sequence[str], Iterable[Sequence[str]]]:
    """Return the place of a table, the number of its first row, its columns and its rows."""
    if not isinstance(table, Path):
        rows = [{str(name): _text(value) for name, value in row.items()} for row in table]
        names = list(dict.fromkeys(name for row in rows for name in row))
        return "points", 1, names, ([row.get(name, "") for name in names] for row in rows)
    if not table.exists() or table.suffix not in (".csv", ".tsv", ".parquet"):
        raise AssayError(
            "no such table", value=str(table), expected="an existing .csv, .tsv or .parquet file"
        )
    if table.suffix == ".parquet":
        found = list(_columns(table))
        names = list(found[0]) if found else []
        return str(table), 2, names, ([_text(value) for value in row.values()] for row in found)
    return str(table), 2, *_separated(table)


def _columns(table: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the rows of a Parquet file, read where a corrupt one does no harm."""
    for number, row in columnar(table, "parquet"):
        if isinstance(row, Broken):
            raise AssayError(
                row.reason, place=f"{table}:{number}", hint="write the table again, or give it as .csv"
            )
        yield row


def _decoded(table: Path) -> str:
    """Return the text of a table; spreadsheets write UTF-16 and GB18030 too."""
    kind = sniff(table)
    if not kind.encoding or kind.compression != "none":
        found = kind.container if kind.compression == "none" else kind.compression
        raise AssayError("not a table of text", place=str(table), value=found, expected="CSV or TSV")
    if table.stat().st_size > MOST_BYTES:
        raise AssayError(
            "the file is too large for a table of points", place=str(table), expected=f"{MOST_BYTES:,} bytes"
        )
    try:
        return table.read_bytes().decode(kind.encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise AssayError(
            f"the table does not decode as {kind.encoding_words}",
            place=f"{table}: byte {error.start + 1}",
            expected="one encoding in the whole file",
            hint="save it as UTF-8",
        ) from None


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _separated(table: Path) -> tuple[list[str], Iterator[list[str]]]:
    """Return the header and the rows of a file of text, each as long as the header."""
    text = _decoded(table)
    first = re.split(r"[\r\n]", text, maxsplit=1)[0]
    semicolons = first.count(";") > first.count(",")
    separator = "\t" if table.suffix == ".tsv" or "\t" in first else (";" if semicolons else ",")
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)

    def rows() -> Iterator[list[str]]:
        for cells in lines:
            if len(cells) > len(header):
                raise AssayError(
                    "more cells than columns", place=f"{table}:{lines.line_num}", value=cells[len(header) :]
                )
            if cells:
                # With semicolons between cells a comma is a decimal point.
                found = [_point_comma(cell.strip()) if semicolons else cell for cell in cells]
                yield [*found, *[""] * (len(header) - len(cells))]

    try:
        header = next(lines, [])
        return header, iter(list(rows()))
    except csv.Error as error:
        raise AssayError(f"the table cannot be read ({error})", place=f"{table}:{lines.line_num}") from None


def _named(place: str, first: int, names: Sequence[str], rows: Iterable[Sequence[str]]) -> _Given:
    header = [name.strip() for name in names]
    twice = [name for name, count in Counter(header).items() if count > 1]
    if twice:
        raise AssayError("two columns have one name", place=place, value=", ".join(twice))
    made = [dict(zip(header, (text.strip() for text in row), strict=True)) for row in rows]
    return _Given(place, first, header, made)


def _point_comma(text: str) -> str:
    return re.sub(r"^(-?\d+),(\d+)(\s*%?)$", r"\1.\2\3", text)


def _cells(given: _Given, metric: str | None) -> Iterator[Cell]:
    header = given.header
    wide = {column: n for column in header if (n := _size_of(column)) is not None}
    metrics = [c for c in header if c in DIRECTIONS]
    long = {"metric", "value"} <= set(header)
    sized = any(c in header for c in _SIZES) or (
        any(c in header for c in _STEPS) and any(c in header for c in _BATCHES)
    )
    if not sized and len(wide) > 1:
        yield from _wide(given, wide, metric)
    elif sized and (metrics or long or (metric is not None and metric in header)):
        names = [metric] if metric is not None and metric in header else metrics
        for line, row in enumerate(given.rows, start=given.first):
            place = f"{given.place}:{line}"
            pairs = [(row["metric"].lower(), row["value"])] if long else [(m, row[m]) for m in names]
            for name, text in pairs:
                if text:
                    value, percent = _number(text, f"{place}, {name}")
                    yield Cell(place, _size(row, place), name, value, percent, row)
    else:
        raise AssayError(
            "columns are missing",
            place=given.place,
            value=", ".join(header),
            expected=(
                "n_train (or steps and batch_size) and score, loss, accuracy ... (or metric and value), "
                "or sizes as columns with metric; type, model, dataset, seed, arm, n_eval, se if known"
            ),
        )


def _wide(given: _Given, sizes: Mapping[str, int], metric: str | None) -> Iterator[Cell]:
    for line, row in enumerate(given.rows, start=given.first):
        place = f"{given.place}:{line}"
        name = (row.get("metric") or metric or "").lower()
        if not name:
            raise AssayError(
                "the metric is not named",
                place=place,
                expected="a column metric (accuracy, loss ...), or the metric's name with the command",
            )
        for column, n in sizes.items():
            if row[column]:
                value, percent = _number(row[column], f"{place}, {column}")
                yield Cell(place, n, name, value, percent, row)


def _size_of(column: str) -> int | None:
    found = _WIDE.fullmatch(column.strip())
    if found is None:
        return None
    number = float(re.sub(r"[,_ ]", "", found[1]))
    size = number * {"k": 1e3, "m": 1e6}.get((found[2] or "").lower(), 1)
    return round(size) if math.isfinite(size) else None


def _number(text: str, place: str) -> tuple[float, bool]:
    """Return the number and whether it was written with a percent sign."""
    percent = text.endswith("%")
    try:
        return float(text.removesuffix("%").strip()), percent
    except ValueError:
        raise AssayError("not a number", place=place, value=text) from None


def _size(row: Mapping[str, str], place: str) -> int:
    column = next((c for c in _SIZES if c in row), None)
    if column is not None:
        wide = _size_of(row[column])
        n = float(wide) if wide is not None else _number(row[column] or "none", f"{place}, {column}")[0]
    else:
        steps, batch = (next(c for c in names if c in row) for names in (_STEPS, _BATCHES))
        column = f"{steps} x {batch}"
        n = math.prod(_number(row[c] or "none", f"{place}, {c}")[0] for c in (steps, batch))
    if not (math.isfinite(n) and n >= 0):
        raise AssayError(
            "training size missing or negative", place=f"{place}, {column}", value=n, expected="0 or more"
        )
    return round(n)


def _unpercented(cells: Sequence[Cell]) -> tuple[list[Cell], list[Say]]:
    """Return the cells with percent as shares, and a note for each metric that was."""
    by_metric: dict[str, list[Cell]] = defaultdict(list)
    for cell in cells:
        by_metric[cell.metric].append(cell)
    found, notes = [], []
    for name, own in by_metric.items():
        percent = _is_percent(name, own)
        found += [_shared(cell) if percent else cell for cell in own]
        notes += [say("note.table.percent", name=name)] if percent else []
    return found, notes


def _is_percent(name: str, cells: Sequence[Cell]) -> bool:
    if any(cell.percent for cell in cells):
        bare = next((cell for cell in cells if not cell.percent), None)
        if bare is not None:
            raise _mixed(name, bare)
        return True
    finite = [cell for cell in cells if math.isfinite(cell.value)]
    if name not in _SCALED or not finite or max(c.value for c in finite) > 100:
        return False
    large = [cell for cell in finite if cell.value > 1]
    share = next((cell for cell in finite if 0 < cell.value <= 1), None)
    if not large or min(c.value for c in finite) < 0 or max(c.value for c in finite) <= _JUDGES_TEN:
        return False
    if share is not None:
        raise _mixed(name, share)
    return True


def _mixed(name: str, cell: Cell) -> AssayError:
    return AssayError(
        "percent and shares are mixed in one column",
        place=f"{cell.place}, {name}",
        value=cell.value,
        expected="all values in (1, 100], or all in [0, 1]",
        hint="write all as shares: 0.5 for 50 %",
    )


def _shared(cell: Cell) -> Cell:
    row = {**cell.row}
    if row.get("se"):
        row["se"] = str(_number(row["se"], f"{cell.place}, se")[0] / 100)
    return Cell(cell.place, cell.n, cell.metric, cell.value / 100, True, row)


def _ours(name: str, lower_is_better: bool | None) -> str:
    if name in _OURS and lower_is_better is None:
        return name
    higher = DIRECTIONS.get(name) if lower_is_better is None else not lower_is_better
    if higher is None:
        raise AssayError(
            "the direction of this metric is unknown",
            value=name,
            expected="one of " + ", ".join(DIRECTIONS),
            hint="say so: --lower-is-better or --higher-is-better",
        )
    return "score" if higher else "loss"


def _type(cell: Cell, columns: Iterable[str], metric: str) -> str:
    parts = [cell.row[c] for c in columns if cell.row.get(c)] + ([metric] if metric else [])
    if not parts:
        return "overall"
    return task_type(parts[0]) if len(parts) == 1 else " / ".join(parts)


def _points(kind: str, arm: str, metric: str, cells: Sequence[Cell]) -> Iterator[Point]:
    seed_column = next((c for c in _SEEDS if any(cell.row.get(c) for cell in cells)), None)
    _refuse_pasted(cells, seed_column)
    seen: Counter[int] = Counter()
    for cell in cells:
        seed = _seed(cell, seed_column, seen)
        numbers = {c: _optional(cell, c) for c in _NUMBERS}
        n_eval = numbers.pop("n_eval")
        yield Point(
            type=kind,
            n_train=cell.n,
            seed=seed,
            metric=metric,
            value=cell.value,
            n_eval=None if n_eval is None else _whole(n_eval, f"{cell.place}, n_eval"),
            arm=arm,
            **numbers,  # type: ignore[arg-type]
        )


def _seed(cell: Cell, column: str | None, seen: Counter[int]) -> int:
    if column is None:
        seen[cell.n] += 1
        return seen[cell.n] - 1
    place = f"{cell.place}, {column}"
    return _whole(_number(cell.row[column] or "0", place)[0], place)


def _whole(number: float, place: str) -> int:
    if not math.isfinite(number):
        raise AssayError("not a number", place=place, value=number, expected="a whole number")
    return round(number)


def _optional(cell: Cell, column: str) -> float | None:
    text: Any = cell.row.get(column)
    return _number(text, f"{cell.place}, {column}")[0] if text else None


def _refuse_pasted(cells: Sequence[Cell], seed_column: str | None) -> None:
    """Refuse rows that stand twice: a size and seed, or, without seeds, every value of a size."""
    if seed_column is not None:
        keys = Counter((cell.n, _seed(cell, seed_column, Counter())) for cell in cells)
        again = next((key for key, count in keys.items() if count > 1), None)
        found = None if again is None else f"n_train {again[0]}, seed {again[1]}"
    else:
        values = Counter((cell.n, cell.value) for cell in cells)
        pasted = min(values.values()) > 1 and len({n for n, _ in values}) > 1
        found = f"each of {len(values)} values {min(values.values())} times" if pasted else None
    if found is not None:
        raise AssayError(
            "the table contains the same run twice",
            place=cells[0].place,
            value=found,
            expected="one row per size and seed",
            hint="remove rows that were pasted twice; give runs of their own their own seed, "
            "and tell ladders apart by columns type, model, dataset or arm",
        )
