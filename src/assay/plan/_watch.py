"""A run watched from outside: which steps are done, which are under way and how far; from the store alone."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from assay.core import digest, read_json, replacing
from assay.plan._shared import open_store
from assay.plan._step import Step, in_order
from assay.plan._store import Store
from assay.plan._took import Paces, read_took

STEPS = "steps.json"
"""File of a study's folder that lists its steps, so that others can watch them."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A step as it is listed: its key, what it is, and what it will take, as far as that is known."""

    key: str
    name: str
    label: str
    seconds: float | None
    money: float | None = None
    currency: str = "USD"


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
    """How far a run is: steps done, those under way, and the time left (None where that is not known).

    ``paid`` and ``to_pay`` are money by currency: what steps have paid for, and what is still to pay, hours
    of the machine among it where they have a price.
    """

    done: int
    total: int
    running: tuple[Running, ...]
    seconds_left: float | None
    whole: bool = True
    """Whether all steps are known; before that a run is never finished."""
    working: bool = False
    """Whether a command works at the run now, be it between two steps."""
    paid: Mapping[str, float] = field(default_factory=dict)
    to_pay: Mapping[str, float] = field(default_factory=dict)

    @property
    def finished(self) -> bool:
        """Return whether nothing is left to do."""
        return self.whole and self.done == self.total


@dataclass(frozen=True, slots=True)
class StepList:
    """The steps of a run and its store; ``whole`` is false while only the first of them are known.

    ``run`` names the lock that a command at work holds, ``price_per_hour`` is what its machine costs by
    currency.
    """

    store: Path
    steps: tuple[Listed, ...]
    whole: bool
    run: str = ""
    price_per_hour: Mapping[str, float] = field(default_factory=dict)


class Listing:
    """The steps of a command, listed in its folder as they become known, so that others can watch."""

    def __init__(self, folder: Path, store: Store, price_per_hour: Mapping[str, float]) -> None:
        """List steps in ``folder``; nothing is written before the first of them."""
        self.folder, self.paces = folder, Paces(read_took(store.root))
        self.rows: dict[str, list[Any]] = {}
        self.head = {
            "store": store.lasting_address(), "run": f"run-{digest(str(folder.resolve()))[:32]}",
            "price_per_hour": dict(price_per_hour), "whole": False,
        }  # fmt: skip

    def add(self, targets: Sequence[Step], *, whole: bool = False) -> None:
        """List the steps of ``targets``, the last of them last; ``whole`` says that no others will come."""
        new = {step.key: self._row(step) for step in in_order(targets)}
        if new.keys() <= self.rows.keys() and whole <= bool(self.head["whole"]):
            return
        self.rows = {key: row for key, row in self.rows.items() if key not in new} | new
        self.head["whole"] = self.head["whole"] or whole
        self.folder.mkdir(parents=True, exist_ok=True)
        with replacing(self.folder / STEPS) as partial:
            text = json.dumps(self.head | {"steps": list(self.rows.values())}, ensure_ascii=False)
            partial.write_text(text, encoding="utf-8")

    def _row(self, step: Step) -> list[Any]:
        seconds, money = self.paces.seconds(step, first=False), self.paces.used(step, "money")
        return [step.key, step.name, step.label, seconds, money, step.estimate.currency]


_LISTING: ContextVar[Listing | None] = ContextVar("listing", default=None)


@contextmanager
def listing(folder: Path, store: Store, price_per_hour: Mapping[str, float] = {}) -> Iterator[Listing]:
    """List in ``folder`` all steps that run inside the block, and be known as at work on them."""
    made = Listing(folder, store, price_per_hour)
    with store.at_work(str(made.head["run"])):
        before = _LISTING.set(made)
        try:
            yield made
        finally:
            _LISTING.reset(before)


def list_steps(targets: Sequence[Step]) -> None:
    """List steps that are about to run, where the command around lists its steps."""
    made = _LISTING.get()
    if made is not None:
        made.add(targets)


def read_steps(folder: Path) -> StepList:
    """Return the steps that a folder lists; raises :class:`AssayError` where there is no list."""
    found = read_json(folder / STEPS)
    steps = tuple(Listed(*row) for row in found["steps"])
    return StepList(
        Path(found["store"]), steps, bool(found["whole"]), str(found.get("run", "")),
        dict(found.get("price_per_hour", {})),
    )  # fmt: skip


Took: TypeAlias = Mapping[str, float]
"""The ``seconds`` and the ``money`` that a step took."""

_KNOWN = 0.02
"""Share of the estimates that must be done before their pace says how long the rest takes."""


@dataclass
class Watcher:
    """Watches the runs of stores; what is done once is not asked for again, what is open once a look."""

    _done: dict[tuple[str, str], Took] = field(default_factory=dict)

    def watch(self, listed: StepList) -> Watched:
        """Return how far the steps are, as their store has them now."""
        store, all_ = open_store(listed.store, create=False), listed.steps
        working = bool(listed.run) and store.busy(listed.run)
        if listed.whole and all_ and not working and store.has(all_[-1].key):
            return Watched(len(all_), len(all_), (), 0.0)
        took = {step.key: found for step in all_ if (found := self._took(store, step.key)) is not None}
        open_ = [step for step in all_ if step.key not in took]
        running = [(step, state) for step in open_ if (state := _state(store, step)) is not None]
        left = _left(all_, took, open_, running) if listed.whole else None
        return Watched(
            len(all_) - len(open_), len(all_), tuple(state for _, state in running), left, listed.whole,
            working or bool(running), _paid(all_, took), _to_pay(open_, left, listed.price_per_hour),
        )  # fmt: skip

    def _took(self, store: Store, key: str) -> Took | None:
        """Return the seconds and the money that a step took, None where it is not done."""
        known = self._done.get((str(store.root), key))
        if known is None and store.has(key):
            facts = store.manifest(key)
            known = {"seconds": facts.get("seconds", 0.0), "money": facts.get("used", {}).get("money") or 0.0}
            self._done[str(store.root), key] = known
        return known


def _paid(steps: Sequence[Listed], took: Mapping[str, Took]) -> Mapping[str, float]:
    """Return what finished steps have paid for, by currency."""
    return _summed((s.currency, took[s.key]["money"]) for s in steps if s.key in took)


def _left(
    steps: Sequence[Listed], took: Mapping[str, Took], left: Sequence[Listed],
    running: Sequence[tuple[Listed, Running]],
) -> float | None:  # fmt: skip
    """Return the estimates of what is left, by the speed so far, shared by as many as run at once."""
    done = [(s.seconds, took[s.key]["seconds"]) for s in steps if s.seconds and s.key in took]
    if not left or not running or sum(s for s, _ in done) < _KNOWN * sum(s.seconds or 0 for s in steps):
        return 0.0 if not left else None
    pace = sum(spent for _, spent in done) / sum(seconds for seconds, _ in done)
    reached = {s.key: min(r.done / r.total, 1.0) for s, r in running if r.total}
    work = sum((s.seconds or 1.0) * (1 - reached.get(s.key, 0.0)) for s in left)
    return work * pace / len(running)


def _to_pay(
    left: Sequence[Listed], seconds: float | None, price_per_hour: Mapping[str, float]
) -> Mapping[str, float]:
    """Return what the steps left will cost, by currency; the machine's hours where the time is known."""
    hours = [] if seconds is None else [(name, p * seconds / 3600) for name, p in price_per_hour.items()]
    return _summed((*((step.currency, step.money) for step in left if step.money), *hours))


def _summed(amounts: Iterable[tuple[str, float]]) -> Mapping[str, float]:
    total: dict[str, float] = {}
    for currency, amount in amounts:
        total[currency] = total.get(currency, 0.0) + amount
    return {currency: amount for currency, amount in total.items() if amount > 0}


def _state(store: Store, step: Listed) -> Running | None:
    """Return how far a step is, None where nobody works at it."""
    if not store.busy(step.key):
        return None
    return Running(step.name, step.label, *(store.progress(step.key) or (0.0, 0.0, "")))
