"""The trainers by name, and a training on several processes.

Which processes trained a model is no part of its identity: they change its weights by rounding alone.
"""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, Self

from assay.core import AssayError, Text, say, stored_text
from assay.model.external import EXTERNAL, external_identity, train_external
from assay.model.launch._accelerate import AccelerateGroup, command
from assay.model.launch._job import read_log, write_job
from assay.model.launch._ray import RayGroup
from assay.model.launch._settings import Launch
from assay.model.tokens import TokenTable
from assay.model.train import (
    TRAINERS,
    Advance,
    Indices,
    Recipe,
    Segment,
    Trainer,
    TrainReport,
    train_full,
)

_POLL_SECONDS = 0.2


def trainer(name: str, launch: Launch | None = None, environment: str | None = None) -> Trainer:
    """Return the trainer of that name: ``full``, another program's (``trl``), or one of a plug-in.

    ``launch`` says on how many processes these train; plug-ins see to that by themselves.  ``environment``
    names the python of the other program's environment.
    """
    if name in EXTERNAL:
        processes = 1 if launch is None else launch.processes
        return partial(train_external, EXTERNAL[name], environment, processes)
    other = TRAINERS.get(name)
    if name == "full":
        if launch is not None and launch.processes > 1:
            return partial(train_launched, launch)
        return train_full
    if other is None:
        raise TRAINERS.unknown(name, "recipe.trainer")
    return other


def trainer_identity(recipe: Recipe) -> str:
    """Return what identifies a trainer that is not ours; raises for a name that nothing has.

    Raises :class:`AssayError` too where the recipe asks for what another program has no equal of.
    """
    name = recipe.trainer
    if name in EXTERNAL:
        return external_identity(EXTERNAL[name], recipe)
    trainer(name)
    return TRAINERS.identity(name)


def train_launched(
    launch: Launch,
    segment: Segment,
    *,
    base: Path,
    state: Path | None,
    table: TokenTable,
    order: Indices,
    out: Path,
    device: str = "auto",
    advance: Advance = lambda done, total, unit: None,
) -> TrainReport:
    """Fine-tune on several processes; leaves what a run on one leaves; see :class:`Trainer`.

    Raises the :class:`AssayError` of the process that failed first.
    """
    _need_accelerate()
    folder = (out / "scratch" / "launch").resolve()
    notes: list[Text] = []
    while True:
        write_job(
            folder,
            launch,
            segment,
            order,
            base=str(base.resolve()),
            state=None if state is None else str(state.resolve()),
            tokens=str(table.folder.resolve()),
            out=str(out.resolve()),
            device=device,
        )
        found = _attempt(folder, launch, advance)
        if isinstance(found, TrainReport):
            return replace(found, notes=(*found.notes, *notes))
        segment, note = smaller(segment, int(table.lengths.max()), found)
        notes.append(note)


def _attempt(folder: Path, launch: Launch, advance: Advance) -> TrainReport | int:
    """Run a job; return its report, or the rank of the process that ran out of memory."""
    with _started(folder, launch) as group:
        while group.running():
            _show(folder, advance)
            time.sleep(_POLL_SECONDS)
    _show(folder, advance)
    if (folder / "report.json").exists():
        report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        trace = tuple((int(s), float(v)) for s, v in report["trace"])
        return TrainReport(**{**report, "trace": trace, "notes": tuple(map(stored_text, report["notes"]))})
    error = first_error(folder) if group.killed is None else None
    if error is None or not error["memory"]:
        raise failure(folder, launch, error, group.killed)
    return int(error["rank"])


def _need_accelerate() -> None:
    if find_spec("accelerate") is None:
        raise AssayError(
            "training on several processes needs the package accelerate",
            place="where.launch.processes",
            expected="accelerate installed, or 1",
            hint='pip install "instruct-assay[scale]"',
        )


def smaller(segment: Segment, longest: int, rank: int) -> tuple[Segment, Text]:
    """Halve the micro-batches after one did not fit; raise where each is a single sample already."""
    before = segment.recipe.micro_tokens
    if before <= longest:
        raise AssayError(
            "a single sample does not fit in memory",
            place=f"process {rank}",
            value=f"{longest} tokens",
            expected="more memory, or less to hold",
            hint="more processes, where.launch.offload, recipe.gradient_checkpointing, or a smaller "
            "recipe.max_tokens",
        )
    smaller = replace(segment, recipe=replace(segment.recipe, micro_tokens=max(before // 2, longest)))
    return smaller, say("note.memory.run", now=smaller.recipe.micro_tokens, before=before)


class _Group(Protocol):
    """The processes of a job; all end with the block.  ``killed``: rank of one that fell without a word."""

    @property
    def killed(self) -> int | None: ...

    def running(self) -> bool: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...


def _started(folder: Path, launch: Launch) -> AbstractContextManager[_Group]:
    if launch.through == "ray":
        return RayGroup(folder, launch)
    for machine in range(1, launch.machines):
        line = shlex.join(command(folder, machine))
        print(f"on machine {machine}, with the same folders and packages, run:\n{line}", file=sys.stderr)
    return AccelerateGroup(folder)


def _show(folder: Path, advance: Callable[[float, float, str], None]) -> None:
    try:
        done, total, unit = json.loads((folder / "progress.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    advance(done, total, unit)


def first_error(folder: Path) -> dict[str, Any] | None:
    """Return what the process that failed first said; the others then fail of its absence."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("error-*.json")]
    return min(found, key=lambda error: error["time"], default=None)


def failure(
    folder: Path, launch: Launch, error: Mapping[str, Any] | None, killed: int | None = None
) -> AssayError:
    """Return a process's own error, or say that one was killed, or what the launcher said last."""
    if error is not None:
        place = f"process {error['rank']} of {launch.processes}"
        return AssayError(
            error["problem"],
            place=place if error["place"] is None else f"{error['place']}, {place}",
            **{key: error[key] for key in ("value", "expected", "hint")},
        )
    if killed is None:
        last = read_log(folder).split("\n")[-1] or "no output"
        problem = f"the processes ended without a result: {last}"
    else:
        problem = f"process {killed} of {launch.processes} was killed"
    return AssayError(
        problem,
        place=str(folder / "log.txt"),
        hint="where the machine's memory ran out, fewer processes or where.launch.offload: false; run again: "
        "it resumes from the last checkpoint",
    )
