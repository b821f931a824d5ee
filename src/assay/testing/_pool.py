"""The laws of pools."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

from assay.core import AssayError
from assay.plan import POOLS, Inline, Pool, RunReport, Step, Store, parse_pool, quiet, run
from assay.testing import _steps
from assay.testing._suite import Suite

_KILLS = 2
_SECONDS = 0.15


def _contents(store: Store) -> dict[str, Any]:
    return {key: store.manifest(key)["files"] for key in store.completed()}


def _run(steps: list[Step], store: Store, pool: Pool) -> RunReport:
    with quiet():
        return run(steps, store, pool)


def fingerprint(name: str) -> list[Any]:
    """Return what a pool of that spelling computes."""
    with parse_pool(name) as pool:
        return [pool.submit(pow, base, 3).result() for base in range(5)]


class PoolSuite(Suite):
    """Inherit it, set ``name``, and ``settings`` where the pool takes some (``name:settings``).

    ``workers``: whether calls run in processes of their own, which can be killed apart from this one.
    """

    plugins = POOLS
    fingerprint = f"{__name__}:fingerprint"
    settings: ClassVar[str] = ""
    workers: ClassVar[bool] = True

    @property
    def text(self) -> str:
        """How a study names the pool."""
        return f"{self.name}:{self.settings}" if self.settings else self.name

    def arguments(self) -> tuple[Any, ...]:
        """Return the pool's spelling."""
        return (self.text,)

    def pool(self) -> Pool:
        """Return the pool, nothing started."""
        return parse_pool(self.text)

    def test_calls_give_their_results(self) -> None:
        """As many as ``size`` and more can be submitted; each future has its own result."""
        with self.pool() as pool:
            assert pool.size >= 1, f"size {pool.size}"
            futures = [pool.submit(divmod, number, 3) for number in range(pool.size + 4)]
            assert [future.result() for future in futures] == [divmod(n, 3) for n in range(pool.size + 4)]

    def test_errors_keep_their_parts(self, tmp_path: Path) -> None:
        """An error comes out as it was raised, with place, value, expectation and remedy."""
        with self.pool() as pool:
            assert isinstance(pool.submit(divmod, 1, 0).exception(), ZeroDivisionError), "another error"
            try:
                _run([_steps.step("x", call="refuse")], Store(tmp_path), pool)
            except AssayError as error:
                parts = (error.problem, error.place, error.value, error.expected, error.hint)
                assert parts == ("bad value", "x.y", 3, "4", "write 4"), parts
            else:
                raise AssertionError("a step that fails was taken for done")

    def test_it_makes_the_objects_that_one_process_makes(self, tmp_path: Path) -> None:
        """The same steps leave the same files, by their digests, whichever pool runs them."""
        stores = [Store(tmp_path / name) for name in ("inline", "pool")]
        with Inline() as inline, self.pool() as pool:
            for store, one in zip(stores, (inline, pool), strict=True):
                assert _run([_steps.diamond()], store, one).done == 6, "not all steps were run"
                assert _run([_steps.diamond()], store, one).done == 0, "steps were run again"
        assert _contents(stores[0]) == _contents(stores[1]), "other files"

    def test_a_killed_worker_is_replaced(self, tmp_path: Path) -> None:
        """A worker that the system kills costs its step another attempt, nothing else."""
        if not self.workers:
            return
        store, step = Store(tmp_path), _steps.step("x", call="die_once")
        with self.pool() as pool:
            _run([step, _steps.step("y", seconds=0.05)], store, pool)
        assert (store.path(step.key) / "part-0").read_text("utf-8") == "survived", "not run again"

    def test_it_starts_anew_after_it_was_stopped(self) -> None:
        """``stop`` may be called at any time, twice too; the next call starts workers anew."""
        with self.pool() as pool:
            assert pool.submit(abs, -1).result() == 1, "no result"
            pool.stop()
            pool.stop()
            assert pool.submit(abs, -2).result() == 2, "no result after stop"

    def test_a_killed_run_loses_nothing(self, tmp_path: Path) -> None:
        """Killed repeatedly, the same command finishes, and leaves what it would have left."""
        command = [sys.executable, "-m", _steps.__name__, self.text, str(tmp_path / "killed"), str(_SECONDS)]
        places = {**os.environ, "PYTHONPATH": os.pathsep.join(part for part in sys.path if part)}
        kills = 0
        while kills < _KILLS:
            done = len(_contents(Store(tmp_path / "killed")))
            process = subprocess.Popen(command, env=places, stderr=subprocess.DEVNULL)  # noqa: S603
            while process.poll() is None and len(_contents(Store(tmp_path / "killed"))) == done:
                _wait(process, 0.05)
            if process.poll() is not None:
                break
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
        assert kills, "it finished before it could be killed"
        assert subprocess.run(command, env=places, check=False).returncode == 0, "it does not finish"  # noqa: S603
        whole = Store(tmp_path / "whole")
        _run([_steps.diamond(_SECONDS)], whole, Inline())
        killed = Store(tmp_path / "killed")
        assert killed.verify() == [], "the store holds broken objects"
        assert _contents(killed) == _contents(whole), "other files than without kills"


def _wait(process: subprocess.Popen[bytes], seconds: float) -> None:
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        return
