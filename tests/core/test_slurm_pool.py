"""Steps as jobs of a cluster: the settings, and by submitit's executor on this machine the laws of pools."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

import pytest

from assay.core import AssayError
from assay.core._slurm import Slurm
from assay.plan import parse_pool
from assay.testing import PoolSuite

needs_submitit = pytest.mark.skipif(find_spec("submitit") is None, reason="submitit is not installed")


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
