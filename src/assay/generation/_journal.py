"""What has happened so far, round by round, on disk; a killed run goes on from the last closed round."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from assay.core import AssayError
from assay.generation._filters import Rejection
from assay.generation._tasks import Task

NAME = "journal.jsonl"


@dataclass(frozen=True)
class Entry:
    """One task of a reply, or a part of it that was none.

    ``request`` numbers the request and ``place`` the task in its reply.  ``held``: it is among those that
    later ones are compared with; kept is held without ``rejection``.  ``how`` is ``self_instruct`` or the
    name of an evolution; ``parent`` the number of the task evolved, among those held.
    """

    request: int
    place: int
    task: Task
    held: bool
    rejection: Rejection | None = None
    how: str = "self_instruct"
    parent: int | None = None
    generation: int = 0

    @property
    def kept(self) -> bool:
        """Whether it is in the output."""
        return self.held and self.rejection is None


@dataclass(frozen=True)
class Asked:
    """One request: what it cost and what came of it.

    ``tokens_in``, ``tokens_out`` and ``cost`` are None where they are not known; ``failure`` says why there
    was no reply.  ``step`` is ``generate`` or ``answer``.
    """

    number: int
    step: str
    how: str
    parent: int | None
    tasks: int
    ended: str
    tokens_in: int | None
    tokens_out: int | None
    cost: float | None
    failure: str | None = None


@dataclass(frozen=True)
class Round:
    """All that one round brought, in the order of its requests; ``stopped``: why it was the last, or ""."""

    asked: tuple[Asked, ...]
    entries: tuple[Entry, ...]
    stopped: str = ""


@dataclass
class Journal:
    """The rounds of one generation in a folder; held are how many tasks each kept, and why it stopped."""

    folder: Path
    identity: str
    rounds: list[tuple[int, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Find the closed rounds; an unfinished last one is dropped.

        Raises :class:`AssayError` where the folder belongs to another generation run.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._path = self.folder / NAME
        self._ends: list[int] = []
        if not self._path.exists() or not self._find():
            self._path.write_bytes(b"")
            self._append({"identity": self.identity})
            self._begin = self._path.stat().st_size

    def close_round(self, done: Round) -> None:
        """Write a round; after the call it survives a kill."""
        lines: list[Mapping[str, Any]] = [{"asked": asdict(one)} for one in done.asked]
        lines += [{"entry": _plain(one)} for one in done.entries]
        kept = sum(entry.kept for entry in done.entries)
        self._append(*lines, {"round": len(self.rounds), "kept": kept, "stopped": done.stopped})
        self.rounds.append((kept, done.stopped))
        self._ends.append(self._path.stat().st_size)

    def reopen(self) -> None:
        """Drop the last round: it is asked again, from the stored replies."""
        self.rounds.pop()
        self._ends.pop()
        os.truncate(self._path, self._ends[-1] if self._ends else self._begin)

    def _append(self, *rows: Mapping[str, Any]) -> None:
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        with self._path.open("ab") as file:
            file.write(text.encode("utf-8", "surrogatepass"))
            file.flush()
            os.fsync(file.fileno())

    def _find(self) -> bool:
        """Find the closed rounds; return whether there is a generation at all."""
        at = end = 0
        for number, (line, row) in enumerate(_lines(self._path)):
            at += len(line)
            if number == 0:
                if row.get("identity") != self.identity:
                    raise _another(self.folder)
                end = self._begin = at
            elif "round" in row:
                self.rounds.append((row["kept"], row["stopped"]))
                self._ends.append(at)
                end = at
        if end:
            os.truncate(self._path, end)
        return end > 0


def read_rounds(folder: Path) -> Iterator[Round]:
    """Yield the closed rounds of a folder, whatever generation it holds."""
    asked: list[Asked] = []
    entries: list[Entry] = []
    for _, row in _lines(folder / NAME):
        if "asked" in row:
            asked.append(Asked(**row["asked"]))
        elif "entry" in row:
            entries.append(_entry(row["entry"]))
        elif "round" in row:
            yield Round(tuple(asked), tuple(entries), row["stopped"])
            asked, entries = [], []


def _lines(path: Path) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """Yield whole lines; what a kill has left half-written ends the file."""
    with path.open("rb") as file:
        for line in file:
            try:
                row = json.loads(line.decode("utf-8", "surrogatepass")) if line.endswith(b"\n") else None
            except ValueError:
                row = None
            if not isinstance(row, dict):
                return
            yield line, row


def _plain(entry: Entry) -> dict[str, Any]:
    row = asdict(entry)
    row["task"] = {name: value for name, value in row["task"].items() if value}
    return row


def _entry(row: Mapping[str, Any]) -> Entry:
    rejection = row["rejection"]
    task = Task(**{"instruction": "", **row["task"]})
    return Entry(**{**row, "task": task, "rejection": None if rejection is None else Rejection(**rejection)})


def _another(folder: Path) -> AssayError:
    return AssayError(
        "the folder belongs to another generation run",
        place=str(folder),
        expected="an empty folder, or one of the same model, prompts, seeds, filters and settings",
        hint="choose another --work, or delete this one",
    )
