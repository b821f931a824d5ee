"""Kill a study at random moments, again and again, and compare what comes out with an uninterrupted run.

    python benchmarks/store_kills.py --kills 200

Each round runs one small real study (pocket model, testbed) as a process that is sent SIGKILL at a random
moment and started again until it ends; then a new round begins with an empty store, until all kills are used.
After every round the points must equal those of the uninterrupted run to the last digit, and every object in
the store must match its manifest.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from assay.plan import Store

STUDY = """name: kills
base: pocket
pool: {testbed: {samples: 300, types: [classification, code, math]}}
evaluation: {testbed: {samples: 24, seed: 1, types: [classification, code, math]}}
ladder: {rungs: [32, 64, 128, 256], seeds: 2}
recipe: {preset: pocket, batch_size: 16}
measure: {max_new_tokens: 6}
where: {pool: "processes:2", store: store, out: report}
"""


def start(folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "assay", "study", "run", "study.yaml", "--quiet"]
    quiet = subprocess.DEVNULL
    return subprocess.Popen(command, cwd=folder, start_new_session=True, stdout=quiet, stderr=quiet)


def prepared(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "study.yaml").write_text(STUDY)
    return folder


def points(folder: Path) -> bytes:
    return (folder / "report" / "points.csv").read_bytes()


def round_of_kills(folder: Path, left: int, span: float, rng: random.Random) -> int:
    """Run one study to its end under fire; return how many kills it took."""
    kills = 0
    while True:
        process = start(folder)
        if kills >= left:
            process.wait()
            return kills
        try:
            if process.wait(rng.uniform(0.2, span)) == 0:
                return kills
            raise SystemExit("the study failed by itself")
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="10 kills")
    options = parser.parse_args()
    wanted = 10 if options.quick else options.kills
    rng = random.Random(options.seed)
    root = Path(tempfile.mkdtemp(prefix="assay-kills-"))
    try:
        began = time.monotonic()
        if start(prepared(root / "whole")).wait():
            raise SystemExit("the uninterrupted study failed")
        alone = time.monotonic() - began
        print(f"uninterrupted: {alone:.1f} s")
        kills, rounds = 0, 0
        while kills < wanted:
            folder = prepared(root / f"round{rounds}")
            took = round_of_kills(folder, wanted - kills, alone / 2, rng)
            store = Store(folder / "store", create=False)
            broken = store.verify()
            same = points(folder) == points(root / "whole")
            kills, rounds = kills + took, rounds + 1
            print(f"round {rounds}: {took} kills, points identical: {same}, corrupt objects: {len(broken)}")
            if broken or not same:
                raise SystemExit(1)
            shutil.rmtree(folder)
        print(f"{kills} kills in {rounds} studies, {time.monotonic() - began:.0f} s: all identical")
    finally:
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
