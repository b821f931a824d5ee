"""Indicators of a sample's text against all the others of its pool."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.core import Sample
from assay.data import hashed, kernel, shingle_sets, words
from assay.indicators._indicator import Indicator, Measure, Undefined, Value
from assay.indicators._tools import Tools, prompt

_GRAM = 3
_CELLS = 1 << 28
_BATCH = 4096
_COMMON = 0.02
_TAG_LEAST = 2

Counts = NDArray[np.uint8]
Made = tuple[Measure, str]


def _batches(pool: Iterable[Sample]) -> Iterator[list[Sample]]:
    stream = iter(pool)
    return iter(lambda: list(islice(stream, _BATCH)), [])


def _novelty(_: Tools, pool: Iterable[Sample]) -> Made:
    """Count in how many distinct samples each run of three tokens stands, then see whose runs are its own.

    Runs are hashed into 2^28 counters of a byte: a run seems to be elsewhere by accident in one case of 27
    among ten million distinct runs.
    """
    counts = np.zeros(_CELLS, np.uint8)
    seen: set[str] = set()
    for batch in _batches(pool):
        fresh = {s.id: s for s in batch if s.id not in seen and s.answer}
        seen.update(fresh)
        runs, _edges = shingle_sets(hashed(s.answer or "" for s in fresh.values()), _GRAM)
        kernel(_count)(runs, counts)

    def measure(samples: Sequence[Sample]) -> list[Value]:
        runs, edges = shingle_sets(hashed(s.answer or "" for s in samples), _GRAM)
        shares = kernel(_own_share)(runs, edges, counts)
        few = Undefined("no word in the answer")
        return [few if np.isnan(share) else float(share) for share in shares]

    return measure, ""


def _count(runs: Any, counts: Any) -> None:
    for run in runs:
        cell = run & np.uint32(_CELLS - 1)
        if counts[cell] < 255:
            counts[cell] += 1


def _own_share(runs: Any, edges: Any, counts: Any) -> Any:
    """Return for each text the share of its distinct runs that no other text has."""
    shares = np.full(len(edges) - 1, np.nan)
    for t in range(len(shares)):
        own = 0
        for i in range(edges[t], edges[t + 1]):
            own += counts[runs[i] & np.uint32(_CELLS - 1)] <= 1
        if edges[t + 1] > edges[t]:
            shares[t] = own / (edges[t + 1] - edges[t])
    return shares


class Tags:
    """Keywords of prompts in place of the tags that a chat model would give.

    A tag is a word of two letters or characters or more that at least two samples' prompts have, and not
    more than 2 % of them.
    """

    def __init__(self, pool: Iterable[Sample]) -> None:
        """Count the words of all prompts."""
        self._counts: Counter[str] = Counter()
        self._samples = 0
        for sample in pool:
            self._samples += 1
            self._counts.update(_candidates(sample))

    def of(self, sample: Sample) -> frozenset[str]:
        """Return the tags of a sample."""
        most = max(_COMMON * self._samples, _TAG_LEAST)
        return frozenset(w for w in _candidates(sample) if _TAG_LEAST <= self._counts[w] <= most)


def _candidates(sample: Sample) -> set[str]:
    return {w.lower() for w in words(prompt(sample)) if len(w) > 1 and not w.isdigit()}


def _tags(_: Tools, pool: Iterable[Sample]) -> Made:
    found = Tags(pool)
    return lambda samples: [float(len(found.of(sample))) for sample in samples], ""


POOL_INDICATORS: tuple[Indicator, ...] = (
    Indicator(
        "novelty", 1, "share", 1, ("pool",), "n-gram novelty (McCoy et al. 2023, 2111.09509) in the pool",
        make=_novelty,
    ),
    Indicator("tags", 1, "tags", 1, ("pool",), "complexity of InsTag (2308.07074), by keywords", make=_tags),
)  # fmt: skip
"""Indicators that need the whole pool and no model."""
