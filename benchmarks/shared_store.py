"""What a store in a bucket costs per step: the same steps in a folder and in a bucket, in one process.

    python benchmarks/shared_store.py [--steps 30] [--seconds 0.0]

The bucket is moto's server in a thread of this process, so that its time is among what is measured.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from assay.plan import Inline, Step, open_store, plan, quiet, run

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "plan")]


def chain(steps: int, seconds: float) -> Step:
    """Return the last of so many steps; each reads the one before, and writes three files."""
    import toys

    last: list[Step] = []
    for number in range(steps):
        last = [toys.step(number, *last, seconds=seconds)]
    return last[0]


def timed(place: str, end: Step, asked: Sequence[int]) -> tuple[float, float, float, int]:
    """Return the seconds of a run, of one that finds all of it, of a plan, and the requests of the first."""
    store, times = open_store(place), [time.perf_counter()]
    before = asked[0]
    run([end], store, Inline())
    requests = asked[0] - before
    times.append(time.perf_counter())
    run([end], store, Inline())
    times.append(time.perf_counter())
    plan([end], store)
    times.append(time.perf_counter())
    first, again, planned = (late - early for early, late in pairwise(times))
    return first, again, planned, requests


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=0.0, help="what each of a step's three files takes")
    options = parser.parse_args()
    import buckets

    with tempfile.TemporaryDirectory() as folder, buckets.moto() as (url, app), quiet():
        buckets.make_bucket(url)
        os.environ |= {**buckets.settings(url), "ASSAY_CACHE": str(Path(folder) / "cache")}
        count = [0]
        app.fault = lambda number, _: count.__setitem__(0, number)  # type: ignore[func-returns-value]
        end = chain(options.steps, options.seconds)
        print("| store | run, s per step | requests per step | run again, s | plan, s |")
        print("|---|---|---|---|---|")
        for name, place in (("folder", str(Path(folder) / "store")), ("bucket", buckets.new_address())):
            first, again, planned, requests = timed(place, end, count)
            each = requests / options.steps
            print(f"| {name} | {first / options.steps:.3f} | {each:.1f} | {again:.2f} | {planned:.2f} |")


if __name__ == "__main__":
    main()
