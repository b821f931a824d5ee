"""What a run will take, what it may take at most, and what it took."""

from __future__ import annotations

import heapq
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from assay.core import AssayError, Say, say
from assay.plan._step import Step
from assay.plan._took import RUNS, Paces, read_took, remembered

_UNLEARNED = 3.0
"""How far a forecast may be off where nothing was measured yet, either way: a factor."""
_RUNS, _FEWEST = 20, 3
_MARKS = (0.1, 0.9)
_SHORT = 5.0
"""Runs of fewer seconds say nothing of forecasts."""
_TIMES = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86400.0}
_SIZES = {"mb": 1e6, "gb": 1e9, "tb": 1e12}
CAP = "where.cap"
"""Where a study file names the cap."""


@dataclass(frozen=True, slots=True)
class Cap:
    """The most that a command may take; None is no cap.  ``text`` is what the user wrote."""

    text: str
    seconds: float | None = None
    tokens: float | None = None
    bytes: float | None = None
    money: Mapping[str, float] = field(default_factory=dict)


def parse_cap(text: str) -> Cap:
    """Read ``3 hours``, ``20 USD``, ``2M tokens``, ``5 GB``, or several of them (``and``, ``;``).

    Raises :class:`AssayError` for anything else; nothing is guessed.
    """
    from assay.llm import parse_budget

    seconds = size = tokens = None
    money: dict[str, float] = {}
    for part in re.split(r"\s+and\s+|[;；+和、]", text.strip()):
        number, _, unit = part.strip().partition(" ")
        name = unit.strip().lower().removesuffix("s")
        if name in _TIMES and seconds is None:
            seconds = _amount(number, text) * _TIMES[name]
        elif name in _SIZES and size is None:
            size = _amount(number, text) * _SIZES[name]
        else:
            try:
                found = parse_budget(part)
            except AssayError:
                raise _unreadable(text) from None
            tokens = found.tokens if found.tokens is not None else tokens
            money |= {} if found.money is None else {found.currency: found.money}
    return Cap(text, seconds, tokens, size, money)


def _amount(number: str, whole: str) -> float:
    try:
        found = float(number.replace(",", "").replace("_", ""))
    except ValueError:
        raise _unreadable(whole) from None
    if not 0 < found < float("inf"):
        raise _unreadable(whole)
    return found


def _unreadable(text: str) -> AssayError:
    return AssayError(
        "cannot parse the cap", place=CAP, value=text,
        expected="amounts of time, money, tokens or disk: 3 hours and 20 USD",
        hint='units: minutes, hours, days; USD, CNY or another currency; tokens; MB, GB, TB',
    )  # fmt: skip


def above_cap(what: str, cap: str, found: Forecast) -> AssayError:
    """Return the error that keeps a run from starting which cannot end within its cap."""
    return AssayError(
        f"the steps to do take more than the cap on {what}", place=CAP, value=cap,
        expected=str(found.said()), hint="raise the cap, or ask for less; nothing was run",
    )  # fmt: skip


def cap_reached(what: str) -> AssayError:
    """Return the error that ends a run at its cap."""
    return AssayError(
        f"the cap on {what} is reached", place=CAP,
        hint="finished steps are kept: raise the cap and run the same command to go on",
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Forecast:
    """What steps to do will take; None where nothing is known.

    ``seconds``: of all of them by the clock, ``cpu``: of processors; ``wall``: of the run with its
    ``workers``, ``low`` and ``high``: where it should lie, by how far earlier forecasts were off.  ``money``
    by currency; ``unpriced`` steps are paid at a price that is not known.  ``learned``: how many steps are
    foretold from others of their name, ``unknown``: of how many no time is known.
    """

    steps: int
    workers: int
    seconds: float
    cpu: float
    wall: float
    low: float
    high: float
    tokens: float
    bytes: float
    money: Mapping[str, float]
    unpriced: int
    learned: int
    unknown: int

    def said(self, key: str | None = None) -> Say:
        """Return it in a sentence, by default that of steps which are about to begin."""
        key = key or ("cost.before" if self.learned else "cost.before.rough")
        return say(
            key, steps=self.steps, wall=self.wall, span=(self.low, self.high), workers=self.workers,
            tokens=_if_any("cost.tokens.more", self.tokens), disk=_if_any("cost.disk", self.bytes),
            money=money_said(self.money, self.unpriced), learned=self.learned,
        )  # fmt: skip


def money_said(money: Mapping[str, float], unpriced: int = 0) -> Say | str:
    """Return amounts in words: ``, 0.42 USD``; "" where nothing is paid."""
    parts = [f"{amount_said(amount)} {currency}" for currency, amount in sorted(money.items())]
    if unpriced:
        return say("cost.money.unpriced", amounts=" + ".join(parts) or "0", steps=unpriced)
    return say("cost.money", amounts=" + ".join(parts)) if parts else ""


def _if_any(key: str, amount: float) -> Say | str:
    """Return an amount in words, "" where there is nothing of it."""
    return say(key, n=amount) if amount else ""


def amount_said(amount: float) -> str:
    """Return an amount of money; what is not nothing is never 0.00."""
    return "< 0.01" if 0 < amount < 0.005 else f"{amount:,.2f}"


def foretell(
    steps: Sequence[Step], folder: Path, workers: int = 1, price_per_hour: Mapping[str, float] = {},
    known: Collection[str] = (),
) -> Forecast:  # fmt: skip
    """Return what steps that are to do will take, from what the store in ``folder`` has seen of such steps.

    ``price_per_hour``: money for an hour of the machine, by currency; ``known``: names of steps that its
    worker has done before.
    """
    paces = Paces(read_took(folder))
    wall, seconds = _schedule(steps, paces, workers, known)
    low, high = _span(folder) if any(map(paces.knows, steps)) else (1 / _UNLEARNED, _UNLEARNED)
    money = {name: price * wall / 3600 for name, price in price_per_hour.items()}
    for step in steps:
        if (amount := paces.used(step, "money")) is not None:
            money[step.estimate.currency] = money.get(step.estimate.currency, 0.0) + amount
    sums = {name: sum(paces.used(step, name) or 0.0 for step in steps) for name in ("tokens", "bytes")}
    cpu = sum(paces.seconds(s, first=f, cpu=True) or 0.0 for s, f in _firsts(steps, workers, known))
    return Forecast(
        len(steps), workers, seconds, cpu, wall, low * wall, high * wall, sums["tokens"], sums["bytes"],
        {name: amount for name, amount in money.items() if amount > 0},
        sum(s.estimate.paid and s.estimate.money is None for s in steps), sum(map(paces.knows, steps)),
        sum(paces.seconds(s, first=False) is None for s in steps),
    )  # fmt: skip


def _firsts(steps: Sequence[Step], workers: int, known: Collection[str]) -> list[tuple[Step, bool]]:
    """Return each step with whether its worker is likely new to its name: as many of each as workers."""
    seen: dict[str, int] = {}
    found = []
    for step in steps:
        seen[step.name] = seen.get(step.name, 0) + 1
        found.append((step, seen[step.name] <= workers and step.name not in known))
    return found


def _span(folder: Path) -> tuple[float, float]:
    """Return between which factors earlier forecasts of this store were off, most of them."""
    ratios = past_ratios(folder)
    if len(ratios) < _FEWEST:
        return 1 / _UNLEARNED**0.5, _UNLEARNED**0.5
    low, high = np.quantile(ratios, _MARKS)
    return min(float(low), 0.95), max(float(high), 1.05)


def past_ratios(folder: Path) -> list[float]:
    """Return what earlier runs took over what was foretold, the latest of those that were learned."""
    rows = [row for row in remembered(folder, RUNS) if row.get("learned") and row.get("foretold", 0) > _SHORT]
    return [float(row["wall"]) / float(row["foretold"]) for row in rows[-_RUNS:]]


def _schedule(
    steps: Sequence[Step], paces: Paces, workers: int, done: Collection[str]
) -> tuple[float, float]:
    """Return when the last step ends, run as :func:`assay.plan.run` does, and the sum of all steps."""
    made = _Schedule(steps, paces, workers, done)
    while made.ready or made.running:
        made.start()
        made.end()
    return made.clock, made.total


class _Schedule:
    """Steps put on workers: the longest way to the end first, each as soon as its inputs are there."""

    def __init__(self, steps: Sequence[Step], paces: Paces, workers: int, done: Collection[str]) -> None:
        self.steps, self.paces = {step.key: step for step in steps}, paces
        self.waits = {s.key: {u.key for u in s.inputs.values() if u.key in self.steps} for s in steps}
        self.users: dict[str, list[str]] = {key: [] for key in self.steps}
        for key, upstream in self.waits.items():
            for other in upstream:
                self.users[other].append(key)
        self.order = {key: place for place, key in enumerate(self.steps)}
        self.after: dict[str, float] = {}
        for step in reversed(steps):
            later = max((self.after[user] for user in self.users[step.key]), default=0.0)
            self.after[step.key] = later + (paces.seconds(step, first=False) or 0.0)
        self.ready: list[tuple[float, int, str]] = []
        self.running: list[tuple[float, int, str]] = []
        self.free, self.known = list(range(workers)), [set(done) for _ in range(workers)]
        self.clock = self.total = 0.0
        for key in [key for key, upstream in self.waits.items() if not upstream]:
            self._push(key)

    def _push(self, key: str) -> None:
        heapq.heappush(self.ready, (-self.after[key], self.order[key], key))

    def start(self) -> None:
        """Give a step to each worker that is free."""
        while self.ready and self.free:
            step, worker = self.steps[heapq.heappop(self.ready)[2]], heapq.heappop(self.free)
            took = self.paces.seconds(step, first=step.name not in self.known[worker]) or 0.0
            self.known[worker].add(step.name)
            self.total += took
            heapq.heappush(self.running, (self.clock + took, worker, step.key))

    def end(self) -> None:
        """Go on to the end of the step that ends first."""
        self.clock, worker, key = heapq.heappop(self.running)
        heapq.heappush(self.free, worker)
        for user in self.users[key]:
            self.waits[user].discard(key)
            if not self.waits[user]:
                self._push(user)


@dataclass(frozen=True, slots=True)
class Spent:
    """What a command took: ``wall`` seconds beside what was ``foretold`` of them (None: of no steps).

    ``steps``: none of a job without any; ``seconds`` and ``cpu`` of all of it; ``per``: how many rows, runs
    and verdicts it was for, by name.
    """

    steps: int
    wall: float
    foretold: float | None
    seconds: float
    cpu: float
    tokens: float
    bytes: float
    money: Mapping[str, float]
    per: Mapping[str, int] = field(default_factory=dict)

    def said(self) -> list[Say]:
        """Return it in sentences: the whole, then for one of each kind."""
        off = self.wall / self.foretold - 1 if self.foretold else None
        key = "cost.after" if self.steps else "cost.after.job"
        head = say(
            "cost.after.plain" if off is None else key, wall=self.wall, foretold=self.foretold,
            off=off, steps=self.steps, tokens=_if_any("cost.tokens.paid", self.tokens),
            disk=_if_any("cost.disk", self.bytes), money=money_said(self.money),
        )  # fmt: skip
        return [head, *(self._each(name, count) for name, count in self.per.items() if count)]

    def _each(self, name: str, count: int) -> Say:
        each = {currency: amount / count for currency, amount in self.money.items()}
        amounts = " + ".join(f"{amount:.3g} {currency}" for currency, amount in sorted(each.items()))
        return say(
            f"cost.per.{name}", count=count, seconds=self.wall / count,
            money=say("cost.money", amounts=amounts) if amounts else "",
        )  # fmt: skip
