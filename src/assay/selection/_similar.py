"""Likeness of unit vectors, in blocks that fit the cache."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Rows = NDArray[np.int64]

_BLOCK = 512
_KEPT = 8192


def nearest(vectors: Vectors, among: Vectors) -> tuple[Vectors, Rows]:
    """Return for each vector the greatest cosine [n] with ``among``, and whose it is [n]."""
    best = np.full(len(vectors), -np.inf, np.float32)
    which = np.full(len(vectors), -1, np.int64)
    for start in range(0, len(vectors), _BLOCK):
        part = slice(start, start + _BLOCK)
        for first in range(0, len(among), _KEPT):
            likeness = vectors[part] @ among[first : first + _KEPT].T
            place = likeness.argmax(axis=1)
            value = np.take_along_axis(likeness, place[:, None], axis=1)[:, 0]
            better = value > best[part]
            best[part] = np.where(better, value, best[part])
            which[part] = np.where(better, place + first, which[part])
    return best, which


def similar(
    vectors: Vectors, order: Rows, limit: float, *, enough: int | None = None
) -> tuple[Rows, NDArray[np.float32]]:
    """Return for every row its kept partner (-1: kept, or not looked at) and their cosine.

    Rows are looked at in ``order``; one goes if a kept one has a cosine above ``limit`` with it.  Every row
    that goes was compared with a row that stays: no chains.  Stops when ``enough`` rows are kept.
    """
    partner = np.full(len(vectors), -1, np.int64)
    found = np.zeros(len(vectors), np.float32)
    kept = np.empty((min(len(order), enough or len(order)), vectors.shape[1]), np.float32)
    rows = np.empty(len(kept), np.int64)
    count = 0
    for start in range(0, len(order), _BLOCK):
        block = order[start : start + _BLOCK]
        own = vectors[block]
        best, which = nearest(own, kept[:count])
        within = own @ own.T
        for place in range(len(block)):
            if best[place] > limit:
                partner[block[place]] = rows[which[place]]
                found[block[place]] = best[place]
                continue
            if count == len(kept):
                return partner, found
            kept[count], rows[count] = own[place], block[place]
            later = within[place, place + 1 :]
            better = later > best[place + 1 :]
            best[place + 1 :] = np.where(better, later, best[place + 1 :])
            which[place + 1 :] = np.where(better, count, which[place + 1 :])
            count += 1
    return partner, found
