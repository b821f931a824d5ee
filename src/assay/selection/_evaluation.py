"""Contamination: samples that hold a prompt of the evaluation set, in its words or in others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.core import Sample
from assay.data import HashedTexts, hashed, kernel
from assay.selection._similar import Vectors, nearest

Rows = NDArray[np.int64]

GRAM = 8


@dataclass(frozen=True, slots=True)
class Match:
    """An evaluation item (its place) that a row holds: how much of it, in which sense, and where.

    ``span``: first token of the prompt that is held, and the one after the last; None where that is not
    known.
    """

    item: int
    score: float
    detail: str
    span: tuple[int, int] | None = None


def prompt_of(sample: Sample) -> str:
    """Return all turns before the answer as one text."""
    return "\n".join(m.content for m in sample.prompt)


def holding(prompts: HashedTexts, items: Sequence[Sample], least: float) -> dict[int, Match]:
    """Return the rows whose prompt holds at least ``least`` of the 8-token runs of an evaluation prompt.

    A prompt of fewer tokens is one run: it is held only by an equal one.
    """
    grams, owners = _runs(hashed(map(prompt_of, items)))
    index: dict[int, set[int]] = {}
    for gram, owner in zip(grams.tolist(), owners.tolist(), strict=True):
        index.setdefault(gram, set()).add(owner)
    distinct = Counter(owner for found in index.values() for owner in found)
    seen, rows = _runs(prompts)
    hits = np.isin(seen, np.fromiter(index, np.uint64, len(index)))
    places = np.arange(len(rows)) - np.searchsorted(rows, rows)
    found: dict[int, dict[int, dict[int, int]]] = {}
    for gram, row, place in zip(seen[hits].tolist(), rows[hits].tolist(), places[hits].tolist(), strict=True):
        for owner in index[gram]:
            found.setdefault(row, {}).setdefault(owner, {}).setdefault(gram, place)
    matches = {}
    for row, by_item in found.items():
        share, owner = max((len(own) / distinct[item], -item) for item, own in by_item.items())
        if share >= least:
            detail = f"holds {share:.0%} of the runs of {GRAM} tokens of an evaluation prompt"
            held = by_item[-owner].values()
            stop = min(max(held) + GRAM, int(prompts.lengths[row]))
            matches[row] = Match(-owner, share, detail, (min(held), stop))
    return matches


def alike(prompts: Vectors, items: Vectors, least: float) -> dict[int, Match]:
    """Return the rows whose prompt has at least the cosine ``least`` with an evaluation prompt."""
    best, item = nearest(prompts, items)
    return {
        row: Match(int(item[row]), float(best[row]), "its prompt is embedded beside an evaluation prompt")
        for row in np.flatnonzero(best >= least).tolist()
    }


def _runs(texts: HashedTexts) -> tuple[NDArray[np.uint64], Rows]:
    """Return the hashes of all runs of 8 tokens, and the text of each; a shorter text is one run."""
    hashes = np.empty(len(texts.tokens), np.uint64)
    owners = np.empty(len(texts.tokens), np.int64)
    used = kernel(_hash_runs)(texts.tokens, texts.offsets, GRAM, hashes, owners)
    return hashes[:used], owners[:used]


def _hash_runs(tokens: Any, edges: Any, width: int, hashes: Any, owners: Any) -> int:
    used = 0
    for t in range(len(edges) - 1):
        size = edges[t + 1] - edges[t]
        wide = min(width, size)
        if size == 0:
            continue
        for i in range(edges[t], edges[t + 1] - wide + 1):
            state = np.uint64(wide)
            for k in range(wide):
                state = (state ^ np.uint64(tokens[i + k])) * np.uint64(1099511628211)
            hashes[used] = state
            owners[used] = t
            used += 1
    return used
