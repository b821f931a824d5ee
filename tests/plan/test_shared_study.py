"""One study on two machines that share a bucket: what one machine alone makes, also where one is killed."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

import assay
import buckets
from assay.plan import open_store

CODE = """
import sys
from assay import study
from assay.plan import _lease, _shared
_lease.LEASE = _shared.LEASE = 4.0; _lease.BEAT = 0.4; _lease._POLL = 0.1
study.run(sys.argv[1], out=sys.argv[2])
"""


STUDY = """name: small
base: pocket
pool: {testbed: {samples: 150, types: [classification, code]}}
evaluation: {testbed: {samples: 16, seed: 1, types: [classification, code]}}
ladder: {rungs: [32, 64, 128], seeds: 2}
recipe: {preset: testbed, batch_size: 16}
measure: {max_new_tokens: 6}
where: {pool: inline, store: "%s"}
"""


def written(folder: Path, name: str, store: str) -> Path:
    (folder / name).write_text(STUDY % store, encoding="utf-8")
    return folder / name


def machine(folder: Path, study: Path, name: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", CODE, str(study), str(folder / name / "report")]
    return subprocess.Popen(command, env=buckets.machine(folder / name / "cache"), stderr=subprocess.PIPE)


def points(report: Path) -> str:
    return (report / "points.csv").read_text()


def computed(folder: Path) -> int:
    """Count the steps that a machine computed and saw finished."""
    return sum(len(log.read_text().splitlines()) for log in folder.glob("cache/*/took.jsonl"))


@pytest.mark.long
def test_two_machines_on_one_study_and_one_is_killed(url: str, tmp_path: Path) -> None:
    alone = tmp_path / "report"
    assay.study.run(written(tmp_path, "alone.yaml", str(tmp_path / "store")), out=alone)
    study = written(tmp_path, "study.yaml", url)
    first, second = (machine(tmp_path, study, name) for name in "ab")
    store = open_store(url)
    while len(store.completed()) < 8:
        assert first.poll() is None and second.poll() is None, "they ended too soon"
        time.sleep(0.05)
    first.kill()
    first.communicate()
    said = second.communicate()[1].decode()
    assert second.returncode == 0, said
    assert points(tmp_path / "b" / "report") == points(alone)
    n_steps = len(store.completed())
    assert n_steps - 1 <= computed(tmp_path / "a") + computed(tmp_path / "b") <= n_steps + 1
    # The killed one goes on, and finds all of it.
    again = machine(tmp_path, study, "a")
    said = again.communicate()[1].decode()
    assert again.returncode == 0, said
    assert points(tmp_path / "a" / "report") == points(alone)
    assert len(store.completed()) == n_steps

    assert assay.study.plan(study).plan.total.to_do == 0
    status = assay.status(store=url)
    assert status.place == url and [(s.name, s.done) for s in status.studies] == [("small", n_steps)]
    assert assay.doctor_store(url).intact
    models = json.loads((tmp_path / "b" / "report" / "models.json").read_text())
    assert models["store"] == url
    assert assay.gc(store=Path(url)).objects == 0
    assert assay.gc(store=url, forget=["small"]).objects == 0, "the killed one may live, for ten minutes"
    # So may what it was at, if it was killed between an object and giving back its lease.
    names = store.bucket.names  # type: ignore[attr-defined]
    store.bucket.remove([*names("held/"), *names("leases/")])  # type: ignore[attr-defined]
    assert assay.gc(store=url, forget=["small"], delete=True).objects == n_steps
    assert store.bucket.names("data/") == {} and store.completed() == []  # type: ignore[attr-defined]
