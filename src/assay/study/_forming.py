"""What a study has measured so far: points and curves while it runs, from the models that are measured."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

from assay import curves, data, view
from assay.core import CurveResult, Point, Sample
from assay.plan import Store, open_store
from assay.study._find import StudyModel, StudyModels
from assay.study.steps import MeasuredRun

Measured: TypeAlias = tuple[str, str | None, str]
"""What a model's points are read from: the keys of its answers and of their judgements; and its name."""


@dataclass(frozen=True, slots=True)
class Formed:
    """Points and curves as they are now; ``models`` are those measured, of ``planned``."""

    points: tuple[Point, ...]
    curves: tuple[CurveResult, ...]
    models: int
    planned: int


@dataclass
class Forming:
    """Reads the measurements of studies as they come; what is measured is read once, and fitted once.

    Curves are of the metric of the answer, which alone is shown while a study runs.
    """

    _points: dict[Measured, tuple[Point, ...]] = field(default_factory=dict)
    _formed: dict[Path, tuple[frozenset[Measured], Formed]] = field(default_factory=dict)

    def known(self, models: StudyModels) -> Formed:
        """Return what was read and fitted of these models before, which takes no time.

        Without points where nothing was, or where the study has been run anew with others since.
        """
        ready = self._ready(models)
        of, found = self._formed.get(models.folder, (frozenset(), None))
        if found is not None and of <= _keys(ready):
            return replace(found, planned=len(models.models))
        return Formed((), (), len(ready), len(models.models))

    def _ready(self, models: StudyModels) -> list[StudyModel]:
        store = open_store(models.store, create=False)
        return [m for m in models.models if _name(m) in self._points or _is_measured(store, m)]

    def now(self, models: StudyModels) -> Formed:
        """Return what a study's models show now; curves only where three sizes are there."""
        store = open_store(models.store, create=False)
        ready = self._ready(models)
        of, known = self._formed.get(models.folder, (frozenset(), None))
        if known is not None and of == _keys(ready):
            return replace(known, planned=len(models.models))
        points = tuple(self._all(models, store, ready))
        shown = view.headline_metric(point.metric for point in points)
        fitted = tuple(curves.fit_curves(point for point in points if point.metric == shown))
        formed = Formed(points, fitted, len(ready), len(models.models))
        self._formed[models.folder] = _keys(ready), formed
        return formed

    def _all(self, models: StudyModels, store: Store, ready: Iterable[StudyModel]) -> Iterable[Point]:
        items: list[Sample] | None = None
        for model in ready:
            name = _name(model)
            if name not in self._points:
                if items is None:
                    items = list(data.Dataset(store.path(models.evaluation) / "dataset"))
                found = _measured(store, model).points(items)
                self._points[name] = tuple(replace(point, run=model.name) for point in found)
            yield from self._points[name]


def _keys(models: Iterable[StudyModel]) -> frozenset[Measured]:
    return frozenset(map(_name, models))


def _is_measured(store: Store, model: StudyModel) -> bool:
    return store.has(model.answer) and (model.judged is None or store.has(model.judged))


def _name(model: StudyModel) -> Measured:
    return model.answer, model.judged, model.name


def _measured(store: Store, model: StudyModel) -> MeasuredRun:
    found = {"answer": store.path(model.answer)}
    if model.judged is not None:
        found["judge"] = store.path(model.judged)
    row = {"arm": model.arm, "seed": model.seed, "n_train": model.n_train, "key": model.name}
    return MeasuredRun(found, row | {"trunk": 0, "shared": True})
