"""Which tool wrote a file: our readers first, then those of other packages."""

from __future__ import annotations

import fnmatch
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from assay.core import AssayError, Plugins, say
from assay.results._inspect import InspectReader
from assay.results._lm_eval import LmEvalReader
from assay.results._stores import MlflowReader, TrackioReader
from assay.results._tables import TableReader
from assay.results._tensorboard import TensorboardReader
from assay.results._trainer import TrainerReader
from assay.results._values import Run
from assay.results._wandb import WandbReader


class ResultReader(Protocol):
    """The models that a file of results is of, or None for a file of another tool.

    Best a frozen dataclass.  ``version`` changes whenever runs do; ``patterns`` (``results_*.json``) say
    which files of a folder are looked at, while a file that is named is shown to every reader.  Calling it
    with a path returns None at once where it does not know the file, else the runs: with the names by which a
    person knows the model, the settings that are written down, and everything that was measured.
    """

    name: str
    version: int
    patterns: tuple[str, ...]

    def __call__(self, path: Path) -> Iterable[Run] | None:
        """Return the runs of a file, or None."""


OWN: tuple[Any, ...] = (
    LmEvalReader(), InspectReader(), TrainerReader(), MlflowReader(), TrackioReader(), TensorboardReader(),
    WandbReader(), TableReader(),
)  # fmt: skip
"""Our readers, in the order in which a file is shown to them."""

RESULTS: Plugins[ResultReader] = Plugins(
    "assay.results", "reader of results", ResultReader, [reader.name for reader in OWN]
)
"""Readers of other packages by name."""


def read_results(places: Sequence[Path]) -> Iterator[Run]:
    """Yield the runs of files, and of all files below folders that a reader's patterns name, in order.

    Raises :class:`AssayError` for a place that is not there, a file that no reader knows, and a folder
    without any that one does.
    """
    readers, broken = _usable()
    for place in places:
        if place.is_file():
            found = _read(place, readers)
            if found is None:
                raise _unknown(place, readers, "no reader knows the file", broken)
            yield from found
        elif place.is_dir():
            yield from _below(place, readers, broken)
        else:
            raise AssayError("no such file or folder", place="PATH", value=str(place))


def _usable() -> tuple[list[ResultReader], list[str]]:
    """Return the readers that can be used, and why those of other packages cannot."""
    found, broken = [*OWN], []
    for name in RESULTS:
        try:
            found.append(RESULTS[name])
        except AssayError as error:
            broken.append(f"{error.problem} ({error.place})")
    return found, broken


def _below(folder: Path, readers: Sequence[ResultReader], broken: Sequence[str]) -> Iterator[Run]:
    any_known = False
    for path in _files(folder):
        own = [r for r in readers if any(fnmatch.fnmatch(path.name, p) for p in r.patterns)]
        found = _read(path, own)
        any_known = any_known or found is not None
        yield from found or ()
    if not any_known:
        raise _unknown(folder, readers, "the folder holds no results that a reader knows", broken)


def _files(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(place) / name for name in sorted(names))


def _read(path: Path, readers: Iterable[ResultReader]) -> Iterable[Run] | None:
    found = next((found for reader in readers if (found := reader(path)) is not None), None)
    return None if found is None else map(_finite, found)


def _finite(run: Run) -> Run:
    """Take from a run what is no number: a training that diverged is said to, and has no earlier value."""
    lost = [measure for measure in run.measures if not math.isfinite(measure.value)]
    if not lost:
        return run
    names = tuple("/".join(filter(None, (measure.task, measure.metric))) for measure in lost)
    note = say("import.note.nan", run=(*run.names, run.place)[0], names=names)
    kept = tuple(measure for measure in run.measures if math.isfinite(measure.value))
    return replace(run, measures=kept, notes=(*run.notes, note))


def _unknown(place: Path, readers: Sequence[ResultReader], problem: str, broken: Sequence[str]) -> AssayError:
    patterns = dict.fromkeys(p for reader in readers for p in reader.patterns)
    return AssayError(
        "; ".join([problem, *broken]), place=str(place),
        expected=f"one of {', '.join(patterns)}, or a table by its name",
        hint=f"packages add readers by entry points of the group {RESULTS.group} (docs/plugins.md)",
    )  # fmt: skip
