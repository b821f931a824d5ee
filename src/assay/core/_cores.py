"""How many processor cores there are for this process, which may be fewer than the machine has."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def usable_cores(root: Path = Path("/")) -> int:
    """Return the cores that this process may use, at least 1.

    Those that it is bound to (a job of Slurm, ``taskset``), or fewer where its control group or one above
    has a quota of less (a container with ``--cpus``); a quota of a part of a core counts as a whole one.
    ``root`` is where the system's files are.  Sources: sched_getaffinity(2); the kernel's cgroup-v2,
    ``cpu.max``, and cgroup-v1, ``cpu.cfs_quota_us``.
    """
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([bound, *(math.ceil(quota) for quota in _quotas(root))]))


def _quotas(root: Path) -> Iterator[float]:
    """Yield the quotas, in cores, of the control groups that this process is in."""
    for folder in _groups(root):
        with suppress(OSError, ValueError, ZeroDivisionError):
            quota, period = (folder / "cpu.max").read_text().split()
            yield int(quota) / int(period)  # "max" is no number: no quota
        with suppress(OSError, ValueError, ZeroDivisionError):
            quota = (folder / "cpu.cfs_quota_us").read_text()
            period = (folder / "cpu.cfs_period_us").read_text()
            if int(quota) > 0:
                yield int(quota) / int(period)


def _groups(root: Path) -> Iterator[Path]:
    """Yield this process's control groups and all above them, which in a container are the root."""
    mounts = root / "sys/fs/cgroup"
    yield from (mounts, mounts / "cpu")
    with suppress(OSError, ValueError):
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers and "cpu" not in controllers.split(","):
                continue
            top = mounts / "cpu" if controllers else mounts
            own = top / path.lstrip("/")
            yield from (own, *(folder for folder in own.parents if folder.is_relative_to(top)))
