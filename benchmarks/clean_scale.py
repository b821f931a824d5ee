"""Two million rows through text indicators and cleaning: time and peak memory.

    python benchmarks/clean_scale.py --rows 2000000 --data alpaca_data.jsonl.gz

The rows repeat those of the data set (the testbed without one): each copy has a word in ten changed, so that
copies are neither equal nor near-duplicates; one in ten has only one word changed, and should be found.
Each task is a process of its own; memory is the peak resident set of it and of its largest worker.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from assay.core import Sample
from assay.data import read, synthetic

WORDS = [f"{a}{b}{c}" for a in "bdgkmnprst" for b in "aeiou" for c in "lnrst"]


def base(data: str | None) -> list[tuple[str, str]]:
    """Return prompts and answers of the data set, or of the testbed."""
    if data is None:
        found = [p.sample for p in synthetic.generate(20_000, seed=0)]
    else:
        found = [row for row in read(data) if isinstance(row, Sample)]
    return [("\n".join(m.content for m in s.prompt), s.answer or "") for s in found]


def perturbed(text: str, rng: random.Random, share: float) -> str:
    """Return the text with a share of its words (at least one) replaced."""
    words = text.split(" ")
    for _ in range(max(1, int(share * len(words)))):
        words[rng.randrange(len(words))] = rng.choice(WORDS)
    return " ".join(words)


def rows(data: str | None, count: int) -> Iterator[str]:
    """Yield Alpaca rows as JSON lines."""
    rng, found = random.Random(0), base(data)
    for n in range(count):
        prompt, answer = found[n % len(found)]
        share = 0.0 if rng.random() < 0.1 else 0.25
        if n >= len(found):
            prompt, answer = perturbed(prompt, rng, share), perturbed(answer, rng, share)
        yield json.dumps({"instruction": prompt, "input": "", "output": answer}, ensure_ascii=False) + "\n"


def task(name: str, file: Path) -> None:
    """Run one task in this process and print its row."""
    import assay

    out = file.with_suffix("")
    start = time.perf_counter()
    if name == "score":
        table = out.with_suffix(".parquet")
        scored = assay.score(file, out=table)
        count, note = scored.samples, f"{len(scored.indicators)} indicators, 2 workers"
    else:
        target = out.with_name("kept.jsonl")
        cleaned = assay.clean(file, out=target)
        count, note = cleaned.rows, f"kept {cleaned.kept:,}; {cleaned.removed_by}"
    seconds = time.perf_counter() - start
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    own, child = (resource.getrusage(kind).ru_maxrss / 1e6 for kind in kinds)
    print(f"| {name} | {seconds:.0f} | {count / seconds:,.0f} | {own:.2f} + {child:.2f} | {note} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--data", help="a real data set to repeat")
    parser.add_argument("--quick", action="store_true", help="20,000 rows")
    parser.add_argument("--task", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.task:
        task(options.task[0], Path(options.task[1]))
        return
    count = 20_000 if options.quick else options.rows
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rows.jsonl"
        with file.open("w", encoding="utf-8") as lines:
            lines.writelines(rows(options.data, count))
        print(f"{count:,} rows, {file.stat().st_size / 1e6:,.0f} MB\n")
        print("| task | seconds | rows/s | peak memory, GB | what |\n|---|---|---|---|---|", flush=True)
        for name in ("score", "clean"):
            subprocess.run([sys.executable, __file__, "--task", name, str(file)], check=True)


if __name__ == "__main__":
    main()
