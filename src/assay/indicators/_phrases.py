"""Patterns with many alternatives, of which only those are tried whose words a text has."""

from __future__ import annotations

import re
from functools import lru_cache

_FOLDED_OTHERWISE = re.compile("[\u0130\u0131\u017f\u212a]")
"""Letters that match ASCII letters when case is ignored, but are not lowered to them."""


class Phrases:
    """A pattern of alternatives, case ignored, each with texts (in lower case) of which a match has one.

    Alternatives that cannot match are left out, which changes no match.
    """

    def __init__(self, *alternatives: tuple[str, tuple[str, ...]]) -> None:
        """Give each alternative with its texts."""
        self.alternatives = alternatives
        self._all = (1 << len(alternatives)) - 1
        self._compiled = lru_cache(maxsize=None)(self._of)

    def _of(self, chosen: int) -> re.Pattern[str]:
        some = [pattern for k, (pattern, _) in enumerate(self.alternatives) if chosen >> k & 1]
        return re.compile("|".join(some), re.IGNORECASE)

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Return where the matches are, in their order."""
        if text.isascii() or not _FOLDED_OTHERWISE.search(text):
            lowered, chosen = text.lower(), 0
            for k, (_, words) in enumerate(self.alternatives):
                for word in words:
                    if word in lowered:
                        chosen |= 1 << k
                        break
        else:
            chosen = self._all
        return [match.span() for match in self._compiled(chosen).finditer(text)] if chosen else []
