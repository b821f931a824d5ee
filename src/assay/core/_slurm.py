"""Steps as jobs of a Slurm cluster, through submitit; or of this machine, by its local executor."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from assay.core._errors import AssayError

_POLL_SECONDS, _QUEUE_SECONDS = 0.5, 15.0
_MINUTES = 24 * 60
_NUMBERS = {"time": "timeout_min", "gpus": "gpus_per_node", "cpus": "cpus_per_task", "mem": "mem_gb"}
_OWN = ("folder", "cluster")
_FORM = "slurm:JOBS,partition=…,time=MINUTES,gpus=N,cpus=N,mem=GB,folder=DIR"


def _call(function: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[str, Any]:
    """Run a call in its job; an error is returned, as submitit would keep its text alone."""
    try:
        return "value", function(*arguments)
    except Exception as error:
        return "error", error


class _Queue:
    """What ``squeue`` tells of our jobs: without accounts nothing else says that one is gone."""

    def __init__(self) -> None:
        """Prepare; nothing is asked yet."""
        self._asked, self._absent = 0.0, set[str]()

    def lost(self, jobs: set[str]) -> set[str]:
        """Return which jobs are in the queue no longer, by two looks: a result may appear after its job."""
        if time.monotonic() - self._asked < _QUEUE_SECONDS:
            return set()
        self._asked = time.monotonic()
        there = _queued()
        absent = set() if there is None else jobs - there
        gone, self._absent = absent & self._absent, absent
        return gone


def _queued() -> set[str] | None:
    """Return the numbers of our jobs in the queue; None where it does not answer."""
    command = ["squeue", f"--user={os.getuid()}", "--noheader", "--format=%A"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    return set(said.stdout.split())


class Slurm:
    """Jobs of a cluster, ``size`` at a time; the store and ``folder`` are on a disk that all machines see.

    A job whose machine was lost breaks its own call, which is submitted again.  Jobs that were submitted go
    on when this process is killed, and what they finish is in the store when the same command runs again.
    """

    def __init__(self, size: int, settings: Mapping[str, str]) -> None:
        """Prepare; nothing is submitted yet.  ``settings`` as in ``where.pool``, by name."""
        self.size, self.settings = size, dict(settings)
        self._jobs: dict[Future[Any], Any] = {}
        self._queue = _Queue()
        self._lock = threading.Lock()
        self._watcher: threading.Thread | None = None

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Submit the call as a job."""
        future: Future[Any] = Future()
        job = self._executor().submit(_call, function, arguments)
        with self._lock:
            self._jobs[future] = job
            if self._watcher is None:
                self._watcher = threading.Thread(target=self._watch, daemon=True)
                self._watcher.start()
        return future

    def _executor(self) -> Any:
        try:
            import submitit
        except ImportError:
            raise AssayError(
                "jobs of a cluster need the package submitit", place="where.pool", value="slurm",
                expected="submitit installed, inline or processes:N",
                hint='pip install "instruct-assay[slurm]"',
            ) from None  # fmt: skip
        folder = Path(self.settings.get("folder", ".assay/slurm")).resolve()
        executor = submitit.AutoExecutor(folder=folder, cluster=self.settings.get("cluster", "slurm"))
        executor.update_parameters(**self._parameters())
        return executor

    def _parameters(self) -> dict[str, Any]:
        """Return what submitit is told of a job."""
        found: dict[str, Any] = {"name": "assay", "timeout_min": _MINUTES}
        more: dict[str, str] = {}
        for name, value in self.settings.items():
            if name in _NUMBERS:
                found[_NUMBERS[name]] = int(value)
            elif name == "partition":
                found["slurm_partition"] = value
            elif name not in _OWN:
                more[name] = value
        return found | ({"slurm_additional_parameters": more} if more else {})

    def _watch(self) -> None:
        """Give futures their results as jobs end; leave when none is left."""
        while True:
            with self._lock:
                waiting = dict(self._jobs)
                if not waiting:
                    self._watcher = None
                    return
            for future, how in self._ended(waiting):
                with self._lock:
                    self._jobs.pop(future, None)
                _settle(future, waiting[future], how)
            time.sleep(_POLL_SECONDS)

    def _ended(self, waiting: Mapping[Future[Any], Any]) -> Iterator[tuple[Future[Any], str | None]]:
        """Yield the jobs that have ended: with a result (None), or how they were lost."""
        if self.settings.get("cluster", "slurm") == "local":
            yield from ((future, None) for future, job in waiting.items() if job.done())
            return
        lost = self._queue.lost({str(job.job_id) for job in waiting.values()})
        for future, job in waiting.items():
            if _has_result(job):
                yield future, None
            elif str(job.job_id) in lost:
                yield future, "it is in the queue no longer"

    def stop(self) -> None:
        """Cancel all jobs: the store makes that safe."""
        with self._lock:
            stopped, self._jobs = self._jobs, {}
        for future, job in stopped.items():
            job.cancel(check=False)
            future.cancel()

    def __enter__(self) -> Self:
        """Enter."""
        return self

    def __exit__(self, *error: object) -> None:
        """Cancel what is still there."""
        self.stop()


def _has_result(job: Any) -> bool:
    """Say whether a job's result is there; submitit's own question would ask ``sacct`` in vain."""
    folder = job.paths.folder
    with suppress(OSError):
        folder.chmod(folder.stat().st_mode)  # has a network disk look again
    return bool(job.paths.result_pickle.exists())


def _settle(future: Future[Any], job: Any, lost: str | None) -> None:
    """Give a future what its job left; a job that left nothing was killed."""
    if not future.set_running_or_notify_cancel():
        return
    try:
        if lost is not None:
            raise RuntimeError(lost)
        kind, found = job.result()
    except Exception as error:
        lines = str(error).strip().split("\n")
        said = " … ".join(dict.fromkeys([lines[0], lines[-1]]))
        future.set_exception(BrokenProcessPool(f"job {job.job_id} left no result: {said}"))
        return
    if kind == "value":
        future.set_result(found)
    else:
        future.set_exception(found)


def slurm_pool(text: str) -> Slurm:
    """Return the pool that ``JOBS,name=value,…`` says; raises :class:`AssayError` where it says none."""
    count, *pairs = text.split(",") if text else [""]
    named = [pair.partition("=") for pair in pairs]
    whole = count.isdecimal() and int(count) > 0
    if not whole or any(not name or not value for name, _, value in named):
        raise AssayError(
            "not settings of a cluster", place="where.pool", value=f"slurm:{text}", expected=_FORM
        )
    settings = {name.strip(): value.strip() for name, _, value in named}
    for name in _NUMBERS:
        if name in settings and not (settings[name].isdecimal() and int(settings[name]) > 0):
            raise AssayError(
                "not a whole number of at least 1", place="where.pool", value=f"{name}={settings[name]}",
                expected=_FORM,
            )  # fmt: skip
    if settings.get("cluster", "slurm") not in ("slurm", "local"):
        raise AssayError(
            "no such cluster", place="where.pool", value=settings["cluster"], expected="slurm or local"
        )
    return Slurm(int(count), settings)
