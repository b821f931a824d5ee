"""One study on two machines that share a bucket and nothing else; one is killed; beside one machine alone.

    sudo python benchmarks/two_machines.py

The machines are network namespaces with an address and a cache of their own, joined by a bridge; the bucket
is SeaweedFS in the namespace of this process.  Needs root and ``ip``.  Leases last ten seconds here, so that
what was killed is soon taken over.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests")]
HOST, NET = "10.77.0.1", "10.77.0"
CODE = """
import sys
from assay import study
from assay.plan import _lease, _shared, quiet
_lease.LEASE = _shared.LEASE = 10.0; _lease.BEAT = 1.0
with quiet():
    study.run(sys.argv[1], out=sys.argv[2])
"""
LADDER = """base: pocket
pool: {testbed: {samples: 300, types: [classification, code]}}
evaluation: {testbed: {samples: 24, seed: 1, types: [classification, code]}}
ladder: {rungs: [32, 64, 128, 256], seeds: 3}
recipe: {preset: testbed, batch_size: 16}
measure: {max_new_tokens: 6}
"""
STUDY = f"name: machines\n{LADDER}where: {{pool: inline, store: STORE}}\n"


def sh(command: str) -> None:
    subprocess.run(command.split(), check=True)


@contextmanager
def namespaces(names: str) -> Iterator[None]:
    """Make network namespaces that reach this one over a bridge."""
    sh("ip link add assay-br type bridge")
    try:
        sh(f"ip addr add {HOST}/24 dev assay-br")
        sh("ip link set assay-br up")
        for number, name in enumerate(names, start=2):
            sh(f"ip netns add assay-{name}")
            sh(f"ip link add assay-{name}0 type veth peer name assay-{name}1 netns assay-{name}")
            sh(f"ip link set assay-{name}0 master assay-br up")
            inside = f"ip netns exec assay-{name}"
            sh(f"{inside} ip addr add {NET}.{number}/24 dev assay-{name}1")
            sh(f"{inside} ip link set assay-{name}1 up")
            sh(f"{inside} ip link set lo up")
        yield
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", f"assay-{name}"], check=False)
        subprocess.run(["ip", "link", "del", "assay-br"], check=False)


def machine(folder: Path, study: Path, name: str) -> subprocess.Popen[bytes]:
    """Start the study on a machine."""
    command = ["ip", "netns", "exec", f"assay-{name}", sys.executable, "-c", CODE, str(study)]
    places = {**os.environ, "ASSAY_CACHE": str(folder / name / "cache")}
    return subprocess.Popen([*command, str(folder / name / "report")], env=places)


def main() -> None:
    import buckets
    from assay.plan import open_store

    with tempfile.TemporaryDirectory() as temporary, namespaces("ab"):
        folder = Path(temporary)
        with buckets.seaweed(HOST) as url:
            buckets.make_bucket(url)
            os.environ |= {**buckets.settings(url), "no_proxy": HOST, "NO_PROXY": HOST}
            places = {"alone": str(folder / "store"), "shared": buckets.new_address()}
            for name, store in places.items():
                (folder / f"{name}.yaml").write_text(STUDY.replace("STORE", store), encoding="utf-8")
            began = time.perf_counter()
            subprocess.run(
                [sys.executable, "-c", CODE, str(folder / "alone.yaml"), str(folder / "report")], check=True
            )
            alone = time.perf_counter() - began
            began, store = time.perf_counter(), open_store(places["shared"])
            first, second = (machine(folder, folder / "shared.yaml", name) for name in "ab")
            while len(store.completed()) < 30:
                time.sleep(0.1)
            first.kill()
            first.wait()
            assert second.wait() == 0, "the machine that was left failed"
            both = time.perf_counter() - began
            again = machine(folder, folder / "shared.yaml", "a")
            assert again.wait() == 0, "the machine that was killed does not go on"
            points = [(place / "points.csv").read_bytes() for place in
                      (folder / "report", folder / "a" / "report", folder / "b" / "report")]  # fmt: skip
            logs = [list(folder.glob(f"{name}/cache/*/took.jsonl")) for name in "ab"]
            done = [sum(len(log.read_text().splitlines()) for log in found) for found in logs]
            steps = len(store.completed())
    print(f"{steps} steps; one machine with a folder: {alone:.0f} s; two, one of them killed: {both:.0f} s")
    print(f"steps done by each: {done}; points equal to the byte: {len(set(points)) == 1}")


if __name__ == "__main__":
    main()
