"""Exports of Weights & Biases: tables of runs and histories (CSV), lists of runs (JSON), local summaries."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.core import AssayError, read_json, say
from assay.results._metrics import last_values, measured, split_name
from assay.results._recipes import facts_of
from assay.results._values import Run

_SUMMARY = "wandb-summary.json"
_SPANS = ("__MIN", "__MAX")


@dataclass(frozen=True, slots=True)
class WandbReader:
    """What the pages of W&B export as CSV, what its API gives as JSON, and ``files/wandb-summary.json``.

    ``.wandb`` files of offline runs are a log of W&B's own; sync them, or export the run.
    """

    name: str = "wandb"
    version: int = 1
    patterns: tuple[str, ...] = (_SUMMARY, "*.wandb")

    def __call__(self, path: Path) -> Iterator[Run] | None:
        """Return the runs of an export."""
        if path.suffix == ".wandb":
            return _offline(path)
        if path.name == _SUMMARY:
            return iter([_summary(path)])
        if path.suffix == ".json":
            return _listed(path)
        return _table(path) if path.suffix == ".csv" else None


def _offline(path: Path) -> Iterator[Run]:
    """Say that a log is not read, unless its summary lies beside it, which is."""
    if (path.parent / "files" / _SUMMARY).is_file():
        return iter(())
    return iter([Run("wandb", str(path), (path.parent.name,), unusable=say("import.wandb.offline"))])


def _summary(path: Path) -> Run:
    import yaml

    config = path.with_name("config.yaml")
    told = yaml.safe_load(config.read_text(encoding="utf-8")) if config.is_file() else {}
    about = path.with_name("wandb-metadata.json")
    arguments = read_json(about).get("args") if about.is_file() else None
    names = (path.parent.parent.name, *(str(a) for a in arguments or ()))
    return Run("wandb", str(path), names, facts_of(_bare(told or {})), measured(_numbers(read_json(path))))


def _bare(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings without the objects that W&B wraps them in: ``{"lr": {"value": 0.1}}``."""
    return {k: v["value"] if isinstance(v, dict) and "value" in v else v for k, v in config.items()}


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    return {k: v for k, v in values.items() if isinstance(v, int | float) and not isinstance(v, bool)}


def _listed(path: Path) -> Iterator[Run] | None:
    """Return the runs of a list of objects with a summary; None for other JSON."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if (
        not isinstance(rows, list)
        or not rows
        or not all(isinstance(r, dict) and "summary" in r for r in rows)
    ):
        return None
    return (_one(path, row) for row in rows)


def _one(path: Path, row: Mapping[str, Any]) -> Run:
    config, summary = (
        json.loads(v) if isinstance(v := row.get(k) or {}, str) else v for k in ("config", "summary")
    )
    names = tuple(str(row[key]) for key in ("name", "id") if row.get(key))
    facts = facts_of(_bare(config))
    return Run("wandb", f"{path}: {', '.join(names[:1])}", names, facts, measured(_numbers(summary)),
               unusable=_state(row.get("state")))  # fmt: skip


def _state(state: Any) -> Any:
    return (
        None
        if str(state or "finished").lower() == "finished"
        else say("import.wandb.state", state=str(state))
    )


def _table(path: Path) -> Iterator[Run] | None:
    with path.open(encoding="utf-8-sig", newline="") as file:
        header = next(csv.reader(file), [])
    if "Step" in header and any(" - " in name for name in header):
        return _histories(path)
    if "Name" in header and ("State" in header or any("/" in name for name in header)):
        return _runs(path)
    return None


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        try:
            yield from csv.DictReader(file, strict=True)
        except csv.Error as error:
            raise AssayError(f"the table cannot be read ({error})", place=str(path)) from None


def _runs(path: Path) -> Iterator[Run]:
    for row in _rows(path):
        names = tuple(row[key] for key in ("Name", "ID") if row.get(key))
        values = {k: n for k, text in row.items() if k and split_name(k) and (n := _float(text)) is not None}
        yield Run("wandb", f"{path}: {', '.join(names[:1])}", names, facts_of(row), measured(values),
                  unusable=_state(row.get("State")))  # fmt: skip


def _histories(path: Path) -> Iterator[Run]:
    history: dict[str, list[tuple[int, dict[str, float]]]] = defaultdict(list)
    for row in _rows(path):
        for column, text in row.items():
            name, apart, key = (column or "").rpartition(" - ")
            number = _float(text)
            if apart and number is not None and not key.endswith(_SPANS):
                history[name].append((int(_float(row["Step"]) or 0), {key: number}))
    for name, rows in history.items():
        values, notes = last_values(rows)
        yield Run("wandb", f"{path}: {name}", (name,), {}, measured(values), notes=notes)


def _float(text: Any) -> float | None:
    try:
        return float(text)
    except (TypeError, ValueError):
        return None
