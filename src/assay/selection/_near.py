"""Near-duplicates: MinHash finds candidates, the exact Jaccard similarity of shingles decides.

Every removed text has a partner that is kept and as similar as asked: no chains of pairs that were not
compared.  A shingle is five tokens, or the whole text where it is shorter, so two short texts are duplicates
only if they are equal: nothing is lost because a text has few words or no spaces (Broder 1997; Leskovec,
Rajaraman & Ullman, Mining of Massive Datasets, section 3.4 for the bands).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.core import AssayError
from assay.data import HashedTexts, kernel, shingle_sets

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]

SHINGLE = 5
_BANDS, _ROWS_A_BAND = 25, 5
_SEED = 20_231_121


def near_duplicates(
    texts: HashedTexts, priority: Rows | None = None, *, similarity: float = 0.7, shingle: int = SHINGLE
) -> tuple[Rows, Floats]:
    """Return for every text its kept partner (-1: the text is kept) and their Jaccard similarity.

    Texts are looked at in the order of ``priority`` (row numbers, best first; file order by default), so of a
    cluster the best stays.  A text is removed only if a kept one is at least ``similarity`` in (0, 1] like
    it, compared shingle by shingle.  Texts without a single token are kept.  Candidates are pairs that agree
    in one of 25 bands of 5 minima: of pairs at 0.7 that finds 0.99, at 0.8 all but one in 20,000.
    """
    if not 0 < similarity <= 1:
        raise AssayError("no such similarity", value=similarity, expected="above 0, at most 1")
    order = np.arange(len(texts)) if priority is None else np.asarray(priority, np.int64)
    shingles, offsets = shingle_sets(texts, shingle)
    rng = np.random.default_rng(_SEED)
    multipliers = rng.integers(0, 2**31, _BANDS * _ROWS_A_BAND).astype(np.uint32) * np.uint32(2) + np.uint32(
        1
    )
    shifts = rng.integers(0, 2**32, _BANDS * _ROWS_A_BAND).astype(np.uint32)
    keys = kernel(_band_keys)(shingles, offsets, multipliers, shifts, _BANDS, _ROWS_A_BAND)
    buckets = np.empty((_BANDS, len(texts)), np.int32)
    for band in range(_BANDS):
        _, buckets[band] = np.unique(keys[band], return_inverse=True)
    partner = np.full(len(texts), -1, np.int64)
    found = np.zeros(len(texts), np.float32)
    kernel(_greedy)(shingles, offsets, buckets, order, similarity, partner, found)
    return partner, found


def _band_keys(shingles: Any, offsets: Any, multipliers: Any, shifts: Any, bands: int, rows: int) -> Any:
    """Return [bands, texts] 64-bit keys: equal where all minima of a band are equal."""
    count = len(offsets) - 1
    size = bands * rows
    keys = np.empty((bands, count), np.uint64)
    minima = np.empty(size, np.uint32)
    for t in range(count):
        minima[:] = np.uint32(0xFFFFFFFF)
        for i in range(offsets[t], offsets[t + 1]):
            x = shingles[i]
            for k in range(size):
                value = np.uint32(x * multipliers[k] + shifts[k])
                minima[k] = min(minima[k], value)
        for band in range(bands):
            key = np.uint64(1469598103934665603)
            for k in range(band * rows, band * rows + rows):
                key = (key ^ np.uint64(minima[k])) * np.uint64(1099511628211)
            if offsets[t] == offsets[t + 1]:
                key = np.uint64(t)
            keys[band, t] = key
    return keys


def _greedy(
    shingles: Any, offsets: Any, buckets: Any, order: Any, least: float, partner: Any, found: Any
) -> None:
    """Keep or remove texts in order; each bucket lists the kept texts in it, newest first."""
    bands, count = buckets.shape
    head = np.full((bands, count), -1, np.int32)
    following = np.full((bands, count), -1, np.int32)
    looked = np.full(count, -1, np.int32)
    for row in order:
        size = offsets[row + 1] - offsets[row]
        if size == 0:
            continue
        for band in range(bands):
            other = head[band, buckets[band, row]]
            while other >= 0 and partner[row] < 0:
                if looked[other] != row:
                    looked[other] = row
                    much = offsets[other + 1] - offsets[other]
                    if min(size, much) >= least * max(size, much):
                        i, j, common = offsets[row], offsets[other], 0
                        while i < offsets[row + 1] and j < offsets[other + 1]:
                            if shingles[i] == shingles[j]:
                                common += 1
                                i += 1
                                j += 1
                            elif shingles[i] < shingles[j]:
                                i += 1
                            else:
                                j += 1
                        jaccard = common / (size + much - common)
                        if jaccard >= least:
                            partner[row] = other
                            found[row] = jaccard
                other = following[band, other]
            if partner[row] >= 0:
                break
        if partner[row] < 0:
            for band in range(bands):
                bucket = buckets[band, row]
                following[band, row] = head[band, bucket]
                head[band, bucket] = row
