"""Rows per second, processor time and peak memory of each verb on growing pools with planted copies.

    python benchmarks/out_of_core.py --rows 10000 100000 1000000 --data alpaca_data.jsonl.gz

The rows repeat those of a data set (the testbed without one) with a quarter of the words changed, so that
two of them are neither equal nor alike; some are copies of the row before with one word of the answer
changed, and of each such pair cleaning has to remove one.  What else it removes is held against the exact
similarity, by plain sets of words.  Each verb is a process of its own; its files are deleted when it ends,
but for the table of scores, by which `select` chooses.  Memory is the peak resident set of it and of its
largest worker; pages of files mapped by it count, though the system can take them back.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, TypeAlias

import orjson

VERBS = ("read", "inspect", "convert", "score", "clean", "select")
OUTPUTS = {
    "convert": ".messages.jsonl",
    "score": ".parquet",
    "clean": ".clean.jsonl",
    "select": ".best.jsonl",
}
WORDS = [f"{a}{b}{c}" for a in "bdgkmnprst" for b in "aeiou" for c in "lnrst"]
LONG = 60
"""Words of an answer of which one may change while more than 0.8 of the shingles stay alike."""
CHECKED = 1000


def base(data: str | None) -> list[tuple[str, str]]:
    """Return prompts and answers of the data set, or of the testbed."""
    from assay.core import Sample
    from assay.data import read, synthetic

    if data is None:
        found = [p.sample for p in synthetic.generate(20_000, seed=0)]
    else:
        found = [row for row in read(data) if isinstance(row, Sample)]
    return [("\n".join(m.content for m in s.prompt), s.answer or "") for s in found]


def changed(text: str, rng: random.Random) -> str:
    """Return the text with a quarter of its words (at least one) replaced."""
    words = text.split(" ")
    count = max(1, len(words) // 4)
    for place, word in zip(rng.choices(range(len(words)), k=count), rng.choices(WORDS, k=count), strict=True):
        words[place] = word
    return " ".join(words)


def copied(prompt: str, answer: str, rng: random.Random) -> str | None:
    """Return a long answer with one plain word in its midst replaced; None where there is none.

    The answers are alike, and the rows as wholes: a word that begins an answer of few words is in fewer runs
    of words than it is with the prompt in front.
    """
    words = answer.split(" ")
    place = rng.randrange(10, LONG - 10)
    if len(words) < LONG or not words[place].isalpha():
        return None
    words[place] = "otherwise"
    copy = " ".join(words)
    pairs = (answer, copy), (f"{prompt}\n{answer}", f"{prompt}\n{copy}")
    return copy if all(likeness(shingles(a), shingles(b)) > 0.8 for a, b in pairs) else None


def rows(data: str | None, count: int) -> Iterator[tuple[str, str, bool]]:
    """Yield prompts and answers, and whether each is a planted copy of the one before."""
    rng, found, given = random.Random(0), base(data), 0
    prompt, answer, planted = "", "", True
    for _ in range(count):
        copy = copied(prompt, answer, rng) if not planted and rng.random() < 0.4 else None
        planted = copy is not None
        if copy is not None:
            answer = copy
        else:
            prompt, answer = found[given % len(found)]
            if given >= len(found):
                prompt, answer = changed(prompt, rng), changed(answer, rng)
            given += 1
        yield prompt, answer, planted


def write(file: Path, data: str | None, count: int) -> None:
    """Write the rows as Alpaca's, and the lines of the planted copies beside them."""
    planted = []
    with file.open("wb") as lines:
        for line, (prompt, answer, copy) in enumerate(rows(data, count), start=1):
            lines.write(orjson.dumps({"instruction": prompt, "input": "", "output": answer}) + b"\n")
            if copy:
                planted.append(line)
    truth_of(file).write_bytes(orjson.dumps(planted))


def truth_of(file: Path) -> Path:
    """Return where the lines of planted copies are."""
    return file.with_suffix(".truth.json")


def run(verb: str, file: Path, pool: str, indicators: list[str]) -> int:
    """Run a verb on a file and return the rows that it gave."""
    import assay
    from assay import data

    out = file.with_suffix(OUTPUTS.get(verb, ""))
    if verb == "read":
        return sum(1 for row in data.read(file) if not isinstance(row, data.Rejected))
    if verb == "inspect":
        return data.inspect([str(file)], pool=pool).samples
    if verb == "convert":
        return data.convert([str(file)], out, force=True, pool=pool).rows
    if verb == "score":
        return assay.score(str(file), indicators, out=out, pool=pool).samples
    if verb == "clean":
        return assay.clean(str(file), out=out, pool=pool).kept
    found = assay.select(str(file), out=out, top=max(1, count(file) // 10), by=[*indicators, "mtld"][0],
                         scores=file.with_suffix(OUTPUTS["score"]))  # fmt: skip
    return found.n


def count(file: Path) -> int:
    """Return the lines of a file."""
    with file.open("rb") as lines:
        return sum(block.count(b"\n") for block in iter(lambda: lines.read(1 << 20), b""))


def measured(verb: str, file: Path, pool: str, indicators: list[str]) -> None:
    began = time.perf_counter()
    found = run(verb, file, pool, indicators)
    seconds = time.perf_counter() - began
    own, child = (resource.getrusage(k) for k in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    cpu = sum(u.ru_utime + u.ru_stime for u in (own, child))
    print(json.dumps({"seconds": seconds, "cpu": cpu, "found": found,
                      "mb": [own.ru_maxrss / 1024, child.ru_maxrss / 1024]}))  # fmt: skip


def against_truth(file: Path) -> str:
    """Say how many planted copies cleaning found, and how alike the other pairs are that it broke up."""
    planted = set(orjson.loads(truth_of(file).read_bytes()))
    found, others, alone = set[int](), list[dict[str, Any]](), Counter[str]()
    with file.with_suffix(".clean.jsonl.removed.jsonl").open("rb") as receipts:
        for receipt in map(orjson.loads, receipts):
            if receipt["partner"] is None:
                alone[receipt["rule"]] += 1
                continue
            row, partner = sorted(int(receipt[k].rpartition(":")[2]) for k in ("origin", "partner"))
            if partner in planted and row == partner - 1:
                found.add(partner)
            else:
                others.append(receipt)
    some = random.Random(0).sample(others, min(CHECKED, len(others)))
    alike = likenesses(file, some)
    return (
        f"planted {len(planted):,}, found {len(found):,}; others removed {len(others):,}: of {len(some):,} "
        f"of them the least similarity to what stands for them is {min(alike, default=1):.3f}; "
        f"without another row {dict(alone)}"
    )


def likenesses(file: Path, receipts: list[dict[str, Any]]) -> list[float]:
    """Return the exact similarity of each pair."""
    pairs = [[int(r[k].rpartition(":")[2]) for k in ("origin", "partner")] for r in receipts]
    wanted = {line for pair in pairs for line in pair}
    with file.open("rb") as lines:
        found = {n: orjson.loads(line) for n, line in enumerate(lines, start=1) if n in wanted}
    texts = {n: shingles(f"{row['instruction']}\n{row['output']}") for n, row in found.items()}
    return [likeness(texts[a], texts[b]) for a, b in pairs]


Shingles: TypeAlias = set[tuple[str, ...]]


def shingles(text: str) -> Shingles:
    """Return the runs of five words of a text, or all of them where there are fewer."""
    words = re.findall(r"[^\W_]+", text.lower())
    return {tuple(words[k : k + 5]) for k in range(max(1, len(words) - 4))}


def likeness(one: Shingles, other: Shingles) -> float:
    """Return the Jaccard similarity."""
    return len(one & other) / len(one | other)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--verbs", nargs="+", default=list(VERBS), choices=VERBS)
    parser.add_argument("--data", help="a real data set to repeat")
    parser.add_argument("--pool", default="inline")
    parser.add_argument(
        "--indicators", nargs="*", default=[], help="those of score (all); select takes the first (mtld)"
    )
    parser.add_argument("--folder", type=Path, help="where pools are made, and kept; by default nowhere")
    parser.add_argument("--quick", action="store_true", help="10,000 rows")
    parser.add_argument("--task", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.task:
        measured(options.task[0], Path(options.task[1]), options.task[2], options.indicators)
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch)
        print("| verb | rows | rows/s | rows per CPU second | peak memory, MB | rows out |")
        print("|---|---|---|---|---|---|", flush=True)
        for size in [10_000] if options.quick else options.rows:
            file = folder / f"pool{size}.jsonl"
            if not truth_of(file).exists():
                apart(write, file, options.data, size)
            for verb in options.verbs:
                print(row_of(verb, file, size, options.pool, options.indicators), flush=True)
                if verb == "clean":
                    print(f"\n{apart(against_truth, file)}\n", flush=True)
                for used in folder.glob(f"{file.stem}.*") if verb != "score" else ():
                    if used not in (file, truth_of(file), file.with_suffix(OUTPUTS["score"])):
                        used.unlink()


def apart(work: Callable[..., Any], *arguments: Any) -> Any:
    """Call in another process: the peak memory of this one would count as that of those it starts."""
    with ProcessPoolExecutor(1) as pool:
        return pool.submit(work, *arguments).result()


def row_of(verb: str, file: Path, size: int, pool: str, indicators: list[str]) -> str:
    """Run a verb in a process of its own and return its row of the table."""
    command = [sys.executable, __file__, "--indicators", *indicators, "--task", verb, str(file), pool]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    got = json.loads(done.stdout.splitlines()[-1])
    speed, per_cpu = size / got["seconds"], size / got["cpu"]
    memory = " + ".join(f"{mb:,.0f}" for mb in got["mb"])
    return f"| {verb} | {size:,} | {speed:,.0f} | {per_cpu:,.0f} | {memory} | {got['found']:,} |"


if __name__ == "__main__":
    main()
