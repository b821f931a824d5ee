"""Find pool samples that hold a prompt of the evaluation set."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from assay.core import Sample
from assay.data._languages import normalise

ANCHOR = 40
"""Normalised characters; a prompt at least this long is also found inside longer texts."""


def _prompt(sample: Sample) -> str:
    return normalise("".join(m.content for m in sample.prompt if m.role == "user"))


def contaminated(pool: Iterable[Sample], items: Iterable[Sample]) -> set[str]:
    """Return the ids of pool samples whose prompt equals an evaluation prompt or contains a long one.

    Texts are compared without case, width, white space and punctuation.  Prompts of at least 40 normalised
    characters are also found inside longer ones, through a hash of their first 40 characters, in time linear
    in the pool.
    """
    prompts = {_prompt(item) for item in items} - {""}
    anchors: dict[str, list[str]] = defaultdict(list)
    for prompt in prompts:
        if len(prompt) >= ANCHOR:
            anchors[prompt[:ANCHOR]].append(prompt)
    found = set()
    for sample in pool:
        text = _prompt(sample)
        if text in prompts or (anchors and _holds(text, anchors)):
            found.add(sample.id)
    return found


def _holds(text: str, anchors: dict[str, list[str]]) -> bool:
    for start in range(len(text) - ANCHOR + 1):
        for prompt in anchors.get(text[start : start + ANCHOR], ()):
            if text.startswith(prompt, start):
                return True
    return False
