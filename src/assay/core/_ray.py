"""A Ray cluster as a pool: the calls of steps and of parts of data are its tasks.

Ray's own retries are off: a call whose worker, node or memory is gone is told as a killed worker, and whoever
submitted it submits it again, as with every pool.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from typing import Any, Self

from assay.core._cores import usable_cores
from assay.core._errors import AssayError

_LOST = frozenset(
    "WorkerCrashedError NodeDiedError OutOfMemoryError LocalRayletDiedError TaskCancelledError "
    "OwnerDiedError ObjectLostError RaySystemError".split()
)


class Ray:
    """Runs each call as a task of a cluster, one CPU each.

    ``settings``: nothing (a cluster of this machine alone, which ends with the pool), or the address of one
    that is there: ``auto``, ``HOST:PORT`` or ``ray://HOST:PORT``.  ``,gpus=N`` behind it gives each call so
    many GPUs, ``,workers=N`` limits how many run at once.  Every node has to see the store and the data under
    the same paths, and have the same Assay installed.  Nothing starts before the first call.
    """

    def __init__(self, settings: str = "") -> None:
        """Read the settings; raises :class:`AssayError` for others than those above."""
        address, *rest = settings.split(",")
        if "=" in address:
            address, rest = "", [address, *rest]
        self.address = address
        self.gpus, self.workers = _numbers(rest, settings)
        self._ours = False
        self._task: Any = None
        self._calls: dict[Future[Any], Any] = {}

    @property
    def size(self) -> int:
        """How many calls run at once: what the cluster has CPUs (or GPUs) for at this moment."""
        found = self._ray().cluster_resources()
        room = int(found.get("CPU", 1))
        if self.gpus:
            room = min(room, int(found.get("GPU", 0) / self.gpus))
        return max(1, min(room, self.workers or room))

    def _ray(self) -> Any:
        """Return Ray, connected."""
        try:
            import ray
        except ImportError:
            raise AssayError(
                "Ray is not installed", place="where.pool", value="ray",
                expected="the package ray, or processes:N", hint='pip install "instruct-assay[ray]"',
            ) from None  # fmt: skip
        if not ray.is_initialized():
            self._start(ray)
        return ray

    def _start(self, ray: Any) -> None:
        quiet = {"log_to_driver": False, "logging_level": "error"}
        if self.address:
            try:
                ray.init(address=self.address, **quiet)
            except (ConnectionError, RuntimeError, ValueError) as error:
                raise AssayError(
                    f"no Ray cluster answers ({str(error).splitlines()[0][:160]})",
                    place="where.pool",
                    value=f"ray:{self.address}",
                    expected="auto, HOST:PORT or ray://HOST:PORT of a cluster that runs",
                    hint="`ray start --head` on one machine, `ray start --address HOST:PORT` on the others; "
                    "`ray` alone starts one here; RAY_AUTH_MODE=token where the cluster asks for a token",
                ) from None
        else:
            # Without an address Ray would join any cluster that it finds.
            ray.init(address="local", num_cpus=self.workers or usable_cores(), include_dashboard=False,
                     _node_ip_address="127.0.0.1", **quiet)  # fmt: skip
        self._ours = True

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Start a task and return its future."""
        ray = self._ray()
        if self._task is None:
            self._task = ray.remote(num_cpus=1, num_gpus=self.gpus, max_retries=0)(_called)
        reference = self._task.remote(function, *arguments)
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()
        self._calls[future] = reference
        reference.future().add_done_callback(lambda done: self._settle(future, done))
        return future

    def _settle(self, future: Future[Any], done: Future[Any]) -> None:
        self._calls.pop(future, None)
        error = None if done.cancelled() else done.exception()
        if done.cancelled() or type(error).__name__ in _LOST:
            future.set_exception(BrokenProcessPool(f"the Ray worker was lost ({type(error).__name__})"))
        elif error is None:
            future.set_result(done.result())
        else:
            future.set_exception(getattr(error, "cause", None) or error)

    def stop(self) -> None:
        """Cancel all calls, and leave the cluster; one that this pool started ends."""
        calls, self._calls, self._task = list(self._calls.values()), {}, None
        if not self._ours and not calls:
            return
        import ray

        for reference in calls:
            with suppress(Exception):  # it may have ended just now
                ray.cancel(reference, force=True)
        if self._ours:
            ray.shutdown()
            self._ours = False

    def __enter__(self) -> Self:
        """Enter."""
        return self

    def __exit__(self, *error: object) -> None:
        """Leave the cluster."""
        self.stop()


def _called(function: Callable[..., Any], *arguments: Any) -> Any:
    return function(*arguments)


def _numbers(given: list[str], whole: str) -> tuple[float, int]:
    """Return GPUs per call and the most calls at once."""
    found = {"gpus": 0.0, "workers": 0.0}
    for part in given:
        name, _, value = part.partition("=")
        try:
            number = float(value)
        except ValueError:
            number = -1.0
        if name not in found or number <= 0 or (name == "workers" and number != int(number)):
            raise AssayError(
                "no such setting of the Ray pool", place="where.pool", value=f"ray:{whole}",
                expected="ray[:address][,gpus=N][,workers=N]",
            )  # fmt: skip
        found[name] = number
    return found["gpus"], int(found["workers"])
