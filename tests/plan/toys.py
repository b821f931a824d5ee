"""Small real steps for tests of the plan room: they write files, count, and wait."""

from __future__ import annotations

import hashlib
import os
import signal
import time
from pathlib import Path

from assay.core import AssayError
from assay.plan import Step, StepContext

HERE = __name__


def write(context: StepContext) -> None:
    """Write some files that follow from config and inputs, slowly, resuming what is there."""
    log = Path(context.where["log"]) if "log" in context.where else None
    if log is not None:
        with log.open("a") as lines:
            lines.write(context.out.name + "\n")
    seed = "".join((path / "part-0").read_text() for _, path in sorted(context.inputs.items()))
    for part in range(context.config["parts"]):
        target = context.out / f"part-{part}"
        if not target.exists():
            text = hashlib.sha256(f"{seed}{context.config['value']}{part}".encode()).hexdigest()
            partial = context.out / f"part-{part}.partial"
            partial.write_text(text)
            time.sleep(context.config.get("seconds", 0.0))
            partial.replace(target)
        context.progress(part + 1, context.config["parts"], "part")


def fail(context: StepContext) -> None:
    """Fail as a program does."""
    raise ZeroDivisionError("one by nought")


def refuse(context: StepContext) -> None:
    """Fail as a user can mend."""
    raise AssayError("bad value", place="x.y", value=3, expected="4")


def die_once(context: StepContext) -> None:
    """Be killed by the system at the first attempt, as when memory runs out."""
    mark = context.out / "tried.txt"
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    (context.out / "part-0").write_text("survived")


def step(value: object, *inputs: Step, call: str = "write", seconds: float = 0.0, log: str = "") -> Step:
    """Return a toy step."""
    config = {"value": value, "parts": 3, "seconds": seconds}
    where = {"log": log} if log else {}
    named = {f"in{i}": s for i, s in enumerate(inputs)}
    return Step("toy", 1, f"{HERE}:{call}", config, named, where=where, label=str(value))


def diamond(width: int = 4, seconds: float = 0.0, log: str = "") -> Step:
    """Return the end of a graph: one root, ``width`` in the middle, one end."""
    root = step("root", seconds=seconds, log=log)
    middle = [step(f"m{i}", root, seconds=seconds, log=log) for i in range(width)]
    return step("end", *middle, seconds=seconds, log=log)


def die_always(context: StepContext) -> None:
    """Be killed by the system at every attempt."""
    time.sleep(0.05)
    os.kill(os.getpid(), signal.SIGKILL)


def fail_with(context: StepContext) -> None:
    """Fail as the operating system does."""
    number = context.config["value"]
    raise OSError(number, os.strerror(number), str(context.out / "file"))


def interrupt(context: StepContext) -> None:
    """Be stopped by Ctrl-C."""
    raise KeyboardInterrupt
