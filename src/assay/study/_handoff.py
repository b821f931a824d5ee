"""Hand the runs of a ladder over to another trainer, and take back what came.

A folder a run, each with its rows in the order of the study, the trainer's settings and a script; the runs,
their data and their keys are those that `assay study run` would have trained itself by that trainer.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from assay import data, model, view
from assay import plan as planning
from assay.core import (
    AssayError,
    BasesResult,
    Column,
    File,
    Items,
    Page,
    Paragraph,
    Say,
    Shown,
    StudyResult,
    Table,
    files,
    page,
    read_json,
    say,
)
from assay.plan import Step, Store, open_store
from assay.study._bases import BasePart, study_graph, study_ladders
from assay.study._claim import owner
from assay.study._config import StudyConfig
from assay.study._graph import RunSteps, input_steps
from assay.study._launchers import write_launchers
from assay.study._run import Study, load, read_summary, report_folder, run
from assay.study._spend import spending
from assay.study.steps import received_step

MANIFEST = "handoff.json"
External = Literal["trl", "llamafactory", "axolotl", "ms-swift"]


@dataclass(frozen=True, slots=True)
class HandedRun:
    """One run of a ladder: its folder within the hand-over, what it trains on, the key of its model.

    ``state``: of a hand-over ``written`` or ``kept`` (the store has the model); of what came back ``taken``,
    ``kept``, ``open`` (not come, or not ended), or ``refused``; ``reason`` says why and what to do.
    """

    folder: str
    key: str
    arm: str
    n_train: int
    seed: int
    steps: int
    state: str
    reason: str | None = None

    @property
    def name(self) -> str:
        """What it is called where it has no folder."""
        return f"{self.arm}/{self.n_train}/seed{self.seed}"


@dataclass(frozen=True, slots=True)
class Handoff(Shown):
    """What was handed over, to which trainer, and where it is."""

    tool: str
    runs: tuple[HandedRun, ...]
    out: str
    notes: tuple[Say, ...]
    language: str = "en"

    def as_page(self) -> Page:
        """Return the runs and what to do next."""
        written = sum(one.state == "written" for one in self.runs)
        head = say(
            "handoff.head", runs=written, kept=len(self.runs) - written,
            tool=model.EXTERNAL[self.tool].title,
        )  # fmt: skip
        return page(
            Paragraph(head, "strong"), _table(self.runs), Items(self.notes), files(folder=self.out),
            language=self.language,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Collected(Shown):
    """What came back of a hand-over; ``result`` is that of the study where nothing is open any more."""

    tool: str
    runs: tuple[HandedRun, ...]
    notes: tuple[Say, ...]
    result: StudyResult | BasesResult | None
    language: str = "en"

    @property
    def missing(self) -> tuple[HandedRun, ...]:
        """The runs that are not in the store yet."""
        return tuple(one for one in self.runs if one.state not in ("taken", "kept"))

    def as_page(self) -> Page:
        """Return what came, what is open and why, and the study's result where it is whole."""
        counts = {s: sum(one.state == s for one in self.runs) for s in ("taken", "kept", "open", "refused")}
        lines = [
            say(
                "collect.missing",
                run=one.folder or one.name,
                reason=one.reason,
            )
            for one in self.missing
        ]
        shown = () if self.result is None else view.described(self.result).blocks
        return page(
            Paragraph(say("collect.head", **counts, tool=model.EXTERNAL[self.tool].title), "strong"),
            Items(tuple(lines), "warning"),
            Items(self.notes),
            None if self.result is not None else _table(self.runs),
            *shown,
            language=self.language,
        )


def _table(runs: Sequence[HandedRun]) -> Table:
    columns = (
        Column(say("import.run")), Column(say("col.arm"), "@arm"), Column(say("col.n"), ","),
        Column(say("col.seed"), "d"), Column(say("handoff.steps"), ","),
        Column(say("handoff.state"), "@handed"),
    )  # fmt: skip
    return Table(columns, tuple((r.folder, r.arm, r.n_train, r.seed, r.steps, r.state) for r in runs))


def handoff(
    config: Study, out: File, *, for_: External | None = None, set: Sequence[str] = (), copy_base: bool = True
) -> Handoff:
    """Write every training run of a study for another trainer: data, settings and a script each.

    Nothing is trained. Someone runs the scripts, here or elsewhere; `assay study collect` takes the models
    back, and the study goes on as if it had trained them itself. The runs have the same samples in the same
    order as those that the study trains, but share no first pass.

    Example: `assay study handoff study.yaml --out handed --for trl`

        >>> study = {"name": "handed", "pool": "pool.jsonl", "evaluation": "eval.jsonl",
        ...          "ladder": {"rungs": [8, 16], "seeds": 1}, "where": {"pool": "inline"}}
        >>> [run.folder for run in assay.study.handoff(study, "handed", for_="trl").runs]
        ['runs/random-8-s0', 'runs/random-16-s0']

    Parameters
    ----------
    config
        Study file (YAML).
    out
        Folder to write.
    for_
        The trainer: trl, llamafactory, axolotl or ms-swift; by default the study's recipe.trainer.
    set
        Override a setting of the study file, `key.path=value`; may be repeated.
    copy_base
        Copy the base models into the folder; else each machine has its own, named by ASSAY_BASE.

    Raises
    ------
    AssayError
        Where the folder holds something else, or the recipe asks for what the trainer has no equal of.
    """
    study, out = _by(load(config, set), for_), Path(out)
    _check_folder(out, study.recipe.trainer)
    store = open_store(study.where.store)
    parts, samples = _parts(study, store)
    inputs = [step for _, one in _branches(parts) for step in _trained(one).inputs.values()]
    store.register(f"{study.name} handoff", inputs, owner(study, samples))
    with planning.parse_pool(study.where.pool) as workers:
        planning.run(inputs, store, workers)
    bases = {name: _hand_base(out, name, part, copy=copy_base) for name, part in parts.items()}
    runs = tuple(_write(out, name, parts[name], one, bases[name], store) for name, one in _branches(parts))
    left = [one for one in runs if one.state == "written"]
    data.write_json(out / MANIFEST, _manifest(study, runs))
    launch, recipe = study.where.launch, study.recipe
    write_launchers(out, recipe.trainer, [one.folder for one in left], launch.processes, recipe.threads)
    notes = [say("handoff.next", folder=str(out))] if left else [say("handoff.nothing")]
    if not copy_base:
        notes.append(say("handoff.base"))
    if study.recipe_check:
        notes.append(say("handoff.check"))
    return Handoff(study.recipe.trainer, runs, str(out), tuple(notes), study.language)


def collect(
    config: Study, folder: File, *, set: Sequence[str] = (), pool: str | None = None, out: File | None = None,
    cap: str | None = None,
) -> Collected:  # fmt: skip
    """Take back the runs that `assay study handoff` wrote and someone trained; then go on with the study.

    Each run is held against what was handed over: the digests of its data and settings, the number of steps,
    the weights. What fits is stored under the key of its rung; what does not is named, with what to do. With
    all runs in the store, the models are measured and the report is written. Collect as often as runs
    come back: what was taken stays.

    Example: `assay study collect study.yaml handed`

        >>> study = {"name": "handed", "pool": "pool.jsonl", "evaluation": "eval.jsonl",
        ...          "ladder": {"rungs": [8, 16], "seeds": 1}, "where": {"pool": "inline"}}
        >>> _ = assay.study.handoff(study, "handed", for_="trl")
        >>> [run.state for run in assay.study.collect(study, "handed").runs]
        ['open', 'open']

    Parameters
    ----------
    config
        Study file (YAML), as it was handed over.
    folder
        The folder that was written, with what came back in it.
    set
        Override a setting of the study file, `key.path=value`; may be repeated.
    pool
        Where steps run: `inline` or `processes:N`.
    out
        Folder for the report; `runs/NAME` by default.
    cap
        Stop before this command takes more than this: "2 hours", "20 USD", "2M tokens", "50 GB", or several
        with `and`; by default `where.cap` of the study file. What is finished is kept.

    Raises
    ------
    AssayError
        Where the folder is no hand-over.
    """
    given, folder = load(config, set, pool), Path(folder)
    with spending(given, Path(out or report_folder(given)), cap):
        manifest = _read_manifest(folder)
        study = replace(_by(given, str(manifest["tool"])), recipe_check=False)
        return _collected(study, folder, manifest, out)


def _collected(study: StudyConfig, folder: Path, manifest: dict[str, Any], out: File | None) -> Collected:
    """Take the runs that came back, and go on with the study where all are there."""
    store = open_store(study.where.store)
    parts, samples = _parts(study, store)
    handed = {str(row["key"]): row for row in manifest["runs"]}
    store.register(f"{study.name} handoff", [_trained(r) for _, r in _branches(parts)], owner(study, samples))
    runs = tuple(_take(folder, one, handed.get(_trained(one).key), store) for _, one in _branches(parts))
    unknown = len(handed.keys() - {one.key for one in runs})
    notes = (say("collect.unknown", runs=unknown),) if unknown else ()
    found = Collected(study.recipe.trainer, runs, notes, None, study.language)
    return found if found.missing else replace(found, result=run(study, out=out))


def _by(study: StudyConfig, tool: str | None) -> StudyConfig:
    """Return the study as another trainer trains it, all its bases."""
    tool = model.external_tool(tool or study.recipe.trainer).name
    bases = {n: replace(base, recipe=replace(base.recipe, trainer=tool)) for n, base in study.bases.items()}
    return replace(study, recipe=replace(study.recipe, trainer=tool), bases=bases)


def _parts(study: StudyConfig, store: Store) -> tuple[dict[str, BasePart], Step]:
    """Read the data, and return the steps of each base, with that of the pool."""
    evaluation, samples = input_steps(study)
    with planning.parse_pool(study.where.pool) as workers:
        planning.run([evaluation, samples], store, workers)
    ladders = study_ladders(study, evaluation, samples, read_summary(store, samples))
    return dict(study_graph(study, evaluation, ladders).parts), samples


def _branches(parts: dict[str, BasePart]) -> Iterator[tuple[str, RunSteps]]:
    """Yield every trained run with the name of its base; runs of one key once."""
    seen: set[str] = set()
    for name, part in parts.items():
        for one in part.runs:
            if one.branch is not None and one.branch.key not in seen:
                seen.add(one.branch.key)
                yield name, one


def _trained(one: RunSteps) -> Step:
    assert one.branch is not None  # noqa: S101 - _branches yields no other
    return one.branch


def _check_folder(out: Path, tool: str) -> None:
    if not out.exists() or not any(out.iterdir()):
        return
    if (out / MANIFEST).is_file() and _read_manifest(out)["tool"] == tool:
        return
    raise AssayError(
        "the folder holds something else", place=str(out),
        expected=f"an empty folder, or one written for {tool}",
        hint="give another --out",
    )  # fmt: skip


def _hand_base(out: Path, name: str, part: BasePart, *, copy: bool) -> model.HandedBase:
    """Return a base as the runs are told of it; its files are copied once."""
    base, place = part.ladder.base.folder, Path("bases") / (name or "base")
    if copy:
        with data.replacing_folder(out / place) as partial:
            for path in sorted(p for p in base.iterdir() if p.is_file()):
                shutil.copyfile(path, partial / path.name)
    up = Path(*[".."] * (3 if name else 2))
    return model.HandedBase(part.ladder.config.base, base, str(up / place))


def _folder(name: str, one: RunSteps) -> str:
    arm = "".join(c if c.isalnum() or c in "._+" else "_" for c in one.arm)
    return str(Path("runs", *([name] if name else []), f"{arm}-{one.n_train}-s{one.seed}"))


def _write(
    out: Path, name: str, part: BasePart, one: RunSteps, base: model.HandedBase, store: Store
) -> HandedRun:
    """Write the folder of a run, unless the store has its model."""
    step, recipe = _trained(one), part.ladder.config.recipe
    segment = model.Segment(recipe, one.seed, one.n_train, 0, recipe.steps(one.n_train))
    table = model.TokenTable(store.path(step.inputs["tokens"].key))
    order = np.load(store.path(step.inputs["order"].key) / "order.npy")
    processes = part.ladder.config.where.launch.processes
    whole = model.ExternalRun.of(segment, table, part.ladder.base.folder, processes)
    folder, state = _folder(name, one), "kept" if store.has(step.key) else "written"
    if state == "written":
        model.write_run(
            out / folder, model.external_tool(recipe.trainer), whole, table, order, base, step.key
        )
    return HandedRun(folder, step.key, one.arm, one.n_train, one.seed, whole.steps, state)


def _manifest(study: StudyConfig, runs: Sequence[HandedRun]) -> dict[str, Any]:
    rows = [
        {"folder": r.folder, "key": r.key, "arm": r.arm, "n_train": r.n_train, "seed": r.seed} for r in runs
    ]
    return {"study": study.name, "tool": study.recipe.trainer, "runs": rows}


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    found: dict[str, Any] = read_json(path, hint="`assay study handoff` writes it")
    rows = found.get("runs")
    if isinstance(rows, list) and all(isinstance(r, dict) and {"key", "folder"} <= r.keys() for r in rows):
        return found
    raise AssayError(
        "not a hand-over", place=str(path), expected="tool and runs, as `assay study handoff` writes them"
    )


def _take(folder: Path, one: RunSteps, row: dict[str, Any] | None, store: Store) -> HandedRun:
    """Take one run into the store, or say why it is not there."""
    step = _trained(one)
    place = "" if row is None else str(row["folder"])
    found = HandedRun(place, step.key, one.arm, one.n_train, one.seed, int(step.config["stop"]), "kept")
    if store.sound(step.key):
        return found
    if row is None:
        return replace(found, state="open", reason=view.said(say("collect.not_handed")))
    if not (folder / place).is_dir():
        return replace(found, state="open", reason=view.said(say("collect.no_folder", folder=place)))
    try:
        with planning.Inline() as here, planning.quiet():
            planning.run([received_step(step, folder / place)], store, here)
    except AssayError as error:
        came = model.look(folder / place).status in ("open", "running")
        return replace(found, state="open" if came else "refused", reason=_reason(error))
    return replace(found, state="taken")


def _reason(error: AssayError) -> str:
    """Return an error in one line: what is wrong, where, and what to do."""
    parts = [error.problem, f"({error.place})" if error.place else "", error.value and f"got {error.value}"]
    return " ".join(str(part) for part in [*parts, error.hint and f"— {error.hint}"] if part)
