"""Execute one step: the same function in this process, in a worker, and later on a cluster."""

from __future__ import annotations

import json
import os
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from assay._version import __version__
from assay.core import AssayError, as_assay_error
from assay.llm import limited
from assay.plan._cost import cap_reached
from assay.plan._shared import open_store
from assay.plan._step import Estimate, StepContext
from assay.plan._store import Store, now
from assay.plan._took import DONE, Took, note

_PROGRESS_SECONDS = 0.3


def execute(place: str, payload: dict[str, Any], told: Callable[[], None] = lambda: None) -> bool:
    """Run a step of the store at ``place`` unless its object exists; return whether it ran.

    ``told`` is called when the step has written how far it is.  Raises :class:`AssayError` where the step's
    function does; any other error is written to ``work/<key>/error.txt`` and raised as an
    :class:`AssayError` that names it.
    """
    step = f"step {payload['name']} ({payload['label']})"
    try:
        return _executed(open_store(place), payload, step, told)
    except AssayError:
        raise
    except Exception as error:
        known = as_assay_error(error, step)
        if known is None:
            raise
        raise known from error


def _executed(store: Store, payload: dict[str, Any], step: str, told: Callable[[], None]) -> bool:
    key = payload["key"]
    with store.attempt(key) as out:
        if out is None:
            return False
        began, cpu, started = time.monotonic(), _processors(), now()
        resumed = any(out.iterdir())
        (out / "progress.json").unlink(missing_ok=True)  # of an attempt that was killed
        progress = _Progress(out / "progress.json", told, payload.get("until"))
        inputs = {role: store.path(upstream) for role, upstream in payload["inputs"].items()}
        context = StepContext(payload["config"], inputs, payload["where"], out, progress)
        try:
            with limited(None):  # what a step asks of chat models it counts itself
                _function(payload["call"])(context)
        except AssayError:
            raise
        except Exception as error:
            if as_assay_error(error) is not None:
                raise
            (out / "error.txt").write_text(traceback.format_exc(), encoding="utf-8")
            raise AssayError(
                f"{type(error).__name__}: {error}",
                place=step,
                hint=f"the traceback is in {out / 'error.txt'}",
            ) from error
        names = ("name", "version", "config", "inputs", "label")
        facts = {name: payload[name] for name in names}
        seconds, cpu = round(time.monotonic() - began, 3), round(_processors() - cpu, 3)
        times = {"started": started, "ended": now(), "seconds": seconds, "cpu_seconds": cpu}
        store.commit(key, {**facts, **times, "used": context.used, "assay": __version__})
        if not resumed:  # what an earlier attempt took is not known
            seconds = round(time.monotonic() - began, 3)  # with what committing takes
            _noted(store, payload, seconds, cpu, context.used)
        DONE.add(payload["name"])
    return True


def _noted(store: Store, payload: dict[str, Any], seconds: float, cpu: float, used: dict[str, float]) -> None:
    """Write down what a step took, beside what was foretold of it."""
    name, estimate = payload["name"], Estimate(**payload["estimate"])
    size = float(sum(size for size, _ in store.manifest(payload["key"])["files"].values()))
    note(store.root, Took(name, estimate.kind, estimate, seconds, cpu, name not in DONE, size, **used))


def _processors() -> float:
    """Return the processor seconds of this process and of those that it has waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _function(call: str) -> Any:
    module, _, name = call.partition(":")
    return getattr(import_module(module), name)


class _Progress:
    """Writes (done, total, unit) to a small file, at most a few times a second.

    Raises :class:`AssayError` once the clock has passed ``until``: what the step has kept it resumes from.
    """

    def __init__(self, path: Path, told: Callable[[], None], until: float | None) -> None:
        self.path, self.told, self.until, self.written = path, told, until, 0.0

    def __call__(self, done: float, total: float, unit: str) -> None:
        if time.monotonic() - self.written < _PROGRESS_SECONDS:
            return
        if self.until is not None and time.time() > self.until:
            raise cap_reached("time")
        self.written = time.monotonic()
        partial = self.path.with_suffix(f".{os.getpid()}.partial")
        # Progress is no result: a full disk ends the step where it writes one.
        with suppress(OSError):
            partial.write_text(json.dumps([done, total, unit]))
            os.replace(partial, self.path)  # noqa: PTH105 - atomic over an existing file on every system
        self.told()
