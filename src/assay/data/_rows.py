"""One row of any known layout to one sample, or the reason why not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from assay.core import Message, task_type
from assay.data._languages import TOLD_BY
from assay.data._layouts import LABELS, Schema, broken_schema_of, placeholder, schema_of
from assay.data._mapping import labels_of
from assay.data._raw import encodable, printable
from assay.data._turns import MAX_CHARACTERS, SPEAKER, Reject, Row

__all__ = ["MAX_CHARACTERS", "Draft", "Drafted", "Reject", "draft", "plain_draft"]

_KINDS = ("type", "class", "category", "task_type", "task_category", "kind")


Draft: TypeAlias = tuple[tuple[Message, ...], str | None, str, str, str | None, str | None, str, str]
"""What a row says of its sample: the fields of :class:`assay.core.Sample` in their order, and a text.

A language of "" is told from that text, those of many at once.  A plain tuple, as one is made of every row.
"""


class Drafted(NamedTuple):
    """What a row says of its sample, its fields that nothing reads, and what a report should say of it."""

    draft: Draft
    unused: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def plain_draft(row: Row, fields: tuple[str, str, str], source: str, origin: str) -> Draft | None:
    """Return what a row of a prompt and its answer alone says, None where a check could be about it.

    Most rows of most files are such: texts in the ``fields`` (:attr:`Schema.plain`) and in no others, neither
    empty nor too long, without placeholders and marks of speakers.  Of them it is what :func:`draft` returns.
    """
    asked, beside, answered = fields
    more = beside != "" and beside in row
    prompt, extra, answer = row.get(asked), row[beside] if more else "", row.get(answered)
    if not (type(prompt) is type(extra) is type(answer) is str) or len(row) != 2 + more:
        return None
    if extra:
        if extra.isspace() or placeholder(extra):
            return None
        prompt = f"{prompt}\n\n{extra}"
    if not prompt or not answer or prompt.isspace() or answer.isspace():
        return None
    whole = f"{prompt} {answer}"
    if "\0" in whole or SPEAKER in whole or len(whole) > MAX_CHARACTERS or not encodable(whole):
        return None
    messages = Message("user", prompt), Message("assistant", answer)
    return messages, None, "", source, None, None, origin, whole[:TOLD_BY]


def draft(
    row: Any, schema: Schema | None, source: str, origin: str, fields: Mapping[str, str] | None = None
) -> Drafted:
    """Return what a row says of its sample; raise :class:`Reject` with the reason if there is none.

    A row that does not show the file's main ``schema`` is read by the one it shows.  ``fields`` is the map
    that made ``schema``, where a user gave one.
    """
    if type(row) is not dict and not isinstance(row, Mapping):
        raise Reject(f"the row is a {type(row).__name__}, not an object")
    chosen = schema if schema is not None and schema.fits(row) else _other_schema(row, schema)
    parsed = chosen.parse(row)
    turns = parsed.messages
    _check(turns, parsed.item)
    labels = row if fields is None else labels_of(row, fields)
    kind, language, checker, group = None, None, None, None
    if not LABELS.isdisjoint(labels):
        language, kind = _label(labels, "language", "lang"), _type(labels)
        source = _label(labels, "source", "dataset") or source
        checker, group = _label(labels, "checker"), _label(labels, "group")
    unused = () if row.keys() <= chosen.reads else tuple(
        key for key, value in row.items() if value is not None and key not in chosen.reads
    )  # fmt: skip
    text = "" if language else _told_from(turns)
    found = (tuple(turns), kind, language or "", source, checker, group, origin, text)
    return Drafted(found, unused + parsed.unused, parsed.notes)


def _told_from(turns: Sequence[Message]) -> str:
    """Return the text that tells the language: the beginning of all turns but the system's."""
    first = turns[0].content
    if turns[0].role != "system" and len(first) >= TOLD_BY:
        return first
    return " ".join([m.content[:TOLD_BY] for m in turns if m.role != "system"])


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
    plain = True
    for turn in turns:
        content = turn.content
        if turn.role == "user":
            asked = True
            said = said or bool(content and not content.isspace())
        elif turn.role == "assistant":
            learns = learns or turn.learned
        plain = (
            plain
            and content.isascii()
            and turn.tool_call_id is turn.tool_calls is turn.name is turn.tools is None
        )
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
    if not (plain or all(map(_encodable, turns))):
        raise Reject("the text holds half of a surrogate pair")


def _encodable(turn: Message) -> bool:
    """Say whether UTF-8 can hold a turn."""
    if not encodable(turn.content):
        return False
    beside = (turn.tool_calls, turn.tool_call_id, turn.name, turn.tools)
    return all(encodable(value) for value in beside if value is not None)
