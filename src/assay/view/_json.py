"""Pages as plain data: words in a language, figures as numbers, a missing one as null."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from assay.core import Page, Say, stored_text, to_json
from assay.view._words import Words, words


def page_json(page: Page, language: str = "en") -> dict[str, Any]:
    """Return a page as JSON data: each block with its kind, its texts in words, its figures as they are."""
    shown: dict[str, Any] = _data(page, words(page.language or language))
    return shown


def plain_json(value: Any, language: str = "en") -> Any:
    """Return a value as plain JSON data for programs: its own fields, texts of the catalogue in words."""
    return _worded(to_json(value), words(getattr(value, "language", None) or language))


def _worded(data: Any, w: Words) -> Any:
    if isinstance(data, list):
        return [_worded(one, w) for one in data]
    if not isinstance(data, dict):
        return data
    text = stored_text(data) if data.keys() == {"key", "values"} else ""
    return w.text(text) if isinstance(text, Say) else {key: _worded(one, w) for key, one in data.items()}


def _data(value: Any, w: Words) -> Any:
    if isinstance(value, Say):
        return w.text(value)
    if dataclasses.is_dataclass(value):
        fields = {f.name: _data(getattr(value, f.name), w) for f in dataclasses.fields(value)}
        return {"kind": type(value).__name__.lower(), **fields} if not isinstance(value, Page) else fields
    if isinstance(value, list | tuple):
        return [_data(one, w) for one in value]
    return {str(k): _data(v, w) for k, v in value.items()} if isinstance(value, Mapping) else to_json(value)
