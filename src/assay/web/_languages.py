"""Languages of the pages."""

from __future__ import annotations

from collections.abc import Mapping

LANGUAGES: Mapping[str, int] = {"en": 0, "zh": 1}
"""Languages that there is interface text in, and their column in a catalogue."""


def preferred(accepted: str, default: str = "en") -> str:
    """Return the language of an ``Accept-Language`` header that there is text in (RFC 9110, 12.5.4)."""
    wishes = []
    for place, part in enumerate(accepted.split(",")):
        tag, _, weight = part.partition(";q=")
        try:
            quality = float(weight or 1.0)
        except ValueError:
            continue
        language = tag.strip().lower().split("-")[0]
        if language in LANGUAGES and quality > 0:
            wishes.append((-quality, place, language))
    return min(wishes)[2] if wishes else default
