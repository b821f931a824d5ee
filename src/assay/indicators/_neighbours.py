"""Nearest neighbours among unit vectors."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.core import AssayError

Vectors = NDArray[np.float32]
Rows = NDArray[np.int64]

EXACT_UP_TO = 200_000
"""Vectors from which on lists of cells are searched instead of all; then neighbours are approximate."""

_PROBED = 32


def neighbours(vectors: Vectors, k: int, reference: Vectors | None = None) -> tuple[Vectors, Rows]:
    """Return Euclidean distances [n, k] of unit vectors to their nearest, and which those are [n, k].

    Without ``reference`` neighbours are sought among the vectors themselves, and none is its own neighbour,
    though an equal vector of another row is one (distance 0).  Rows are -1 and distances infinite where
    there are fewer than k.  Exact up to 200,000 vectors.
    """
    if find_spec("faiss") is None:
        raise AssayError(
            "faiss is not installed", place="neighbours", hint='pip install "instruct-assay[score]"'
        )
    import faiss

    own = reference is None
    among = vectors if reference is None else reference
    wanted = min(k + own, len(among))
    if wanted == 0 or len(vectors) == 0:
        return np.full((len(vectors), k), np.inf, np.float32), np.full((len(vectors), k), -1, np.int64)
    index: Any = faiss.IndexFlatIP(among.shape[1])
    if len(among) > EXACT_UP_TO:
        index = faiss.IndexIVFFlat(
            index, among.shape[1], int(4 * np.sqrt(len(among))), faiss.METRIC_INNER_PRODUCT
        )
        index.train(among)
        index.nprobe = _PROBED
    index.add(among)
    likeness, rows = index.search(vectors, wanted)
    if own:
        likeness, rows = _without_self(likeness, rows)
    distances = np.sqrt(np.maximum(2 - 2 * likeness, 0))
    missing = rows < 0
    distances[missing] = np.inf
    short = k - rows.shape[1]
    if short > 0:
        distances = np.pad(distances, ((0, 0), (0, short)), constant_values=np.inf)
        rows = np.pad(rows, ((0, 0), (0, short)), constant_values=-1)
    return distances.astype(np.float32), rows.astype(np.int64)


def _without_self(likeness: Vectors, rows: Rows) -> tuple[Vectors, Rows]:
    """Drop each row from its own list, or the last of the list where equal vectors crowded it out."""
    own = rows == np.arange(len(rows))[:, None]
    own[~own.any(axis=1), -1] = True
    shape = (len(rows), rows.shape[1] - 1)
    return likeness[~own].reshape(shape), rows[~own].reshape(shape)
