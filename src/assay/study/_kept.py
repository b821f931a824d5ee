"""What the store keeps of a study's model: its evaluation set, its pool, how it was measured and judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from assay.core import AssayError
from assay.plan import Step, Store, open_store
from assay.study._find import StudyModel, StudyModels


@dataclass(frozen=True, slots=True)
class Kept:
    """``evaluation`` and ``pool`` as steps that are done; ``measure`` and ``judge`` as settings of theirs.

    ``judge`` is None where nothing was judged, ``pool`` where it is no longer in the store.
    """

    evaluation: Step
    pool: Step | None
    measure: Mapping[str, Any]
    judge: Mapping[str, Any] | None


def kept(models: StudyModels, model: StudyModel) -> Kept:
    """Return what is kept of ``model``; raise :class:`AssayError` where it was not measured yet."""
    store = open_store(models.store, create=False)
    if not store.has(model.answer):
        raise AssayError(
            "the study has not measured this model yet", place=str(models.folder), value=model.name,
            hint="`assay study run` with its file continues where it stopped",
        )  # fmt: skip
    judged = model.judged is not None and store.has(model.judged)
    return Kept(
        evaluation=_done(store, models.evaluation),
        pool=_done(store, models.pool) if store.has(models.pool) else None,
        measure=store.manifest(model.answer)["config"],
        judge=store.manifest(str(model.judged))["config"] if judged else None,
    )


def _done(store: Store, key: str) -> Step:
    """Return a step as its manifest has it; it is in the store, so its function is never called."""
    facts = store.manifest(key)
    inputs = {role: _done(store, upstream) for role, upstream in facts["inputs"].items()}
    return Step(facts["name"], facts["version"], "", facts["config"], inputs, label=facts["label"])
