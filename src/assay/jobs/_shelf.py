"""The studies of a folder and their models, as a server shows them: from the store, at any moment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from assay import plan, serving, view
from assay.core import AssayError, read_json
from assay.study import (
    MODELS,
    Formed,
    Forming,
    ModelPlace,
    StudyModels,
    find_model,
    find_study_model,
    read_models,
    study_folders,
    study_name,
)

if TYPE_CHECKING:
    from assay.model import ChatModel

RESULT, REPORT = "result.json", "report.html"


@dataclass(frozen=True, slots=True)
class Shelf:
    """The models that a server has: those named, and every trained one of the studies in ``runs``."""

    runs: Path
    given: tuple[str, ...]
    opener: Callable[[ModelPlace, str], ChatModel]
    device: str = "auto"
    watcher: plan.Watcher = field(default_factory=plan.Watcher)
    forming: Forming = field(default_factory=Forming)
    trained: set[tuple[Path, str]] = field(default_factory=set)
    """Models that were found in their store: they are not looked for again."""
    drawn: dict[tuple[Path, str], tuple[Formed, str]] = field(default_factory=dict)
    """The curves of studies as they were drawn last, by folder and language."""

    def studies(self, language: str) -> list[serving.StudyRow]:
        """Return the studies with their models, as they are at this moment."""
        return [self._row(folder, language)[0] for folder in study_folders(self.runs)]

    def live(self, name: str, language: str, *, fitted: bool) -> serving.Live | None:
        """Return a study as it is now, None where there is none of this name; see :class:`Library`."""
        folder = self._folder(name)
        if folder is None:
            return None
        row, watched = self._row(folder, language)
        formed = self._formed(folder, finished=row.finished, fitted=fitted)
        under = tuple(serving.Under(r.name, r.label, r.done, r.total, r.note) for r in watched.running)
        panels = self._panels(folder, formed, language)
        return serving.Live(
            row, under, watched.seconds_left, formed.models, formed.planned, panels, watched.paid,
            watched.to_pay,
        )  # fmt: skip

    def _panels(self, folder: Path, formed: Formed, language: str) -> str:
        """Return the curves of a study, drawn anew where its points or curves are others than before."""
        known, panels = self.drawn.get((folder, language), (None, ""))
        if known is None or known.points is not formed.points or known.curves is not formed.curves:
            panels = view.forming(formed.points, formed.curves, language)
            self.drawn[folder, language] = formed, panels
        return panels

    def overlaid(self, names: Sequence[str], language: str) -> str:
        """Return the curves of several studies over one another, "" where they share no type."""
        folders = {name: folder for name in names if (folder := self._folder(name)) is not None}
        formed = {
            name: self._formed(folder, finished=self._row(folder, language)[0].finished)
            for name, folder in folders.items()
        }
        return view.overlaid({name: (f.points, f.curves) for name, f in formed.items()}, language)

    def open(self, name: str) -> ChatModel:
        """Load a model that was named, or one of a study: no other folder, and nothing from the hub."""
        if name in self.given:
            return self.opener(find_model(name, runs=self.runs), self.device)
        if ":" in name:
            return self.opener(find_study_model(name, self.runs), self.device)
        known = [*self.given, *(name for row in self.studies("en") for name in row.models)]
        raise serving.unknown_model(name, known)

    def _folder(self, name: str) -> Path | None:
        return next((f for f in study_folders(self.runs) if study_name(f) == name), None)

    def _formed(self, folder: Path, *, finished: bool, fitted: bool = True) -> Formed:
        """Return the measurements so far: those of its result for a study that is finished."""
        models, made = _models(folder), folder / RESULT
        if made.is_file() and (finished or models is None):
            found = _result(made, made.stat().st_mtime_ns)
            if found is not None:
                return found if models is None else replace(found, planned=len(models.models))
        if models is None:
            return Formed((), (), 0, 0)
        return self.forming.now(models) if fitted else self.forming.known(models)

    def _row(self, folder: Path, language: str) -> tuple[serving.StudyRow, plan.Watched]:
        name, made = study_name(folder), folder / RESULT
        models = _models(folder)
        watched = self._watched(folder)
        above = [folder.parent] if folder.parent != self.runs else []
        pages = [page for place in (folder, *above) if (page := place / REPORT).is_file()]
        row = serving.StudyRow(
            name=name,
            finished=made.is_file() and watched.finished,
            models=tuple(f"{name}:{m}" for m in self._trained(models)),
            planned=len(models.models) if models else 0,
            says=_says(folder, language) if made.is_file() else None,
            reports=tuple(str(page.relative_to(self.runs)) for page in pages),
            done=watched.done, steps=watched.total, running=watched.working,
            whole=watched.whole, command=view.study_command(folder),
        )  # fmt: skip
        return row, watched

    def _watched(self, folder: Path) -> plan.Watched:
        """Return how far a study is; nothing is known of one without a list of steps."""
        for place in (folder, folder.parent):
            try:
                return self.watcher.watch(_steps(place, (place / plan.STEPS).stat().st_mtime_ns))
            except (AssayError, OSError, KeyError, TypeError):
                continue
        return plan.Watched(0, 0, (), None)

    def _trained(self, models: StudyModels | None) -> list[str]:
        """Return the names of the models that are in the store; what is there once stays."""
        if models is None:
            return []
        store, names = models.opened, []
        for model in models.models:
            place = models.store, model.key or ""
            if place in self.trained or model.key is None or store.has(model.key):
                self.trained.add(place)
                names.append(model.name)
        return names


def _models(folder: Path) -> StudyModels | None:
    """Return the models of a study, None where their list is absent or broken: others stay to be seen."""
    try:
        return _read(folder, (folder / MODELS).stat().st_mtime_ns)
    except (AssayError, OSError):
        return None


# What is read is kept by the time it was written, so that a list of hundreds of studies reads each once.
@lru_cache(maxsize=4096)
def _read(folder: Path, written: int) -> StudyModels:
    return read_models(folder)


@lru_cache(maxsize=4096)
def _steps(folder: Path, written: int) -> plan.StepList:
    return plan.read_steps(folder)


@lru_cache(maxsize=64)
def _result(path: Path, written: int) -> Formed | None:
    try:
        found = view.load_result(path)
    except AssayError:
        return None
    return Formed(found.points, tuple(found.curves), found.models, found.models)


def _says(folder: Path, language: str) -> str | None:
    """Return what a study found, in a sentence; None where its result is not of this version."""
    said, made = folder / view.SAYS, folder / RESULT
    if said.is_file():
        return _sentence(said, said.stat().st_mtime_ns).get(language)
    return _headline(made, made.stat().st_mtime_ns, language)


@lru_cache(maxsize=4096)
def _sentence(path: Path, written: int) -> dict[str, str]:
    try:
        return {str(k): str(v) for k, v in read_json(path).items()}
    except AssayError:
        return {}


@lru_cache(maxsize=4096)
def _headline(result: Path, written: int, language: str) -> str | None:
    try:
        return view.headline(view.load_result(result), language)
    except AssayError:
        return None
