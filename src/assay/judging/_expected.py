"""A score from log-probabilities: the mean of the distribution over the scale, not one draw of it."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from assay.judging._scale import Unparsed
from assay.llm import TokenChoice

TOP = 20
"""Alternatives asked for at each token: the most that servers give."""

_LEAST_INSIDE = 0.5
_LONGER = re.compile(r"[.,/]?\d|\s*[%/]")


@dataclass(frozen=True, slots=True)
class Expected:
    """An expected score in [0, 1], and the probability of all that is no number of the scale."""

    score: float
    outside: float


def expected_score(tokens: Sequence[TokenChoice], scores: Sequence[float]) -> Expected | Unparsed:
    """Return Σ s·p(s) over the anchors, renormalised, where anchor k is written as the digit k.

    ``scores`` are the anchors' values, at most ten.  The first token that is not white space decides; its
    alternatives that read as the same digit are added.  A reply with most of its probability outside
    the scale, or in which the digit only begins a longer number, is unparsed.
    """
    place = next((i for i, choice in enumerate(tokens) if _plain(choice.token)), None)
    if place is None:
        return Unparsed("no log-probabilities of a number")
    chosen = tokens[place]
    labels = {str(k): score for k, score in enumerate(scores)}
    after = unicodedata.normalize("NFKC", "".join(choice.token for choice in tokens[place + 1 :]))
    if _plain(chosen.token) in labels and _LONGER.match(after):
        return Unparsed("a longer number than one of the scale")
    inside = dict.fromkeys(labels, 0.0)
    for token, logprob in {chosen.token: chosen.logprob, **dict(chosen.top)}.items():
        label = _plain(token)
        if label in inside:
            inside[label] += math.exp(logprob)
    mass = math.fsum(inside.values())
    if mass < _LEAST_INSIDE:
        return Unparsed(f"only {mass:.2f} of the probability is on the scale")
    mean = math.fsum(labels[label] * p for label, p in inside.items()) / mass
    return Expected(min(max(mean, 0.0), 1.0), max(0.0, 1.0 - mass))


def _plain(token: str) -> str:
    """Return a token as text: no white space or its signs in vocabularies, full-width digits as ASCII."""
    return unicodedata.normalize("NFKC", token).strip(" \t\r\n▁ĠĊ")
