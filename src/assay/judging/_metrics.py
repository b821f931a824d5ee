"""Reference metrics in [0, 1]: how near an answer is to a reference, in any language."""

from __future__ import annotations

from functools import cache
from typing import Any

from assay.data import normalise, words


def exact_match(answer: str, reference: str) -> float:
    """Return 1.0 if the texts are equal without case, width, white space and punctuation, else 0.0."""
    return float(normalise(answer) == normalise(reference))


@cache
def _chrf() -> Any:
    from sacrebleu.metrics.chrf import CHRF

    return CHRF(eps_smoothing=True)


def chrf(answer: str, reference: str) -> float:
    """Return sentence chrF2 over 100 (Popović 2015; character n-grams up to 6, recall weighted 2)."""
    return float(_chrf().sentence_score(answer, [reference]).score) / 100


def rouge_l(answer: str, reference: str) -> float:
    """Return the ROUGE-L F1 of the words (Lin 2004, section 3.1), Han text segmented into words."""
    from rapidfuzz.distance import LCSseq

    said = [word.lower() for word in words(answer)]
    wanted = [word.lower() for word in words(reference)]
    if not said or not wanted:
        return float(said == wanted)
    common = LCSseq.similarity(said, wanted)
    return 2 * common / (len(said) + len(wanted))
