"""Being stopped: Ctrl-C, SIGTERM and SIGHUP end a command the same way, and say what is kept."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")


class Stopped(KeyboardInterrupt):
    """The command was told to stop by the signal ``number``."""

    def __init__(self, number: int) -> None:
        """Keep the signal."""
        self.number = number
        super().__init__(signal.Signals(number).name)


@contextmanager
def stoppable() -> Iterator[None]:
    """Raise :class:`Stopped` in the main thread at Ctrl-C, SIGTERM or SIGHUP; ignored signals stay ignored.

    Outside the main thread, where Python sets no handlers, it does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    for number in numbers:
        # `nohup` ignores SIGHUP on purpose.
        if before[number] not in (signal.SIG_IGN, None):
            signal.signal(number, _stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:
                signal.signal(number, handler)


def _stop(number: int, frame: FrameType | None) -> None:
    raise Stopped(number)


@contextmanager
def keeping(said: Callable[[], str]) -> Iterator[None]:
    """Where the block is stopped, note what ``said`` returns then: what is kept, and how to go on."""
    try:
        yield
    except KeyboardInterrupt as stop:
        stop.add_note(said())
        raise


def stop_message(stop: KeyboardInterrupt, otherwise: str) -> str:
    """Return what a stopped command prints: by what it was stopped, what is kept, how to go on.

    ``otherwise`` is what is kept where no block noted it.
    """
    by = "Ctrl-C" if getattr(stop, "number", signal.SIGINT) == signal.SIGINT else str(stop)
    return f"stopped by {by}: {'; '.join(getattr(stop, '__notes__', None) or [otherwise])}"


def stop_status(stop: KeyboardInterrupt) -> int:
    """Return the exit status of a stopped command: 128 and the signal's number, as shells have it."""
    return 128 + int(getattr(stop, "number", signal.SIGINT))
