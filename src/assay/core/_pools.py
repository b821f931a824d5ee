"""Pools: where steps and parts of data are worked on.  They differ in ``submit`` and in nothing else."""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, NamedTuple, Protocol, Self, TypeVar

from assay.core._cores import usable_cores
from assay.core._errors import AssayError
from assay.core._plugins import Plugins
from assay.core._process import tie_to_parent
from assay.core._ray import Ray
from assay.core._slurm import slurm_pool

T = TypeVar("T")
I = TypeVar("I")  # noqa: E741 - an item
_AHEAD, _RETRIES = 2, 2


class Pool(Protocol):
    """Runs functions; ``size`` at a time.

    A call's function is one that its module names, its arguments are plain values, and errors come out of
    the future as they were raised.  A worker that was killed from outside is told by
    ``BrokenProcessPool`` in the futures of its calls, which are submitted again: a call after that, or after
    :meth:`stop`, starts workers anew.
    """

    @property
    def size(self) -> int:
        """How many calls run at once."""

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
    """Persistent worker processes that die with their parent, however it dies.

    Each worker is on its own: one that the system kills breaks its own call and no other.
    """

    def __init__(self, size: int, *, forked: bool = False) -> None:
        """Prepare ``size`` workers; each starts with its first call.

        Those that are ``forked`` (where the system can) need no importable main module, so that scripts and
        notebooks may call what uses them; they are for work that loads no model.
        """
        self.size = size
        able = forked and "fork" in multiprocessing.get_all_start_methods()
        self._method = "fork" if able else "spawn"
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
        context = multiprocessing.get_context(self._method)
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


POOLS: Plugins[PoolMaker] = Plugins("assay.pools", "pool", PoolMaker, ("inline", "processes", "ray", "slurm"))
"""Pools of other packages by name."""


class _Call(NamedTuple):
    item: Any
    future: Future[Any]


def mapped(pool: Pool, function: Callable[[I], T], items: Iterable[I]) -> Iterator[T]:
    """Yield the function's value of each item, in their order, worked on in a pool.

    Items are taken only as results are: no more than two for each worker are under way, so that neither they
    nor their results fill the memory.  The item of a worker that was killed is worked on again, three times
    in all; then :class:`AssayError`.  Errors are raised as they came, at their place in the order.
    """
    waiting: deque[_Call] = deque()
    for item in items:
        waiting.append(_Call(item, pool.submit(function, item)))
        if len(waiting) >= _AHEAD * pool.size:
            yield _value(pool, function, waiting.popleft())
    while waiting:
        yield _value(pool, function, waiting.popleft())


def _value(pool: Pool, function: Callable[[I], T], call: _Call) -> T:
    future = call.future
    for _ in range(_RETRIES):
        try:
            return future.result()  # type: ignore[no-any-return]
        except BrokenProcessPool:
            future = pool.submit(function, call.item)
    try:
        return future.result()  # type: ignore[no-any-return]
    except BrokenProcessPool:
        raise AssayError(
            f"a worker was killed {_RETRIES + 1} times at one part of the data",
            place="pool",
            hint="the machine may be out of memory: fewer workers",
        ) from None


def parse_pool(text: str, *, forked: bool = False) -> Pool:
    """Return the pool of ``inline``, ``processes:N``, ``ray[:address]``, ``slurm:N,…`` or ``name:settings``.

    ``forked``: see :class:`Processes`.
    """
    kind, _, settings = text.partition(":")
    other = POOLS.get(kind)
    if other is not None:
        return _made(kind, other, settings)
    if kind == "inline" and not settings:
        return Inline()
    if kind == "processes" and (not settings or (settings.isdecimal() and int(settings) > 0)):
        if multiprocessing.current_process().daemon:
            return Inline()  # a worker of ``multiprocessing.Pool`` may start no process
        return Processes(int(settings) if settings else usable_cores(), forked=forked)
    if kind == "ray":
        return Ray(settings)
    if kind == "slurm":
        return slurm_pool(settings)
    expected = ", ".join([_OWN, *(f"{name}:settings" for name in POOLS)])
    raise AssayError("no such pool", place="where.pool", value=text, expected=expected)


_OWN = "inline, processes:N, slurm:N or ray[:address]"


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
