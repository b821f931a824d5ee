"""Whether a reply is the JSON that was asked for."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from assay.core import AssayError

if TYPE_CHECKING:
    from jsonschema.protocols import Validator  # type: ignore[import-untyped]

_FENCED = re.compile(r"```(?:json|JSON)?\s*\n(.*)\n\s*```", re.DOTALL)


def bare_json(text: str) -> str:
    """Return a reply without the Markdown fence that models put around JSON."""
    found = _FENCED.fullmatch(text.strip())
    return found[1].strip() if found else text.strip()


def misfit(text: str, schema: str) -> str | None:
    """Return what is wrong with ``text`` (already bare) as JSON of ``schema``, None where nothing is."""
    try:
        value = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        return f"not JSON: {error}"
    wrong = next(iter(_validator(schema).iter_errors(value)), None)
    return None if wrong is None else f"does not fit the schema at {wrong.json_path}: {wrong.message[:200]}"


def read_schema(schema: str) -> dict[str, Any]:
    """Parse and check a schema; raise :class:`AssayError` where it is none."""
    _validator(schema)
    parsed: dict[str, Any] = json.loads(schema)
    return parsed


@lru_cache(maxsize=64)
def _validator(schema: str) -> Validator:
    from jsonschema import Draft202012Validator, SchemaError  # type: ignore[import-untyped]

    try:
        parsed = json.loads(schema)
        Draft202012Validator.check_schema(parsed)
    except (ValueError, SchemaError) as error:
        problem = getattr(error, "message", str(error))
        raise AssayError("not a JSON schema", place="schema", value=schema, hint=str(problem)) from None
    if not isinstance(parsed, dict):
        raise AssayError("not a JSON schema", place="schema", value=schema, expected="a JSON object")
    return Draft202012Validator(parsed)


def is_strict(schema: dict[str, Any]) -> bool:
    """Return whether every object names all its keys as required and allows no others.

    That is what the strict mode of OpenAI's structured output asks for.
    """
    keys = schema.get("properties")
    if keys is not None and (
        schema.get("additionalProperties") is not False or set(schema.get("required", ())) != set(keys)
    ):
        return False
    parts = [*(keys or {}).values(), schema.get("items"), *schema.get("anyOf", ())]
    return all(is_strict(part) for part in parts if isinstance(part, dict))


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return made
