"""Rows of any layout by a map of fields that the user gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from assay.core import AssayError, Message
from assay.data._layouts import LABELS, Parsed, Schema
from assay.data._turns import Row, conversation, left_in, text_of, tools_of, turn, with_tools

_SAME = {"instruction": "prompt", "question": "prompt", "response": "answer", "output": "answer",
         "completion": "answer", "conversations": "messages"}  # fmt: skip
_LABELS = ("type", "language", "source", "checker", "group")
TARGETS = ("prompt", "input", "answer", "system", "messages", "tools", *_LABELS)
"""What fields may be mapped to."""

_PLACE = "map"


def parse_map(given: Mapping[str, str] | str) -> dict[str, str]:
    """Return the fields of a map: ``prompt=question,answer=response`` or a mapping of the same.

    The right side is a key of the rows, or a path of keys and list positions (``meta.turns.0.text``).
    Raises :class:`AssayError` for unknown targets, targets given twice, and maps without prompt or messages.
    """
    pairs = _pairs(given) if isinstance(given, str) else list(given.items())
    found: dict[str, str] = {}
    for target, field in pairs:
        name = _SAME.get(str(target).strip().lower(), str(target).strip().lower())
        if name not in TARGETS:
            raise AssayError(
                "a map to no known field", place=_PLACE, value=target, expected=", ".join(TARGETS)
            )
        if not isinstance(field, str) or not field.strip():
            raise AssayError(
                "a map without a field", place=_PLACE, value=target, expected="a field of the rows"
            )
        if name in found:
            raise AssayError(
                "a field is mapped twice", place=_PLACE, value=name, expected="one field for each"
            )
        found[name] = field.strip()
    if ("prompt" in found) == ("messages" in found):
        raise AssayError(
            "a map needs the prompt, or the messages, and not both",
            place=_PLACE,
            value=given,
            expected="prompt=FIELD,answer=FIELD or messages=FIELD",
            hint="evaluation items without an answer need the prompt only",
        )
    return found


def _pairs(text: str) -> list[tuple[str, str]]:
    pairs = []
    for part in text.split(","):
        target, equals, field = part.partition("=")
        if not equals:
            raise AssayError(
                "a map has no `=`", place=_PLACE, value=part, expected="prompt=question,answer=response"
            )
        pairs.append((target, field))
    return pairs


def mapped(fields: Mapping[str, str]) -> Schema:
    """Return the layout that a map describes."""

    def parse(row: Row) -> Parsed:
        return _conversation(row, fields) if "messages" in fields else _pair(row, fields)

    tops = {path if "." not in path else path.split(".")[0] for path in fields.values()}
    return Schema("mapped", (), parse, also=tuple(sorted(tops | set(fields.values()))))


def labels_of(row: Row, fields: Mapping[str, str]) -> dict[str, Any]:
    """Return the labels of a row, those that are mapped under their own names."""
    plain = {key: row[key] for key in LABELS if key in row}
    own = {name: at(row, fields[name]) for name in _LABELS if name in fields}
    if "type" in own:
        plain = {
            key: value for key, value in plain.items() if key in ("language", "lang", "source", "dataset")
        }
    return plain | own


def at(row: Any, path: str) -> Any:
    """Return the value of a field or a path in a row, or None."""
    if isinstance(row, Mapping) and path in row:
        return row[path]
    head, dot, rest = path.partition(".")
    if isinstance(row, list):
        found = row[int(head)] if head.lstrip("-").isdigit() and -len(row) <= int(head) < len(row) else None
    else:
        found = row.get(head) if isinstance(row, Mapping) else None
    return at(found, rest) if dot else found


def _tools(row: Row, fields: Mapping[str, str]) -> str | None:
    return tools_of({"tools": at(row, fields["tools"])}) if "tools" in fields else None


def _conversation(row: Row, fields: Mapping[str, str]) -> Parsed:
    listed = at(row, fields["messages"])
    name = f"messages (`{fields['messages']}`)"
    unused: tuple[str, ...] = ()
    if isinstance(listed, list) and listed and all(isinstance(one, str) for one in listed):
        turns = [turn(("user", "assistant")[i % 2], text_of(one, name)) for i, one in enumerate(listed)]
    else:
        first = listed[0] if isinstance(listed, list) and listed else None
        keys = ("from", "value") if isinstance(first, Mapping) and "from" in first else ("role", "content")
        turns = conversation(listed, name, *keys)
        unused = left_in(listed, fields["messages"])
    return Parsed(with_tools(_system(row, fields) + turns, _tools(row, fields)), unused=unused)


def _system(row: Row, fields: Mapping[str, str]) -> list[Message]:
    text = text_of(at(row, fields["system"]), "system", optional=True) if "system" in fields else ""
    return [turn("system", text)] if text else []


def _pair(row: Row, fields: Mapping[str, str]) -> Parsed:
    asked = text_of(at(row, fields["prompt"]), f"prompt (`{fields['prompt']}`)")
    extra = text_of(at(row, fields["input"]), "input", optional=True) if "input" in fields else ""
    turns = [*_system(row, fields), turn("user", f"{asked}\n\n{extra}" if extra.strip() else asked)]
    if "answer" not in fields:
        return Parsed(with_tools(turns, _tools(row, fields)), item=True)
    answer = text_of(at(row, fields["answer"]), f"answer (`{fields['answer']}`)")
    return Parsed(with_tools([*turns, turn("assistant", answer)], _tools(row, fields)))
