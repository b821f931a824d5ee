"""What the store keeps of a study's model: its evaluation set, its pool, how it was measured and judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from assay.core import AssayError
from assay.model import base_digest
from assay.plan import Step, Store
from assay.study._find import StudyModel, StudyModels

_Manifest: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Kept:
    """``evaluation`` and ``pool`` as steps that are done; ``measure`` and ``judge`` as settings of theirs.

    ``judge`` is None where nothing was judged, ``pool`` where no model was trained on it yet.
    """

    evaluation: Step
    pool: Step | None
    measure: Mapping[str, Any]
    judge: Mapping[str, Any] | None


def kept(models: StudyModels, model: StudyModel) -> Kept:
    """Return what is kept of ``model``; raise :class:`AssayError` where it was not measured yet."""
    store = Store(models.store, create=False)
    manifests = {key: store.manifest(key) for key in store.completed()}
    base = None if model.key is not None else base_digest(model.base)

    def of_model(manifest: _Manifest) -> bool:
        inputs, config = manifest["inputs"], manifest["config"]
        own = inputs.get("model") == model.key and config.get("base") == base
        return bool(own and inputs["evaluation"] == models.evaluation)

    answered = _latest(manifests, "answer", of_model)
    if answered is None:
        raise AssayError(
            "the study has not measured the model yet", place=str(models.folder), value=model.name,
            hint="`assay study run` with its file goes on where it stopped",
        )  # fmt: skip
    pool = _pool(manifests, models)
    judged = _latest(manifests, "judge", lambda manifest: manifest["inputs"].get("answers") == answered)
    return Kept(
        evaluation=_done(manifests, models.evaluation),
        pool=None if pool is None else _done(manifests, pool),
        measure=manifests[answered]["config"],
        judge=None if judged is None else manifests[judged]["config"],
    )


def _latest(manifests: Mapping[str, _Manifest], name: str, wanted: Callable[[_Manifest], bool]) -> str | None:
    """Return the key of the step of a name that was begun last among those wanted."""
    found = [key for key, manifest in manifests.items() if manifest["name"] == name and wanted(manifest)]
    return max(found, key=lambda key: str(manifests[key]["started"]), default=None)


def _pool(manifests: Mapping[str, _Manifest], models: StudyModels) -> str | None:
    """Return the key of the pool that the study's models were trained on; None where there is none."""
    trained = next((model.key for model in models.models if model.key in manifests), None)
    if trained is None:
        return None
    return str(manifests[manifests[str(trained)]["inputs"]["tokens"]]["inputs"]["pool"])


def _done(manifests: Mapping[str, _Manifest], key: str) -> Step:
    """Return a step as its manifest has it; it is in the store, so its function is never called."""
    facts = manifests[key]
    inputs = {role: _done(manifests, upstream) for role, upstream in facts["inputs"].items()}
    return Step(facts["name"], facts["version"], "", facts["config"], inputs, label=facts["label"])
