"""Stores of experiment trackers that are SQLite or plain text: MLflow and Trackio."""

from __future__ import annotations

import json
import math
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from assay.core import AssayError, Say, say
from assay.results._metrics import last_values, measured
from assay.results._recipes import facts_of
from assay.results._values import Run

T = TypeVar("T")
_SUFFIXES = (".db", ".sqlite", ".sqlite3")
_STATES = {"1": "RUNNING", "2": "SCHEDULED", "3": "FINISHED", "4": "FAILED", "5": "KILLED"}
_History = list[tuple[int, Mapping[str, float]]]


@dataclass(frozen=True, slots=True)
class MlflowReader:
    """MLflow's SQLite store, and its older one of folders (``mlruns/<experiment>/<run>/meta.yaml``)."""

    name: str = "mlflow"
    version: int = 1
    patterns: tuple[str, ...] = ("*.db", "*.sqlite", "*.sqlite3", "meta.yaml")

    def __call__(self, path: Path) -> Iterator[Run] | None:
        """Return the runs of a store."""
        if path.name == "meta.yaml":
            return _folder_run(path) if (path.parent / "metrics").is_dir() else None
        if {"runs", "params", "metrics", "experiments"} <= _tables(path):
            return iter(_query(path, _mlflow))
        return None


@dataclass(frozen=True, slots=True)
class TrackioReader:
    """Trackio's store: a SQLite file a project."""

    name: str = "trackio"
    version: int = 1
    patterns: tuple[str, ...] = ("*.db",)

    def __call__(self, path: Path) -> Iterator[Run] | None:
        """Return the runs of a project."""
        tables = _tables(path)
        if {"metrics", "configs"} <= tables and "params" not in tables:
            return iter(_query(path, _trackio))
        return None


def _tables(path: Path) -> set[str]:
    """Return the tables of a SQLite file; none of any other file."""
    if path.suffix not in _SUFFIXES or not path.is_file():
        return set()
    with path.open("rb") as file:
        if file.read(15) != b"SQLite format 3":
            return set()
    return set(_query(path, _names))


def _query(path: Path, ask: Callable[[sqlite3.Connection, Path], Iterable[T]]) -> list[T]:
    """Return what a question finds in a store, which is opened to be read only.

    A store whose log of writes lies beside it is read with that; any other as a file that nobody writes, for
    SQLite would lay files beside it even to read.
    """
    log = path.with_name(path.name + "-wal")
    still = "" if log.is_file() and log.stat().st_size else "&immutable=1"
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro{still}", uri=True)) as store:
            return list(ask(store, path))
    except sqlite3.Error as error:
        raise AssayError(f"the store cannot be read ({error})", place=str(path),
                         expected="a store as MLflow or Trackio wrote it") from None  # fmt: skip


def _names(store: sqlite3.Connection, path: Path) -> Iterator[str]:
    for (name,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'table'"):
        yield name


def _mlflow(store: sqlite3.Connection, path: Path) -> Iterator[Run]:
    params: dict[str, dict[str, str]] = defaultdict(dict)
    for run, key, value in store.execute("SELECT run_uuid, key, value FROM params"):
        params[run][key] = value
    history: dict[str, _History] = defaultdict(list)
    rows = "SELECT run_uuid, step, key, value, is_nan FROM metrics ORDER BY run_uuid, step, timestamp"
    for run, step, key, value, missing in store.execute(rows):
        history[run].append((int(step), {key: math.nan if missing else float(value)}))
    for run, name, status, stage in store.execute("SELECT run_uuid, name, status, lifecycle_stage FROM runs"):
        if stage != "deleted":
            yield _logged("mlflow", path, (name or run, run), params[run], history[run], _status(status))


def _status(status: str) -> Say | None:
    return None if status in ("FINISHED", "3") else say("import.mlflow.status", status=status)


def _folder_run(meta: Path) -> Iterator[Run]:
    import yaml

    folder = meta.parent
    told = yaml.safe_load(meta.read_text(encoding="utf-8")) or {}
    params = {p.name: p.read_text(encoding="utf-8") for p in sorted((folder / "params").glob("*"))}
    history: _History = []
    for file in sorted(p for p in (folder / "metrics").rglob("*") if p.is_file()):
        key = file.relative_to(folder / "metrics").as_posix()
        for line in file.read_text(encoding="utf-8").splitlines():
            _, value, step = [*line.split(), "0"][:3]
            history.append((int(step), {key: float(value)}))
    if told.get("lifecycle_stage") != "deleted":
        status = _STATES.get(str(told.get("status")), str(told.get("status")))
        names = (str(told.get("run_name") or folder.name), folder.name)
        yield _logged("mlflow", folder, names, params, history, _status(status))


def _trackio(store: sqlite3.Connection, path: Path) -> Iterator[Run]:
    configs = {run: json.loads(text) for run, text in store.execute("SELECT run_name, config FROM configs")}
    history: dict[str, _History] = defaultdict(list)
    for run, step, text in store.execute(
        "SELECT run_name, step, metrics FROM metrics ORDER BY run_name, step, id"
    ):
        values = {k: v for k, v in json.loads(text).items() if isinstance(v, int | float)}
        history[run].append((int(values.get("train/global_step", step)), values))
    for run, rows in history.items():
        yield _logged("trackio", path, (run,), configs.get(run) or {}, rows, None)


def _logged(
    tool: str,
    path: Path,
    names: tuple[str, ...],
    config: Mapping[str, Any],
    history: _History,
    why: Say | None,
) -> Run:
    values, notes = last_values(history)
    return Run(
        tool, f"{path}: {names[0]}", names, facts_of(config), measured(values), unusable=why, notes=notes
    )
