"""Find a model by the name a person gives it: ``pocket``, a folder, a hub id, or a model of a study.

A study writes ``models.json`` beside its report: the store it uses and the key of every model, known before
anything is trained.  So a model can be asked as soon as it is in the store, while the study still runs.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NoReturn

from assay import data
from assay.core import BASE_ARM, AssayError, read_json
from assay.model import POCKET, resolve_base
from assay.plan import STEPS, Store, open_store
from assay.study._graph import Ladder, RunSteps

MODELS = "models.json"
_ADAPTER = "adapter_config.json"
_MODEL = re.compile(r"(?P<arm>.+)/(?P<rung>\d+|full)(?:/seed(?P<seed>\d+))?")


@dataclass(frozen=True, slots=True)
class ModelPlace:
    """Where a model lies; load it by ``load_model(place.folder, device, base=place.base)``.

    ``base`` is the model below it where ``folder`` holds an adapter, else None; ``label`` names it to people;
    ``study`` is the folder of the study it belongs to (its report and ``models.json``), None for others.
    """

    folder: Path
    base: Path | None
    label: str
    study: Path | None = None


@dataclass(frozen=True, slots=True)
class StudyModel:
    """One model of a study; ``key`` is that of its training step, None for the untrained ``base``.

    ``answer`` and ``judged`` are those of the steps that measure it; the latter None where it is not judged.
    """

    arm: str
    n_train: int
    seed: int
    key: str | None
    base: Path
    answer: str
    judged: str | None

    @property
    def name(self) -> str:
        """Return its name within the study: ``arm/rung/seedN``, or ``base``."""
        return BASE_ARM if self.key is None else f"{self.arm}/{self.n_train}/seed{self.seed}"


@dataclass(frozen=True, slots=True)
class StudyModels:
    """The models of a study, trained or not yet.

    ``folder`` holds its report; ``evaluation`` and ``pool`` are the keys of the steps that read its data;
    ``pool_samples`` is what the rung ``full`` stands for.
    """

    folder: Path
    store: Path
    evaluation: str
    pool: str
    pool_samples: int
    models: tuple[StudyModel, ...]

    def trained(self, model: StudyModel) -> bool:
        """Say whether a model is in the store; the base model always is."""
        return model.key is None or self.opened.has(model.key)

    def place(self, model: StudyModel) -> ModelPlace:
        """Return where a model lies; raise :class:`AssayError` where it is not in the store."""
        label = f"{study_name(self.folder)}:{model.name}"
        if model.key is None:
            return ModelPlace(model.base, None, label, self.folder)
        if not self.trained(model):
            raise AssayError(
                "the model is not in the store: not trained yet, or removed by `assay gc`",
                place=self.opened.address, value=label,
                hint="`assay study run` with the study's file trains what is missing",
            )  # fmt: skip
        folder = self.opened.path(model.key) / "model"
        return ModelPlace(folder, model.base if _is_adapter(folder) else None, label, self.folder)

    @property
    def opened(self) -> Store:
        """Return the store that the study uses."""
        return open_store(self.store, create=False)


def write_models(
    folder: Path, store: Store, ladder: Ladder, runs: Iterable[RunSteps], *, of_several: bool
) -> None:
    """Write down which models a study has and where, before they are trained.

    ``of_several``: the folder is that of one base among others, a level below its study's.
    """
    base = str(ladder.base.folder.resolve())
    rows = [
        {"arm": run.arm, "n_train": run.n_train, "seed": run.seed, "base": base}
        | {"key": run.branch and run.branch.key, "answer": run.answer.key}
        | {"judged": run.judged and run.judged.key}
        for run in runs
    ]
    data.write_json(
        folder / MODELS,
        {"store": store.lasting_address(), "evaluation": ladder.evaluation.key, "pool": ladder.pool.key}
        | {"pool_samples": ladder.summary.samples, "of_several": of_several, "models": rows},
    )


def read_models(folder: Path) -> StudyModels:
    """Return the models of the study whose report is in ``folder``."""
    path = folder / MODELS
    hint = "run the study again: finished steps are reused"
    found: dict[str, Any] = read_json(path, hint=hint)
    try:
        models = tuple(_row(row) for row in found["models"])
        keys = str(found["evaluation"]), str(found["pool"])
        return StudyModels(folder, Path(found["store"]), *keys, int(found["pool_samples"]), models)
    except (ValueError, KeyError, TypeError) as error:
        raise AssayError(
            f"the list of the study's models cannot be read ({type(error).__name__})", place=str(path),
            expected="written by `assay study run`", hint=hint,
        ) from None  # fmt: skip


def _row(row: Mapping[str, Any]) -> StudyModel:
    key, judged = (value if value is None else str(value) for value in (row["key"], row["judged"]))
    place, size, seed = Path(row["base"]), int(row["n_train"]), int(row["seed"])
    str(row["arm"]).encode()  # names are told to others: half a surrogate pair is a ValueError
    return StudyModel(str(row["arm"]), size, seed, key, place, str(row["answer"]), judged)


def study_folders(runs: Path = Path("runs")) -> list[Path]:
    """Return the folders in ``runs`` that hold a study's report or models, by name.

    Of a study over several bases they are those of its bases, a level below.
    """
    marks = (MODELS, "result.json", STEPS)
    folders = sorted(p for p in runs.iterdir() if p.is_dir()) if runs.is_dir() else []
    found = []
    for folder in folders:
        bases = sorted(path.parent for path in folder.glob(f"*/{MODELS}"))
        found += bases or ([folder] if any((folder / mark).is_file() for mark in marks) else [])
    return found


def study_name(folder: Path) -> str:
    """Return the name of a study's folder: ``study``, or ``study/base`` where it is that of a base."""
    several = (folder.parent / "result.json").is_file() or _is_one_of_several(folder / MODELS)
    name = f"{folder.parent.name}/{folder.name}" if several else folder.name
    return name.encode("utf-8", "backslashreplace").decode()


def _is_one_of_several(listed: Path) -> bool:
    """Say whether a list of models, which is there before any result, is that of one base among others."""
    try:
        return _several(listed, listed.stat().st_mtime_ns)
    except (AssayError, OSError):
        return False


@lru_cache(maxsize=4096)
def _several(listed: Path, written: int) -> bool:
    return bool(read_json(listed).get("of_several", False))


def find_model(name: str, *, runs: Path = Path("runs")) -> ModelPlace:
    """Return where the model ``name`` lies.

    ``name`` is ``pocket``, a folder, a GGUF file, a Hugging Face id, or a model of a study in ``runs``:
    ``study:arm/rung`` (the first seed), ``study:arm/rung/seed2``, ``study:arm/full``, ``study:base``; of
    several bases one is named after the study, ``study/large:arm/rung``.
    Raises :class:`AssayError`, with the nearest names, for what is not there.
    """
    folder = Path(name).expanduser()
    if name != POCKET and not folder.is_dir() and ":" in name:
        return find_study_model(name, runs)
    if _is_adapter(folder):
        return ModelPlace(folder, _below(folder), name)
    if folder.suffix == ".gguf" and folder.is_file():
        return ModelPlace(folder, None, name)
    return ModelPlace(resolve_base(name), None, name)


def _is_adapter(folder: Path) -> bool:
    return (folder / _ADAPTER).is_file()


def _below(folder: Path) -> Path:
    """Return the base model that an adapter names."""
    path = folder / _ADAPTER
    base = read_json(path).get("base_model_name_or_path")
    if not base:
        raise AssayError(
            "the adapter does not name its base", place=str(path), expected="base_model_name_or_path",
            hint="write the base's folder or Hugging Face id there",
        )  # fmt: skip
    return resolve_base(str(base))


def find_study_model(name: str, runs: Path) -> ModelPlace:
    """Return where a study's model lies; ``name`` is never taken for a folder or a hub id."""
    studies = {study_name(folder): folder for folder in study_folders(runs)}
    own = [study for study in studies if name.startswith(f"{study}:")]
    if not own:
        _missing("no such study", name, str(runs), name.partition(":")[0], studies)
    study = max(own, key=len)
    models = read_models(studies[study])
    wanted = name.removeprefix(f"{study}:")
    return models.place(_pick(models, wanted, name))


def _pick(models: StudyModels, wanted: str, name: str) -> StudyModel:
    """Return the model that ``arm/rung[/seedN]`` or ``base`` stands for."""
    place = str(models.folder / MODELS)
    parts = _MODEL.fullmatch(wanted)
    if parts is None and wanted != BASE_ARM:
        known = {f"{m.arm}/{m.n_train}": None for m in models.models if m.key is not None}
        _missing("not a model of the study", name, place, wanted, [BASE_ARM, *known])
    arm = BASE_ARM if parts is None else parts["arm"]
    found = [m for m in models.models if m.arm == arm]
    if not found:
        _missing("no such arm", name, place, arm, dict.fromkeys(m.arm for m in models.models))
    if parts is not None:
        size = models.pool_samples if parts["rung"] == "full" else int(parts["rung"])
        rungs = dict.fromkeys(str(m.n_train) for m in found)
        found = [m for m in found if m.n_train == size]
        if not found:
            _missing("no such rung", name, place, parts["rung"], rungs)
        if parts["seed"] is not None:
            seeds = [f"seed{m.seed}" for m in found]
            found = [m for m in found if m.seed == int(parts["seed"])]
            if not found:
                _missing("no such seed", name, place, f"seed{parts['seed']}", seeds)
    return min(found, key=lambda m: m.seed)


def _missing(problem: str, name: str, place: str, wanted: str, known: Iterable[str]) -> NoReturn:
    near = difflib.get_close_matches(wanted, list(known), 1)
    raise AssayError(
        problem, place=place, value=name, expected="one of: " + (", ".join(known) or "(none is there)"),
        hint=f"did you mean `{near[0]}`?" if near else "study:arm/rung, study:arm/rung/seed2 or study:base",
    )  # fmt: skip
