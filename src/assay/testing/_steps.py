"""Steps that a pool is tried with: they write files, wait, fail, and are killed."""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import time
from pathlib import Path

from assay.core import AssayError
from assay.plan import Step, StepContext, Store, parse_pool, quiet, run


def write(context: StepContext) -> None:
    """Write three files that follow from config and inputs, slowly, going on with what is there."""
    seed = "".join((path / "part-0").read_text("utf-8") for _, path in sorted(context.inputs.items()))
    for part in range(3):
        target = context.out / f"part-{part}"
        if not target.exists():
            text = hashlib.sha256(f"{seed}{context.config['value']}{part}".encode()).hexdigest()
            partial = context.out / f"part-{part}.partial"
            partial.write_text(text, encoding="utf-8")
            time.sleep(context.config["seconds"])
            partial.replace(target)
        context.progress(part + 1, 3, "part")


def refuse(context: StepContext) -> None:
    """Fail as a user can put right."""
    raise AssayError("bad value", place="x.y", value=3, expected="4", hint="write 4")


def die_once(context: StepContext) -> None:
    """Be killed by the system at the first attempt, as when memory runs out."""
    mark = context.out / "tried.txt"
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    (context.out / "part-0").write_text("survived", encoding="utf-8")


def step(value: str, *inputs: Step, call: str = "write", seconds: float = 0.0) -> Step:
    """Return a step."""
    named = {f"in{i}": upstream for i, upstream in enumerate(inputs)}
    config = {"value": value, "seconds": seconds}
    return Step("suite", 1, f"assay.testing._steps:{call}", config, named, label=value)


def diamond(seconds: float = 0.0) -> Step:
    """Return the end of a graph: a root, four in the middle, an end."""
    root = step("root", seconds=seconds)
    return step("end", *(step(f"m{i}", root, seconds=seconds) for i in range(4)), seconds=seconds)


if __name__ == "__main__":
    with quiet(), parse_pool(sys.argv[1]) as pool:
        run([diamond(float(sys.argv[3]))], Store(Path(sys.argv[2])), pool)
