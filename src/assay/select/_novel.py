"""ROUGE-L novelty, the rule of self-instruct: keep a text unless it is too like one kept before it.

Wang et al. 2023 (2212.10560), section 2.2: an instruction is added when its ROUGE-L with every instruction
kept is below 0.7.  The longest common subsequence is computed bit-parallel (Hyyrö 2004), and only for texts
that bounds cannot rule out: tokens of a prefix in order of rarity must meet (Chaudhuri et al. 2006), lengths
and bags of tokens must allow the score.  The result is that of comparing all pairs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.core import AssayError
from assay.data import HashedTexts, kernel
from assay.select._near import Floats, Rows

LIMIT = 0.7


def novel(texts: HashedTexts, priority: Rows | None = None, *, limit: float = LIMIT) -> tuple[Rows, Floats]:
    """Return for every text the kept one it is too like (-1: it is kept) and their ROUGE-L F1.

    Texts are looked at in the order of ``priority`` (file order by default).  A text is removed where its
    ROUGE-L F1 with a kept one is at least ``limit`` in (0, 1].  Tokens are those of
    :func:`assay.data.hashed`: words, and single characters of Han text.  Texts without tokens are kept.
    """
    if not 0 < limit <= 1:
        raise AssayError("no such limit", value=limit, expected="above 0, at most 1")
    order = np.arange(len(texts)) if priority is None else np.asarray(priority, np.int64)
    _, ids, counts = np.unique(texts.tokens, return_inverse=True, return_counts=True)
    # Rank by rarity: rare tokens come first in every prefix.
    ranks = np.empty(len(counts), np.int32)
    ranks[np.argsort(counts, kind="stable")] = np.arange(len(counts), dtype=np.int32)
    tokens: NDArray[np.int32] = ranks[ids.ravel()]
    partner = np.full(len(texts), -1, np.int64)
    score = np.zeros(len(texts), np.float32)
    by_rarity = tokens.copy()
    kernel(_sort_each)(by_rarity, texts.offsets)
    if len(tokens):
        kernel(_filter)(tokens, by_rarity, texts.offsets, order, len(counts), limit, partner, score)
    return partner, score


def _sort_each(tokens: Any, offsets: Any) -> None:
    for t in range(len(offsets) - 1):
        tokens[offsets[t] : offsets[t + 1]].sort()


def _filter(
    tokens: Any,
    by_rarity: Any,
    offsets: Any,
    order: Any,
    vocabulary: int,
    limit: float,
    partner: Any,
    score: Any,
) -> None:
    """Go through the texts in order, with an index of the prefixes of the kept ones."""
    count = len(offsets) - 1
    head = np.full(vocabulary, -1, np.int64)
    following = np.full(len(tokens), -1, np.int64)
    owner = np.empty(len(tokens), np.int32)
    looked = np.full(count, -1, np.int64)
    # Bit masks of the text under comparison: masks[place[x]] says where token x stands.
    longest = 0
    for t in range(count):
        longest = max(longest, offsets[t + 1] - offsets[t])
    words = (longest + 63) // 64
    masks = np.zeros((longest, max(words, 1)), np.uint64)
    place = np.full(vocabulary, -1, np.int64)
    stamp = np.full(vocabulary, -1, np.int64)
    state = np.empty(max(words, 1), np.uint64)
    tiny = 1e-9
    for row in order:
        start, stop = offsets[row], offsets[row + 1]
        size = stop - start
        if size == 0:
            continue
        # LCS >= limit / 2 (size + other), and other >= size limit / (2 - limit).
        shortest = np.int64(np.ceil(size * limit / (2 - limit) - tiny))
        least = np.int64(np.ceil(limit / 2 * (size + shortest) - tiny))
        prefix = size - least + 1
        ready = False
        for p in range(start, start + prefix):
            entry = head[by_rarity[p]]
            while entry >= 0 and partner[row] < 0:
                other = owner[entry]
                entry = following[entry]
                if looked[other] == row:
                    continue
                looked[other] = row
                first, last = offsets[other], offsets[other + 1]
                much = last - first
                wanted = np.int64(np.ceil(limit / 2 * (size + much) - tiny))
                if min(size, much) < wanted:
                    continue
                i, j, common = start, first, 0
                while i < stop and j < last and common + min(stop - i, last - j) >= wanted:
                    if by_rarity[i] == by_rarity[j]:
                        common += 1
                        i += 1
                        j += 1
                    elif by_rarity[i] < by_rarity[j]:
                        i += 1
                    else:
                        j += 1
                if common < wanted:
                    continue
                used = (size + 63) // 64
                if not ready:
                    ready = True
                    distinct = 0
                    for q in range(start, stop):
                        x = tokens[q]
                        if stamp[x] != row:
                            stamp[x] = row
                            place[x] = distinct
                            for b in range(used):
                                masks[distinct, b] = np.uint64(0)
                            distinct += 1
                        bit = q - start
                        masks[place[x], bit // 64] |= np.uint64(1) << np.uint64(bit % 64)
                for b in range(used):
                    state[b] = np.uint64(0xFFFFFFFFFFFFFFFF)
                for q in range(first, last):
                    x = tokens[q]
                    if stamp[x] != row:
                        continue
                    carry = np.uint64(0)
                    for b in range(used):
                        v = state[b]
                        u = v & masks[place[x], b]
                        total = v + u
                        over = np.uint64(1) if total < v else np.uint64(0)
                        total2 = total + carry
                        over2 = np.uint64(1) if total2 < total else np.uint64(0)
                        state[b] = total2 | (v - u)
                        carry = over | over2
                length = 0
                for b in range(size):
                    if not (state[b // 64] >> np.uint64(b % 64)) & np.uint64(1):
                        length += 1
                if length >= wanted:
                    partner[row] = other
                    score[row] = 2 * length / (size + much)
            if partner[row] >= 0:
                break
        if partner[row] < 0:
            for p in range(start, start + prefix):
                x = by_rarity[p]
                owner[p] = row
                following[p] = head[x]
                head[x] = p
