"""Pools: where steps run.  They differ in ``submit`` and in nothing else."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any, Protocol, Self

from assay.core import AssayError, Plugins


class Pool(Protocol):
    """Runs functions; ``size`` at a time.

    A call's function is one that its module names, its arguments are plain values, and errors come out of
    the future as they were raised.  A worker that was killed from outside is told by
    ``BrokenProcessPool`` in the futures of its calls; :meth:`rebuild` is called then, and the calls again.
    """

    size: int

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Start a call and return its future."""

    def rebuild(self) -> None:
        """Start anew after a worker was killed."""

    def stop(self) -> None:
        """End all workers at once."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...


class Inline:
    """Runs each call at once in this process."""

    size = 1

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Run the call and return its finished future."""
        future: Future[Any] = Future()
        try:
            future.set_result(function(*arguments))
        except Exception as error:
            future.set_exception(error)
        return future

    def rebuild(self) -> None:
        """Do nothing: there is no worker."""

    def stop(self) -> None:
        """Do nothing: there is no worker."""

    def __enter__(self) -> Self:
        """Enter."""
        return self

    def __exit__(self, *error: object) -> None:
        """Leave."""


class Processes:
    """Persistent spawned worker processes that die with their parent, however it dies."""

    def __init__(self, size: int) -> None:
        """Prepare ``size`` workers; they start with the first call."""
        self.size = size
        self._executor: ProcessPoolExecutor | None = None

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Hand the call to a worker."""
        if self._executor is None:
            context = multiprocessing.get_context("spawn")
            self._executor = ProcessPoolExecutor(
                self.size, mp_context=context, initializer=_tie_to_parent, initargs=(os.getpid(),)
            )
        return self._executor.submit(function, *arguments)

    def rebuild(self) -> None:
        """Drop the broken workers; the next call starts new ones."""
        self.stop()

    def stop(self) -> None:
        """Kill all workers at once: the store makes that safe."""
        executor, self._executor = self._executor, None
        if executor is None:
            return
        for process in list((executor._processes or {}).values()):
            process.kill()
        executor.shutdown(wait=False, cancel_futures=True)

    def __enter__(self) -> Self:
        """Enter."""
        return self

    def __exit__(self, *error: object) -> None:
        """End all workers."""
        self.stop()


def _tie_to_parent(parent: int) -> None:
    """End this worker when its parent is gone: by the kernel on Linux, by watching elsewhere."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        os._exit(1)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


class PoolMaker(Protocol):
    """Makes the pool that ``where.pool: name:settings`` names; ``settings`` is "" where there are none."""

    def __call__(self, settings: str) -> Pool:
        """Return a pool that has started nothing yet."""


POOLS: Plugins[PoolMaker] = Plugins("assay.pools", "pool", PoolMaker, ("inline", "processes"))
"""Pools of other packages by name."""


def parse_pool(text: str) -> Pool:
    """Return the pool that ``inline``, ``processes:N`` or ``name:settings`` of a plug-in names."""
    kind, _, count = text.partition(":")
    other = POOLS.get(kind)
    if other is not None:
        return _made(kind, other, count)
    if kind == "inline" and not count:
        return Inline()
    if kind == "processes" and (not count or (count.isdecimal() and int(count) > 0)):
        return Processes(int(count) if count else os.cpu_count() or 1)
    if kind == "ray":
        raise AssayError(
            "the ray pool is not built yet", place="where.pool", value=text, expected="inline or processes:N"
        )
    expected = ", ".join(["inline or processes:N", *(f"{name}:settings" for name in POOLS)])
    raise AssayError("no such pool", place="where.pool", value=text, expected=expected)


def _made(kind: str, maker: PoolMaker, settings: str) -> Pool:
    """Return a plug-in's pool, or say what it lacks of one."""
    pool = maker(settings)
    parts = ("size", "submit", "rebuild", "stop", "__enter__", "__exit__")
    missing = [part for part in parts if not hasattr(pool, part)]
    if missing:
        raise AssayError(
            f"the pool {kind} has no {', no '.join(missing)}", place=POOLS.entry(kind).place,
            expected="what assay.plan.Pool asks for",
        )  # fmt: skip
    return pool
