"""Near-duplicates: MinHash finds candidates, the exact Jaccard similarity of shingles decides.

Every removed text has a partner that is kept and as similar as asked: no chains of pairs that were not
compared.  A shingle is five tokens, or the whole text where it is shorter, so two short texts are duplicates
only if they are equal: nothing is lost because a text has few words or no spaces (Broder 1997; Leskovec,
Rajaraman & Ullman, Mining of Massive Datasets, section 3.4 for the bands).

Where answers are given, theirs have to be alike too: two rows of one template that differ in a word of the
question and in their short answers are not the same row.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import blake2b
from tempfile import TemporaryFile
from typing import IO, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from assay.core import AssayError
from assay.data import HashedTexts, kernel, shingle_sets

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]

SHINGLE = 5
SHORT = 32
"""Answers of fewer tokens are alike only if they are equal but for case, spaces and a full stop."""
_BANDS, _ROWS_A_BAND = 25, 5
_SEED = 20_231_121


class Texts(Protocol):
    """Hashed texts in memory or in a file."""

    @property
    def lengths(self) -> Rows:
        """The number of tokens of each text."""

    def __len__(self) -> int: ...

    def chunks(self) -> Iterator[tuple[int, HashedTexts]]:
        """Yield (number of the first text, texts), some at a time."""


@dataclass(frozen=True)
class Answers:
    """Answers of texts: a digest of each, as it is read, and its tokens."""

    keys: Rows
    tokens: Texts


_WIDE = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3002: "."}
_BEFORE_MARK = re.compile(r" (?=[.,;:!?])")


def text_key(text: str) -> int:
    """Return 64 bits, equal in all processes for texts that differ only in form.

    Of form are case, spaces between words and before a mark, the width of letters and marks (`？` and `?`),
    and a mark at the end.
    """
    words = " ".join(text.translate(_WIDE).casefold().split())
    plain = _BEFORE_MARK.sub("", words).rstrip(".!? ") or words
    encoded = plain.encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(encoded, digest_size=8).digest(), "little", signed=True)


def near_duplicates(
    texts: Texts,
    priority: Rows | None = None,
    *,
    similarity: float = 0.7,
    shingle: int = SHINGLE,
    answers: Answers | None = None,
    fixed: Sequence[int] | Rows = (),
) -> tuple[Rows, Floats]:
    """Return for every text its kept partner (-1: the text is kept) and their Jaccard similarity.

    Texts are looked at in the order of ``priority`` (row numbers, best first; file order by default), so of a
    cluster the best stays.  A text is removed only if a kept one is at least ``similarity`` in (0, 1] like
    it, compared shingle by shingle.  Texts without a single token are kept.  Candidates are pairs that agree
    in one of 25 bands of 5 minima: of pairs at 0.7 that finds 0.99, at 0.8 all but one in 20,000.  With
    ``answers`` a pair's answers have to be as similar as well, and equal where one has fewer than 32 tokens.
    Rows that are ``fixed`` are never removed.
    """
    if not 0 < similarity <= 1:
        raise AssayError("the similarity is out of range", value=similarity, expected="above 0, at most 1")
    order = np.arange(len(texts)) if priority is None else np.asarray(priority, np.int64)
    some, buckets = _meeting(texts, shingle)
    place = np.full(len(texts), -1, np.int64)
    place[some] = np.arange(len(some))
    shingles, offsets = _shingles_of(texts, some, shingle)
    partner, found = np.full(len(some), -1, np.int64), np.zeros(len(some), np.float32)
    stays = np.zeros(len(texts), np.bool_)
    stays[np.asarray(fixed, np.int64)] = True
    compared = _compared(answers, some, shingle)
    kernel(_greedy)(
        shingles, offsets, buckets, place[order][place[order] >= 0], similarity, partner, found, stays[some],
        *compared,
    )  # fmt: skip
    partners, likeness = np.full(len(texts), -1, np.int64), np.zeros(len(texts), np.float32)
    partners[some[partner >= 0]] = some[partner[partner >= 0]]
    likeness[some] = found
    return partners, likeness


def _meeting(texts: Texts, shingle: int) -> tuple[Rows, Any]:
    """Return the texts that share a bucket with another, and their buckets [bands, texts].

    All others have no near-duplicate that is looked for.  The keys of one band at a time are in memory.
    """
    rng = np.random.default_rng(_SEED)
    size = _BANDS * _ROWS_A_BAND
    multipliers = rng.integers(0, 2**31, size).astype(np.uint32) * np.uint32(2) + np.uint32(1)
    shifts = rng.integers(0, 2**32, size).astype(np.uint32)
    filled = [np.zeros(0, np.bool_)]
    with ExitStack() as stack:
        bands = [stack.enter_context(TemporaryFile()) for _ in range(_BANDS)]
        for _, chunk in texts.chunks():
            shingles, offsets = shingle_sets(chunk, shingle)
            filled.append(np.diff(offsets) > 0)
            keys = kernel(_band_keys)(shingles, offsets, multipliers, shifts, _BANDS, _ROWS_A_BAND)
            for band, file in enumerate(bands):
                file.write(keys[band][filled[-1]].data)
        rows = np.flatnonzero(np.concatenate(filled))
        shared = np.zeros(len(rows), np.bool_)
        for file in bands:
            shared |= _occurs_again(_keys(file))
        buckets = np.empty((_BANDS, int(shared.sum())), np.int32)
        for band, file in enumerate(bands):
            _, buckets[band] = np.unique(_keys(file)[shared], return_inverse=True)
    return rows[shared], buckets


def _keys(file: IO[bytes]) -> NDArray[np.uint64]:
    file.seek(0)
    return np.frombuffer(file.read(), np.uint64)


def _occurs_again(keys: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Say of each key whether another one is equal."""
    order = np.argsort(keys)
    same = np.zeros(len(keys) + 1, np.bool_)
    same[1:-1] = keys[order][1:] == keys[order][:-1]
    found = np.empty(len(keys), np.bool_)
    found[order] = same[1:] | same[:-1]
    return found


def _compared(answers: Answers | None, rows: Rows, shingle: int) -> tuple[Any, Any, Any, Any]:
    """Return what the kernel compares of answers: keys, which are short, shingles and their offsets."""
    if answers is None:
        nothing = np.zeros(len(rows), np.int64)
        none = np.empty(0, np.uint32), np.zeros(len(rows) + 1, np.int64)
        return nothing, np.ones(len(rows), np.bool_), *none
    short = answers.tokens.lengths[rows] < SHORT
    return answers.keys[rows], short, *_shingles_of(answers.tokens, rows, shingle)


def _shingles_of(texts: Texts, rows: Rows, shingle: int) -> tuple[Any, Any]:
    """Return the shingle sets of the texts of ``rows``, which rise: the tokens of few are in memory."""
    found = np.empty(int(texts.lengths[rows].sum()), np.uint32)
    offsets = np.zeros(len(rows) + 1, np.int64)
    used = 0
    for first, chunk in texts.chunks():
        low, high = np.searchsorted(rows, (first, first + len(chunk)))
        own, edges = shingle_sets(chunk.take(rows[low:high] - first), shingle)
        found[used : used + len(own)] = own
        offsets[low + 1 : high + 1] = used + edges[1:]
        used += len(own)
    return found[:used], offsets


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
    shingles: Any,
    offsets: Any,
    buckets: Any,
    order: Any,
    least: float,
    partner: Any,
    found: Any,
    stays: Any,
    keys: Any,
    short: Any,
    parts: Any,
    edges: Any,
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
            other = np.int32(-1) if stays[row] else head[band, buckets[band, row]]
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
                        same = keys[row] == keys[other]
                        if jaccard >= least and not same and not (short[row] or short[other]):
                            i, j, shared = edges[row], edges[other], 0
                            while i < edges[row + 1] and j < edges[other + 1]:
                                if parts[i] == parts[j]:
                                    shared += 1
                                    i += 1
                                    j += 1
                                elif parts[i] < parts[j]:
                                    i += 1
                                else:
                                    j += 1
                            all_parts = edges[row + 1] - edges[row] + edges[other + 1] - edges[other]
                            same = shared >= least * (all_parts - shared)
                        if jaccard >= least and same:
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
