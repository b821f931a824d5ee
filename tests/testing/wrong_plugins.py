"""Plug-ins that each break one law: what the suites are tried on."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from assay.core import Sample, Undefined
from assay.curves import FreeForm
from assay.indicators import Indicator
from assay.plan import Inline

COUNTER = itertools.count()


def indicator(name: str, measure: Any, unit: str = "words") -> Indicator:
    return Indicator(name, 1, unit, 1, (), "nobody", measure)


def sort(samples: list[Sample]) -> list[float]:
    samples.sort(key=lambda sample: sample.id)
    return [1.0 for _ in samples]


REMEMBERS = indicator("remembers", lambda rows: [float(next(COUNTER)) for _ in rows])
BY_PLACE = indicator("by-place", lambda rows: [float(row) for row in range(len(rows))])
BY_BATCH = indicator("by-batch", lambda rows: [float(len(rows)) for _ in rows])
NAN = indicator("nan", lambda rows: [float("nan") for _ in rows])
NO_REASON = indicator("no-reason", lambda rows: [Undefined(" ") for _ in rows])
FEW = indicator("few", lambda rows: [1.0 for _ in rows[1:]])
SORTS = indicator("sorts", sort)
HASHES = indicator("hashes", lambda rows: [float(hash(row.id) % 1000) for row in rows])
NO_UNIT = indicator("no-unit", lambda rows: [1.0 for _ in rows], unit=" ")


@dataclass(frozen=True)
class Chooser:
    name: str
    call: Any
    needs: tuple[str, ...] = ()
    version: int = 1
    source: str = "nobody"

    def __call__(self, choice: Any) -> Any:
        return self.call(choice)


def overwrite(choice: Any) -> Any:
    choice.score[:] = 0
    return choice.chance


STANDS = Chooser("stands", lambda choice: np.arange(choice.n))
TWICE = Chooser("twice", lambda choice: np.zeros(choice.n, int))
TOO_FEW = Chooser("too-few", lambda choice: choice.chance[:1])
UNSCORED = Chooser("unscored", lambda c: c.chance[np.argsort(~np.isnan(c.score[c.chance]))], ("score",))
OVERWRITES = Chooser("overwrites", overwrite, ("score",))
HASHED = Chooser("hashed", lambda c: np.array(sorted(range(len(c.ids)), key=lambda r: hash(c.ids[r]))))


@dataclass(frozen=True)
class Scorer:
    name: str
    call: Any
    version: int = 1
    direction: int = 1
    unit: str = "points"
    low: float | None = 0.0
    high: float | None = 1.0

    def __call__(self, item: Sample, answer: str) -> Any:
        return self.call(answer)


TWO = Scorer("two", lambda answer: 2.0)
NOTHING = Scorer("nothing", lambda answer: None)
BLANK = Scorer("blank", lambda answer: Undefined(" "))
NEVER = Scorer("never", lambda answer: Undefined("never"))
MOODY = Scorer("moody", lambda answer: float(next(COUNTER) % 2))
HASHING = Scorer("hashing", lambda answer: hash(answer) % 100 / 100)
UPSIDE_DOWN = Scorer("upside-down", lambda answer: 0.5, low=1.0, high=0.0)
SIDEWAYS = Scorer("sideways", lambda answer: 0.5, direction=0)


def lines(path: Path) -> Iterator[Any]:
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        yield {"instruction": line, "output": "yes"}


@dataclass(frozen=True)
class Lines:
    name: str
    call: Any
    version: int = 1
    suffixes: tuple[str, ...] = field(default=(".lines",))

    def __call__(self, path: Path) -> Any:
        return self.call(path)


def known(path: Path) -> bool:
    return path.suffix == ".lines"


def beside(path: Path) -> Any:
    if not known(path):
        return None
    path.with_suffix(".log").write_text("read")
    return lines(path)


GREEDY = Lines("greedy", lines)
SKIPS = Lines("skips", lambda path: itertools.islice(lines(path), 1, None) if known(path) else None)
WHIMS = Lines(
    "whims",
    lambda path: (row | {"output": str(next(COUNTER))} for row in lines(path)) if known(path) else None,
)
LITTERS = Lines("litters", beside)
ELSEWHERE = Lines("elsewhere", lambda path: lines(path) if known(path) else None, suffixes=(".other",))


def deaf(segment: Any, **more: Any) -> Any:
    from assay.model import train_full

    more["advance"] = lambda done, total, unit: None
    return train_full(segment, **more)


def restless(segment: Any, **more: Any) -> Any:
    from dataclasses import replace

    from assay.model import train_full

    return train_full(replace(segment, seed=next(COUNTER)), **more)


def form(name: str, function: Any) -> FreeForm:
    return FreeForm(name, function, (0.0,), (0.3,))


FLAT = form("flat", lambda x, p: 0 * np.log(x) + p[..., 0, None])
FALLS = form("falls", lambda x, p: p[..., 0, None] - np.log(x) / 3.5)
MIXES = form("mixes", lambda x, p: np.log(x) / 3.5 + 0 * p[..., 0, None] + p.mean())
THIN = form("thin", lambda x, p: (np.log(x) / 3.5 + p[..., 0, None])[..., :1])
BURSTS = form("bursts", lambda x, p: np.log(x) / 3.5 + np.where(p[..., 0, None] > 0.4, np.inf, 0))


class Liar(Inline):
    def __init__(self, settings: str) -> None:
        self.settings = settings

    def submit(self, function: Any, *arguments: Any) -> Future[Any]:
        future = super().submit(function, *arguments)
        if future.exception() is None and isinstance(future.result(), int):
            future = Future()
            future.set_result(7)
        return future


class Mute(Inline):
    def __init__(self, settings: str) -> None:
        self.settings = settings

    def submit(self, function: Any, *arguments: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(function(*arguments))
        except Exception as error:
            future.set_exception(RuntimeError(str(error)))
        return future


class Mortal(Inline):
    def __init__(self, settings: str) -> None:
        self.stopped = False

    def stop(self) -> None:
        self.stopped = True

    def submit(self, function: Any, *arguments: Any) -> Future[Any]:
        if self.stopped:
            raise RuntimeError("stopped")
        return super().submit(function, *arguments)
