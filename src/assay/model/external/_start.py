"""Start another trainer as a process in an environment of its own, watch it, and take what it leaves."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

from assay.core import AssayError, end_with_parent, other_python
from assay.model.base import base_name
from assay.model.external._folder import RUN, SCRIPT, HandedBase, write_run
from assay.model.external._receive import LOG, RECEIPT, look, receive, training_failure
from assay.model.external._settings import ExternalRun
from assay.model.external._tools import Tool
from assay.model.tokens import TokenTable
from assay.model.train import Advance, Indices, Segment, TrainReport

_POLL_SECONDS = 0.2
_TAIL = 4_000
_BAR = re.compile(rb"(\d+)/(\d+) \[")


def environment_python(tool: Tool, named: str | None) -> str:
    """Return the python that trains: as named (or its environment's folder), by the tool's variable, or ours.

    Raises :class:`AssayError` where none is named and this environment does not have the tool.
    """
    found = other_python(named, tool.variable, tool.module, title=tool.title, setting="where.environment")
    if found is None:
        raise AssayError(
            f"{tool.title} is not installed here", place="recipe.trainer", value=tool.name,
            expected=f"where.environment or {tool.variable}: the environment that has it",
            hint=f"python -m venv ENV && ENV/bin/pip install {tool.packages[0]}; or train elsewhere: "
            "`assay study handoff`",
        )  # fmt: skip
    return found


def train_external(
    tool: Tool,
    environment: str | None,
    processes: int,
    segment: Segment,
    *,
    base: Path,
    state: Path | None,
    table: TokenTable,
    order: Indices,
    out: Path,
    device: str = "auto",
    advance: Advance = lambda done, total, unit: None,
) -> TrainReport:
    """Fine-tune by another trainer; see :class:`Trainer`.  Whole runs alone: its states are not ours.

    A run that was stopped goes on after the trainer's last checkpoint.  Raises :class:`AssayError` with what
    the trainer said last where it fails.
    """
    python = environment_python(tool, environment)
    if state is not None or (segment.start, segment.stop) != (0, segment.recipe.steps(segment.n_train)):
        raise AssayError(
            f"{tool.title} trains whole runs alone", place="recipe.trainer", value=str(segment),
            expected="a run from its first step to its last",
        )  # fmt: skip
    run = ExternalRun.of(segment, table, base, processes)
    folder = (out / "scratch" / "run").resolve()
    _clear(folder)
    write_run(folder, tool, run, table, order, HandedBase(base_name(base) or base.name, base), key=out.name)
    _run(python, folder, run.steps, device, advance)
    came = look(folder)
    if came.status in ("failed", "running"):
        raise training_failure(folder, came.receipt, tool)
    report = receive(tool, folder, segment, base=base, table=table, order=order, out=out)
    advance(run.steps, run.steps, "step")
    return report


def _clear(folder: Path) -> None:
    """Forget how an earlier attempt ended; its checkpoints stay."""
    (folder / LOG).unlink(missing_ok=True)
    receipt = folder / RECEIPT
    if receipt.is_file() and json.loads(receipt.read_text(encoding="utf-8")).get("status") == "refused":
        receipt.unlink()


def _run(python: str, folder: Path, steps: int, device: str, advance: Advance) -> None:
    """Run the script of a run to its end; the trainer's own words are in the folder's log."""
    variables = {**os.environ}
    variables.pop("ASSAY_BASE", None)
    if device == "cpu":
        variables["CUDA_VISIBLE_DEVICES"] = ""
    with (folder / "start.txt").open("wb") as said:
        process = subprocess.Popen(  # noqa: S603 - the python that the user names
            [python, str(folder / SCRIPT)], stdin=subprocess.DEVNULL, stdout=said, stderr=said, env=variables,
            preexec_fn=partial(end_with_parent, os.getpid()),
        )  # fmt: skip
    try:
        while process.poll() is None:
            advance(reached(folder / LOG, steps), steps, "step")
            time.sleep(_POLL_SECONDS)
    finally:
        _end(process)
    if not (folder / RECEIPT).is_file():
        last = (folder / "start.txt").read_text(encoding="utf-8", errors="replace").strip().split("\n")[-1]
        raise AssayError(
            f"the trainer could not be started: {last or 'it said nothing'}", place=str(folder / RUN),
            value=python, expected="a python of version 3.9 or later", hint="where.environment names another",
        )  # fmt: skip


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the script, which ends the trainer with all that it started; else the kernel does that."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(5)
        process.kill()
    process.wait()


def reached(log: Path, steps: int) -> int:
    """Return the step that a trainer's own progress bar shows last; 0 before there is one."""
    try:
        with log.open("rb") as handle:
            handle.seek(max(0, log.stat().st_size - _TAIL))
            found = [int(done) for done, total in _BAR.findall(handle.read()) if int(total) == steps]
    except OSError:
        return 0
    return found[-1] if found else 0
