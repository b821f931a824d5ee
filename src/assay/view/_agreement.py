"""English after a number: 1 sample is, 2 samples are."""

from __future__ import annotations

import re

_ONE = {
    **{
        f"{noun}s": noun
        for noun in (
            "sample token row item run step type model seed pair subset time answer character call "
            "training request minute label mixture point gain instruction duplicate object line hour "
            "part rate task word day weight other group one turn paragraph file field level "
            "checkpoint result epoch error effect recipe source score size value arm annotator judge "
            "dialogue rung metric place mark second machine worker device job curve key unit option "
            "rating"
        ).split()
    },
    "passes": "pass", "processes": "process", "replies": "reply", "matrices": "matrix", "studies": "study",
    "batches": "batch", "losses": "loss",
}  # fmt: skip
_VERBS = {"are": "is", "were": "was", "have": "has", "do": "does", "lie": "lies"}
_NOT_BETWEEN = "of|on|the|and|to|off|for|by|that|it|is|are|was|were|not|between|in|with|from|or|than"
_COUNTED = re.compile(
    rf"^((?: (?!(?:{_NOT_BETWEEN})\b)[a-z-]+){{0,2}} )({'|'.join(_ONE)})\b(?: ({'|'.join(_VERBS)})\b)?"
)


def of_one(text: str) -> str:
    """Return what follows the number 1, with the noun that is counted, and its verb, in the singular."""
    found = _COUNTED.match(text)
    if found is None:
        return text
    before, noun, verb = found.groups()
    return before + _ONE[noun] + (f" {_VERBS[verb]}" if verb else "") + text[found.end() :]
