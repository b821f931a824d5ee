"""A run watched from outside: which steps are done, which are under way and how far; from the store alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
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
    whole: bool = True
    """Whether all steps are known; before that a run is never finished."""

    @property
    def finished(self) -> bool:
        """Return whether nothing is left to do."""
        return self.whole and self.done == self.total


@dataclass(frozen=True, slots=True)
class StepList:
    """The steps of a run and its store; ``whole`` is false while only the first of them are known."""

    store: Path
    steps: tuple[Listed, ...]
    whole: bool


def write_steps(folder: Path, store: Store, targets: Sequence[Step], *, whole: bool) -> None:
    """List the steps of a run in its folder."""
    rows = [[step.key, step.name, step.label, step.estimate.seconds] for step in in_order(targets)]
    listed = {"store": str(store.root.resolve()), "whole": whole, "steps": rows}
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / STEPS) as partial:
        partial.write_text(json.dumps(listed, ensure_ascii=False), encoding="utf-8")


def read_steps(folder: Path) -> StepList:
    """Return the steps that a folder lists; raises :class:`AssayError` where there is no list."""
    found = read_json(folder / STEPS)
    steps = tuple(Listed(*row) for row in found["steps"])
    return StepList(Path(found["store"]), steps, bool(found["whole"]))


_KNOWN = 0.02
"""Share of the estimates that must be done before their pace says how long the rest takes."""


@dataclass
class Watcher:
    """Watches the runs of stores; what is done once is not asked for again."""

    _done: dict[tuple[str, str], float] = field(default_factory=dict)

    def watch(self, listed: StepList) -> Watched:
        """Return how far the steps are, as their store has them now."""
        store, all_ = Store(listed.store, create=False), listed.steps
        if listed.whole and all_ and store.has(all_[-1].key):
            return Watched(len(all_), len(all_), (), 0.0)
        open_ = [step for step in all_ if self._took(store, step.key) is None]
        running = [(step, state) for step in open_ if (state := _state(store, step)) is not None]
        return Watched(
            len(all_) - len(open_), len(all_), tuple(state for _, state in running),
            self._left(store, all_, open_, running) if listed.whole else None, listed.whole,
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
        if not left or not running or sum(s for s, _ in done) < _KNOWN * sum(s.seconds or 0 for s in steps):
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
