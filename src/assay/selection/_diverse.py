"""Selections for diversity: orders of rows whose every prefix is the selection of that size."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.data import kernel
from assay.selection._similar import Rows, Vectors, similar

Scores = NDArray[np.float64]

_GROUND = 4096
_CELLS = 1 << 28


def score_first(vectors: Vectors, order: Rows, n: int, *, limit: float = 0.9) -> Rows:
    """Take rows in order, the best first, that have no cosine above ``limit`` with one taken before.

    DEITA's score-first, diversity-aware selection (Liu et al. 2024, 2312.15685, algorithm 1).
    """
    partner, _ = similar(vectors, order, limit, enough=n)
    kept = order[partner[order] < 0]
    return kept[:n]


def k_center(vectors: Vectors, first: int, n: int) -> Rows:
    """Take in turn the row that is farthest from all taken before (Gonzalez 1985; Sener & Savarese 2018)."""
    taken = np.empty(min(n, len(vectors)), np.int64)
    closest = np.full(len(vectors), -np.inf, np.float32)
    row = first
    for place in range(len(taken)):
        taken[place] = row
        np.maximum(closest, vectors @ vectors[row], out=closest)
        closest[row] = np.inf
        row = int(closest.argmin())
    return taken


def facility_location(
    vectors: Vectors, n: int, quality: Scores | None = None, *, weight: float = 0.5, seed: int = 0
) -> Rows:
    """Take in turn the row that adds most to how well the taken ones cover the pool, by lazy greedy.

    Coverage is the mean, over up to 4,096 rows drawn from the pool, of the greatest cosine with a taken row.
    With ``quality`` in [0, 1] the sum is (1 - weight) x coverage + weight x mean quality of the taken: QDIT
    (Bukharin & Zhao 2023, 2311.14736, equation 3); both parts are in [0, 1].
    """
    rng = np.random.default_rng(seed)
    size = min(len(vectors), _GROUND, max(256, _CELLS // len(vectors)))
    ground = vectors[np.sort(rng.choice(len(vectors), size, replace=False))]
    likeness = np.empty((len(vectors), size), np.float32)
    for start in range(0, len(vectors), _GROUND):
        np.matmul(vectors[start : start + _GROUND], ground.T, out=likeness[start : start + _GROUND])
    np.maximum(likeness, 0, out=likeness)
    bonus = np.zeros(len(vectors)) if quality is None else weight * quality / n
    share = (1.0 if quality is None else 1 - weight) / size
    found: Rows = kernel(_lazy_greedy)(likeness, bonus, share, min(n, len(vectors)))
    return found


def _lazy_greedy(likeness: Any, bonus: Any, share: float, n: int) -> Any:
    """Return rows by greatest gain; gains only fall, so a stale one is an upper bound (Minoux 1978)."""
    count, size = likeness.shape
    covered = np.zeros(size, np.float32)
    age = np.zeros(count, np.int64)
    heap = [(0.0, 0)] * count
    for row in range(count):
        total = 0.0
        for j in range(size):
            total += likeness[row, j]
        heap[row] = (-share * total - bonus[row], row)
    heapq.heapify(heap)
    taken = np.empty(n, np.int64)
    for step in range(n):
        row = heap[0][1]
        while age[row] != step:
            total = 0.0
            for j in range(size):
                more = likeness[row, j] - covered[j]
                if more > 0:
                    total += more
            age[row] = step
            heapq.heapreplace(heap, (-share * total - bonus[row], row))
            row = heap[0][1]
        taken[step] = row
        for j in range(size):
            if likeness[row, j] > covered[j]:
                covered[j] = likeness[row, j]
        heapq.heappop(heap)
    return taken


def clusters(vectors: Vectors, count: int, *, seed: int = 0) -> list[str]:
    """Return the name of each row's cluster by spherical k-means."""
    import faiss

    means = faiss.Kmeans(vectors.shape[1], count, niter=20, seed=seed, spherical=True)
    # The library warns where clusters are small; that is not an error here.
    means.cp.min_points_per_centroid = 1
    means.train(vectors)
    _, found = means.index.search(vectors, 1)
    return [str(name) for name in found[:, 0].tolist()]


def by_target(vectors: Vectors, targets: Vectors, n: int) -> Rows:
    """Let the target samples take in turn the row that is most like them and still there (RDS+)."""
    most = min(n, len(vectors))
    wished = [_best(vectors @ target, most) for target in targets]
    places = [0] * len(wished)
    taken = np.zeros(len(vectors), bool)
    found: list[int] = []
    while len(found) < most:
        for turn, wish in enumerate(wished):
            while taken[wish[places[turn]]]:
                places[turn] += 1
            row = int(wish[places[turn]])
            taken[row] = True
            found.append(row)
            if len(found) == most:
                break
    return np.array(found, np.int64)


def _best(likeness: NDArray[np.float32], n: int) -> Rows:
    return np.argsort(-likeness, kind="stable")[:n].astype(np.int64)


def by_tags(tags: Sequence[frozenset[str]], order: Rows) -> Rows:
    """Take rows in order that bring a tag not seen before; when none is left, begin anew with the others.

    InsTag's complexity-first diverse sampling (Lu et al. 2023, 2308.07074, algorithm 1), where order is by
    the number of tags.
    """
    waiting = order.tolist()
    found: list[int] = []
    while waiting:
        seen: set[str] = set()
        later = []
        for row in waiting:
            if tags[row] - seen:
                seen |= tags[row]
                found.append(row)
            else:
                later.append(row)
        if len(later) == len(waiting):
            return np.array([*found, *later], np.int64)
        waiting = later
    return np.array(found, np.int64)
