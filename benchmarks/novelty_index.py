"""The streaming novelty index beside its peers: checks a second against many kept ones, same decisions.

    python benchmarks/novelty_index.py --data pool1.jsonl --data pool2.jsonl

Instructions are those of the data sets (or of the testbed); beyond them they are chains of word pairs drawn
from the same texts, so that words and openings are as common as there.  Peers compare with all kept ones in
turn: Google's rouge_score (what self-instruct calls) and rapidfuzz.
"""

from __future__ import annotations

import argparse
import random
import re
import resource
import time
from collections.abc import Iterator, Sequence
from itertools import islice

from rapidfuzz.distance import LCSseq
from rouge_score import rouge_scorer

from assay.core import Sample
from assay.data import hashed, read, synthetic
from assay.selection import NoveltyIndex

LIMIT = 0.7
CHECKS = 5_000
_TOKEN = re.compile("[a-z0-9]+|[\u3400-\u9fff]")


def instructions(places: Sequence[str]) -> list[str]:
    """Return the distinct first paragraphs of prompts of data sets, or of the testbed, in random order."""
    if places:
        rows = [row for place in places for row in read(place)]
        samples = [row for row in rows if isinstance(row, Sample)]
    else:
        samples = [p.sample for p in synthetic.generate(20_000, seed=0)]
    texts = list(dict.fromkeys(s.prompt[-1].content.split("\n\n")[0][:2000] for s in samples))
    random.Random(0).shuffle(texts)
    return texts


def chains(texts: Sequence[str], seed: int) -> Iterator[str]:
    """Yield texts in which every token has followed the one before it in some text, without end."""
    rng = random.Random(seed)
    follow: dict[str, list[str]] = {}
    for text in texts:
        tokens = _TOKEN.findall(text.lower())
        for a, b in zip(["", *tokens], [*tokens, ""], strict=True):
            follow.setdefault(a, []).append(b)
    while True:
        made, token = [], rng.choice(follow[""])
        while token and len(made) < 60:
            made.append(token)
            # A tenth of the steps is free, or chains would repeat their sources.
            token = rng.choice(follow[token if rng.random() < 0.9 else rng.choice(made)])
        if len(made) > 3:
            yield " ".join(made)


def memory() -> float:
    """Return the peak memory of the process in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def fill(index: NoveltyIndex, texts: Sequence[str], stream: Iterator[str], wanted: int) -> float:
    """Keep the texts, then others of the stream, unchecked, until ``wanted`` are kept; return the seconds."""
    spent = 0.0
    for source in (iter(texts), stream):
        while len(index) < wanted:
            batch = list(islice(source, min(20_000, wanted - len(index))))
            if not batch:
                break
            start = time.perf_counter()
            index.keep(hashed(batch))
            spent += time.perf_counter() - start
    return spent


def rate(index: NoveltyIndex, texts: Sequence[str]) -> tuple[float, float, float]:
    """Return checks a second, and a second of CPU, of texts ten at a time, and the share removed."""
    removed = 0
    start, busy = time.perf_counter(), time.process_time()
    for at in range(0, len(texts), 10):
        removed += int((index.add(hashed(texts[at : at + 10]))[0] >= 0).sum())
    seconds, busy = time.perf_counter() - start, time.process_time() - busy
    return len(texts) / seconds, len(texts) / busy, removed / len(texts)


class _Tokens:
    """Tokens of words and single Han characters, for rouge_score."""

    def tokenize(self, text: str) -> list[str]:
        return _TOKEN.findall(text.lower())


def by_rouge_score(kept: Sequence[str], new: Sequence[str]) -> list[bool]:
    """Return which new texts are at or above the limit with a kept one, by Google's rouge_score."""
    scorer = rouge_scorer.RougeScorer(["rougeL"], tokenizer=_Tokens())
    return [any(scorer.score(k, t)["rougeL"].fmeasure >= LIMIT - 1e-9 for k in kept) for t in new]


def by_rapidfuzz(kept: Sequence[str], new: Sequence[str]) -> list[bool]:
    """Return the same by rapidfuzz's subsequence of hashed tokens."""
    numbers: dict[str, int] = {}
    rows = [[numbers.setdefault(t, len(numbers)) for t in _TOKEN.findall(k.lower())] for k in (*kept, *new)]
    held, found = rows[: len(kept)], []
    for own in rows[len(kept) :]:
        least = [LIMIT / 2 * (len(own) + len(k)) - 1e-9 for k in held]
        found.append(any(LCSseq.similarity(own, k) >= w for k, w in zip(held, least, strict=True) if w > 0))
    return found


def peers(kept: Sequence[str], new: Sequence[str]) -> None:
    """Print checks a second of the peers and ours against the same kept texts, and whether all agree."""
    index = NoveltyIndex(LIMIT)
    index.keep(hashed(kept))
    decisions = {}
    for name, job in (
        ("rouge_score, all pairs", lambda: by_rouge_score(kept, new)),
        ("rapidfuzz, all pairs", lambda: by_rapidfuzz(kept, new)),
        ("assay", lambda: (index.check(hashed(new))[0] >= 0).tolist()),
    ):
        start = time.perf_counter()
        decisions[name] = job()
        print(f"| {name} | {len(kept):,} | {len(new) / (time.perf_counter() - start):,.1f} |", flush=True)
    same = len({tuple(found) for found in decisions.values()}) == 1
    print(f"\n{sum(decisions['assay']):,} of {len(new):,} removed; all three decide alike: {same}\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", action="append", default=[], help="a data set whose instructions to use")
    parser.add_argument("--quick", action="store_true", help="a hundredth of the rows")
    options = parser.parse_args()
    part = 100 if options.quick else 1
    texts = instructions(options.data)
    stream = chains(texts, seed=1)
    new = texts[-CHECKS // part :]
    texts = texts[: -CHECKS // part]
    warm = NoveltyIndex(LIMIT)
    warm.add(hashed(texts[:50]))
    few = texts[: 1000 // part]
    print("| checker | kept | checks a second |\n|---|---|---|")
    peers(few, new[:60])
    print(
        "| kept | of data sets | restored in s | checks a second | a CPU second | removed | index | process |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for wanted in (100_000 // part, 1_000_000 // part):
        index = NoveltyIndex(LIMIT)
        seconds = fill(index, texts, stream, wanted)
        sizes = f"{index.n_bytes / 1e9:.2f} GB | {memory():.2f} GB"
        # Half of the new ones are real instructions, half chains.
        mixed = [t for pair in zip(new, islice(stream, len(new)), strict=False) for t in pair][: len(new)]
        speed, busy, removed = rate(index, mixed)
        real = min(len(texts), wanted)
        speeds = f"{seconds:.1f} | {speed:,.0f} | {busy:,.0f}"
        print(f"| {wanted:,} | {real:,} | {speeds} | {removed:.0%} | {sizes} |", flush=True)


if __name__ == "__main__":
    main()
