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
_FEW, _SPREAD = 6, 1.5


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
    """Seconds of a kind of step: ``start`` where its worker is new to it, then ``fixed`` + ``slope`` x guess.

    ``steps``: how many it was learned from.
    """

    start: float
    fixed: float
    slope: float
    steps: int

    def seconds(self, guess: float, *, first: bool) -> float:
        """Return what a step takes whose plain estimate is ``guess``."""
        return first * self.start + self.fixed + self.slope * guess


_PLAIN = Pace(0.0, 0.0, 1.0, 0)


class Paces:
    """What was learned from the log of a store: of each kind of step, else of what it is alike to.

    A kind is told in words, from what matters most: of a step whose kind was not seen, the others count whose
    first words are the same, at last all of its name.
    """

    def __init__(self, took: Sequence[Took]) -> None:
        self.steps = len(took)
        groups = _grouped(took)
        self.clock = {key: _pace(rows, "seconds") for key, rows in groups.items()}
        self.cpu = {key: _pace(rows, "cpu") for key, rows in groups.items()}
        self.shares = {
            (key, field): _share(rows, field)
            for key, rows in groups.items()
            for field in ("tokens", "bytes", "money")
        }

    def seconds(self, step: Step, *, first: bool, cpu: bool = False) -> float | None:
        """Return what a step will take by the clock (or of processors); None where nothing is known."""
        paces = self.cpu if cpu else self.clock
        found = next((paces[key] for key in _keys(step.name, step.estimate.kind) if key in paces), _PLAIN)
        guess = step.estimate.seconds
        if guess is None:
            return None if found is _PLAIN else found.seconds(0.0, first=first)
        return found.seconds(guess, first=first)

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


def _pace(rows: Sequence[Took], field: str) -> Pace:
    """Return the pace of alike steps: a line where enough are seen over a range, else a factor."""
    warm = [row for row in rows if not row.first] or list(rows)
    guess = np.array([row.estimate.seconds or 0.0 for row in warm])
    spent = np.array([getattr(row, field) for row in warm])
    fixed, slope = _line(guess, spent)
    cold = [row for row in rows if row.first] if len(warm) < len(rows) else []
    late = [getattr(row, field) - fixed - slope * (row.estimate.seconds or 0.0) for row in cold]
    return Pace(max(float(np.mean(late)), 0.0) if late else 0.0, fixed, slope, len(rows))


def _line(guess: np.ndarray, spent: np.ndarray) -> tuple[float, float]:
    total = float(guess.sum())
    if total <= 0:
        return float(spent.mean()), 0.0
    if len(guess) >= _FEW and guess.max() > _SPREAD * max(float(guess.min()), 1e-9):
        slope = float(np.cov(guess, spent, bias=True)[0, 1] / guess.var())
        fixed = float(spent.mean() - slope * guess.mean())
        if slope > 0 and fixed >= 0:
            return fixed, slope
    return 0.0, float(spent.sum()) / total


def _share(rows: Sequence[Took], field: str) -> float | None:
    """Return which share of what was foretold was used; None where nothing was counted."""
    known = [
        (g, u) for r in rows if (g := getattr(r.estimate, field)) and (u := getattr(r, field)) is not None
    ]
    return sum(u for _, u in known) / sum(g for g, _ in known) if known else None
