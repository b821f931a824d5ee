"""ROUGE-L novelty, the rule of self-instruct: keep a text unless it is too like one kept before it.

Wang et al. 2023 (2212.10560), section 2.2: an instruction is added when its ROUGE-L with every instruction
kept is below 0.7.
"""

from __future__ import annotations

import numpy as np

from assay.core import AssayError
from assay.data import HashedTexts, shingle_sets
from assay.selection._index import OverlapIndex
from assay.selection._near import SHINGLE, Floats, Rows

LIMIT = 0.7


class NoveltyIndex:
    """Kept texts, against all of which each new one is checked by ROUGE-L; it grows as texts are kept.

    Restored by keeping the same texts again (:meth:`keep`): every decision is that of comparing all pairs,
    whatever the batches in which texts came.  Some 60 bytes a kept token with those of its lists.
    """

    def __init__(self, limit: float = LIMIT) -> None:
        """Begin with nothing kept; a text goes at a ROUGE-L F1 of at least ``limit`` in (0, 1]."""
        if not 0 < limit <= 1:
            raise AssayError("the limit is out of range", value=limit, expected="above 0, at most 1")
        self._index = OverlapIndex(limit, ordered=True)

    def __len__(self) -> int:
        """Return the number of texts kept."""
        return len(self._index)

    @property
    def n_bytes(self) -> int:
        """Return the memory of the index in bytes."""
        return self._index.n_bytes

    def add(self, texts: HashedTexts) -> tuple[Rows, Floats]:
        """Check and keep texts in turn, as in :func:`novel`.

        Returns for each the number of the closest kept text (-1: it is kept now, with the next number) and
        their ROUGE-L F1.
        """
        return self._index.add(texts)

    def check(self, texts: HashedTexts) -> tuple[Rows, Floats]:
        """Return what :meth:`add` would for each text alone; nothing is kept."""
        return self._index.check(texts)

    def keep(self, texts: HashedTexts) -> None:
        """Keep texts without a check: those that were kept before, or those of other pools."""
        self._index.add(texts, check=False)

    def closest(self, texts: HashedTexts, *, before: int | None = None) -> tuple[Rows, Floats]:
        """Return for each text the closest of the first ``before`` kept (all by default), and their F1.

        Nothing is kept.  It looks at all of them: for samples of texts, not for every one.
        """
        return self._index.closest(texts, before=before)


class NearIndex:
    """Kept texts, against all of which each new one is checked by Jaccard similarity of 5-token shingles.

    The rule of :func:`near_duplicates`, without its small loss of pairs.
    """

    def __init__(self, similarity: float = 0.8, shingle: int = SHINGLE) -> None:
        """Begin with nothing kept; a text goes at a similarity of at least ``similarity`` in (0, 1]."""
        if not 0 < similarity <= 1:
            raise AssayError(
                "the similarity is out of range", value=similarity, expected="above 0, at most 1"
            )
        self._shingle = shingle
        # Jaccard J is Dice 2J / (1 + J).
        self._index = OverlapIndex(2 * similarity / (1 + similarity), ordered=False)

    def __len__(self) -> int:
        """Return the number of texts kept."""
        return len(self._index)

    def add(self, texts: HashedTexts) -> tuple[Rows, Floats]:
        """Check and keep texts in turn; returns the closest kept one (-1: kept) and their Jaccard."""
        partner, dice = self._index.add(self._sets(texts))
        return partner, dice / (2 - dice)

    def check(self, texts: HashedTexts) -> tuple[Rows, Floats]:
        """Return what :meth:`add` would for each text alone; nothing is kept."""
        partner, dice = self._index.check(self._sets(texts))
        return partner, dice / (2 - dice)

    def keep(self, texts: HashedTexts) -> None:
        """Keep texts without a check."""
        self._index.add(self._sets(texts), check=False)

    def _sets(self, texts: HashedTexts) -> HashedTexts:
        return HashedTexts(*shingle_sets(texts, self._shingle))


def novel(texts: HashedTexts, priority: Rows | None = None, *, limit: float = LIMIT) -> tuple[Rows, Floats]:
    """Return for every text the kept one it is too like (-1: it is kept) and their ROUGE-L F1.

    Texts are looked at in the order of ``priority`` (file order by default).  A text is removed where its
    ROUGE-L F1 with a kept one is at least ``limit`` in (0, 1]; the closest one is named.  Tokens are those of
    :func:`assay.data.hashed`: words, and single characters of Han text.  Texts without tokens are kept.
    """
    if not 0 < limit <= 1:
        raise AssayError("the limit is out of range", value=limit, expected="above 0, at most 1")
    order = np.arange(len(texts)) if priority is None else np.asarray(priority, np.int64)
    chosen = texts if priority is None else texts.take(order)
    index = OverlapIndex(limit, ordered=True)
    index.order_by(chosen)
    closest, found = index.add(chosen)
    partner = np.full(len(texts), -1, np.int64)
    score = np.zeros(len(texts), np.float32)
    gone = closest >= 0
    partner[order[gone]] = order[~gone][closest[gone]]
    score[order] = found
    return partner, score
