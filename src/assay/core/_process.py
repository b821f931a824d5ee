"""Processes that end with the one that started them."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time


def end_with_parent(parent: int | None) -> None:
    """Have the kernel kill this process when the one that started it is gone (Linux only).

    ``parent`` is who that was, if known: it may have gone before this was called.
    """
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if parent is not None and os.getppid() != parent:
        os._exit(1)


def tie_to_parent(parent: int) -> None:
    """End this worker when ``parent`` is gone: by the kernel on Linux, by watching elsewhere.

    It is what a pool of processes is given as initializer, with ``os.getpid()``.  Ctrl-C is the parent's to
    handle.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent(parent)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
