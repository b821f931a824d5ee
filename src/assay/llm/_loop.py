"""One event loop for all calls of the process, in a thread of its own."""

from __future__ import annotations

import asyncio
import os
import threading

_guard = threading.Lock()
_running: tuple[int, asyncio.AbstractEventLoop] | None = None


def call_loop() -> asyncio.AbstractEventLoop:
    """Return the loop, started on first use, and anew in a forked process.

    inspect-ai keeps its semaphores for the process: two loops would meet at them.
    """
    global _running
    with _guard:
        if _running is None or _running[0] != os.getpid():
            loop = asyncio.new_event_loop()
            threading.Thread(target=loop.run_forever, name="assay-chat", daemon=True).start()
            _running = (os.getpid(), loop)
        return _running[1]
