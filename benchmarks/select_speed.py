"""Neighbours and diversity filters beside their peers, same result checked.

    python benchmarks/select_speed.py --deita PATH/deita/src --python PEER_PYTHON

KNN-6 of 52,002 x 384 random unit vectors in bundles; DEITA's filter (a checkout of its repository, run by a
Python that has torch and pandas) on 6,000 x 1,024 and on the same vectors; k-center and facility location.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.indicators import neighbours
from assay.selection import pick

Vectors = NDArray[np.float32]

DEITA = """
import importlib.util, sys, time
import numpy as np, pandas as pd
spec = importlib.util.spec_from_file_location("base", sys.argv[1] + "/deita/selection/filter/base.py")
base = importlib.util.module_from_spec(spec); spec.loader.exec_module(base)
class Filter(base.IterativeFilter):
    def _sort(self, df):
        return df.sort_values(by="score", ascending=False).reset_index(drop=True)
vectors, score = np.load(sys.argv[2]), np.load(sys.argv[3])
frame = pd.DataFrame({"embedding": list(vectors), "score": score, "row": range(len(score))})
options = {"threshold": 0.9, "data_size": -1, "chunk_size": 100000, "batch_size": 1, "device": "cpu"}
start = time.perf_counter()
kept = Filter(**options).filter(frame)
print("seconds", time.perf_counter() - start)
np.save(sys.argv[4], kept["row"].to_numpy())
"""


def bundles(count: int, dim: int, seed: int = 0) -> Vectors:
    """Return unit vectors around as many centres as a third of them, so that many are alike."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(count // 3, dim))
    made = centres[rng.integers(0, len(centres), count)] + 0.25 * rng.normal(size=(count, dim))
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)


def timed(name: str, size: str, job: Callable[[], Any]) -> Any:
    """Run a job and print its row."""
    start = time.perf_counter()
    found = job()
    print(f"| {name} | {size} | {time.perf_counter() - start:.2f} |", flush=True)
    return found


def deita(source: str, python: str, vectors: Vectors, score: NDArray[np.float64]) -> set[int]:
    """Run DEITA's own filter and print its own time, without its start."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [str(Path(folder) / name) for name in ("v.npy", "s.npy", "kept.npy")]
        np.save(paths[0], vectors)
        np.save(paths[1], score)
        done = subprocess.run(
            [python, "-c", DEITA, source, *paths], capture_output=True, text=True, check=True
        )
        seconds = next(line.split()[1] for line in done.stdout.splitlines() if line.startswith("seconds"))
        print(
            f"| DEITA, its own filter | {len(vectors):,} x {vectors.shape[1]:,} | {float(seconds):.2f} |",
            flush=True,
        )
        return set(np.load(paths[2]).tolist())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--deita", help="the folder src of a checkout of DEITA")
    parser.add_argument("--python", default=sys.executable, help="a Python with torch, pandas, tqdm")
    parser.add_argument("--quick", action="store_true", help="a tenth of the rows, no peer")
    options = parser.parse_args()
    part = 10 if options.quick else 1
    print("| job | size | s |\n|---|---|---|")
    pick(["a", "b"], "deita", score=[1.0, 2.0], vectors=bundles(6, 8)[:2])
    pick(list("abcdef"), "facility", vectors=bundles(6, 8))
    wide = bundles(52_002 // part, 384)
    timed("KNN-6, Assay (faiss, exact)", f"{len(wide):,} x 384", lambda: neighbours(wide, 6))
    vectors = bundles(6000 // part, 1024, seed=1)
    score = np.random.default_rng(2).normal(size=len(vectors))
    ids = [str(i) for i in range(len(vectors))]
    size = f"{len(vectors):,} x 1,024"
    ours = timed("DEITA's rule, Assay", size, lambda: pick(ids, "deita", score=score, vectors=vectors))
    if options.deita and not options.quick:
        theirs = deita(options.deita, options.python, vectors, score)
        same = set(ours[: len(theirs)].tolist()) == theirs
        print(f"\nkept {len(theirs):,} of {len(vectors):,}, the same rows: {same}\n")
        print("| job | size | s |\n|---|---|---|")
    many = [str(i) for i in range(len(wide))]
    size = f"{len(wide):,} x 384"
    values = np.random.default_rng(3).normal(size=len(wide))
    for rule in ("deita", "k_center", "facility", "qdit", "clusters"):
        given = {"score": values} if rule in ("deita", "qdit") else {}
        n = 1000 // part
        timed(
            f"{rule}, first {n:,}", size, lambda r=rule, g=given, k=n: pick(many, r, n=k, vectors=wide, **g)
        )


if __name__ == "__main__":
    main()
