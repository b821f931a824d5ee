"""Novelty and near-duplicates beside their peers, same result checked.

    python benchmarks/clean_speed.py --data alpaca_data.jsonl.gz

Novelty is the rule of self-instruct on instructions: all pairs by Google's rouge_score (what EasyInstruct and
self-instruct call) on the first rows only, then Assay on these, on 5,000 and on all.  Near-duplicates:
MinHash LSH of datasketch on the first rows, then Assay on these, on all, and on answers joined to a large
set.
"""

from __future__ import annotations

import argparse
import random
import re
import resource
import time
from collections.abc import Callable

from datasketch import MinHash, MinHashLSH
from rouge_score import rouge_scorer

from assay.core import Sample
from assay.data import hashed, read, synthetic
from assay.selection import near_duplicates, novel

LIMIT, SIMILARITY = 0.7, 0.8


def pool(data: str | None) -> list[tuple[str, str]]:
    """Return instructions and answers of the data set, or of the testbed."""
    if data is None:
        samples = [p.sample for p in synthetic.generate(6000, seed=0)]
    else:
        samples = [row for row in read(data) if isinstance(row, Sample)]
    # Alpaca's input stands in a paragraph of its own after the instruction.
    return [(s.prompt[-1].content.split("\n\n")[0], s.answer or "") for s in samples]


def timed(name: str, job: Callable[[], set[int]]) -> set[int]:
    """Run a job, print its time and how many rows it removes, and return them."""
    start = time.perf_counter()
    removed = job()
    print(f"| {name} | {time.perf_counter() - start:.2f} | {len(removed):,} |", flush=True)
    return removed


def rouge_all_pairs(texts: list[str]) -> set[int]:
    """Return the rows that self-instruct's rule removes, by rouge_score."""
    scorer = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=False)
    kept: list[str] = []
    removed = set()
    for row, text in enumerate(texts):
        if any(scorer.score(other, text)["rougeL"].fmeasure >= LIMIT - 1e-9 for other in kept):
            removed.add(row)
        else:
            kept.append(text)
    return removed


def ours_novel(texts: list[str]) -> set[int]:
    """Return the rows that Assay's novelty removes."""
    return {row for row, kept in enumerate(novel(hashed(texts), limit=LIMIT)[0].tolist()) if kept >= 0}


def shingles(text: str) -> set[str]:
    """Return five-word shingles."""
    words = re.findall("[a-z0-9]+", text.lower())
    wide = min(5, len(words))
    return {" ".join(words[i : i + wide]) for i in range(len(words) - wide + 1)} if words else set()


def datasketch_near(texts: list[str]) -> set[int]:
    """Return the rows that have a near-duplicate kept before, by datasketch's LSH, candidates verified."""
    index = MinHashLSH(threshold=SIMILARITY, num_perm=128)
    kept: dict[str, set[str]] = {}
    removed = set()
    for row, text in enumerate(texts):
        own = shingles(text)
        if not own:
            continue
        sketch = MinHash(num_perm=128)
        sketch.update_batch([s.encode() for s in own])
        others = (kept[key] for key in index.query(sketch))
        if any(len(own & other) >= SIMILARITY * len(own | other) for other in others):
            removed.add(row)
        else:
            index.insert(str(row), sketch)
            kept[str(row)] = own
    return removed


def ours_near(texts: list[str]) -> set[int]:
    """Return the rows that Assay's near-duplicate rule removes."""
    partner, _ = near_duplicates(hashed(texts), similarity=SIMILARITY)
    return {row for row, kept in enumerate(partner.tolist()) if kept >= 0}


def large(texts: list[str], count: int) -> list[str]:
    """Return long texts of six answers each, a quarter of them near-copies."""
    rng = random.Random(0)
    made: list[str] = []
    while len(made) < count:
        made.append(" ".join(rng.sample(texts, 6)))
        if rng.random() < 0.3:
            words = made[-1].split(" ")
            for _ in range(max(1, len(words) // 100)):
                words[rng.randrange(len(words))] = f"word{rng.randrange(1000)}"
            made.append(" ".join(words))
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", help="a real data set; the testbed without one")
    parser.add_argument("--quick", action="store_true", help="few rows for the peers, no large set")
    options = parser.parse_args()
    rows = pool(options.data)
    prompts, answers = [p for p, _ in rows], [a for _, a in rows]
    ours_novel(prompts[:10])
    ours_near(answers[:10])
    few = 300 if options.quick else 600
    ascii_only = [p for p in prompts if p.isascii()][:few]
    print("| novelty (ROUGE-L < 0.7) | seconds | removed |\n|---|---|---|")
    peer = timed(f"rouge_score, all pairs, {few:,} instructions", lambda: rouge_all_pairs(ascii_only))
    same = timed(f"assay, the same {few:,}", lambda: ours_novel(ascii_only)) == peer
    for count in (5000, len(prompts)):
        timed(f"assay, {count:,} instructions", lambda n=count: ours_novel(prompts[:n]))
    print(f"\nsame rows as rouge_score: {same}\n")
    print(f"| near-duplicates (Jaccard >= {SIMILARITY}) | seconds | removed |\n|---|---|---|")
    some = [a for a in answers if a.isascii()][: 1000 if options.quick else 20_000]
    peer = timed(f"datasketch, {len(some):,} answers", lambda: datasketch_near(some))
    own = timed(f"assay, the same {len(some):,}", lambda: ours_near(some))
    shared = len(own & peer)
    timed(f"assay, all {len(answers):,}", lambda: ours_near(answers))
    if not options.quick:
        many = large(answers, 182_000)
        size = sum(len(t.encode()) for t in many) / 1e6
        timed(f"assay, {len(many):,} texts, {size:.0f} MB", lambda: ours_near(many))
    print(f"\nboth remove {shared:,}, datasketch alone {len(peer - own):,}, assay alone {len(own - peer):,}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"\npeak memory {peak:.2f} GB, texts and peers included")


if __name__ == "__main__":
    main()
