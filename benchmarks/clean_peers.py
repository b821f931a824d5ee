"""Near-duplicates beside data-juicer in one run, and what is lost of distinct short Chinese instructions.

    python benchmarks/clean_peers.py --juicer PEER_ENV/bin/dj-process --data alpaca_data.jsonl.gz

Both read JSON lines and write what they keep: MinHash at Jaccard 0.7 by data-juicer's defaults
(document_minhash_deduplicator), near-duplicates at 0.7 by Assay.  The short instructions are 1,000 different
ones of 5 to 9 Chinese characters, put together from lists below: every row that is lost is a distinct one.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import random
import subprocess
import tempfile
import time
from pathlib import Path

VERBS = "写 画 翻译 解释 总结 比较 列出 设计 改写 介绍".split()
THINGS = "春天 秋天 长城 黄河 火车 机器人 咖啡 茶叶 足球 围棋".split()
THINGS += "钢琴 月亮 沙漠 大海 森林 雪山 城市 乡村 学校 医院".split()
TAILS = "的故事 的特点 的历史 的好处 的诗".split()


def short_instructions() -> list[str]:
    """Return 1,000 distinct short Chinese instructions in random order."""
    made = ["".join(parts) for parts in itertools.product(VERBS, THINGS, TAILS)]
    random.Random(0).shuffle(made)
    assert len(set(made)) == 1000
    return made


def texts(data: str, rows: int | None) -> list[str]:
    """Return prompts and answers of an Alpaca file, and every tenth changed in one word of twenty."""
    rng = random.Random(0)
    content = Path(data).read_bytes()
    plain = gzip.decompress(content) if data.endswith(".gz") else content
    found = []
    for line in itertools.islice(plain.decode("utf-8").splitlines(), rows):
        row = json.loads(line)
        found.append("\n".join(row[k] for k in ("instruction", "input", "output") if row.get(k)))
    copies = []
    for text in found[::10]:
        words = text.split(" ")
        for _ in range(len(words) // 20):
            words[rng.randrange(len(words))] = "changed"
        copies.append(" ".join(words))
    return found + copies


def juicer(program: str, rows: list[str], folder: Path) -> tuple[int, float]:
    """Return how many rows data-juicer keeps, and the seconds of the whole program."""
    source, target, recipe = folder / "in.jsonl", folder / "out.jsonl", folder / "dj.yaml"
    source.write_text("".join(json.dumps({"text": t}, ensure_ascii=False) + "\n" for t in rows), "utf-8")
    recipe.write_text(
        f"dataset_path: {source}\nexport_path: {target}\nnp: 2\nuse_cache: false\nprocess:\n"
        "  - document_minhash_deduplicator:\n      jaccard_threshold: 0.7\n"
    )
    start = time.perf_counter()
    done = subprocess.run(
        [program, "--config", str(recipe)], capture_output=True, text=True, cwd=folder, check=False
    )
    seconds = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    return sum(1 for _ in target.open(encoding="utf-8")), seconds


def ours(rows: list[str], folder: Path) -> tuple[int, float]:
    """Return how many rows Assay keeps, and the seconds with reading and writing."""
    import assay

    source, target = folder / "ours.jsonl", folder / "kept.jsonl"
    lines = (json.dumps({"instruction": "text", "output": t}, ensure_ascii=False) + "\n" for t in rows)
    source.write_text("".join(lines), "utf-8")
    start = time.perf_counter()
    found = assay.clean(source, out=target, near=0.7)
    return found.kept, time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", help="Alpaca's rows as JSON lines")
    parser.add_argument("--juicer", help="dj-process of an environment with data-juicer")
    parser.add_argument("--quick", action="store_true", help="the short instructions alone")
    options = parser.parse_args()
    jobs = {"1,000 distinct short Chinese instructions": short_instructions()}
    if options.data and not options.quick:
        rows = texts(options.data, None)
        jobs[f"{len(rows):,} texts of Alpaca, a tenth near-copies"] = rows
    print("| rows | tool | s | kept | removed |\n|---|---|---|---|---|")
    for name, rows in jobs.items():
        with tempfile.TemporaryDirectory() as folder:
            found = {"Assay": ours(rows, Path(folder))}
            if options.juicer and not options.quick:
                found["data-juicer"] = juicer(options.juicer, rows, Path(folder))
        for tool, (kept, seconds) in found.items():
            print(f"| {name} | {tool} | {seconds:.1f} | {kept:,} | {len(rows) - kept:,} |", flush=True)


if __name__ == "__main__":
    main()
