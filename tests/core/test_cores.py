"""As many workers as there are cores for this process, not as many as the machine has."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from assay.core import Inline, parse_pool, usable_cores

BOUND = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


@pytest.fixture
def one_core() -> Iterator[None]:
    if len(BOUND) < 2:
        pytest.skip("this process is bound to one core, or cannot be bound")
    os.sched_setaffinity(0, BOUND[:1])
    yield
    os.sched_setaffinity(0, BOUND)


def system(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.usefixtures("one_core")
def test_a_process_bound_to_one_core_has_one(tmp_path: Path) -> None:
    assert usable_cores(tmp_path) == 1
    assert parse_pool("processes").size == 1


@pytest.mark.parametrize(
    "files",
    [
        {"sys/fs/cgroup/cpu.max": "50000 100000\n"},
        {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "100000\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n"},
        {"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/cpu.max": "100000 100000\n"},
        {
            "proc/self/cgroup": "4:cpu,cpuacct:/job\n3:memory:/other\n",
            "sys/fs/cgroup/cpu/job/cpu.cfs_quota_us": "7000\n",
            "sys/fs/cgroup/cpu/job/cpu.cfs_period_us": "10000\n",
        },
    ],
    ids=["container", "container of the first version", "a group above", "a group of the first version"],
)
def test_a_quota_of_one_core_or_less_is_one_core(files: dict[str, str], tmp_path: Path) -> None:
    assert usable_cores(system(tmp_path, files)) == 1


@pytest.mark.parametrize("said", ["max 100000", "-1", "", "0 0", "100000", "9" * 40 + " 1", "1 2 3", "a b"])
def test_no_quota_or_a_file_that_cannot_be_read_leaves_all_cores(said: str, tmp_path: Path) -> None:
    files = {"sys/fs/cgroup/cpu.max": said, "proc/self/cgroup": "0::/\nnonsense\n"}
    assert usable_cores(system(tmp_path, files)) == len(BOUND)


def kind_of_pool() -> str:
    return type(parse_pool("processes:2", forked=True)).__name__


def test_a_worker_that_may_start_no_process_works_by_itself() -> None:
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply(kind_of_pool) == Inline.__name__
    assert kind_of_pool() == "Processes"
