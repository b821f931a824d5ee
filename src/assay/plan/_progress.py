"""Progress on standard error: an overall bar with the time left, and a line for each running step."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Column
from rich.text import Text as Shown

from assay.core import Say, Text, say
from assay.plan._step import Advance, Step
from assay.plan._store import Store
from assay.plan._took import Paces, read_took

_PLAIN_SECONDS = 30.0
_silent = ContextVar("silent", default=False)


@contextmanager
def quiet(on: bool = True) -> Iterator[None]:
    """Show no progress inside the block: ``with assay.quiet(): ...``."""
    before = _silent.set(on)
    try:
        yield
    finally:
        _silent.reset(before)


def is_quiet() -> bool:
    """Tell whether no progress is to be shown."""
    return _silent.get()


class Display:
    """Shows how far a run is.  On a terminal it is live; elsewhere a plain line every 30 seconds."""

    def __init__(self, steps: Sequence[Step], store: Store, so_far: Callable[[], str] = str) -> None:
        """Prepare to show ``steps``; ``so_far`` tells what was spent."""
        self.store, self.quiet, self.so_far = store, is_quiet(), so_far
        paces = Paces(read_took(store.root))  # what such steps took before
        self.weight = {s.key: max(paces.seconds(s, first=False) or 1.0, 0.05) for s in steps}
        self.total, self.count = sum(self.weight.values()), len(steps)
        self.done_weight, self.done = 0.0, 0
        self.began = self.printed = time.monotonic()
        self.live = not self.quiet and sys.stderr.isatty()
        console = Console(stderr=True)
        self.bars = Progress(*_columns(), console=console, transient=True, disable=not self.live, expand=True)
        self.overall = self.bars.add_task(str(say("progress.steps")), total=self.count, note="")
        self.tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        """Start drawing."""
        self.bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Stop drawing."""
        self.bars.stop()

    def finished(self, step: Step) -> None:
        """Count a step that ended."""
        self.done += 1
        self.done_weight += self.weight[step.key]

    def refresh(self, running: Sequence[Step]) -> None:
        """Show the state of the running steps."""
        if self.quiet:
            return
        states = {step.key: self._state(step) for step in running}
        left = self._left(running, states)
        if self.live:
            self._draw(running, states, left)
        elif running and time.monotonic() - self.printed > _PLAIN_SECONDS:
            self.printed = time.monotonic()
            now = say("progress.now", steps=[_reached(step, *states[step.key]) for step in running])
            counts, left = {"done": self.done, "count": self.count}, left or say("progress.unknown")
            print(say("progress.line", **counts, left=left, now=now), file=sys.stderr)

    def _left(self, running: Sequence[Step], states: dict[str, tuple[float, float, str]]) -> Text:
        """Return the time left and what was paid, as far as they are known."""
        time_left, paid = self._time_left(running, states), self.so_far()
        return say("progress.paid", left=time_left, paid=paid) if time_left and paid else time_left or paid

    def _draw(self, running: Sequence[Step], states: dict[str, tuple[float, float, str]], left: Text) -> None:
        self.bars.update(self.overall, completed=self.done, note=str(left))
        for key in [k for k in self.tasks if k not in states]:
            self.bars.remove_task(self.tasks.pop(key))
        for step in running:
            done, total, unit = states[step.key]
            if step.key not in self.tasks:
                self.tasks[step.key] = self.bars.add_task(f"  {_named(step)}", total=None, note="")
            note = str(say("progress.note", note=unit))
            shown = {"completed": int(done), "total": int(total) or None, "note": note}
            self.bars.update(self.tasks[step.key], **shown)  # type: ignore[arg-type]

    def _state(self, step: Step) -> tuple[float, float, str]:
        return self.store.progress(step.key) or (0.0, 0.0, "")

    def _time_left(self, running: Sequence[Step], states: dict[str, tuple[float, float, str]]) -> Text:
        """Return the time left, from estimates scaled by the speed so far."""
        under_way = sum(
            self.weight[s.key] * min(states[s.key][0] / states[s.key][1], 1.0)
            for s in running
            if states[s.key][1]
        )
        reached = (self.done_weight + under_way) / self.total
        spent = time.monotonic() - self.began
        if reached < 0.02 or spent < 3:
            return ""
        return say("progress.left", time=max(spent / reached - spent, 0.0)) if running else ""


def _named(step: Step) -> Say:
    return say("progress.step", name=step.name, label=step.label)


def _reached(step: Step, done: float, total: float, note: str) -> Say:
    """Return a step, and how far it is where it says so: "train run (120 of 400, loss 0.8)"."""
    one = _named(step)
    return say("progress.reached", step=one, done=done, total=total, note=note) if total else one


class _Reached(MofNCompleteColumn):
    """How much of how much; nothing where the whole is not known."""

    def render(self, task: Task) -> Shown:
        return Shown("") if task.total is None else super().render(task)


def _columns() -> tuple[ProgressColumn, ...]:
    """Return the columns of a bar: 80 characters hold them, and a long name is cut first."""
    name = TextColumn("{task.description}", table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1))
    return (
        name, BarColumn(bar_width=10), _Reached(), TextColumn("{task.fields[note]}"), TimeElapsedColumn(),
    )  # fmt: skip


@contextmanager
def progress_bar(title: str) -> Iterator[Advance]:
    """Give a function (done, total, unit) that draws one bar on standard error.

    Where that is no terminal, it prints a plain line every 30 seconds.
    """
    silent = is_quiet()
    live = not silent and sys.stderr.isatty()
    console = Console(stderr=True)
    with Progress(*_columns(), console=console, transient=True, disable=not live, expand=True) as bars:
        task = bars.add_task(title, total=None, note="")
        counted, began, before = "", time.monotonic(), 0.0
        printed = began

        def advance(done: float, total: float, unit: str) -> None:
            nonlocal counted, began, before, printed
            if counted not in ("", unit):  # the steps of a warm-up say nothing of how long samples take
                began, before = time.monotonic(), done
            counted, spent = unit, time.monotonic() - began
            note = str(say("progress.note", note=unit))
            if done > before and spent > 3:
                left = say("progress.left", time=spent / (done - before) * (total - done))
                note = str(say("progress.paid", left=say("progress.note", note=unit), paid=left))
            bars.update(task, completed=int(done), total=int(total), note=note)
            if not live and not silent and time.monotonic() - printed > _PLAIN_SECONDS:
                printed = time.monotonic()
                print(say("progress.reached", step=title, done=done, total=total, note=note), file=sys.stderr)

        yield advance
