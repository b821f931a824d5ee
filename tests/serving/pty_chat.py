"""``assay chat`` in a terminal of its own, as a person at a keyboard has it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Sequence
from contextlib import suppress

_SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


class Terminal:
    """A running chat; what it shows is read without colours and movements of the cursor."""

    def __init__(self, arguments: Sequence[str], width: int = 80) -> None:
        main, side = pty.openpty()
        fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 30, width, 0, 0))
        environment = {**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", "PYTHONUTF8": "1"}
        environment.pop("COLUMNS", None)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "assay", "chat", *arguments],
            stdin=side, stdout=side, stderr=side, start_new_session=True, env=environment,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )  # fmt: skip
        os.close(side)
        self._main, self._raw, self._seen = main, b"", 0

    def type(self, text: str) -> None:
        os.write(self._main, text.encode())

    def until(self, pattern: str, seconds: float = 180) -> str:
        """Return what was shown since the last call, up to and with ``pattern``."""
        until = time.monotonic() + seconds
        while (found := re.search(pattern, (shown := self._shown())[self._seen :])) is None:
            assert time.monotonic() < until, f"no {pattern!r} in {shown[self._seen :]!r}"
            self._read()
        start, self._seen = self._seen, self._seen + found.end()
        return shown[start : self._seen]

    def interrupt(self, pattern: str) -> str:
        """Press Ctrl-C until ``pattern`` is shown, and return it with what came before.

        Between its prompt and its wait readline only notes an interrupt, and acts on it at the next key.
        """
        for _ in range(30):
            self.type("\x03")
            with suppress(AssertionError):
                return self.until(pattern, 3)
        return self.until(pattern)

    def ask(self, text: str) -> str:
        """Type a line and return what came of it, up to the next prompt."""
        self.type(text + "\n")
        return self.until("\nyou> ").partition("\r\n")[2].removesuffix("\nyou> ").strip("\r")

    def end(self) -> int:
        """Return the exit status, once the process has ended."""
        until = time.monotonic() + 30
        while self.process.poll() is None and time.monotonic() < until:
            self._read()
        os.close(self._main)
        return self.process.wait(timeout=1)

    def _read(self) -> None:
        ready, _, _ = select.select([self._main], [], [], 0.1)
        if ready:
            try:
                self._raw += os.read(self._main, 65536)
            except OSError:  # the other side is closed
                time.sleep(0.05)

    def _shown(self) -> str:
        return _SEQUENCE.sub("", self._raw.decode("utf-8", "ignore"))
