"""The processes of one machine, started by ``accelerate launch``."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Self

from assay.core import end_with_parent
from assay.model.launch._job import ACCELERATE, JOB, read_log

LAUNCHER = "ASSAY_LAUNCHER"
_WORKER = "assay.model.launch._worker"


def command(folder: Path, machine: int = 0) -> list[str]:
    """Return the command that starts a machine's processes of a job."""
    launcher = ["-m", "accelerate.commands.launch", "--config_file", str(folder / ACCELERATE)]
    return [
        *(sys.executable, *launcher, "--machine_rank", str(machine)),
        *("-m", _WORKER, str(folder / JOB)),
    ]


class AccelerateGroup:
    """The processes of one machine, started by ``accelerate launch``; their output goes to ``log.txt``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def running(self) -> bool:
        return self.process.poll() is None

    @property
    def killed(self) -> int | None:
        """The first to fall in torchrun's summary, where a signal felled it; its peers then fail of that."""
        cause = re.search(
            r"Root Cause.*?rank\s*: (\d+).*?exitcode\s*: (-?\d+)", read_log(self.folder), re.DOTALL
        )
        return int(cause[1]) if cause and int(cause[2]) < 0 else None

    def __enter__(self) -> Self:
        with (self.folder / "log.txt").open("wb") as log:
            self.process = subprocess.Popen(  # noqa: S603 - our own command
                command(self.folder),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_tie,
            )
        return self

    def __exit__(self, *error: object) -> None:
        """Kill the launcher; its processes end with it, and the saved state makes that safe."""
        if self.running():
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def _tie() -> None:
    """Tie the launcher to this process, and tell those it starts who it is."""
    end_with_parent(None)
    os.environ[LAUNCHER] = str(os.getpid())
