"""``assay serve`` in a process of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

EVIL = '"><img src=x onerror=alert(1)><script>alert(2)</script></textarea>{{7331*8837}}'
NAME = "小实验 & <b>x"


class Server:
    """``assay serve`` in a process of its own."""

    def __init__(self, folder: Path, *arguments: str, **environment: str) -> None:
        command = [sys.executable, "-m", "assay", "serve", *arguments]
        self._log = folder / f"serve-{time.monotonic_ns()}.log"
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                command, stderr=log, env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
            )  # fmt: skip
        until = time.monotonic() + 60
        while "Ctrl-C" not in self.said:
            assert self.process.poll() is None and time.monotonic() < until, f"it did not start: {self.said}"
            time.sleep(0.05)
        self.base = re.search(r"http://[^/\s]+", self.said)[0]  # type: ignore[index]
        self.token = self.said.rpartition(", key ")[2].split()[0]

    @property
    def said(self) -> str:
        return self._log.read_text(encoding="utf-8")

    def stop(self) -> None:
        """End the process as Ctrl-C does."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            assert self.process.wait(timeout=30) == 0, self.said
