"""Processes that end with the one that started them."""

from __future__ import annotations

import os
import signal
import sys


def end_with_parent(parent: int | None) -> None:
    """Have the kernel kill this process when the one that started it is gone (Linux only).

    ``parent`` is who that was, if known: it may have gone before this was called.
    """
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if parent is not None and os.getppid() != parent:
        os._exit(1)
