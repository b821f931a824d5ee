"""What a command has taken so far, against its cap: said before, watched meanwhile, said after."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from assay.core import Inline, Pool, Say
from assay.plan._cost import Cap, Forecast, Spent, above_cap, cap_reached, foretell
from assay.plan._progress import is_quiet
from assay.plan._step import Estimate, Step
from assay.plan._store import Store, now
from assay.plan._took import DONE, RUNS, Took, note, remember

_WORTH_SAYING = 10.0
"""Seconds from which on a forecast is told before the steps run."""
_WORTH_LEARNING = 2.0
"""A job that takes less has found its values stored."""


class Meter:
    """The spending of one command, over all its runs of steps."""

    def __init__(self, cap: Cap | None = None, price_per_hour: Mapping[str, float] = {}) -> None:
        self.cap, self.price = cap, dict(price_per_hour)
        self.began, self.waited = time.time(), time.monotonic()
        self.per: dict[str, int] = {}
        self.steps, self.wall, self.foretold, self.foretold_cpu = 0, 0.0, 0.0, 0.0
        self.sums = dict.fromkeys(("seconds", "cpu", "tokens", "bytes"), 0.0)
        self.money: dict[str, float] = {}
        self.flying: dict[str, Estimate] = {}
        self.learned = 0
        self.store: Path | None = None
        self.workers: list[tuple[Pool, set[str]]] = []

    @property
    def until(self) -> float | None:
        """The time at which no step may go on; None without a cap on time."""
        return None if self.cap is None or self.cap.seconds is None else self.began + self.cap.seconds

    def before(self, steps: Sequence[Step], store: Store, pool: Pool) -> Forecast:
        """Say what steps will take; raise :class:`AssayError` where even the least is above the cap."""
        found = foretell(steps, store.root, pool.size, self.price, self._done_by(pool))
        self.foretold, self.learned, self.store = self.foretold + found.wall, found.learned, store.root
        self.foretold_cpu += found.cpu
        if found.wall >= _WORTH_SAYING or found.money or found.unpriced:
            tell(found.said())
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
            self.steps, self.wall, self.foretold if self.steps else None, self.sums["seconds"],
            self.sums["cpu"], self.sums["tokens"], self.sums["bytes"], money, dict(self.per),
        )  # fmt: skip

    def end(self) -> None:
        """Say what was spent, and write it beside what was foretold."""
        if not self.steps:
            return
        found = self.spent()
        if found.wall >= _WORTH_SAYING or found.money:
            for line in found.said():
                tell(line)
        if self.store is not None:
            row = {"at": now(), "steps": found.steps, "wall": found.wall, "foretold": found.foretold,
                   "learned": self.learned, "cpu": found.cpu, "foretold_cpu": self.foretold_cpu}  # fmt: skip
            remember(self.store, RUNS, row)


_METER: ContextVar[Meter | None] = ContextVar("meter", default=None)


def tell(text: Say) -> None:
    """Say something of cost on standard error, in the reader's language, unless nothing is to be shown."""
    if not is_quiet():
        print(str(text), file=sys.stderr)


@contextmanager
def metered(cap: Cap | None = None, price_per_hour: Mapping[str, float] = {}) -> Iterator[Meter]:
    """Count all that runs of steps take inside the block as one command's, and say it at the end.

    A block within another counts for the outer one.
    """
    outer = _METER.get()
    if outer is not None:
        yield outer
        return
    made = Meter(cap, price_per_hour)
    before = _METER.set(made)
    try:
        yield made
    finally:
        _METER.reset(before)
        made.end()


@contextmanager
def timed(
    folder: Path, name: str, guess: float, per: str, count: int, cap: Cap | None = None
) -> Iterator[Callable[[], None]]:
    """Foretell, watch and say what a job without steps takes, learned from the log in ``folder``.

    Gives a function that the job calls as it goes on; it raises :class:`AssayError` once the time of ``cap``
    is over.  ``guess``: plain estimate in seconds; ``per`` names what ``count`` are.
    """
    step = Step(name, 1, "", {}, estimate=Estimate(seconds=guess))
    found = foretell([step], folder)
    began, cpu = time.monotonic(), time.process_time()
    until = None if cap is None or cap.seconds is None else began + cap.seconds
    if found.wall >= _WORTH_SAYING:
        tell(found.said())
    if until is not None and found.low > until - began:
        raise above_cap("time", str(cap and cap.text), found)

    def check() -> None:
        if until is not None and time.monotonic() > until:
            raise cap_reached("time")

    yield check
    wall = time.monotonic() - began
    if wall >= _WORTH_LEARNING:
        folder.mkdir(parents=True, exist_ok=True)
        note(folder, Took(name, "", step.estimate, wall, time.process_time() - cpu, first=False))
    if wall >= _WORTH_SAYING:
        spent = Spent(1, wall, found.wall, wall, time.process_time() - cpu, 0, 0, {}, {per: count})
        for line in spent.said():
            tell(line)
