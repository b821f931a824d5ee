"""What a command has taken so far, against its cap: said before, watched meanwhile, said after."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from assay.core import AssayError, Inline, Pool, Say
from assay.llm import limited
from assay.plan._cost import Cap, Forecast, Spent, above_cap, cap_reached, foretell, parse_cap
from assay.plan._progress import is_quiet
from assay.plan._step import Estimate, Step
from assay.plan._store import Store, now
from assay.plan._took import DONE, RUNS, Took, note, remember

_WORTH_SAYING = 10.0
"""Seconds from which on a forecast is told before the steps run."""
_WORTH_LEARNING = 2.0
"""A job that takes less has found its values stored."""


class Meter:
    """The spending of one command: its runs of steps, its jobs, and the calls of chat models in them."""

    def __init__(self, cap: Cap | None = None, price_per_hour: Mapping[str, float] = {}) -> None:
        self.cap, self.price = cap, dict(price_per_hour)
        self.began, self.waited = time.time(), time.monotonic()
        self.per: dict[str, int] = {}
        self.steps, self.wall, self.foretold, self.foretold_cpu = 0, 0.0, 0.0, 0.0
        self.sums = dict.fromkeys(("seconds", "cpu", "tokens", "bytes"), 0.0)
        self.money: dict[str, float] = {}
        self.flying: dict[str, Estimate] = {}
        self.learned = self.jobs = 0
        self.store: Path | None = None
        self.workers: list[tuple[Pool, set[str]]] = []

    @property
    def counted(self) -> int:
        """Return how many steps and jobs ended."""
        return self.steps + self.jobs

    def also(self, cap: Cap | None, price_per_hour: Mapping[str, float]) -> None:
        """Take over what a block within the command asks for; its own cap is kept."""
        self.cap = self.cap or cap
        self.price = {**price_per_hour, **self.price}

    @property
    def until(self) -> float | None:
        """The time at which no step may go on; None without a cap on time."""
        return None if self.cap is None or self.cap.seconds is None else self.began + self.cap.seconds

    def check(self) -> None:
        """Raise :class:`AssayError` where the time of the cap is over."""
        if self.until is not None and time.time() > self.until:
            raise cap_reached("time")

    def before(self, steps: Sequence[Step], store: Store, pool: Pool) -> Forecast:
        """Say what steps will take; raise :class:`AssayError` where even the least is above the cap."""
        found = foretell(steps, store.root, pool.size, self.price, self._done_by(pool))
        return self._foreseen(found, store.root, found.said())

    def whole(self, steps: Sequence[Step], store: Store, pool: Pool) -> None:
        """Say what all parts of a command take, refused as in :meth:`before`; it counts as nothing yet."""
        found = foretell(steps, store.root, pool.size, self.price, self._done_by(pool))
        if found.wall >= _WORTH_SAYING or found.money or found.unpriced:
            tell(found.said("cost.whole"))
        if self.cap is not None:
            self._refuse(found, self.cap)

    def before_job(self, step: Step, folder: Path, said: Say | None) -> Forecast:
        """Say what a job takes, learned from the log in ``folder``, or what is ``said`` of it."""
        found = foretell([step], folder, 1, self.price)
        return self._foreseen(found, folder, said or found.said())

    def _foreseen(self, found: Forecast, folder: Path, said: Say) -> Forecast:
        self.foretold, self.learned, self.store = self.foretold + found.wall, found.learned, folder
        self.foretold_cpu += found.cpu
        if found.wall >= _WORTH_SAYING or found.money or found.unpriced:
            tell(said)
        if self.cap is not None:
            self._refuse(found, self.cap)
        return found

    def _done_by(self, pool: Pool) -> set[str]:
        """Return names of steps that the workers of a pool have done: they have loaded what those need."""
        if isinstance(pool, Inline):
            return DONE
        found = next((names for known, names in self.workers if known is pool), None)
        if found is None:
            self.workers.append((pool, found := set()))
        return found

    def _refuse(self, found: Forecast, cap: Cap) -> None:
        """Raise where a forecast is above the cap even if it is as far off as forecasts are."""
        spent = time.time() - self.began
        asked = {"time": (found.low + spent, cap.seconds), "bytes": (found.bytes / 3, cap.bytes)}
        for what, (least, most) in asked.items():
            if most is not None and least > most:
                raise above_cap(what, cap.text, found)

    def may_start(self, step: Step) -> None:
        """Raise :class:`AssayError` where the cap leaves no room for a step, at the most that it may take.

        Steps under way count at their most until they end.
        """
        if self.cap is not None:
            self._room(self.cap, [*self.flying.values(), step.estimate])
        self.flying[step.key] = step.estimate

    def ended(self, step: Step) -> None:
        """Take note that a step is under way no more."""
        self.flying.pop(step.key, None)

    def over(self, tokens: float, money: float, currency: str) -> str | None:
        """Return which cap leaves no room for a call of a chat model at its most; None where there is room.

        The call counts at its most until :meth:`settle`.
        """
        if self.cap is not None:
            asked = Estimate(tokens=tokens, money=money, currency=currency)
            try:
                self._room(self.cap, [*self.flying.values(), asked])
            except AssayError as error:
                return error.problem
        self._count_call(tokens, money, currency)
        return None

    def settle(self, tokens: float, money: float, currency: str) -> None:
        """Correct what a call was counted at by as much."""
        self._count_call(tokens, money, currency)

    def _count_call(self, tokens: float, money: float, currency: str) -> None:
        self.sums["tokens"] += tokens
        self.money[currency] = self.money.get(currency, 0.0) + money

    def _room(self, cap: Cap, asked: Sequence[Estimate]) -> None:
        if self.until is not None and time.time() >= self.until:
            raise cap_reached("time")
        for name, most in (("tokens", cap.tokens), ("bytes", cap.bytes)):
            if most is not None and self.sums[name] + sum(getattr(one, name) or 0.0 for one in asked) > most:
                raise cap_reached(name)
        for currency, most in cap.money.items():
            own = sum(one.money or 0.0 for one in asked if one.currency == currency)
            hours = self.price.get(currency, 0.0) * (time.time() - self.began) / 3600
            if self.money.get(currency, 0.0) + hours + own > most:
                raise cap_reached(currency)

    def took(self, step: Step, store: Store, pool: Pool) -> None:
        """Count a step that a pool's worker has ended."""
        self._done_by(pool).add(step.name)
        facts = store.manifest(step.key)
        used: dict[str, float] = facts.get("used", {})
        self.steps += 1
        self.sums["seconds"] += facts["seconds"]
        self.sums["cpu"] += facts.get("cpu_seconds", 0.0)
        self.sums["tokens"] += used.get("tokens", 0.0)
        self.sums["bytes"] += sum(size for size, _ in facts["files"].values())
        if used.get("money"):
            currency = step.estimate.currency
            self.money[currency] = self.money.get(currency, 0.0) + used["money"]

    def took_job(self, took: Took) -> None:
        """Count a job that ended; what it asked of chat models is counted by call."""
        self.jobs += 1
        self.wall += took.seconds
        self.sums["seconds"] += took.seconds
        self.sums["cpu"] += took.cpu

    def so_far(self) -> str:
        """Return a few words for a bar of progress: what was paid, and of what cap."""
        cap = self.cap
        parts = [f"{amount:.2f} {currency}" for currency, amount in sorted(self.money.items())]
        if cap is not None and cap.money:
            parts = [
                f"{self.money.get(name, 0.0):.2f} of {most:g} {name}" for name, most in cap.money.items()
            ]
        if cap is not None and cap.seconds is not None:
            parts.append(f"{(time.time() - self.began) / 60:.0f} of {cap.seconds / 60:.0f} min")
        return ", ".join(parts)

    def spent(self) -> Spent:
        """Return what the command took so far; hours of the machine are in its money."""
        money = dict(self.money)
        for currency, price in self.price.items():
            money[currency] = money.get(currency, 0.0) + price * self.wall / 3600
        return Spent(
            self.steps, self.wall, self.foretold if self.counted else None, self.sums["seconds"],
            self.sums["cpu"], self.sums["tokens"], self.sums["bytes"], money, dict(self.per),
        )  # fmt: skip

    def end(self) -> None:
        """Say what was spent, and write it beside what was foretold."""
        if not self.counted:
            return
        found = self.spent()
        if found.wall >= _WORTH_SAYING or any(found.money.values()):
            for line in found.said():
                tell(line)
        if self.store is not None:
            row = {"at": now(), "steps": self.counted, "wall": found.wall, "foretold": found.foretold,
                   "learned": self.learned, "cpu": found.cpu, "foretold_cpu": self.foretold_cpu}  # fmt: skip
            remember(self.store, RUNS, row)


_METER: ContextVar[Meter | None] = ContextVar("meter", default=None)


def tell(text: Say) -> None:
    """Say something of cost on standard error, in the reader's language, unless nothing is to be shown."""
    if not is_quiet():
        print(str(text), file=sys.stderr)


@contextmanager
def metered(cap: Cap | str | None = None, price_per_hour: Mapping[str, float] = {}) -> Iterator[Meter]:
    """Count all that runs of steps, jobs and chat models take inside the block as one command's.

    What it took is said at the end.  ``cap`` as it is read by :func:`parse_cap`.  A block within another
    counts for the outer one, whose cap goes before its own.
    """
    asked = parse_cap(cap) if isinstance(cap, str) else cap
    outer = _METER.get()
    if outer is not None:
        outer.also(asked, price_per_hour)
        yield outer
        return
    made = Meter(asked, price_per_hour)
    before = _METER.set(made)
    try:
        with limited(made):
            yield made
    finally:
        _METER.reset(before)
        made.end()


@contextmanager
def timed(
    folder: Path, name: str, estimate: Estimate, said: Say | None = None
) -> Iterator[Callable[[], None]]:
    """Foretell, watch and count a job without steps for the command around it.

    It is learned from the log in ``folder``; ``said`` takes the place of the forecast's own words.  Gives a
    function that the job calls as it goes on; it raises :class:`AssayError` once the time of the cap is over.
    """
    with metered() as meter:
        step = Step(name, 1, "", {}, estimate=estimate)
        meter.before_job(step, folder, said)
        began, cpu, tokens, ended = time.monotonic(), time.process_time(), meter.sums["tokens"], False
        try:
            yield meter.check
            ended = True
        finally:
            wall, busy = time.monotonic() - began, time.process_time() - cpu
            used = meter.sums["tokens"] - tokens
            took = Took(name, estimate.kind, estimate, wall, busy, first=False, tokens=used or None)
            meter.took_job(took)
            if ended and wall >= _WORTH_LEARNING:
                folder.mkdir(parents=True, exist_ok=True)
                note(folder, took)
