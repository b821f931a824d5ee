"""What steps took, beside what was foretold of them: a log in the store, and the paces learned from it."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from assay.plan._step import Estimate, Step

STEPS, RUNS = "took.jsonl", "runs.jsonl"
DONE: set[str] = set()
"""Names of steps that this process has done: the first of each loads libraries."""
_LATEST = 400
"""Lines of a log that are learned from: a machine changes."""
_MOST_BYTES = 1 << 20
"""A larger log becomes the older one, which is read before it: several times what is learned from."""
_NOISE, _OFF, _FIXED = (0.05, 0.5), 0.5, 0.25
"""Errors as shares: of a step, between; of a pace not yet learned; of what is fixed, of what steps take."""
_START, _LEAST = 1.0, 0.02
"""Errors in seconds: of a start, and the least of all."""
_PASSES = 3


@dataclass(frozen=True, slots=True)
class Took:
    """What one step took: seconds by the clock and of processors, and what it used (None: not counted).

    ``first``: its worker had done no step of the name before, so that it loaded libraries as well.
    """

    name: str
    kind: str
    estimate: Estimate
    seconds: float
    cpu: float
    first: bool
    bytes: float | None = None
    tokens: float | None = None
    money: float | None = None


def remember(folder: Path, log: str, row: Mapping[str, Any]) -> None:
    """Add a line to a log of the store; a log that cannot be written is no reason to fail."""
    line = json.dumps(row, ensure_ascii=False) + "\n"
    with suppress(OSError):
        # One write to a file opened for appending: lines of several processes do not mix.
        place = os.open(folder / log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(place, line.encode())
            if os.fstat(place).st_size > _MOST_BYTES:
                _set_aside(folder / log, place)
        finally:
            os.close(place)


def _set_aside(path: Path, place: int) -> None:
    """Make a log the older one, unless another process that has it open did."""
    fcntl.flock(place, fcntl.LOCK_EX)
    if os.path.samestat(path.stat(), os.fstat(place)):
        path.replace(_older(path))


def _older(path: Path) -> Path:
    return path.with_suffix(".1.jsonl")


def remembered(folder: Path, log: str) -> list[dict[str, Any]]:
    """Return the latest lines of a log, oldest first; a line that was cut off is passed over."""
    lines: list[str] = []
    for path in (_older(folder / log), folder / log):
        with suppress(OSError):
            lines += path.read_text(encoding="utf-8", errors="replace").splitlines()
    found: list[dict[str, Any]] = []
    for line in lines[-_LATEST:]:
        with suppress(ValueError, TypeError):
            found.append(dict(json.loads(line)))
    return found


def note(folder: Path, took: Took) -> None:
    """Add what a step took to the store's log."""
    remember(folder, STEPS, asdict(took))


def read_took(folder: Path) -> list[Took]:
    """Return what the latest steps of a store took."""
    found = []
    for row in remembered(folder, STEPS):
        with suppress(KeyError, TypeError):
            found.append(Took(**{**row, "estimate": Estimate(**row["estimate"])}))
    return found


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds of a kind of step: ``start`` where its worker is new to it, then ``fixed`` + slopes x guess.

    ``slopes`` by sort of work, ``usual`` for sorts that were not seen.  ``steps``: how many it was learned
    from.
    """

    start: float
    fixed: float
    slopes: Mapping[str, float]
    usual: float
    steps: int

    def seconds(self, work: Mapping[str, float], *, first: bool) -> float:
        """Return what a step takes whose plain estimate is ``work``, by sort."""
        grown = sum(self.slopes.get(sort, self.usual) * guess for sort, guess in work.items())
        return first * self.start + self.fixed + grown


class Paces:
    """What was learned from the log of a store: of each kind of step, else of what it is alike to.

    A kind is told in words, from what matters most: what is known of those whose first words are the same is
    where its own pace starts from, so that few steps move it little, and many set it.
    """

    def __init__(self, took: Sequence[Took]) -> None:
        self.steps = len(took)
        groups = _grouped(took)
        self.clock = _paces(groups, "seconds")
        self.cpu = _paces(groups, "cpu")
        self.shares = {
            (key, field): _share(rows, field)
            for key, rows in groups.items()
            for field in ("tokens", "bytes", "money")
        }

    def seconds(self, step: Step, *, first: bool, cpu: bool = False) -> float | None:
        """Return what a step will take by the clock (or of processors); None where nothing is known."""
        paces = self.cpu if cpu else self.clock
        found = next((paces[key] for key in _keys(step.name, step.estimate.kind) if key in paces), None)
        return step.estimate.seconds if found is None else found.seconds(step.estimate.work, first=first)

    def used(self, step: Step, field: str) -> float | None:
        """Return tokens, bytes or money of a step; None where nothing is known."""
        guess: float | None = getattr(step.estimate, field)
        if guess is None:
            return None
        keys = _keys(step.name, step.estimate.kind)
        shares = (self.shares.get((key, field)) for key in keys)
        return guess * next((share for share in shares if share is not None), 1.0)

    def knows(self, step: Step) -> bool:
        """Say whether a step's seconds are learned from others of its name."""
        return any(key in self.clock for key in _keys(step.name, step.estimate.kind))


def _keys(name: str, kind: str) -> tuple[tuple[str, str], ...]:
    """Return what a step is alike to, the nearest first: its kind, then that without its last words."""
    words = kind.split()
    return tuple((name, " ".join(words[:length])) for length in range(len(words), -1, -1))


def _grouped(took: Iterable[Took]) -> dict[tuple[str, str], list[Took]]:
    """Return the rows of each kind, and of each name under no kind."""
    found: dict[tuple[str, str], list[Took]] = {}
    for row in took:
        for key in dict.fromkeys(_keys(row.name, row.kind)):
            found.setdefault(key, []).append(row)
    return found


def _paces(groups: Mapping[tuple[str, str], Sequence[Took]], field: str) -> dict[tuple[str, str], Pace]:
    """Return the pace of each kind, learned from its own steps and from what is known of kinds like it."""
    found: dict[tuple[str, str], Pace] = {}
    for name, kind in sorted(groups, key=lambda key: len(key[1].split())):
        above = found[name, " ".join(kind.split()[:-1])] if kind else Pace(0.0, 0.0, {}, 1.0, 0)
        rows = groups[name, kind]
        found[name, kind] = _learned(rows, field, _scaled(rows, field, above))
    return found


def _scaled(rows: Sequence[Took], field: str, pace: Pace) -> Pace:
    """Return a pace made as much faster or slower as the steps were, all together.

    A worker's first step loads libraries, which is no part of the pace; where none but such were seen it is
    kept.
    """
    spent = {first: [getattr(r, field) for r in rows if r.first == first] for first in (False, True)}
    guess = {
        first: [pace.seconds(r.estimate.work, first=False) for r in rows if r.first == first]
        for first in spent
    }
    known = sum(guess[False])
    by = sum(spent[False]) / known if known > 0 else 1.0
    fixed = by * pace.fixed if known > 0 or not spent[False] else sum(spent[False]) / len(spent[False])
    late = [took - by * g for took, g in zip(spent[True], guess[True], strict=True)]
    start = max(sum(late) / len(late), 0.0) if late else pace.start
    return Pace(start, fixed, {sort: by * s for sort, s in pace.slopes.items()}, by * pace.usual, len(rows))


def _learned(rows: Sequence[Took], field: str, prior: Pace) -> Pace:
    """Return the pace that fits the steps best, drawn to ``prior``, so that few of them move it little.

    Least squares with nothing below zero; a step's own error grows with what it takes.
    """
    from scipy.optimize import nnls

    sorts = sorted({sort for row in rows for sort in row.estimate.work})
    before = np.array([prior.start, prior.fixed, *(prior.slopes.get(s, prior.usual) for s in sorts)])
    works = np.array([[row.first, 1, *(row.estimate.work.get(s, 0.0) for s in sorts)] for row in rows], float)
    spent = np.array([getattr(row, field) for row in rows])
    scale = _OFF * before + [_START, _FIXED * spent.mean() + _LEAST, *[_LEAST] * len(sorts)]
    found, noise = before, _NOISE[1]
    for _ in range(_PASSES):
        error = noise * (works @ found) + _LEAST
        system = np.vstack([works / error[:, None], np.diag(1 / scale)])
        found, _ = nnls(system, np.concatenate([spent / error, before / scale]))
        off = (spent - works @ found) / (works @ found + _LEAST)
        noise = float(np.clip(np.sqrt((off**2).mean()), *_NOISE))
    grown, guess = works[:, 2:] @ found[2:], float(works[:, 2:].sum())
    slopes = dict(prior.slopes) | dict(zip(sorts, found[2:].tolist(), strict=True))
    usual = float(grown.sum()) / guess if guess > 0 else prior.usual
    return Pace(float(found[0]), float(found[1]), slopes, usual, len(rows))


def _share(rows: Sequence[Took], field: str) -> float | None:
    """Return which share of what was foretold was used; None where nothing was counted."""
    known = [
        (g, u) for r in rows if (g := getattr(r.estimate, field)) and (u := getattr(r, field)) is not None
    ]
    return sum(u for _, u in known) / sum(g for g, _ in known) if known else None
