"""What cleaning keeps of each sample: digests, numbers and codes of names, no text and no object."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from assay.core import Sample, replacing, to_json
from assay.data import (
    HashedFile,
    HashedTexts,
    Part,
    Rejected,
    Shard,
    ShardRows,
    hashed,
    part_key,
    placeholder,
)
from assay.selection._evaluation import prompt_of
from assay.selection._near import Rows, text_key

Quality = Callable[[Sequence[Sample]], Sequence[float]]
_KINDS = 3
_VERSION = 1
"""Of what is kept of a part: another where its columns hold something else."""
_ARRAYS = ("ids", "lines", "best", "prompts", "keys", "asked")
_NOTHING = HashedTexts(np.zeros(0, np.uint32), np.zeros(1, np.int64))
_NO_GROUPS = np.zeros((0, _KINDS), np.int32)


@dataclass(frozen=True, slots=True)
class Columns:
    """The samples of one part.  ``asked``: tokens of each prompt, the first of its text."""

    ids: NDArray[np.uint64]
    places: tuple[list[int], list[str]]
    lines: Rows
    groups: tuple[NDArray[np.int32], list[str]]
    broken: dict[int, str]
    best: NDArray[np.float64]
    prompts: Rows
    keys: Rows
    asked: NDArray[np.int32]
    texts: HashedTexts
    rejected: tuple[Rejected, ...] = ()
    path: str = ""
    stopped: bool = False


@dataclass(frozen=True, slots=True)
class Look:
    """Returns the columns of a part in a worker; those of files it keeps in a folder, where one is given."""

    kept: str = ""

    def __call__(self, part: Part) -> Columns:
        """Look at a part, or read what was kept of it."""
        if not isinstance(part, Shard):
            return columns_of(part)
        if not self.kept:
            return _columns_of_shard(part)
        file = Path(self.kept, f"{part_key(part, ['columns', _VERSION])}.npz")
        if file.exists():
            return _load(file)
        found = _columns_of_shard(part)
        with replacing(file) as partial:
            _save(found, partial)
        return found


def _columns_of_shard(part: Shard) -> Columns:
    rows, rejected, samples = ShardRows(part), list[Rejected](), list[Sample]()
    for row in rows:
        samples.append(row) if isinstance(row, Sample) else rejected.append(row)
    return columns_of(samples, rejected=tuple(rejected), path=str(part.path), stopped=rows.stopped)


def _save(found: Columns, file: Path) -> None:
    arrays = {name: getattr(found, name) for name in _ARRAYS}
    (codes, places), (groups, names) = found.places, found.groups
    told = [places, names, found.broken, [to_json(row) for row in found.rejected], found.path, found.stopped]
    with file.open("wb") as lines:
        np.savez(
            lines, **arrays, places=np.array(codes, np.int64), groups=groups, tokens=found.texts.tokens,
            offsets=found.texts.offsets, told=np.frombuffer(json.dumps(told).encode(), np.uint8),
        )  # fmt: skip


def _load(file: Path) -> Columns:
    with np.load(file) as read:
        places, names, broken, rejected, path, stopped = json.loads(read["told"].tobytes())
        return Columns(
            places=(read["places"].tolist(), places),
            groups=(read["groups"], names),
            broken={int(row): why for row, why in broken.items()},
            texts=HashedTexts(read["tokens"], read["offsets"]),
            rejected=tuple(Rejected(**row) for row in rejected),
            path=path,
            stopped=stopped,
            **{name: read[name] for name in _ARRAYS},
        )


def columns_of(
    samples: Sequence[Sample],
    *,
    rejected: tuple[Rejected, ...] = (),
    path: str = "",
    stopped: bool = False,
) -> Columns:
    """Return the columns of samples; the best has the longest answer."""
    prompts, answers = list(map(prompt_of, samples)), list(map(said, samples))
    both = hashed(text for pair in zip(prompts, answers, strict=True) for text in pair)
    codes, names, lines, groups = dict[str, int](), list[int](), list[int](), dict[str, int]()
    kinds: list[list[int]] = []
    for sample in samples:
        place, line = _split(sample.origin)
        names.append(codes.setdefault(place, len(codes)))
        lines.append(line)
        three = (sample.source, sample.language or "unknown", sample.type or "untyped")
        kinds.append([groups.setdefault(name, len(groups)) for name in three])
    ids = b"".join(bytes.fromhex(sample.id) for sample in samples)
    found = enumerate(map(_broken, samples, answers))
    return Columns(
        ids=np.frombuffer(ids, np.uint64).reshape(-1, 2),
        places=(names, list(codes)),
        lines=np.array(lines, np.int64),
        groups=(np.array(kinds, np.int32).reshape(-1, _KINDS), list(groups)),
        broken={row: why for row, why in found if why},
        best=np.array(list(map(len, answers)), np.float64),
        prompts=np.array(list(map(text_key, prompts)), np.int64),
        keys=np.array(list(map(text_key, answers)), np.int64),
        asked=both.lengths[::2].astype(np.int32),
        texts=HashedTexts(both.tokens, both.offsets[::2]),
        rejected=rejected,
        path=path,
        stopped=stopped,
    )


def _split(origin: str) -> tuple[str, int]:
    """Return an origin as its place and line; one without a line as it is, with -1."""
    place, _, line = origin.rpartition(":")
    plain = line.isascii() and line.isdecimal() and (line == "0" or line[0] != "0") and len(line) < 18
    return (place, int(line)) if plain and origin[len(place) : len(place) + 1] == ":" else (origin, -1)


def said(sample: Sample) -> str:
    """Return the answer of a sample with its tool calls, or ""."""
    return "" if sample.answer is None else sample.messages[-1].said


def _broken(sample: Sample, answer: str) -> str:
    """Return why a sample cannot be learnt from, or ""."""
    if not answer.strip():
        return "no answer"
    if placeholder(answer, answer=True):
        return f"the answer says that there is none ({answer.strip()})"
    if not any(c.isalnum() for c in answer):
        return "the answer has no letter or digit"
    prompt = "".join(m.content for m in sample.prompt).strip()
    if not prompt:
        return "no prompt"
    broken = answer.count("\ufffd")
    if broken and broken * 50 >= len(answer):
        return "letters lost to a wrong encoding"
    return ""


class Table:
    """The columns of all parts, one after another; the tokens are in a file."""

    def __init__(self) -> None:
        """Begin with no row."""
        self._parts: list[Columns] = []
        self._names, self._groups = dict[str, int](), dict[str, int]()
        self._places: list[NDArray[np.int32]] = []
        self._codes: list[NDArray[np.int32]] = []
        self.texts = HashedFile()
        self.broken: dict[int, str] = {}
        self.old = self._rows = 0
        """Rows in front that are only compared with: they are never removed."""

    def add(self, part: Columns) -> None:
        """Take the rows of a part."""
        own = np.array([self._names.setdefault(n, len(self._names)) for n in part.places[1]], np.int32)
        self._places.append(own[part.places[0]] if len(own) else np.zeros(0, np.int32))
        code = np.array([self._groups.setdefault(n, len(self._groups)) for n in part.groups[1]], np.int32)
        self._codes.append(code[part.groups[0]] if len(code) else np.zeros((0, _KINDS), np.int32))
        self.broken |= {self._rows + row: why for row, why in part.broken.items()}
        self.texts.add(part.texts)
        self._rows += len(part.lines)
        # The tokens are in the file, the names in one table.
        self._parts.append(replace(part, texts=_NOTHING, places=([], []), groups=(_NO_GROUPS, []), broken={}))

    def close(self) -> None:
        """Join the parts: no row comes any more."""
        parts, self._parts = self._parts, []
        self.ids = np.concatenate([np.zeros((0, 2), np.uint64), *(p.ids for p in parts)])
        self.lines = np.concatenate([np.zeros(0, np.int64), *(p.lines for p in parts)])
        self.best = np.concatenate([np.zeros(0, np.float64), *(p.best for p in parts)])
        self.prompts = np.concatenate([np.zeros(0, np.int64), *(p.prompts for p in parts)])
        self.keys = np.concatenate([np.zeros(0, np.int64), *(p.keys for p in parts)])
        self.asked = np.concatenate([np.zeros(0, np.int32), *(p.asked for p in parts)]).astype(np.int64)
        self.places = np.concatenate([np.zeros(0, np.int32), *self._places])
        self.groups = np.concatenate([np.zeros((0, _KINDS), np.int32), *self._codes])
        self._places, self._codes = [], []
        self.names, self.group_names = list(self._names), list(self._groups)

    def __len__(self) -> int:
        """Return the number of rows."""
        return self._rows

    def id(self, row: int) -> str:
        """Return the id of a row."""
        return str(self.ids[row].tobytes().hex())

    def origin(self, row: int) -> str:
        """Return the origin of a row."""
        line = int(self.lines[row])
        return f"{self.names[self.places[row]]}{f':{line}' if line >= 0 else ''}"

    def name(self, row: int) -> str:
        """Return how a receipt names a row."""
        return self.origin(row) or self.id(row)

    def left(self, removed: NDArray[np.bool_] | None = None) -> Rows:
        """Return the rows that are not removed, the best first, those in front before all."""
        best = np.where(np.isnan(self.best), -np.inf, self.best)
        best[: self.old] = np.inf
        order = np.argsort(-best, kind="stable").astype(np.int64)
        return order if removed is None else order[~removed[order]]

    def prompts_of(self, texts: HashedTexts, first: int) -> HashedTexts:
        """Return the tokens of the prompts of texts, of which row ``first`` is the first."""
        return texts.parts(texts.offsets[:-1], self.asked[first : first + len(texts)])

    def all_prompts(self) -> list[HashedTexts]:
        """Return the tokens of all prompts, in parts."""
        return [self.prompts_of(texts, first) for first, texts in self.texts.chunks()]


class AnswersOf:
    """The tokens of the answers of a table: what is behind the prompts."""

    def __init__(self, table: Table) -> None:
        """Look into a table that is closed."""
        self._table = table

    @property
    def lengths(self) -> Rows:
        """The number of tokens of each."""
        return self._table.texts.lengths - self._table.asked

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._table)

    def chunks(self) -> Iterator[tuple[int, HashedTexts]]:
        """Yield (number of the first row, answers)."""
        for first, texts in self._table.texts.chunks():
            yield first, self._of(texts, self._table.asked[first : first + len(texts)])

    def _of(self, texts: HashedTexts, asked: Rows) -> HashedTexts:
        return texts.parts(texts.offsets[:-1] + asked, texts.lengths - asked)
