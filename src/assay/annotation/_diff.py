"""What differs between two texts, word by word; Chinese is segmented."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Literal, TypeAlias

from assay.data import words

Kind: TypeAlias = Literal["same", "removed", "added"]

# Bits of the alignment's matrix: 400 million are 50 MB, and a second of one core.
_LARGEST = 400_000_000
# Blanks; flags; a sign with what changes its look (variation, skin, joined emoji).
_BETWEEN = re.compile(
    "\\s+|[\U0001f1e6-\U0001f1ff]{2}|\\S(?:[\ufe0e\ufe0f\u20e3\U0001f3fb-\U0001f3ff]|\u200d\\S)*"
)


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
    found += _BETWEEN.findall(text[at:])
    return _with_marks(found)


def _with_marks(found: list[str]) -> list[str]:
    """Join combining marks to what they stand on: Hindi vowels, Arabic points, accents."""
    joined: list[str] = []
    for token in found:
        if joined and unicodedata.category(token[0]).startswith("M"):
            joined[-1] += token
        else:
            joined.append(token)
    return joined


def difference(first: str, second: str) -> tuple[Part, ...]:
    """Return how ``second`` came from ``first`` by words removed and added, as few as can be.

    The parts that are not ``added`` join to ``first``, those not ``removed`` to ``second``.  Texts whose
    changed parts have too many words to align (about 20,000 each) are compared line by line, and failing that
    as wholes.
    """
    if first == second:
        return (Part("same", first),) if first else ()
    for cut in (tokens, lambda text: text.splitlines(keepends=True)):
        before, after = cut(first), cut(second)
        head = _shared(before, after)
        tail = _shared(before[head:][::-1], after[head:][::-1])
        middle = before[head : len(before) - tail], after[head : len(after) - tail]
        if len(middle[0]) * len(middle[1]) <= _LARGEST:
            same = [Part("same", "".join(part)) for part in (before[:head], before[len(before) - tail :])]
            return _joined([part for part in (same[0], *_aligned(*middle), same[1]) if part.text])
    return tuple(p for p in (Part("removed", first), Part("added", second)) if p.text)


def _shared(before: list[str], after: list[str]) -> int:
    """Return how many tokens are the same from the start."""
    pairs = zip(before, after, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(before), len(after)))


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
