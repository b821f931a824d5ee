"""Canonical JSON and digests: the same value gives the same key in every process and version.

An unknown type raises; nothing is ever hashed by its ``str()``.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from assay.core._errors import AssayError

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

_BLOCK = 1 << 20


def to_json(value: object, place: str = "$") -> Json:
    """Return ``value`` as plain JSON data; raise :class:`AssayError` naming the place of anything else.

    Frozen dataclasses become objects of their fields, tuples become lists.  A field whose metadata has
    ``unsaid`` is left out while it has its default, so that values from before the field was there keep
    their digests.  Floats must be finite, and
    an integral float keeps its ``.0`` (``1`` and ``1.0`` are different values).
    """
    if value is None or (isinstance(value, bool | str | int) and type(value) in (bool, str, int)):
        return value
    if type(value) is float:
        if not math.isfinite(value):
            raise AssayError("not a finite number", place=place, value=value, expected="a finite float")
        return value
    if isinstance(value, list | tuple):
        return [to_json(item, f"{place}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, Mapping):
        for key in value:
            if type(key) is not str:
                raise AssayError("key is not a string", place=place, value=key, expected="string keys")
        return {key: to_json(item, f"{place}.{key}") for key, item in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        said = [f for f in fields if not ("unsaid" in f.metadata and getattr(value, f.name) == f.default)]
        return {f.name: to_json(getattr(value, f.name), f"{place}.{f.name}") for f in said}
    raise AssayError(
        f"a value of type {type(value).__name__} has no canonical form",
        place=place,
        value=value,
        expected="None, bool, int, float, str, list, tuple, mapping or dataclass",
    )


def canonical_json(value: object) -> str:
    """Return the one JSON text of ``value``: sorted keys, no white space, UTF-8 unescaped."""
    return json.dumps(
        to_json(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def digest(value: object) -> str:
    """Return the SHA-256 (64 hex digits) of the canonical JSON of ``value``."""
    return hashlib.sha256(canonical_json(value).encode("utf-8", "surrogatepass")).hexdigest()


def file_digest(path: Path) -> str:
    """Return the SHA-256 (64 hex digits) of a file's bytes, read in blocks."""
    sha = hashlib.sha256()
    with path.open("rb") as handle:
        while block := handle.read(_BLOCK):
            sha.update(block)
    return sha.hexdigest()
