"""What differs between two texts, word by word; Chinese is segmented."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

from assay.data import words

Kind: TypeAlias = Literal["same", "removed", "added"]

# Bits of the alignment's matrix: 400 million are 50 MB, and a second of one core.
_LARGEST = 400_000_000
_BETWEEN = re.compile(r"\s+|[^\s]")


@dataclass(frozen=True, slots=True)
class Part:
    """A run of text: in both, only in the first (removed), or only in the second (added)."""

    kind: Kind
    text: str


def tokens(text: str) -> list[str]:
    """Return words, punctuation marks and white space; joined they are the text."""
    found: list[str] = []
    at = 0
    for word in words(text):
        start = text.index(word, at)
        found += _BETWEEN.findall(text[at:start])
        found.append(word)
        at = start + len(word)
    return found + _BETWEEN.findall(text[at:])


def difference(first: str, second: str) -> tuple[Part, ...]:
    """Return how ``second`` came from ``first`` by words removed and added, as few as can be.

    The parts that are not ``added`` join to ``first``, those not ``removed`` to ``second``.  Texts whose
    words are too many to align (about 20,000 each) are compared line by line, and failing that as wholes.
    """
    if first == second:
        return (Part("same", first),) if first else ()
    for cut in (tokens, lambda text: text.splitlines(keepends=True)):
        before, after = cut(first), cut(second)
        if len(before) * len(after) <= _LARGEST:
            return _joined(_aligned(before, after))
    return tuple(p for p in (Part("removed", first), Part("added", second)) if p.text)


def _aligned(before: list[str], after: list[str]) -> list[Part]:
    from rapidfuzz.distance import Indel

    parts = []
    for step in Indel.opcodes(before, after):
        gone, came = (
            "".join(before[step.src_start : step.src_end]),
            "".join(after[step.dest_start : step.dest_end]),
        )
        if step.tag == "equal":
            parts.append(Part("same", gone))
        else:
            parts += [Part("removed", gone), Part("added", came)]
    return [part for part in parts if part.text]


def _joined(parts: list[Part]) -> tuple[Part, ...]:
    """Gather what was changed into runs: blanks alone between two changes are part of the change."""
    runs: list[Part] = []
    gone, came = "", ""
    for number, part in enumerate(parts):
        if part.kind == "removed":
            gone += part.text
        elif part.kind == "added":
            came += part.text
        elif (gone or came) and part.text.isspace() and number + 1 < len(parts):
            gone, came = gone + part.text, came + part.text
        else:
            runs += [Part("removed", gone), Part("added", came), part]
            gone, came = "", ""
    runs += [Part("removed", gone), Part("added", came)]
    return tuple(run for run in runs if run.text)
