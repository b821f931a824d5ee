"""The one catalogue of interface text, by language; whatever comes from data is never looked up here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from assay.core import AssayError
from assay.view._words_en import EN
from assay.view._words_zh import ZH

CATALOGUES: Mapping[str, Mapping[str, str]] = {"en": EN, "zh": ZH}


@dataclass(frozen=True, slots=True)
class Words:
    """Interface text in one language."""

    language: str

    def __call__(self, key: str, **parts: object) -> str:
        """Return the text of ``key`` with ``{parts}`` filled in; raises ``KeyError`` for an unknown key."""
        text = CATALOGUES[self.language][key]
        return text.format(**parts) if parts else text

    def type(self, name: str) -> str:
        """Return the shown name of a type of use; a user's own type is shown as it is."""
        return CATALOGUES[self.language].get(f"type.{name}", name)

    def metric(self, name: str) -> str:
        """Return the shown name of a metric."""
        return CATALOGUES[self.language].get(f"metric.{name}", name)

    def metric_note(self, name: str) -> str:
        """Return the unit and direction of a metric, or "" for an unknown one."""
        return CATALOGUES[self.language].get(f"metric.{name}.note", "")

    def arm(self, name: str) -> str:
        """Return the shown name of an arm; a user's own arm is shown as it is."""
        return CATALOGUES[self.language].get(f"arm.{name}", name)

    def verdict(self, word: str) -> str:
        """Return the shown word of a verdict or a comparison."""
        return CATALOGUES[self.language].get(f"word.{word}", word)

    def refusal(self, code: str | None) -> str:
        """Return why no curve was fitted, or "" where one was."""
        return CATALOGUES[self.language].get(f"refusal.{code}", code) if code else ""

    def exclusion(self, code: str) -> str:
        """Return why a point was left out of its curve."""
        return CATALOGUES[self.language].get(f"exclusion.{code}", code)


def words(language: str) -> Words:
    """Return the interface text of ``language``; raises :class:`AssayError` for one that is not there."""
    if language not in CATALOGUES:
        raise AssayError(
            "the report has no interface text in this language",
            place="result.language",
            value=language,
            expected=" or ".join(CATALOGUES),
        )
    return Words(language)
