"""Languages of the pages."""

from __future__ import annotations

from assay.view import LANGUAGES, Words


def site_words(language: str, site: str) -> Words:
    """Return the interface text of a site: its own, else what sites share, else that of all pages."""
    return Words(language, (f"{site}.", "web.", ""))


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
