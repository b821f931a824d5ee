"""Runs of Hugging Face's Trainer and what is built on it: TRL, LLaMA-Factory, ms-swift."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.core import AssayError, Say, read_json, say
from assay.results._metrics import last_values, measured
from assay.results._recipes import facts_of
from assay.results._values import Fact, Run

STATE, RESULTS = "trainer_state.json", ("all_results.json", "eval_results.json", "predict_results.json")
_SETTINGS = (
    "adapter_config.json",
    "args.json",
    "training_args.json",
    "training_args.yaml",
    "train.yaml",
    "config.yaml",
)
_CARD = re.compile(
    r"^- (learning_rate|train_batch_size|total_train_batch_size|seed|num_epochs|lr_scheduler_type): (.+)$",
    re.M,
)
_CARD_BASE = re.compile(r"^base_model: (.+)$", re.M)
_CHECKPOINT = re.compile(r"checkpoint-(\d+)")


@dataclass(frozen=True, slots=True)
class TrainerReader:
    """Folders with ``trainer_state.json`` or ``all_results.json``; the run is the folder.

    Measures are those after training (``all_results.json``), else the last of ``log_history``.  Settings are
    those of files beside it: ``args.json`` (ms-swift), ``adapter_config.json`` (PEFT), ``train.yaml`` and the
    like (LLaMA-Factory), the model card.  ``training_args.bin`` is a pickle and never opened.
    """

    name: str = "trainer"
    version: int = 1
    patterns: tuple[str, ...] = (STATE, *RESULTS)

    def __call__(self, path: Path) -> Iterator[Run] | None:
        """Return the run of the folder that a file is in, once."""
        if path.name not in self.patterns:
            return None
        first = next(name for name in self.patterns if (path.parent / name).is_file())
        return iter([_run(path.parent)] if path.name == first else [])


def _run(folder: Path) -> Run:
    state = _object(folder / STATE) if (folder / STATE).is_file() else {}
    results: dict[str, Any] = {}
    for name in reversed(RESULTS):
        results |= _object(folder / name) if (folder / name).is_file() else {}
    logged, notes = last_values(_history(state, folder / STATE))
    values = {**logged, **results}
    checkpoint = _CHECKPOINT.fullmatch(folder.name)
    return Run(
        tool="trainer",
        place=str(folder),
        names=(str(folder),),
        facts=_facts(folder, state, values),
        measures=measured(values),
        checkpoint=None if checkpoint is None else int(checkpoint[1]),
        unusable=_unfinished(state, values) if checkpoint is None else None,
        notes=() if results else notes,
    )


def _history(state: Mapping[str, Any], place: Path) -> Iterator[tuple[int, Mapping[str, float]]]:
    rows = state.get("log_history") or []
    if not isinstance(rows, list) or not all(isinstance(row, dict) and "step" in row for row in rows):
        raise AssayError("the log of a training cannot be read", place=f"{place}: log_history",
                         expected="a list of objects with a step")  # fmt: skip
    for row in rows:
        yield int(row["step"]), {k: v for k, v in row.items() if isinstance(v, int | float) and k != "step"}


def _unfinished(state: Mapping[str, Any], values: Mapping[str, float]) -> Say | None:
    """Return that a run stopped before its end; one that says how long it took has ended, if early."""
    done, whole = state.get("global_step"), state.get("max_steps")
    if not done or not whole or done >= whole or "train_runtime" in values:
        return None
    return say("import.unfinished", done=int(done), of=int(whole))


def _facts(folder: Path, state: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Fact]:
    found = _card(folder)
    for name in _SETTINGS:
        found |= facts_of(_settings(folder / name))
    if state.get("num_train_epochs") and "epochs" not in found:
        found["epochs"] = state["num_train_epochs"]
    found |= facts_of({k: v for k, v in values.items() if k == "train_samples"})
    implied = implied_size(values)
    return found if implied is None else {**found, "implied_low": implied[0], "implied_high": implied[1]}


def implied_size(values: Mapping[str, Any]) -> tuple[float, float] | None:
    """Return between which sizes the training set was, by the speed that the Trainer wrote down; or None.

    Samples a second are rounded to a thousandth, seconds to a ten-thousandth; epochs are those that were run.
    """
    try:
        speed, seconds = float(values["train_samples_per_second"]), float(values["train_runtime"])
        epochs = max(float(values["epoch"]), 1.0)
    except (KeyError, TypeError, ValueError):
        return None
    reach = (0.0006 * seconds + 0.0001 * speed) / epochs
    middle = speed * seconds / epochs
    return (middle - reach, middle + reach) if speed > 0 else None


def _card(folder: Path) -> dict[str, Fact]:
    """Return what the Trainer wrote into the model card."""
    card = folder / "README.md"
    if not card.is_file():
        return {}
    text = card.read_text(encoding="utf-8", errors="replace")
    found = dict(_CARD.findall(text))
    found.setdefault("total_train_batch_size", found.pop("train_batch_size", None))
    base = _CARD_BASE.search(text)
    return facts_of(found | ({"base": base[1]} if base and base[1] != "None" else {}))


def _settings(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        return {}
    if path.suffix == ".json":
        return _object(path)
    import yaml

    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise AssayError(f"the settings cannot be read ({type(error).__name__})", place=str(path)) from None
    return found if isinstance(found, dict) else {}


def _object(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = read_json(path, hint="if the run was stopped while writing, remove the file")
    return found
