"""Lexical diversity of a sequence of words."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache

from assay.indicators._indicator import Undefined

_FACTOR = 0.72
_LEAST_WORDS = 10
_DRAWN = 42


def mtld(words: Sequence[str], *, least: int = _LEAST_WORDS, unit: str = "words") -> float | Undefined:
    """Return the measure of textual lexical diversity: mean run length that keeps a type-token ratio of 0.72.

    McCarthy & Jarvis 2010, forwards and backwards; ``unit`` says what ``words`` are.
    Undefined below ``least`` words, where one word more or
    less decides the value, and where no word is repeated in either direction.
    """
    if len(words) < least:
        return Undefined(f"fewer than {least} {unit}")
    runs = [_runs(words), _runs(reversed(words))]
    if not all(runs):
        return Undefined(f"no {unit.removesuffix('s')} is repeated")
    return sum(len(words) / factors for factors in runs) / 2


def _runs(words: Iterable[str]) -> float:
    """Return the number of factors, the last one in part."""
    factors, seen, start, at = 0.0, set[str](), -1, -1
    for at, word in enumerate(words):
        if word not in seen:  # a new word raises the ratio
            seen.add(word)
        elif len(seen) / (at - start) <= _FACTOR:
            factors, seen, start = factors + 1, set(), at
    if at > start:
        factors += (1 - len(seen) / (at - start)) / (1 - _FACTOR)
    return factors


def hdd(words: Sequence[str], *, drawn: int = _DRAWN) -> float | Undefined:
    """Return the expected type-token ratio of ``drawn`` words without replacement (McCarthy & Jarvis 2007).

    Undefined for texts of fewer words than are drawn.
    """
    total = len(words)
    if total < drawn:
        return Undefined(f"fewer than {drawn} words")
    counts = Counter(words).values()
    absent = {count: _absent(total, count, drawn) for count in set(counts)}
    return sum([1 - absent[count] for count in counts]) / drawn


@lru_cache(maxsize=1 << 16)
def _absent(total: int, count: int, drawn: int) -> float:
    """Return the chance that a word of ``count`` tokens is not among those drawn."""
    if total - count < drawn:
        return 0.0
    # log C(total - count, drawn) - log C(total, drawn)
    return math.exp(_log_choose(total - count, drawn) - _log_choose(total, drawn))


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
