"""BM25 similarity with every text kept before, the filter of BELLE.

BELLE (2303.14742) drops an instruction whose BM25 score against an earlier one is above 18, with gensim's
weights: k1 = 1.5, b = 0.75, and a quarter of the mean idf for words that more than half of the texts have
(Robertson & Zaragoza 2009, equations 3.12 and 3.15).  Scores grow with the logarithm of the number of texts
and with length, so the limit is one for instructions.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from assay.core import AssayError

LIMIT = 18.0
_K1, _B, _EPSILON = 1.5, 0.75, 0.25
_EVERY = 1.01


class Bm25Index:
    """Kept texts as bags of words, against all of which each new one is scored; it grows as texts are kept.

    The mean idf is taken anew whenever the index has grown by a hundredth; everything else is of now.
    """

    def __init__(self, limit: float = LIMIT) -> None:
        """Begin with nothing kept; a text goes at a score above ``limit`` (above 0)."""
        if not limit > 0:
            raise AssayError("the limit is out of range", value=limit, expected="above 0")
        self.limit = limit
        self._owners: dict[str, array[int]] = {}
        self._counts: dict[str, array[int]] = {}
        self._lengths = array("i")
        self._total = 0
        self._by_frequency: Counter[int] = Counter()
        self._mean, self._mean_at = 0.0, 0.0

    def __len__(self) -> int:
        """Return the number of texts kept."""
        return len(self._lengths)

    def add(self, words: Sequence[str]) -> tuple[int, float]:
        """Check one text, given as its words, and keep it unless one kept is too like it.

        Returns the number of the kept text it is too like (-1: it is kept now), and the greatest score.
        """
        closest, score = self.check(words)
        if closest < 0:
            self.keep(words)
        return closest, score

    def check(self, words: Sequence[str]) -> tuple[int, float]:
        """Return what :meth:`add` would; nothing is kept."""
        scores = self.scores(words)
        best = int(scores.argmax()) if len(scores) else -1
        score = float(scores[best]) if len(scores) else 0.0
        return (best if score > self.limit else -1), score

    def keep(self, words: Sequence[str]) -> None:
        """Keep a text without a check."""
        number = len(self._lengths)
        for word, count in Counter(words).items():
            owners = self._owners.setdefault(word, array("i"))
            self._counts.setdefault(word, array("i")).append(count)
            self._by_frequency[len(owners)] -= 1
            owners.append(number)
            self._by_frequency[len(owners)] += 1
        self._lengths.append(len(words))
        self._total += len(words)
        if len(self._lengths) >= self._mean_at:
            self._refresh()

    def scores(self, words: Sequence[str]) -> NDArray[np.float64]:
        """Return the BM25 score [kept] of a text with each one kept; a word asked twice counts twice."""
        kept = len(self._lengths)
        found = np.zeros(kept)
        if not kept or not self._total:
            return found
        lengths = np.frombuffer(self._lengths, np.int32)
        mean = self._total / kept
        for word, times in Counter(words).items():
            owners = self._owners.get(word)
            if owners is None:
                continue
            rows = np.frombuffer(owners, np.int32)
            held = np.frombuffer(self._counts[word], np.int32)
            norm = _K1 * (1 - _B + _B * lengths[rows] / mean)
            found[rows] += times * self._idf(len(owners)) * held * (_K1 + 1) / (held + norm)
        return found

    def _idf(self, frequency: int) -> float:
        value = float(np.log(len(self._lengths) - frequency + 0.5) - np.log(frequency + 0.5))
        return value if value >= 0 else _EPSILON * self._mean

    def _refresh(self) -> None:
        pairs = [(f, n) for f, n in self._by_frequency.items() if f > 0 and n > 0]
        if pairs:
            frequency, number = np.array(pairs, np.float64).T
            idf = np.log(len(self._lengths) - frequency + 0.5) - np.log(frequency + 0.5)
            self._mean = float((idf * number).sum() / number.sum())
        self._mean_at = len(self._lengths) * _EVERY
