"""Read runs that other tools trained or measured: points, curves, comparisons, the report of a study."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from assay import core, curves, data, results, view
from assay._version import __version__
from assay.core import (
    BASE_ARM,
    ArmRow,
    AssayError,
    Cost,
    DataSummary,
    File,
    OnCommand,
    Point,
    Reading,
    Say,
    Shown,
    StudyResult,
    say,
)
from assay.results import Known, Rung

Places: TypeAlias = Annotated[str | Path | Sequence[str | Path], OnCommand(list[Path])]
"""Files and folders."""
Table: TypeAlias = Annotated[str | Path | Sequence[Mapping[str, Any]], OnCommand(Path)]
"""A file of rows, or rows."""


@dataclass(frozen=True, slots=True)
class ImportedRun:
    """One model of the ladder: how it is called, which tools told of it, how many metrics they measured."""

    run: str
    arm: str
    n_train: int
    seed: int
    base: str
    tools: tuple[str, ...]
    metrics: int
    items: bool
    """Whether values of items were found, so that errors are paired."""


@dataclass(frozen=True, slots=True, repr=False)
class Imported(Shown):
    """Runs of other tools as one ladder: the points, what they say, and what was decided on the way."""

    runs: tuple[ImportedRun, ...]
    points: tuple[Point, ...]
    reading: Reading
    notes: tuple[Say, ...]
    left_out: tuple[Say, ...]
    """Runs that are not among the points, and why."""
    out: str | None = None
    report: str | None = None

    def __repr__(self) -> str:
        return f"<Imported: {len(self.runs)} models, {len(self.points)} points>"

    def as_page(self) -> core.Page:
        """Return the runs, what was decided, and the curves."""
        heads = (
            core.Column(say("import.run")), core.Column(say("col.arm"), "@arm"),
            core.Column(say("col.n"), ","), core.Column(say("col.seed"), "d"),
            core.Column(say("import.tools")), core.Column(say("import.metrics"), ","),
            core.Column(say("import.errors")),
        )  # fmt: skip
        rows = tuple(
            (
                r.run,
                r.arm,
                r.n_train,
                r.seed,
                r.tools,
                r.metrics,
                say(f"import.errors.{'items' if r.items else 'none'}"),
            )
            for r in self.runs
        )
        written = {name: place for name in ("out", "report") if (place := getattr(self, name))}
        return core.page(
            core.Paragraph(say("import.head", models=len(self.runs), points=len(self.points)), "strong"),
            core.Items(self.left_out, "warning"),
            core.Items(self.notes),
            core.Fold(say("import.runs"), (core.Table(heads, rows),)),
            *view.described(self.reading).blocks,
            core.files(**written) if written else None,
        )  # fmt: skip


def import_runs(
    places: Places,
    *,
    pattern: str | None = None,
    runs: Table | None = None,
    base: str | None = None,
    baseline: str | None = None,
    metric: Sequence[str] = (),
    lower_is_better: Sequence[str] = (),
    satisfied_at: float | None = None,
    smallest_gain: float = 0.01,
    smallest_relative_gain: float = 0.005,
    out: File | None = None,
    report: File | None = None,
    language: Literal["en", "zh"] = "en",
) -> Imported:
    """Read runs that other tools trained or measured, and say what their ladder shows.

    Reads results of lm-evaluation-harness (with samples: errors of items, paired), logs of inspect-ai,
    `trainer_state.json` and `all_results.json` of Hugging Face, TRL, LLaMA-Factory and ms-swift, stores of
    MLflow, Trackio and TensorBoard, exports of W&B, and tables. Nothing is trained and nothing measured.

    Example: `assay import outputs/ lm_eval/ --pattern '{arm}-{n_train}-s{seed}' --report runs/ours`

        >>> from pathlib import Path
        >>> rows = [f"{n},{s},{0.3 + n / 8000 + s / 500}" for n in (500, 1000, 2000) for s in (0, 1)]
        >>> _ = Path("ours.csv").write_text(chr(10).join(["n_train,seed,accuracy", *rows]))
        >>> found = assay.import_runs("ours.csv")
        >>> len(found.points), found.reading.curves["overall"].metric
        (6, 'score')

    Parameters
    ----------
    places
        Files and folders of results; folders are searched, tables are read where they are named.
    pattern
        Where a run's name says its size, seed, arm or base: `{arm}-{n_train}-s{seed}`. Held against folders
        and names, the deepest first; `*` is any text, other names in braces are settings of the recipe.
    runs
        A table that says it instead, and goes before all else: a column `run` with names or ends of paths,
        and any of n_train, seed, arm, base, learning_rate, epochs ...; in Python also rows.
    base
        The name or path of the untrained model: its own results are those of size 0.
    baseline
        The arm that others are compared with: `random` where there is one, else the first, by default.
    metric
        Metrics to take, as `acc_norm` or `gsm8k/*`; the first of each task by default.
    lower_is_better
        Metrics that are better where they are lower, as their tool does not say.
    satisfied_at
        The score that satisfies.
    smallest_gain
        The smallest gain from a doubling that matters, in score.
    smallest_relative_gain
        The same for losses, as a share of the last loss.
    out
        Write the points here: a .csv or .parquet file, which `assay curve` reads.
    report
        Write the report of a study here: a folder.
    language
        Language of the report.

    Raises
    ------
    AssayError
        Where there is no result, no run of which the training size is known, or two results of one run
        disagree.
    """
    found = list(results.read_results(_paths(places)))
    known, left_out = _placed(found, pattern, runs, base)
    ladder, notes = _ladder(known)
    points, said = results.points_of(ladder, metrics=metric, lower_is_better=lower_is_better)
    if not points:
        raise AssayError("the runs hold no measurement of a model on data apart", place=_shown(places),
                         expected="eval_loss, accuracy, acc ...", hint="name a metric: --metric")  # fmt: skip
    against = _baseline(ladder, baseline)
    reading = curves.read_curves(
        points, satisfied_at=satisfied_at, smallest_gain=smallest_gain,
        smallest_relative_gain=smallest_relative_gain, baseline=against,
    )  # fmt: skip
    read = Imported(
        runs=tuple(map(_row, ladder)), points=tuple(points), reading=reading,
        notes=_once([*(note for run in found for note in run.notes), *notes, *said]),
        left_out=tuple(left_out),
    )  # fmt: skip
    if out is not None:
        read = replace(read, out=str(_write(points, Path(out))))
    if report is not None:
        question = {"satisfied_at": satisfied_at, "smallest_gain": smallest_gain}
        view.write_report(_study(read, ladder, question, Path(report).name, language), Path(report))
        read = replace(read, report=str(report))
    return read


def _once(notes: Iterable[Say]) -> tuple[Say, ...]:
    found: list[Say] = []
    for note in notes:
        if note not in found:
            found.append(note)
    return tuple(found)


def _paths(places: Places) -> list[Path]:
    return [Path(places)] if isinstance(places, str | Path) else [Path(place) for place in places]


def _shown(places: Places) -> str:
    return ", ".join(map(str, _paths(places)))


def _placed(
    found: Sequence[results.Run], pattern: str | None, runs: Table | None, base: str | None
) -> tuple[list[Known], list[Say]]:
    """Return the runs whose place in the ladder is known, and why others are left out."""
    usable = [run for run in found if run.unusable is None and run.measures]
    left = [
        say("import.unusable", run=(*run.names, run.place)[0], place=run.place, reason=run.unusable)
        for run in found if run.unusable is not None
    ]  # fmt: skip
    table = _rows(runs)
    left += _unmatched(found, table)
    known: list[Known] = []
    for one in results.identify(found, pattern=pattern, table=table, base=base):
        if isinstance(one, Known):
            known += [one] if one.run in usable else []
        elif one[0] in usable:
            left.append(one[1])
    if not known:
        raise AssayError(
            "of no run the training size is known",
            place=", ".join(dict.fromkeys(run.place for run in found[:3])) or None,
            expected=f"names as {pattern or results.PATTERN}, or n_train (train_samples) in their settings",
            hint="say it with --pattern, or with a table of the columns run and n_train: --runs",
        )  # fmt: skip
    _check_base(known, base)
    return known, left


def _unmatched(found: Sequence[results.Run], table: Sequence[Mapping[str, str]]) -> list[Say]:
    """Return a line for each row of the table that no run takes; raise where that is all of them."""
    rows = results.rows_of_none(found, table)
    if rows and len(rows) == len(table):
        raise AssayError(
            "no row of the table names a run that was read", place="--runs", value=rows[0]["run"],
            expected="names, or ends of paths, such as " + ", ".join(_called(found)),
        )  # fmt: skip
    return [say("import.unknown.row", run=row["run"]) for row in rows]


def _check_base(known: Sequence[Known], base: str | None) -> None:
    """Raise where the base that is named is no run of size 0."""
    if base is None or any(one.arm == BASE_ARM and results.is_named(one.run, base) for one in known):
        return
    raise AssayError(
        "no run that was read is of this untrained model", place="--base", value=base,
        expected="the name, or the end of the path, of one such as "
        + ", ".join(_called([one.run for one in known])),
        hint="measure the untrained model too, or leave --base out",
    )  # fmt: skip


def _called(found: Sequence[results.Run]) -> list[str]:
    """Return how the first runs are called, for errors."""
    return list(dict.fromkeys((*run.names, run.place)[0] for run in found))[:3]


def _rows(runs: Table | None) -> list[dict[str, str]]:
    """Return the rows of the table of runs, as text, names of columns in small letters."""
    if runs is None:
        return []
    rows = data.read_rows_of_text(Path(runs) if isinstance(runs, str | Path) else runs)
    if rows and "run" not in rows[0]:
        raise AssayError("the table of runs does not say which", place="--runs", value=", ".join(rows[0]),
                         expected="a column run: names, or ends of paths")  # fmt: skip
    return rows


def _ladder(known: Sequence[Known]) -> tuple[list[Rung], list[Say]]:
    kept, checkpoints = results.without_checkpoints(known)
    kept, apart = results.apart_by_recipe(results.with_recipes(kept))
    kept, seeds = results.with_seeds(kept)
    ladder, merged = results.rungs(kept)
    return ladder, [*checkpoints, *apart, *seeds, *merged]


def _baseline(ladder: Sequence[Rung], wanted: str | None) -> str:
    arms = list(dict.fromkeys(model.arm for model in ladder if model.arm != BASE_ARM))
    if wanted is not None and wanted not in arms:
        raise AssayError(
            "no such arm", place="--baseline", value=wanted, expected="one of " + ", ".join(arms)
        )
    return wanted or next(iter([*(a for a in arms if a == "random"), *arms]), "random")


def _row(model: Rung) -> ImportedRun:
    items = any(measure.items for measure in model.measures.values())
    return ImportedRun(
        model.run, model.arm, model.n_train, model.seed, model.base, model.tools, len(model.measures), items
    )


def _write(points: Sequence[Point], out: Path) -> Path:
    if out.suffix not in (".csv", ".parquet"):
        raise AssayError("the points are written to a table", place="--out", value=str(out),
                         expected="a .csv or .parquet file")  # fmt: skip
    out.parent.mkdir(parents=True, exist_ok=True)
    return view.write_points(points, out)


def _study(
    read: Imported,
    ladder: Sequence[Rung],
    question: Mapping[str, float | None],
    name: str,
    language: str,
) -> StudyResult:
    """Return the result that the report of a study is made of, without what only a study knows."""
    nothing = DataSummary((), 0, {}, {}, {}, {})
    reading = read.reading
    bases = sorted({model.base for model in ladder if model.base})
    return StudyResult(
        name=name, assay_version=__version__, language=language,
        base={"name": ", ".join(bases)} if bases else {},
        recipe=_common(ladder), question=question, pool=nothing, evaluation=nothing,
        arms=tuple(_arms(ladder)), points=read.points, curves=reading.curves, comparisons=reading.comparisons,
        runs=(), cost=Cost(0, 0, 0, 0.0, 0.0, ""), answers=(),
        answer=reading.answer,
        notes=(*read.left_out, *read.notes),
        worth=reading.worth,
        descents=reading.descents, balances=reading.balances, held_out=reading.held_out,
        imported=tuple(dict.fromkeys(tool for model in ladder for tool in model.tools)),
    )  # fmt: skip


def _common(ladder: Sequence[Rung]) -> dict[str, results.Fact]:
    """Return the settings that all trained models have in common."""
    trained = [m.facts for m in ladder if m.arm != BASE_ARM and m.facts]
    first = trained[0] if trained else {}
    return {k: v for k, v in first.items() if k in results.RECIPE and all(f.get(k) == v for f in trained)}


def _arms(ladder: Sequence[Rung]) -> Iterator[ArmRow]:
    for arm in dict.fromkeys(model.arm for model in ladder):
        own = [model for model in ladder if model.arm == arm]
        tools = ", ".join(dict.fromkeys(tool for model in own for tool in model.tools))
        yield ArmRow(
            arm, tools, tuple(sorted({m.n_train for m in own})), tuple(sorted({m.seed for m in own}))
        )
