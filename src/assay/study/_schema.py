"""The JSON schema of study files, for editors: made from the reader's own types, so that both agree."""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal

from docstring_parser import parse_from_object

from assay.core import File, in_words
from assay.data import replacing
from assay.model import PRESETS
from assay.study._config import SET_BY_READER, StudyConfig

DRAFT = "https://json-schema.org/draft/2020-12/schema"
_PLACES = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
_NUMBER = {
    "anyOf": [{"type": "number"}, {"type": "string", "pattern": r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"}]
}
"""YAML reads 3e-6 as a text."""
_PLAIN: Mapping[Any, Mapping[str, Any]] = {
    int: {"type": "integer"}, str: {"type": "string"}, bool: {"type": "boolean"}, float: _NUMBER,
    Path: {"type": "string"}, Any: {},
}  # fmt: skip


def schema(*, out: File | None = None) -> dict[str, Any] | Path:
    """Print the JSON schema of study files, for completion and checks in an editor.

    Example: `assay schema --out study.schema.json`, then put
    `# yaml-language-server: $schema=study.schema.json` on the first line of a study file.

        >>> assay.schema()["required"]
        ['name', 'pool', 'evaluation', 'ladder']

    Parameters
    ----------
    out
        Write it to this file instead.
    """
    found = study_schema()
    if out is None:
        return found
    with replacing(Path(out)) as partial:
        partial.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return Path(out)


def study_schema() -> dict[str, Any]:
    """Return the schema of a study file; no key is allowed that the reader refuses."""
    made = _Made()
    study = made.of(StudyConfig)
    whole: dict[str, Any] = {"$schema": DRAFT, "title": "Assay study", **made.parts.pop(StudyConfig.__name__)}
    assert "$ref" in study  # noqa: S101 - a dataclass is named
    recipe = made.parts["Recipe"]
    recipe["properties"]["preset"] = {"enum": sorted(PRESETS)}
    several = {"type": "object", "minProperties": 2, "additionalProperties": _base(recipe)}
    own = whole["properties"]
    own["base"] = {**own["base"], "anyOf": [{"type": "string"}, several]}
    own["base"].pop("type", None)
    for name in ("pool", "evaluation"):
        testbed = {"type": "object", "properties": {"testbed": {"$ref": "#/$defs/TestbedConfig"}},
                   "required": ["testbed"], "additionalProperties": False}  # fmt: skip
        own[name] = {"anyOf": [*_PLACES["anyOf"], testbed]}
    tasks = made.parts["HarnessConfig"]
    files = {**tasks, "properties": {"files": _PLACES, **tasks["properties"]}}
    own["evaluation"]["anyOf"].append(files)
    own["recipe"] = _or_preset()
    return {**whole, "$defs": dict(sorted(made.parts.items()))}


def _or_preset() -> dict[str, Any]:
    return {"anyOf": [{"enum": sorted(PRESETS)}, {"$ref": "#/$defs/Recipe"}]}


def _base(recipe: Mapping[str, Any]) -> dict[str, Any]:
    keys = {"model": {"type": "string"}, "recipe": _or_preset(), "arms": _PLACES}
    named = {"type": "object", "properties": keys, "required": ["model"], "additionalProperties": False}
    return {"anyOf": [{"type": "string"}, named]}


class _Made:
    """The parts of a schema by name: each dataclass once."""

    def __init__(self) -> None:
        self.parts: dict[str, dict[str, Any]] = {}

    def of(self, hint: Any) -> dict[str, Any]:
        """Return the schema of what the reader takes for a type."""
        origin, arguments = typing.get_origin(hint), typing.get_args(hint)
        if is_dataclass(hint):
            return self._record(hint)
        if origin is Literal:
            return {"enum": list(arguments)}
        if origin in (typing.Union, types.UnionType):
            return {"anyOf": [{"type": "null"} if a is type(None) else self.of(a) for a in arguments]}
        if origin is tuple:
            return self._list(arguments[0])
        if origin is not None and issubclass(origin, Mapping):
            inner = self.of(arguments[1])
            return {"type": "object", "additionalProperties": {"anyOf": [inner, {"type": "null"}]}}
        return dict(_PLAIN[hint])

    def _list(self, hint: Any) -> dict[str, Any]:
        """Return the schema of a list; one text stands for a list of it."""
        if hint is str:
            return _PLACES
        inner = self.of(hint)
        found = {"type": "array", "items": inner}
        return {"anyOf": [inner, found]} if typing.get_origin(hint) is Literal else found

    def _record(self, kind: Any) -> dict[str, Any]:
        name = kind.__name__
        if name not in self.parts:
            self.parts[name] = {}  # taken, for what refers to itself
            hints = typing.get_type_hints(kind, include_extras=True)
            own = [f for f in fields(kind) if f.name not in SET_BY_READER.get(kind, ())]
            told = {p.arg_name: p.description or "" for p in parse_from_object(kind).params}
            self.parts[name] = {
                "type": "object",
                "description": (kind.__doc__ or "").split("\n\n")[0].strip(),
                "properties": {f.name: self._key(f, hints[f.name], told.get(f.name, "")) for f in own},
                "required": [f.name for f in own if _required(f)],
                "additionalProperties": False,
            }
        return {"$ref": f"#/$defs/{name}"}

    def _key(self, field: Field[Any], hint: Any, told: str) -> dict[str, Any]:
        found = self.of(in_words(hint))
        if told:
            found["description"] = " ".join(told.split())
        if field.default is not MISSING and isinstance(field.default, str | int | float | bool):
            found["default"] = field.default
        return found


def _required(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING
