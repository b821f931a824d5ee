"""Speed and peak memory of reading two million samples, beside Hugging Face `datasets`.

    python benchmarks/data_stream.py --rows 2000000

Each task runs in a process of its own; memory is its peak resident set, and the start of Python and the
loading of libraries count as its processor time.  The file is written first from the
testbed (Alpaca, JSONL) with a sprinkling of broken rows; `datasets` reads a copy without them, since it
stops at the first.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

BROKEN = 1000


def write_pool(rows: int, path: Path, clean: Path) -> None:
    from assay.data import synthetic

    with path.open("w", encoding="utf-8") as dirty, clean.open("w", encoding="utf-8") as plain:
        for index, planted in enumerate(synthetic.generate(rows, seed=0, difficulty=1.0)):
            sample = planted.sample
            row = {
                "instruction": sample.prompt[0].content,
                "input": f"Row {index}. " + "Context that makes the row as long as real ones are. " * 6,
                "output": (sample.answer or "") + " And a few words more, as people write them." * 4,
            }
            line = json.dumps(row, ensure_ascii=False)
            plain.write(line + "\n")
            dirty.write((line[:-9] if index % BROKEN == BROKEN - 1 else line) + "\n")


def read_all(path: str, out: str) -> dict[str, int]:
    from assay import data
    from assay.core import Sample

    counts = {"kept": 0, "rejected": 0}
    for row in data.read(path):
        counts["kept" if isinstance(row, Sample) else "rejected"] += 1
    return counts


def inspect_all(path: str, out: str) -> dict[str, int]:
    from assay import data

    found = data.inspect([path], pool="inline")
    return {"kept": found.samples, "rejected": found.rejected, "duplicates": found.duplicates}


def import_all(path: str, out: str) -> dict[str, int]:
    from assay import data
    from assay.core import Sample

    rejected = 0

    def samples() -> Iterator[Sample]:
        nonlocal rejected
        for row in data.read(path):
            if isinstance(row, Sample):
                yield row
            else:
                rejected += 1

    data.write_dataset(samples(), Path(out))
    return {"kept": len(data.Dataset(Path(out))), "rejected": rejected}


def with_datasets(path: str, out: str) -> dict[str, int]:
    import datasets

    datasets.disable_progress_bars()
    found = datasets.load_dataset("json", data_files=path, split="train", cache_dir=out)
    return {"kept": found.num_rows}


TASKS = {
    "assay read": read_all,
    "assay inspect": inspect_all,
    "assay to Parquet shards": import_all,
    "datasets load_dataset (to Arrow)": with_datasets,
}


def measured(task: str, path: str, out: str) -> None:
    began = time.perf_counter()
    counts = TASKS[task](path, out)
    seconds, cpu = time.perf_counter() - began, time.process_time()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "cpu": cpu, "mb": peak, "counts": counts}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--quick", action="store_true", help="50,000 rows")
    parser.add_argument("--task", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.task:
        measured(*options.task)
        return
    rows = 50_000 if options.quick else options.rows
    folder = Path(tempfile.mkdtemp(prefix="assay-stream-"))
    try:
        dirty, clean = folder / "pool.jsonl", folder / "clean.jsonl"
        write_pool(rows, dirty, clean)
        print(f"{rows:,} rows, {dirty.stat().st_size / 1e6:,.0f} MB, 1 in {BROKEN} broken\n")
        print("| task | rows/s | rows per CPU second | MB/s | peak memory, MB | counts |")
        print("|---|---|---|---|---|---|")
        for task in TASKS:
            path = clean if task.startswith("datasets") else dirty
            command = [sys.executable, __file__, "--task", task, str(path), str(folder / "out")]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            got = json.loads(done.stdout.splitlines()[-1])
            speed, per_cpu = rows / got["seconds"], rows / got["cpu"]
            rate = path.stat().st_size / 1e6 / got["seconds"]
            figures = f"{speed:,.0f} | {per_cpu:,.0f} | {rate:.0f} | {got['mb']:,.0f}"
            print(f"| {task} | {figures} | {got['counts']} |", flush=True)
            shutil.rmtree(folder / "out", ignore_errors=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
