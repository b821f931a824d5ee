"""One row of any known layout to one sample, or the reason why not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from assay.core import Message, Sample, task_type
from assay.data._languages import language_of
from assay.data._layouts import Schema, broken_schema_of, schema_of
from assay.data._mapping import labels_of
from assay.data._raw import encodable, printable
from assay.data._turns import MAX_CHARACTERS, Reject, Row

__all__ = ["MAX_CHARACTERS", "Read", "Reject", "to_sample"]

_KINDS = ("type", "class", "category", "task_type", "task_category", "kind")


@dataclass(frozen=True, slots=True)
class Read:
    """A sample, the fields of its row that were not used, and notes for a report."""

    sample: Sample
    unused: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def to_sample(
    row: Any, schema: Schema | None, source: str, origin: str, fields: Mapping[str, str] | None = None
) -> Read:
    """Return the sample of a row; raise :class:`Reject` with the reason if there is none.

    A row that does not show the file's main ``schema`` is read by the one it shows.  ``fields`` is the map
    that made ``schema``, where a user gave one.
    """
    if type(row) is not dict and not isinstance(row, Mapping):
        raise Reject(f"the row is a {type(row).__name__}, not an object")
    chosen = schema if schema is not None and schema.fits(row) else _other_schema(row, schema)
    parsed = chosen.parse(row)
    _check(parsed.messages, parsed.item)
    labels = row if fields is None else labels_of(row, fields)
    language = _label(labels, "language", "lang")
    sample = Sample(
        messages=tuple(parsed.messages),
        type=_type(labels),
        language=language or language_of(" ".join(m.content for m in parsed.messages if m.role != "system")),
        source=_label(labels, "source", "dataset") or source,
        checker=_label(labels, "checker"),
        group=_label(labels, "group"),
        origin=origin,
    )
    if row.keys() <= chosen.reads:
        return Read(sample, notes=parsed.notes)
    return Read(
        sample, tuple(k for k, v in row.items() if v is not None and k not in chosen.reads), parsed.notes
    )


def _other_schema(row: Row, main: Schema | None) -> Schema:
    """Return the layout of a row that is not of the file's main one; raise :class:`Reject` if it has none."""
    found = schema_of(row)
    if found is not None:
        return found
    shown = main is not None and main.needs and all(key in row for key in main.needs)
    near = main if shown else broken_schema_of(row)
    if near is None:
        keys = ", ".join(printable(str(k)[:30]) for k in list(row)[:8]) or "none"
        raise Reject(f"no known schema; keys: {keys}")
    for key in near.needs:
        if row[key] is None or row[key] == []:
            raise Reject(f"{key} is {'null or missing' if row[key] is None else 'empty'}")
    raise Reject(f"{' and '.join(near.needs)}: not what the layout {near.name!r} holds there")


def _type(labels: Row) -> str | None:
    """Return the standard name of the type of use; COIG-CQIA's has a major and a minor part."""
    value = None
    for name in _KINDS:
        value = labels.get(name) if value is None else value
    if value is None:
        return None
    if isinstance(value, Mapping):
        value = value.get("major")
    if isinstance(value, list):
        value = value[0] if value else None
    if not isinstance(value, str) or not value.strip():
        return None
    if not encodable(value):
        raise Reject("the type holds half of a surrogate pair")
    return task_type(value)


def _label(labels: Row, *names: str) -> str | None:
    for name in names:
        value = labels.get(name)
        if value and isinstance(value, str):
            if not encodable(value):
                raise Reject(f"{name} holds half of a surrogate pair")
            return value
    return None


def _check(turns: Sequence[Message], is_item: bool) -> None:
    asked = said = learns = False
    for turn in turns:
        if turn.role == "user":
            asked = True
            said = said or bool(turn.content and not turn.content.isspace())
        elif turn.role == "assistant":
            learns = learns or turn.learned
    if not asked:
        raise Reject("no user turn")
    if not said:
        raise Reject("the instruction is empty")
    last = turns[-1]
    if last.role != "assistant":
        if not is_item:
            raise Reject("the last turn is not the assistant's")
    elif not last.tool_calls and (not last.content or last.content.isspace()):
        raise Reject("the answer is empty")
    elif not learns:
        raise Reject("every answer has weight 0: there is nothing to learn")
    if not all(map(_encodable, turns)):
        raise Reject("the text holds half of a surrogate pair")


def _encodable(turn: Message) -> bool:
    """Say whether UTF-8 can hold a turn."""
    if not encodable(turn.content):
        return False
    if turn.tool_calls is turn.tool_call_id is turn.name is turn.tools is None:
        return True
    beside = (turn.tool_calls, turn.tool_call_id, turn.name, turn.tools)
    return all(encodable(value) for value in beside if value is not None)
