"""Write paragraphs of a corpus of documents, one a line, as general text for an arm with replay.

    python recipes/studies/paragraphs.py CORPUS.jsonl.xz OUT.txt --least 250 --most 500 --count 2000

A corpus has a ``text`` a row.  Paragraphs of ``least`` to ``most`` characters are drawn without repetition,
no two from one document as long as there are documents enough.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

from assay import data


def paragraphs(text: str, least: int, most: int) -> list[str]:
    """Return the paragraphs of a document whose length is in bounds, each on one line."""
    found = (" ".join(line.split()) for line in text.splitlines())
    return [line for line in found if least <= len(line) <= most]


def drawn(corpus: str, least: int, most: int, count: int) -> list[str]:
    """Return ``count`` unlike paragraphs: one of each document, then second ones, and so on."""
    rng = random.Random(0)
    documents = [paragraphs(text, least, most) for text in data.read_texts(corpus)]
    for own in documents:
        rng.shuffle(own)
    rng.shuffle(documents)
    deepest = max(map(len, documents))
    ordered = (own[depth] for depth in range(deepest) for own in documents if depth < len(own))
    return list(dict.fromkeys(ordered))[:count]


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus")
    parser.add_argument("out", type=Path)
    parser.add_argument("--least", type=int, default=250)
    parser.add_argument("--most", type=int, default=500)
    parser.add_argument("--count", type=int, default=2000)
    asked = parser.parse_args()
    found = drawn(asked.corpus, asked.least, asked.most, asked.count)
    asked.out.write_text("".join(f"{line}\n" for line in found), "utf-8")
    print(f"{len(found)} paragraphs, {sum(map(len, found))} characters: {asked.out}")


if __name__ == "__main__":
    main()
