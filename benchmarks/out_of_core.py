"""Rows per second, processor time and peak memory of each verb at growing sizes of a pool.

    python benchmarks/out_of_core.py --rows 10000 100000 1000000 --data alpaca_data.jsonl.gz

The rows are those of `clean_scale.py`: copies of a data set with words changed, one in ten a near-duplicate.
Each verb is a process of its own.  Memory is the peak resident set of it and of its largest worker; pages of
files mapped by it count, though the system can take them back.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from clean_scale import rows

VERBS = ("read", "inspect", "convert", "score", "clean", "select")


def run(verb: str, file: Path, pool: str) -> int:
    """Run a verb on a file and return the rows that it gave."""
    import assay
    from assay import data

    out = file.with_suffix("")
    if verb == "read":
        return sum(1 for row in data.read(file) if not isinstance(row, data.Rejected))
    if verb == "inspect":
        return data.inspect([str(file)], pool=pool).samples
    if verb == "convert":
        return data.convert([str(file)], out.with_suffix(".messages.jsonl"), force=True, pool=pool).rows
    if verb == "score":
        return assay.score(str(file), out=out.with_suffix(".parquet"), pool=pool).samples
    if verb == "clean":
        return assay.clean(str(file), out=out.with_suffix(".clean.jsonl"), pool=pool).kept
    found = assay.select(str(file), out=out.with_suffix(".best.jsonl"), top=max(1, count(file) // 10),
                         by="mtld", scores=out.with_suffix(".parquet"))  # fmt: skip
    return found.n


def count(file: Path) -> int:
    """Return the lines of a file."""
    with file.open("rb") as lines:
        return sum(block.count(b"\n") for block in iter(lambda: lines.read(1 << 20), b""))


def measured(verb: str, file: Path, pool: str) -> None:
    began = time.perf_counter()
    found = run(verb, file, pool)
    seconds = time.perf_counter() - began
    own, child = (resource.getrusage(k) for k in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    cpu = sum(u.ru_utime + u.ru_stime for u in (own, child))
    print(json.dumps({"seconds": seconds, "cpu": cpu, "found": found,
                      "mb": [own.ru_maxrss / 1024, child.ru_maxrss / 1024]}))  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--verbs", nargs="+", default=list(VERBS), choices=VERBS)
    parser.add_argument("--data", help="a real data set to repeat")
    parser.add_argument("--pool", default="inline")
    parser.add_argument("--folder", type=Path, help="where pools are made, and kept; by default nowhere")
    parser.add_argument("--quick", action="store_true", help="10,000 rows")
    parser.add_argument("--task", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.task:
        measured(options.task[0], Path(options.task[1]), options.task[2])
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch)
        print("| verb | rows | rows/s | rows per CPU second | peak memory, MB | rows out |")
        print("|---|---|---|---|---|---|", flush=True)
        for size in [10_000] if options.quick else options.rows:
            file = folder / f"pool{size}.jsonl"
            if not file.exists():
                with file.open("w", encoding="utf-8") as lines:
                    lines.writelines(rows(options.data, size))
            for verb in options.verbs:
                command = [sys.executable, __file__, "--task", verb, str(file), options.pool]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                if done.returncode:
                    print(f"| {verb} | {size:,} | failed: {done.stderr.strip().splitlines()[-1]} | | | |")
                    continue
                got = json.loads(done.stdout.splitlines()[-1])
                speed, per_cpu = size / got["seconds"], size / got["cpu"]
                own, child = got["mb"]
                memory = f"{own:,.0f} + {child:,.0f}"
                print(f"| {verb} | {size:,} | {speed:,.0f} | {per_cpu:,.0f} | {memory} | {got['found']:,} |",
                      flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
