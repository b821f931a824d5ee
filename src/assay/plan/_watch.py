"""A run watched from outside: which steps are done, which are under way and how far; from the store alone."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from assay.core import read_json, replacing
from assay.plan._step import Step, in_order
from assay.plan._store import Store

STEPS = "steps.json"
"""File of a study's folder that lists its steps, so that others can watch them."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A step as it is listed: its key, what it is, and what it was estimated to take (None where unknown)."""

    key: str
    name: str
    label: str
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Running:
    """A step under way; ``total`` is 0 where it does not say how far it is, ``note`` what it says besides."""

    name: str
    label: str
    done: float
    total: float
    note: str


@dataclass(frozen=True, slots=True)
class Watched:
    """How far a run is: steps done, those under way, and the time left (None where that is not known)."""

    done: int
    total: int
    running: tuple[Running, ...]
    seconds_left: float | None

    @property
    def finished(self) -> bool:
        """Return whether nothing is left to do."""
        return self.done == self.total


def write_steps(folder: Path, targets: Sequence[Step]) -> None:
    """List the steps of a run in its folder."""
    rows = [[step.key, step.name, step.label, step.estimate.seconds] for step in in_order(targets)]
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / STEPS) as partial:
        partial.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")


def read_steps(folder: Path) -> tuple[Listed, ...]:
    """Return the steps that a folder lists, none where it has no list."""
    path = folder / STEPS
    return tuple(Listed(*row) for row in read_json(path, list)) if path.is_file() else ()


@dataclass
class Watcher:
    """Watches the runs of stores; what is done once is not asked for again."""

    _done: dict[tuple[str, str], float] = field(default_factory=dict)

    def watch(self, store: Store, steps: Iterable[Listed]) -> Watched:
        """Return how far the steps are, as the store has them now."""
        all_ = tuple(steps)
        if all_ and store.has(all_[-1].key):
            return Watched(len(all_), len(all_), (), 0.0)
        open_ = [step for step in all_ if self._took(store, step.key) is None]
        running = [(step, state) for step in open_ if (state := _state(store, step)) is not None]
        return Watched(
            len(all_) - len(open_), len(all_), tuple(state for _, state in running),
            self._left(store, all_, open_, running),
        )  # fmt: skip

    def _took(self, store: Store, key: str) -> float | None:
        """Return how long a step took, None where it is not done."""
        known = self._done.get((str(store.root), key))
        if known is None and store.has(key):
            known = self._done[str(store.root), key] = float(store.manifest(key).get("seconds", 0.0))
        return known

    def _left(
        self, store: Store, steps: Sequence[Listed], left: Sequence[Listed],
        running: Sequence[tuple[Listed, Running]],
    ) -> float | None:  # fmt: skip
        """Return the estimates of what is left, by the speed so far, shared by as many as run at once."""
        done = [(s.seconds, took) for s in steps if s.seconds and (took := self._took(store, s.key))]
        if not left or not done or not running:
            return 0.0 if not left else None
        pace = sum(took for _, took in done) / sum(seconds for seconds, _ in done)
        reached = {s.key: min(r.done / r.total, 1.0) for s, r in running if r.total}
        work = sum((s.seconds or 1.0) * (1 - reached.get(s.key, 0.0)) for s in left)
        return work * pace / len(running)


def _state(store: Store, step: Listed) -> Running | None:
    """Return how far a step is, None where nobody works at it."""
    if not store.busy(step.key):
        return None
    try:
        text = (store.work(step.key) / "progress.json").read_text(encoding="utf-8")
        done, total, note = json.loads(text)
    except (OSError, ValueError):
        done, total, note = 0, 0, ""
    return Running(step.name, step.label, float(done), float(total), str(note))
