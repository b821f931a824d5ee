"""Plan and run steps: what is cached, what is to do, and doing it as inputs become ready."""

from __future__ import annotations

import heapq
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from typing import Any

from assay.core import AssayError, Inline, Pool, as_assay_error, keeping
from assay.plan._cost import CAP, Forecast, foretell, past_ratios
from assay.plan._execute import execute
from assay.plan._meter import Meter, metered
from assay.plan._progress import Display
from assay.plan._step import Step, in_order
from assay.plan._store import Store
from assay.plan._took import Paces, read_took
from assay.plan._watch import list_steps

_RETRIES = 2


@dataclass(frozen=True, slots=True)
class PlanRow:
    """The steps of one name: how many are cached and to do, and what is to do will take.

    Sums are over estimates that are known, each as the store has learned from steps of its kind; None where
    none is.  ``money`` by currency; ``unpriced`` steps are paid at a price that is not known.
    """

    name: str
    cached: int
    to_do: int
    seconds: float | None
    tokens: float | None
    bytes: float | None
    money: Mapping[str, float]
    unpriced: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """What running would do; ``past``: what earlier runs of this store took over what was foretold."""

    rows: tuple[PlanRow, ...]
    total: PlanRow
    forecast: Forecast
    past: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class RunReport:
    """What running did."""

    done: int
    cached: int
    seconds: float


def plan(
    targets: Sequence[Step], store: Store, workers: int = 1, price_per_hour: Mapping[str, float] = {}
) -> Plan:
    """Return what :func:`run` would do with so many workers; nothing is run and nothing written."""
    steps, paces = in_order(targets), Paces(read_took(store.root))
    names = list(dict.fromkeys(step.name for step in steps))
    rows = tuple(_row(name, [s for s in steps if s.name == name], store, paces) for name in names)
    to_do = [step for step in steps if not store.has(step.key)]
    forecast = foretell(to_do, store.root, workers, price_per_hour)
    total = replace(_row("total", steps, store, paces), money=forecast.money)
    return Plan(rows, total, forecast, tuple(past_ratios(store.root)))


def _row(name: str, steps: Sequence[Step], store: Store, paces: Paces) -> PlanRow:
    to_do = [step for step in steps if not store.has(step.key)]

    def total(values: Iterable[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return sum(known) if known else (None if to_do else 0.0)

    money: dict[str, float] = {}
    for step in to_do:
        if (amount := paces.used(step, "money")) is not None:
            money[step.estimate.currency] = money.get(step.estimate.currency, 0.0) + amount
    return PlanRow(
        name, len(steps) - len(to_do), len(to_do), total(paces.seconds(s, first=False) for s in to_do),
        total(paces.used(s, "tokens") for s in to_do), total(paces.used(s, "bytes") for s in to_do), money,
        sum(s.estimate.paid and s.estimate.money is None for s in to_do),
    )  # fmt: skip


def announce(targets: Sequence[Step], store: Store, pool: Pool) -> None:
    """Say what all parts of a command will take, before the first runs.

    Raises :class:`AssayError` where even the least of it is above the command's cap.
    """
    with metered() as meter:
        meter.whole(_needed(targets, store), store, pool)


def run(targets: Sequence[Step], store: Store, pool: Pool) -> RunReport:
    """Run the targets and all they need, each step as soon as its inputs are there.

    Steps on the longest way to the end start first.  A failed step stops those that need it, not the others;
    then one :class:`AssayError` lists the failures.  On Ctrl-C the workers are ended and what is finished is
    kept.

    What it takes counts for the command around it (:func:`metered`): it is said before, and nothing more is
    begun once the command's cap leaves no room.
    """
    with metered() as meter:
        return _run(targets, store, pool, meter)


def _run(targets: Sequence[Step], store: Store, pool: Pool, meter: Meter) -> RunReport:
    began = time.monotonic()
    list_steps(targets)
    # Before anything is looked for: what is found then is not collected as garbage.
    with store.holding(step.key for step in in_order(targets)):
        steps = _needed(targets, store)
        if not steps:
            return RunReport(0, len(in_order(targets)), 0.0)
        meter.before(steps, store, pool)
        try:
            schedule = _drained(steps, store, pool, meter)
        finally:
            meter.wall += time.monotonic() - began
    if schedule.failed:
        raise _failures(schedule)
    return RunReport(len(schedule.done), len(in_order(targets)) - len(steps), time.monotonic() - began)


def _drained(steps: Sequence[Step], store: Store, pool: Pool, meter: Meter) -> _Schedule:
    with Display(steps, store, meter.so_far) as display:
        schedule = _Schedule(steps, store, pool, display, meter)
        try:
            with keeping(lambda: _kept(schedule, store)):
                schedule.drain()
        except BaseException:
            pool.stop()
            raise
    return schedule


def _kept(schedule: _Schedule, store: Store) -> str:
    done, all_ = len(schedule.done), len(schedule.steps)
    return (
        f"{done} of {all_} steps are finished and kept in {store.address}, those under way resume; "
        "run the same command to go on"
    )


def _needed(targets: Sequence[Step], store: Store) -> list[Step]:
    """Return the steps to do, leaving out all that only cached steps need."""
    found: dict[str, Step] = {}
    stack = list(targets)
    while stack:
        step = stack.pop()
        if step.key not in found and not store.sound(step.key):
            found[step.key] = step
            stack += step.inputs.values()
    return [step for step in in_order(targets) if step.key in found]


class _Schedule:
    """The state of one run: what waits, is ready, runs, is done, failed."""

    def __init__(
        self, steps: Sequence[Step], store: Store, pool: Pool, display: Display, meter: Meter
    ) -> None:
        self.store, self.pool, self.display, self.meter = store, pool, display, meter
        self.steps = {step.key: step for step in steps}
        self.waits = {s.key: {u.key for u in s.inputs.values() if u.key in self.steps} for s in steps}
        self.users: dict[str, list[str]] = {key: [] for key in self.steps}
        for key, upstream in self.waits.items():
            for other in upstream:
                self.users[other].append(key)
        self.depth = _longest_ways(steps, self.users)
        self.ready: set[str] = set()
        self.near: list[tuple[float, int, str]] = []
        self.far: list[tuple[float, int, str]] = []
        self.nearest = ""
        self.order = {key: index for index, key in enumerate(self.steps)}
        self.running: dict[Future[Any], str] = {}
        self.alone: list[str] = []
        self.lonely = False
        self.attempts: Counter[str] = Counter()
        self.done: set[str] = set()
        self.failed: dict[str, BaseException] = {}
        for key, upstream in self.waits.items():
            if not upstream:
                self._push(key)

    def _push(self, key: str) -> None:
        self.ready.add(key)
        heapq.heappush(self.near, (self.depth[key], self.order[key], key))
        heapq.heappush(self.far, (-self.depth[key], self.order[key], key))

    def _pop(self) -> str:
        """Return the step to start: of the longest way, so that all ends soon; one worker takes the shortest.

        So what is trained is measured while the rest still trains, and curves form as rungs finish.
        """
        near = self.nearest not in self.running.values()
        passed = [self._first(near)]
        # What another process works at is left to it while there is anything else to do.
        while self.ready and self.store.busy(passed[-1]):
            passed.append(self._first(near))
        key = passed.pop(0 if self.store.busy(passed[-1]) else -1)
        for other in passed:
            self._push(other)
        self.nearest = key if near else self.nearest
        return key

    def _first(self, near: bool) -> str:
        """Return the first of the ready steps from one end, and take it from them."""
        heap = self.near if near else self.far
        key = heapq.heappop(heap)[2]
        while key not in self.ready:  # it left by the other end
            key = heapq.heappop(heap)[2]
        self.ready.remove(key)
        return key

    def drain(self) -> None:
        """Run until nothing is ready and nothing runs."""
        while self.ready or self.running or self.alone:
            while self.ready and not self.lonely and len(self.running) < self.pool.size:
                self._start(self._pop())
            if self.alone and not self.running:
                self.lonely = True
                self._start(self.alone.pop(0))
            finished, _ = wait(self.running, timeout=0.5, return_when=FIRST_COMPLETED)
            for future in finished:
                self._finish(future)
            self.display.refresh([self.steps[key] for key in self.running.values()])

    def _start(self, key: str) -> None:
        self.attempts[key] += 1
        step = self.steps[key]
        try:
            self.meter.may_start(step)
        except AssayError as error:
            self.failed[key] = error
            self.display.finished(step)
            return
        self.display.refresh([*(self.steps[k] for k in self.running.values()), step])
        arguments: list[Any] = [self.store.address, step.payload() | {"until": self.meter.until}]
        if isinstance(self.pool, Inline):  # nobody else draws while it works here
            arguments.append(lambda: self.display.refresh([step]))
        self.running[self.pool.submit(execute, *arguments)] = key

    def _finish(self, future: Future[Any]) -> None:
        key = self.running.pop(future, None)
        if key is None:
            return
        self.lonely = False
        self.meter.ended(self.steps[key])
        error = future.exception()
        if isinstance(error, BrokenProcessPool):
            self._retry(key)
        elif error is not None:
            self.failed[key] = as_assay_error(error, f"step {self.steps[key].name}") or error
            self.display.finished(self.steps[key])
        else:
            self.done.add(key)
            self.meter.took(self.steps[key], self.store, self.pool)
            self.display.finished(self.steps[key])
            for user in self.users[key]:
                self.waits[user].discard(key)
                if not self.waits[user]:
                    self._push(user)

    def _retry(self, key: str) -> None:
        """Run a step again whose worker was killed from outside, by itself: memory may have been short."""
        if self.attempts[key] > _RETRIES:
            self.failed[key] = AssayError(
                f"its worker was killed {self.attempts[key]} times",
                place=f"step {self.steps[key].name} ({self.steps[key].label})",
                hint="the machine may be out of memory: fewer workers, or a smaller micro_tokens; then run "
                "the same command: finished steps are kept",
            )
            self.display.finished(self.steps[key])
        else:
            self.alone.append(key)


def _longest_ways(steps: Sequence[Step], users: dict[str, list[str]]) -> dict[str, float]:
    """Return for each step the estimated seconds from its start to the end of what needs it."""
    ways: dict[str, float] = {}
    for step in reversed(steps):
        after = max((ways[user] for user in users[step.key]), default=0.0)
        ways[step.key] = after + (step.estimate.seconds or 1.0)
    return ways


def _failures(schedule: _Schedule) -> AssayError:
    failures = [(schedule.steps[key], error) for key, error in schedule.failed.items()]
    step, error = failures[0]
    capped = [e for _, e in failures if isinstance(e, AssayError) and e.place == CAP]
    if capped and len(capped) == len(failures):
        return capped[0]
    if len(failures) == 1 and isinstance(error, AssayError):
        return error
    lines = [f"{s.name} ({s.label}): {str(e).splitlines()[0]}" for s, e in failures[:5]]
    return AssayError(
        f"{len(failures)} steps failed; first: {error}",
        place=f"step {step.name} ({step.label})",
        value=None if len(failures) == 1 else "; ".join(lines),
        hint="fix the cause and run the same command: finished steps are kept",
    )
