"""Reading, measuring and near-duplicates beside peers in one run, where they do the same job.

    python benchmarks/peers_scale.py --rows 1000000 --peers PEER_ENV/bin/python [--juicer ENV/bin/dj-process]

The pool is that of `out_of_core.py`, with planted copies.  Peers run in an environment of their own, which
has duckdb, datasets, datatrove, spacy and nltk; each job in a process of its own, with one worker or thread.
Reading goes over all rows as Python objects (of duckdb in its own batches: it makes none).  Measuring writes
the length of each answer to Parquet.  Near-duplicates are those of a Jaccard similarity of 0.8 over five
words, by MinHash in 25 bands of 5; of each planted pair one row has to go, of all others none.  Assay has to
read and check every row in all of them, tells languages, and writes a page and receipts.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

NEAR = 0.8
BANDS, ROWS = 25, 5


def assay_read(file: Path, out: Path) -> int:
    from assay import data

    return sum(not isinstance(row, data.Rejected) for row in data.read(file))


def assay_score(file: Path, out: Path) -> int:
    import assay

    return assay.score(str(file), ["len_out"], out=out / "scores.parquet", pool="inline").samples


def assay_near(file: Path, out: Path) -> int:
    import assay

    found = assay.clean(str(file), out=out / "kept.jsonl", near=NEAR, pool="inline")
    count = found.rows
    with (out / "kept.jsonl.removed.jsonl").open(encoding="utf-8") as receipts:
        gone = {int(json.loads(line)["origin"].rpartition(":")[2]) for line in receipts}
    return kept(out, (line for line in range(1, count + 1) if line not in gone))


def kept(out: Path, lines: Iterable[int]) -> int:
    """Write the numbers of the lines that were kept, and return how many there are."""
    found = sorted(lines)
    (out / "kept.json").write_text(json.dumps(found))
    return len(found)


def duckdb_of(file: Path) -> tuple[Any, str]:
    import duckdb

    made = duckdb.connect(config={"threads": 1})
    return made, f"read_json('{file}', format='newline_delimited')"


def duckdb_read(file: Path, out: Path) -> int:
    made, rows = duckdb_of(file)
    cursor, count = made.execute(f"SELECT * FROM {rows}"), 0
    while batch := cursor.fetchmany(10_000):
        count += len(batch)
    return count


def duckdb_score(file: Path, out: Path) -> int:
    made, rows = duckdb_of(file)
    made.execute(f"COPY (SELECT length(output) AS len_out FROM {rows}) TO '{out}/scores.parquet'")
    return int(made.execute(f"SELECT count(*) FROM '{out}/scores.parquet'").fetchone()[0])


def datasets_of(file: Path, out: Path) -> Any:
    import datasets

    datasets.disable_progress_bars()
    return datasets.load_dataset("json", data_files=str(file), split="train", cache_dir=str(out / "cache"))


def datasets_read(file: Path, out: Path) -> int:
    return sum(1 for _ in datasets_of(file, out))


def datasets_score(file: Path, out: Path) -> int:
    rows = datasets_of(file, out)
    measured = rows.map(
        lambda batch: {"len_out": list(map(len, batch["output"]))},
        batched=True,
        remove_columns=rows.column_names,
    )
    measured.to_parquet(str(out / "scores.parquet"))
    return len(measured)


def trove_reader(file: Path) -> Any:
    from datatrove.pipeline.readers import JsonlReader

    def adapted(self: Any, row: dict[str, Any], path: str, number: int | str) -> dict[str, Any]:
        return {"text": f"{row['instruction']}\n{row['output']}", "id": str(int(number) + 1)}

    return JsonlReader(str(file.parent), glob_pattern=file.name, adapter=adapted, file_progress=False,
                       doc_progress=False)  # fmt: skip


def datatrove_read(file: Path, out: Path) -> int:
    return sum(1 for _ in trove_reader(file).run())


def datatrove_near(file: Path, out: Path) -> int:
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.dedup import (
        MinhashDedupBuckets,
        MinhashDedupCluster,
        MinhashDedupFilter,
        MinhashDedupSignature,
    )
    from datatrove.pipeline.dedup.minhash import MinhashConfig
    from datatrove.pipeline.writers import JsonlWriter
    from datatrove.utils.hashing import HashConfig

    config = MinhashConfig(5, BANDS, ROWS, hash_config=HashConfig(precision=64))
    signatures, buckets, gone = (str(out / name) for name in ("signatures", "buckets", "gone"))
    jobs = [
        ([trove_reader(file), MinhashDedupSignature(signatures, config=config)], 1),
        ([MinhashDedupBuckets(signatures, buckets, config=config)], BANDS),
        ([MinhashDedupCluster(buckets, gone, config=config)], 1),
        ([trove_reader(file), MinhashDedupFilter(gone), JsonlWriter(str(out / "left"), compression=None)], 1),
    ]
    for number, (pipeline, tasks) in enumerate(jobs):
        LocalPipelineExecutor(pipeline, tasks=tasks, workers=1, logging_dir=str(out / f"log{number}")).run()
    return kept(out, (int(json.loads(line)["id"]) for line in next((out / "left").glob("*")).open()))


def juicer_near(file: Path, out: Path, program: str) -> int:
    texts, left = out / "texts.jsonl", out / "left.jsonl"
    with file.open(encoding="utf-8") as rows, texts.open("w", encoding="utf-8") as lines:
        for line, row in enumerate(map(json.loads, rows), start=1):
            text = f"{row['instruction']}\n{row['output']}"
            lines.write(json.dumps({"text": text, "line": line}, ensure_ascii=False) + "\n")
    recipe = out / "recipe.yaml"
    recipe.write_text(
        f"dataset_path: {texts}\nexport_path: {left}\nnp: 1\nuse_cache: false\nprocess:\n"
        f"  - document_minhash_deduplicator:\n      jaccard_threshold: {NEAR}\n      window_size: 5\n"
        f"      num_bands: {BANDS}\n      num_rows_per_band: {ROWS}\n      num_permutations: {BANDS * ROWS}\n"
    )
    subprocess.run([program, "--config", str(recipe)], capture_output=True, cwd=out, check=True)
    return kept(out, (int(json.loads(line)["line"]) for line in left.open(encoding="utf-8")))


JOBS: dict[str, dict[str, Callable[[Path, Path], int]]] = {
    "read": {
        "Assay": assay_read,
        "datasets": datasets_read,
        "duckdb": duckdb_read,
        "datatrove": datatrove_read,
    },
    "length of answers": {"Assay": assay_score, "datasets": datasets_score, "duckdb": duckdb_score},
    "near-duplicates": {"Assay": assay_near, "datatrove": datatrove_near},
}


def task(job: str, tool: str, file: Path, out: Path, juicer: str | None) -> None:
    """Do a job in this process and print what it took."""
    began = time.perf_counter()
    found = juicer_near(file, out, juicer) if tool == "data-juicer" and juicer else JOBS[job][tool](file, out)
    seconds = time.perf_counter() - began
    own, child = (resource.getrusage(k) for k in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    cpu = sum(u.ru_utime + u.ru_stime for u in (own, child))
    memory = max(own.ru_maxrss, child.ru_maxrss) / 1024
    print(json.dumps({"found": found, "seconds": seconds, "cpu": cpu, "mb": memory}))


def judged(file: Path, out: Path, rows: int) -> str:
    """Say of how many planted pairs one row is left, and how many rows beside them are gone."""
    from out_of_core import truth_of

    planted = json.loads(truth_of(file).read_bytes())
    left = set(json.loads((out / "kept.json").read_text()))
    found = sum((line in left) != (line - 1 in left) for line in planted)
    both = sum(line not in left and line - 1 not in left for line in planted)
    pairs = {line - k for line in planted for k in (0, 1)}
    others = sum(line not in left for line in range(1, rows + 1) if line not in pairs)
    return f"{found:,} of {len(planted):,} pairs, both of {both:,}; beside them {others:,} rows"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--data", help="a real data set to repeat")
    parser.add_argument("--peers", help="Python of an environment with the peers")
    parser.add_argument("--juicer", help="dj-process of an environment with data-juicer")
    parser.add_argument("--jobs", nargs="+", default=list(JOBS), choices=list(JOBS))
    parser.add_argument("--folder", help="where files are made for a time")
    parser.add_argument("--quick", action="store_true", help="5,000 rows")
    parser.add_argument("--task", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.task:
        task(*options.task[:2], *map(Path, options.task[2:]), options.juicer)
        return
    from out_of_core import apart, write

    rows = 5_000 if options.quick else options.rows
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        file = Path(folder, "pool.jsonl")
        apart(write, file, options.data, rows)
        print(f"{rows:,} rows, {file.stat().st_size / 1e6:,.0f} MB\n")
        print(
            "| job | tool | s | CPU s | rows per CPU second | MB | rows out | removed |\n" + "|---" * 8 + "|"
        )
        for job in options.jobs:
            tools = [tool for tool in JOBS[job] if tool == "Assay" or options.peers]
            tools += ["data-juicer"] if job == "near-duplicates" and options.juicer else []
            for tool in tools:
                print(row_of(job, tool, file, rows, options), flush=True)


def row_of(job: str, tool: str, file: Path, rows: int, options: argparse.Namespace) -> str:
    """Run a job in a process of its own and return its row of the table."""
    from out_of_core import apart

    python = options.peers if tool not in ("Assay", "data-juicer") else sys.executable
    with tempfile.TemporaryDirectory(dir=file.parent) as out:
        command = [python, __file__, "--task", job, tool, str(file), out]
        command += ["--juicer", options.juicer] if options.juicer else []
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            return f"| {job} | {tool} | failed: {done.stderr.strip().splitlines()[-1][:200]} | | | | | |"
        got = json.loads(done.stdout.splitlines()[-1])
        removed = apart(judged, file, Path(out), rows) if job == "near-duplicates" else ""
    speed = rows / got["cpu"]
    return (
        f"| {job} | {tool} | {got['seconds']:.0f} | {got['cpu']:.1f} | {speed:,.0f} | {got['mb']:,.0f} | "
        f"{got['found']:,} | {removed} |"
    )


if __name__ == "__main__":
    main()
