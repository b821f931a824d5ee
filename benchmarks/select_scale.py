"""What does each selection take on 52,002 rows, and do the greedy ones hold 500,000 within 8 GB?

    python benchmarks/select_scale.py [--methods top,k_center ...] [--model-rows 52002]

All of Alpaca through `assay select`, 1,000 samples, each method in a process of its own, its scores not in
the cache; embeddings (Model2Vec, potion-base-4M) are computed by the first row and known to the others.
Then k-center and facility location on 500,000 x 384 vectors.  One thread; wall and processor seconds are of
the selection alone, the peak is of the whole process.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

N = 1000
CHOICES: dict[str, dict[str, Any]] = {
    "embed": {"rule": "k_center", "n": 1},
    "random": {"rule": "random"},
    "top by length": {"rule": "top", "by": "len_out"},
    "top of each length": {"rule": "quota", "by": "len_out", "groups": "length"},
    "top by mtld": {"rule": "top", "by": "mtld"},
    "top by compression": {"rule": "top", "by": "compression"},
    "top by novelty": {"rule": "top", "by": "novelty"},
    "top by knn": {"rule": "top", "by": "knn"},
    "clusters": {"rule": "clusters"},
    "deita": {"rule": "deita", "by": "len_out"},
    "k_center": {"rule": "k_center"},
    "facility": {"rule": "facility"},
    "qdit": {"rule": "qdit", "by": "len_out"},
    "target": {"rule": "target", "target": True},
    "top by ppl": {"rule": "top", "by": "ppl"},
    "top by ifd": {"rule": "top", "by": "ifd"},
    "top by rds": {"rule": "top", "by": "rds", "target": True},
    "top by less": {"rule": "top", "by": "less", "target": True},
}
MODELS = ("ppl", "ifd", "rds", "less")
LARGE = {"k_center of vectors": "k_center", "facility of vectors": "facility"}


def pools(shared: Path, folder: Path, rows: int) -> None:
    """Write the pool, and 32 of its rows as targets."""
    place = shared / "data" / "alpaca_en_52k" / "alpaca_data.jsonl.gz"
    with gzip.open(place, "rt", encoding="utf-8") as lines:
        found = [line for line, _ in zip(lines, range(rows), strict=False)]
    (folder / "pool.jsonl").write_text("".join(found), encoding="utf-8")
    (folder / "target.jsonl").write_text("".join(found[:: len(found) // 32][:32]), encoding="utf-8")


def selection(name: str, folder: Path, shared: Path) -> Callable[[], Any]:
    """Return the selection of a method from the files of a folder."""
    import assay

    options = {"n": N, **CHOICES[name]}
    target = (folder / "target.jsonl",) if options.pop("target", False) else ()
    models = assay.Models(
        embedder=str(shared / "models" / "potion-base-4m-int8"), target=target, cache=folder / "scores"
    )
    out = folder / "out" / "selected.jsonl"
    return lambda: assay.select(folder / "pool.jsonl", out=out, models=models, **options)


def large(rule: str, rows: int) -> Callable[[], Any]:
    """Return a greedy selection of vectors in bundles."""
    from assay.selection import pick

    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((rows, 384), dtype=np.float32)
    centres = rng.standard_normal((rows // 100, 384), dtype=np.float32)
    for start in range(0, rows, 10_000):
        part = vectors[start : start + 10_000]
        part *= 0.5
        part += centres[rng.integers(0, len(centres), len(part))]
        part /= np.linalg.norm(part, axis=1, keepdims=True)
    ids = [str(i) for i in range(rows)]
    return lambda: pick(ids, rule, n=N, vectors=vectors)


def one(name: str, folder: Path, shared: Path, rows: int) -> None:
    """Run one method in this process and print what it took."""
    import torch

    torch.set_num_threads(1)
    job = large(LARGE[name], rows) if name in LARGE else selection(name, folder, shared)
    wall, processor = time.perf_counter(), time.process_time()
    job()
    took = {"wall": time.perf_counter() - wall, "processor": time.process_time() - processor}
    print(json.dumps({**took, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6}))


def measured(name: str, folder: Path, rows: int) -> None:
    """Run one method in a process of its own and print its row."""
    shutil.rmtree(folder / "out", ignore_errors=True)
    (folder / "out").mkdir()
    command = [sys.executable, __file__, "--one", name, "--folder", str(folder), "--rows", str(rows)]
    settings = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=settings)
    if done.returncode:
        print(f"| {name} | {rows:,} | failed: {done.stderr.strip().splitlines()[-1]} | | |", flush=True)
        return
    found = json.loads(done.stdout.strip().splitlines()[-1])
    times = f"{found['wall']:.1f} | {found['processor']:.1f}"
    print(f"| {name} | {rows:,} | {times} | {found['peak']:.2f} |", flush=True)


def main() -> None:
    shared = Path(os.environ.get("ASSAY_SHARED", "../shared")).resolve()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--methods", help="some of them, by commas (default: all)")
    parser.add_argument("--rows", type=int, default=52_002)
    parser.add_argument("--model-rows", type=int, help="fewer rows for what a model measures")
    parser.add_argument("--quick", action="store_true", help="1,000 rows, 20,000 vectors")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        one(options.one, options.folder, shared, options.rows)
        return
    if not (shared / "data" / "alpaca_en_52k").exists():
        print("skipped: no Alpaca")
        return
    rows = 1200 if options.quick else options.rows
    wanted = options.methods.split(",") if options.methods else [*CHOICES, *LARGE]
    print("| method | rows | seconds | processor seconds | peak GB |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for name in wanted:
            if name in LARGE:
                measured(name, folder, 20_000 if options.quick else 500_000)
                continue
            slow = CHOICES[name].get("by") in MODELS
            size = min(rows, options.model_rows or rows) if slow else rows
            pools(shared, folder, size)
            measured(name, folder, size)


if __name__ == "__main__":
    main()
