"""Pools: where steps run.  They differ in ``submit`` and in nothing else."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Protocol, Self

from assay.core import AssayError, Plugins, tie_to_parent
from assay.plan._slurm import slurm_pool


class Pool(Protocol):
    """Runs functions; ``size`` at a time.

    A call's function is one that its module names, its arguments are plain values, and errors come out of
    the future as they were raised.  A worker that was killed from outside is told by
    ``BrokenProcessPool`` in the futures of its calls, which are submitted again: a call after that, or after
    :meth:`stop`, starts workers anew.
    """

    size: int

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Start a call and return its future."""

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

    def stop(self) -> None:
        """Do nothing: there is no worker."""

    def __enter__(self) -> Self:
        """Enter."""
        return self

    def __exit__(self, *error: object) -> None:
        """Leave."""


class Processes:
    """Persistent spawned worker processes that die with their parent, however it dies.

    Each worker is on its own: one that the system kills breaks its own call and no other.
    """

    def __init__(self, size: int) -> None:
        """Prepare ``size`` workers; each starts with its first call."""
        self.size = size
        self._workers: list[ProcessPoolExecutor | None] = [None] * size
        self._calls: list[Future[Any] | None] = [None] * size

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Hand the call to a worker that is free, else to the first."""
        free = (k for k, call in enumerate(self._calls) if call is None or call.done())
        k = next(free, 0)
        call = self._calls[k]
        if call is not None and call.done() and isinstance(_error(call), BrokenProcessPool):
            self._drop(k)
        worker = self._workers[k] or self._started(k)
        try:
            self._calls[k] = worker.submit(function, *arguments)
        except BrokenProcessPool:
            # It was killed while it waited.
            self._drop(k)
            self._calls[k] = self._started(k).submit(function, *arguments)
        return self._calls[k]  # type: ignore[return-value]

    def _started(self, k: int) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("spawn")
        worker = ProcessPoolExecutor(
            1, mp_context=context, initializer=tie_to_parent, initargs=(os.getpid(),)
        )
        self._workers[k] = worker
        return worker

    def _drop(self, k: int) -> None:
        worker, self._workers[k], self._calls[k] = self._workers[k], None, None
        if worker is None:
            return
        for process in list((worker._processes or {}).values()):
            process.kill()
        worker.shutdown(wait=False, cancel_futures=True)

    def stop(self) -> None:
        """Kill all workers at once: the store makes that safe."""
        for k in range(self.size):
            self._drop(k)

    def __enter__(self) -> Self:
        """Enter."""
        return self

    def __exit__(self, *error: object) -> None:
        """End all workers."""
        self.stop()


def _error(call: Future[Any]) -> BaseException | None:
    return None if call.cancelled() else call.exception()


class PoolMaker(Protocol):
    """Makes the pool that ``where.pool: name:settings`` names; ``settings`` is "" where there are none."""

    def __call__(self, settings: str) -> Pool:
        """Return a pool that has started nothing yet."""


POOLS: Plugins[PoolMaker] = Plugins("assay.pools", "pool", PoolMaker, ("inline", "processes", "slurm"))
"""Pools of other packages by name."""


def parse_pool(text: str) -> Pool:
    """Return the pool of ``inline``, ``processes:N``, ``slurm:N,…`` or ``name:settings`` of a plug-in."""
    kind, _, count = text.partition(":")
    other = POOLS.get(kind)
    if other is not None:
        return _made(kind, other, count)
    if kind == "inline" and not count:
        return Inline()
    if kind == "processes" and (not count or (count.isdecimal() and int(count) > 0)):
        return Processes(int(count) if count else os.cpu_count() or 1)
    if kind == "slurm":
        return slurm_pool(count)
    if kind == "ray":
        raise AssayError(
            "the ray pool is not built yet",
            place="where.pool",
            value=text,
            expected="inline, processes:N or slurm:N",
        )
    expected = ", ".join(["inline, processes:N or slurm:N", *(f"{name}:settings" for name in POOLS)])
    raise AssayError("no such pool", place="where.pool", value=text, expected=expected)


def _made(kind: str, maker: PoolMaker, settings: str) -> Pool:
    """Return a plug-in's pool, or say what it lacks of one."""
    pool = maker(settings)
    parts = ("size", "submit", "stop", "__enter__", "__exit__")
    missing = [part for part in parts if not hasattr(pool, part)]
    if missing:
        raise AssayError(
            f"the pool {kind} has no {', no '.join(missing)}", place=POOLS.entry(kind).place,
            expected="what assay.plan.Pool asks for",
        )  # fmt: skip
    return pool
