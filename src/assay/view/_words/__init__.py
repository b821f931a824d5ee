"""The one catalogue of interface text, by language; whatever comes from data is never looked up by itself."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from assay.core import AssayError, Judged, Say, Shade, Text
from assay.view import _format
from assay.view._agreement import of_one
from assay.view._words import (
    _external,
    _first,
    _forecast,
    _forgetting,
    _imports,
    _mix,
    _notes,
    _pages,
    _recipe,
    _report,
    _sites,
    _transfer,
    _values,
)

LANGUAGES = ("en", "zh")

TEXTS: Mapping[str, tuple[str, str]] = {
    **_report.TEXTS, **_pages.TEXTS, **_values.TEXTS, **_sites.TEXTS, **_notes.TEXTS,
    **_external.TEXTS, **_imports.TEXTS, **_forgetting.TEXTS, **_mix.TEXTS, **_recipe.TEXTS,
    **_transfer.TEXTS, **_forecast.TEXTS, **_first.TEXTS,
}  # fmt: skip
"""Each text by its key in all languages, so that none lacks one."""

CATALOGUES: Mapping[str, Mapping[str, str]] = {
    language: {key: texts[i] for key, texts in TEXTS.items()} for i, language in enumerate(LANGUAGES)
}


@dataclass(frozen=True, slots=True)
class Words:
    """Interface text in one language; a key is looked up in the first of ``spaces`` that has it."""

    language: str
    spaces: tuple[str, ...] = ("",)

    def __call__(self, key: str, **parts: Any) -> str:
        """Return the text of ``key`` with ``{parts}`` filled in; raises ``KeyError`` for an unknown key."""
        catalogue = CATALOGUES[self.language]
        text = catalogue[next((space + key for space in self.spaces if space + key in catalogue), key)]
        return _Filled(self).fill(text, parts) if parts else text

    def text(self, text: Text) -> str:
        """Return a text in words; what comes from data stays as it is."""
        if not isinstance(text, Say):
            return text
        if text.key not in TEXTS:  # of a later version, that noted what this one has no words for
            return f"{text.key} {dict(text.values)}"
        return self(text.key, **text.values)

    def name(self, group: str, name: str) -> str:
        """Return the shown name of one of a group; what the catalogue does not have is shown as it is."""
        if group == "label" and " " in name:
            return self._label(name)
        if group == "reason":
            whole = self._reason(name)
            return (
                whole if whole != name else self("says.semicolon").join(map(self._reason, name.split("; ")))
            )
        own = CATALOGUES[self.language].get(f"{group}.{name}")
        if own is None and group == "label":  # some steps are of one type of use
            own = CATALOGUES[self.language].get(f"type.{name}")
        return _format.isolated(name) if own is None else own

    def _label(self, label: str) -> str:
        """Return a label or note of a step; words that are a person's own are shown as they are."""
        words = (word.partition(",") for word in label.split())
        return " ".join(f"{self.show(word, '@label')}{comma}{rest}" for word, comma, rest in words)

    def _reason(self, reason: str) -> str:
        """Return a reason, which is stored in English, in this language; one that no pattern fits as it is."""
        found = ((key, pattern.fullmatch(reason)) for key, pattern in _patterns())
        key, parts = next(((key, match) for key, match in found if match), (None, None))
        return reason if key is None or parts is None else self(key, **parts.groupdict())

    def show(self, value: Any, form: str = "") -> str:
        """Return a value in a form of :class:`assay.core.Column`; None is a dash, never zero."""
        match value:
            case Say():
                return self.text(value)
            case Judged():
                return self.text(value.text)
            case Shade():
                return self.show(value.value, form)
            case str() if form.startswith("@"):
                return self.name(form[1:], value)
            case str() | Path():
                return str(value)
            case Mapping():
                return self.listed(f"{self.show(k, form)} {n:,}" for k, n in value.items())
            case (None, None):
                return _format.DASH
            case (int() | float(), int() | float()) if form == "small":
                return f"[{', '.join(_format.together(*value))}]"
            case (int() | float(), int() | float()):
                return f"[{self.show(value[0], form)}, {self.show(value[1], form)}]"
            case Sequence():
                return self.listed(self.show(one, form) for one in value)
        match form:
            case "" | "bar":
                return _format.plain(value)
            case "time":
                return _format.DASH if value is None else _format.duration(value, self)
        return _format.figure(value, form)

    def listed(self, names: Any) -> str:
        """Return names one after the other."""
        return self("says.list").join(names)

    def type(self, name: str) -> str:
        """Return the shown name of a type of use; a user's own type is shown as it is."""
        return self.name("type", name)

    def metric(self, name: str) -> str:
        """Return the shown name of a metric."""
        return self.name("metric", name)

    def metric_note(self, name: str) -> str:
        """Return the unit and direction of a metric, or "" for an unknown one."""
        return CATALOGUES[self.language].get(f"metric.{name}.note", "")

    def arm(self, name: str) -> str:
        """Return the shown name of an arm; a user's own arm is shown as it is."""
        return self.name("arm", name)

    def verdict(self, word: str) -> str:
        """Return the shown word of a verdict or a comparison."""
        return self.name("word", word)

    def refusal(self, code: str | None) -> str:
        """Return why no curve was fitted, or "" where one was."""
        return self.name("refusal", code) if code else ""


@cache
def _patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    """Return the English reasons as patterns, those with most text of their own first."""
    found = []
    for key, (english, _) in _notes.REASONS.items():
        parts = list(string.Formatter().parse(english))
        pattern = "".join(
            re.escape(text) + (f"(?P<{name}>(?:(?!; ).)+?)" if name else "") for text, name, *_ in parts
        )
        found.append((sum(len(text) for text, *_ in parts), key, re.compile(pattern, re.DOTALL)))
    return tuple((key, pattern) for _, key, pattern in sorted(found, key=lambda row: -row[0]))


class _Filled(string.Formatter):
    def __init__(self, w: Words) -> None:
        self.w = w

    def fill(self, text: str, parts: Mapping[str, Any]) -> str:
        """Return a text with its parts; English words that follow a 1 are put in the singular."""
        shown, one = [], False
        for literal, name, form, _ in self.parse(text):
            shown.append(of_one(literal) if one else literal)
            if name is not None:
                shown.append(self.w.show(self.get_field(name, (), parts)[0], form or ""))
                one = shown[-1] == "1" and self.w.language == "en" and not literal.endswith("of the ")
        return "".join(shown)


def words(language: str) -> Words:
    """Return the interface text of ``language``; raises :class:`AssayError` for one that is not there."""
    if language not in CATALOGUES:
        raise AssayError(
            "there is no interface text in this language",
            place="language",
            value=language,
            expected=" or ".join(CATALOGUES),
        )
    return Words(language)
