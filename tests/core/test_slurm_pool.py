"""Steps as jobs of a cluster: the settings, and by submitit's executor on this machine the laws of pools."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from importlib.util import find_spec
from operator import truediv
from pathlib import Path
from typing import ClassVar

import loopback_slurm
import pytest

from assay.core import AssayError
from assay.core._slurm import Slurm
from assay.plan import parse_pool
from assay.testing import PoolSuite

needs_submitit = pytest.mark.skipif(find_spec("submitit") is None, reason="submitit is not installed")


@pytest.mark.long
@needs_submitit
class TestSlurm(PoolSuite):
    name: ClassVar[str] = "slurm"
    settings: ClassVar[str] = "2,cluster=local,folder=/tmp/assay-slurm-tests"


def test_settings_are_those_of_submitit() -> None:
    pool = parse_pool("slurm:8,partition=gpu,time=90,gpus=2,cpus=4,mem=64,constraint=a100")
    assert isinstance(pool, Slurm) and pool.size == 8
    assert pool._parameters() == {
        "name": "assay",
        "timeout_min": 90,
        "gpus_per_node": 2,
        "cpus_per_task": 4,
        "mem_gb": 64,
        "slurm_partition": "gpu",
        "slurm_additional_parameters": {"constraint": "a100"},
    }


@pytest.mark.parametrize(
    "text", ["slurm", "slurm:0", "slurm:x", "slurm:2,time", "slurm:2,time=long", "slurm:2,cluster=k8s"]
)
def test_other_settings_are_refused(text: str) -> None:
    with pytest.raises(AssayError) as caught:
        parse_pool(text)
    assert caught.value.place == "where.pool" and caught.value.expected


@pytest.mark.skipif(find_spec("submitit") is not None, reason="submitit is installed")
def test_without_submitit_it_says_what_to_install() -> None:
    with parse_pool("slurm:2") as pool, pytest.raises(AssayError, match="need the package submitit"):
        pool.submit(abs, -1)


@needs_submitit
def test_a_cluster_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    pool = parse_pool(f"slurm:1,folder={tmp_path}")
    with pytest.raises(Exception, match=r"(?i)slurm|sbatch|srun"):
        pool.submit(abs, -1)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Run a real Slurm on loopback, which keeps no accounts."""
    if not loopback_slurm.INSTALLED:
        pytest.skip("no Slurm here: apt install slurmctld slurmd slurm-client munge")
    with loopback_slurm.cluster(tmp_path_factory.mktemp("slurm")):
        yield


@needs_submitit
def test_jobs_of_a_real_cluster_bring_results_and_errors(cluster: None, tmp_path: Path) -> None:
    with parse_pool(f"slurm:2,time=5,mem=1,partition=loop,folder={tmp_path}") as pool:
        good, bad = pool.submit(truediv, 6, 3), pool.submit(truediv, 6, 0)
        assert good.result() == 2
        with pytest.raises(ZeroDivisionError):
            bad.result()


@needs_submitit
def test_a_job_that_the_cluster_lost_breaks_its_call(
    cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without accounts the queue alone tells of it; waiting for a result would never end."""
    monkeypatch.setattr("assay.core._slurm._QUEUE_SECONDS", 1.0)
    with parse_pool(f"slurm:1,time=5,mem=1,folder={tmp_path}") as pool:
        call = pool.submit(time.sleep, 600)
        subprocess.run(["scancel", "--name=assay"], check=True)
        with pytest.raises(BrokenProcessPool, match="in the queue no longer"):
            call.result(timeout=120)
