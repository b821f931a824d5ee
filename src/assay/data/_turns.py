"""Turns of every layout as messages: roles, parts, tool calls and results, weights, marks of dialogues."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from assay.core import Message
from assay.data._raw import NoNumber, Number

MAX_CHARACTERS = 1_000_000
"""Longest accepted message; longer fields are rejected with their length."""

Row = Mapping[str, Any]

_ROLES = {
    "human": "user",
    "user": "user",
    "prompter": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "chatgpt": "assistant",
    "bing": "assistant",
    "bard": "assistant",
    "model": "assistant",
    "bot": "assistant",
    "ai": "assistant",
    "system": "system",
    "developer": "system",
    "tool": "tool",
    "observation": "tool",
    "tool_response": "tool",
    "tool_result": "tool",
    "function": "tool",
    "ipython": "tool",
    "function_call": "call",
    "tool_call": "call",
}
SPEAKER = "Human"
"""A text without it has no marks of speakers."""
_MARK = re.compile(r"(?:^|(?<=\n))[ \t]*(?:#{2,3} ?)?(Human|Assistant)[ \t]*[:\uff1a]")
_OTHER_SPEAKER = re.compile(r"(?:^|\n)[ \t]*(?:#{2,3} ?)?Human[ \t]*[:\uff1a]")


_OF_TURNS = frozenset(
    "weight train loss tool_calls function_call tool_call_id role content from value".split()
)


class Reject(Exception):  # noqa: N818 - a verdict on a row, not an error of the program
    """Why a row is no sample."""


def text_of(value: Any, name: str, *, optional: bool = False) -> str:
    """Return a field as text, a number as it is written; raise :class:`Reject` where it has none."""
    if type(value) is not str:
        value = _written(value, name, optional=optional)
    if len(value) > MAX_CHARACTERS:
        raise Reject(f"{name} has {len(value):,} characters, more than {MAX_CHARACTERS:,}")
    if "\0" in value:
        raise Reject(f"{name} holds NUL characters")
    return value  # type: ignore[no-any-return]


def _written(value: Any, name: str, *, optional: bool) -> str:
    """Return what is no string as the text that stands in the file."""
    if isinstance(value, Number):
        return value.text
    if value is None and optional:
        return ""
    if value is None:
        raise Reject(f"{name} is null or missing")
    if isinstance(value, NoNumber) or value != value:
        raise Reject(f"{name} is {getattr(value, 'text', 'NaN')}, which is no number and no text")
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise Reject(f"{name} is a {type(value).__name__}, not a text")
    return str(value)


def turn(role: str, content: str) -> Message:
    """Return a plain turn."""
    return Message(role, content)  # type: ignore[arg-type]


def conversation(turns: Any, name: str, role_key: str, text_key: str) -> list[Message]:
    """Return the messages of a list of turns that have a role and a text."""
    if not isinstance(turns, list) or not turns:
        raise Reject(f"{name} is empty or not a list")
    messages: list[Message] = []
    for one in turns:
        if not isinstance(one, Mapping):
            raise Reject(f"{name} holds something else than turns")
        message, is_call = _message(one, name, role_key, text_key)
        last = messages[-1] if messages else None
        if is_call and last is not None and last.role == "assistant" and last.tool_calls is None:
            messages[-1] = replace(last, tool_calls=message.tool_calls)
        else:
            messages.append(message)
    return messages


def left_in(turns: Any, name: str, *beside: str) -> tuple[str, ...]:
    """Return the fields of a list's turns that nothing reads (``messages.reasoning_content``)."""
    left: dict[str, None] = {}
    for one in turns if isinstance(turns, list) else ():
        if isinstance(one, Mapping) and (len(one) > 2 or beside):
            said = str(one.get("role", one.get("from"))).lower()
            named = _OF_TURNS | {"name"} if _ROLES.get(said) == "tool" else _OF_TURNS
            left |= {
                f"{name}.{key}": None
                for key, value in one.items()
                if value is not None and value != [] and key not in named and key not in beside
            }
    return tuple(left)


def _message(one: Row, name: str, role_key: str, text_key: str) -> tuple[Message, bool]:
    """Return the message of a turn, and whether it only holds calls of a turn that may have begun before."""
    said = one.get(role_key)
    role = _ROLES.get(str(said).lower())
    if role is None:
        raise Reject(f"unknown role {str(said)[:40]!r}")
    content = one.get(text_key)
    if len(one) == 2 and type(content) is str and role not in ("call", "tool"):
        return turn(role, text_of(content, name)), False
    if role == "call":
        return Message("assistant", "", tool_calls=calls_of(content, name), learned=_learned(one)), True
    calls = one.get("tool_calls") or one.get("function_call") if role == "assistant" else None
    text = _parts(content, name) if isinstance(content, list) else text_of(
        content, f"{name} text", optional=bool(calls)
    )  # fmt: skip
    if not (calls or role == "tool" or any(key in one for key in ("weight", "train", "loss"))):
        return turn(role, text), False
    return Message(
        role,  # type: ignore[arg-type]
        text,
        tool_calls=calls_of(calls, name) if calls else None,
        tool_call_id=_word(one.get("tool_call_id")),
        name=_word(one.get("name")) if role == "tool" else None,
        learned=role != "assistant" or _learned(one),
    ), False


def _word(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _learned(one: Row) -> bool:
    for key in ("weight", "train", "loss"):
        weight = one.get(key)
        if weight is None:
            continue
        number = weight.text if isinstance(weight, Number) else str(weight)
        if number.lower() in ("0", "0.0", "false"):
            return False
        if number.lower() not in ("1", "1.0", "true"):
            raise Reject(f"a turn has {key} {number[:20]}; only 0 and 1 are known")
    return True


def _parts(parts: Sequence[Any], name: str) -> str:
    """Return the text of a list of parts; anything but text is no part of a text model's data."""
    texts = []
    for part in parts:
        if isinstance(part, Mapping) and part.get("type", "text") == "text":
            texts.append(text_of(part.get("text"), f"{name} text"))
        else:
            kind = part.get("type") if isinstance(part, Mapping) else type(part).__name__
            raise Reject(f"{name} holds a part of the kind {str(kind)[:40]!r}, not only text")
    return "".join(texts)


def json_of(value: Any, name: str) -> str:
    """Return a value as JSON text in the order of its keys."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_number)
    except (TypeError, ValueError):
        raise Reject(f"{name} holds a value that JSON has no form for") from None


def _number(value: Any) -> int | float:
    if isinstance(value, Number):
        return float(value.text) if set(".eE") & set(value.text) else int(value.text)
    raise TypeError


def _loaded(value: Any, name: str) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        raise Reject(f"{name} is text, but not JSON") from None


def tools_of(row: Row) -> str | None:
    """Return the tools on offer in a row as the JSON text of a list, or None."""
    value = next((row[key] for key in ("tools", "functions") if row.get(key)), None)
    if value is None:
        return None
    tools = _loaded(value, "tools")
    tools = [tools] if isinstance(tools, Mapping) else tools
    if not isinstance(tools, list) or not all(isinstance(tool, Mapping | str) for tool in tools):
        raise Reject("tools is no list of tools")
    return json_of([_named(tool) for tool in tools], "tools") if tools else None


def _named(value: Any) -> Any:
    """Return a value without the nulls that a table gives to all keys of a union."""
    if isinstance(value, Mapping):
        return {key: _named(item) for key, item in value.items() if item is not None}
    return [_named(item) for item in value] if isinstance(value, list) else value


def calls_of(value: Any, name: str) -> str:
    """Return the tool calls of a turn as the JSON text of a list."""
    listed = _loaded(value, f"{name}: a tool call")
    listed = [listed] if isinstance(listed, Mapping) else listed
    if not isinstance(listed, list) or not listed:
        raise Reject(f"{name}: a tool call is empty or not an object")
    return json_of([_call(one, name) for one in listed], f"{name}: a tool call")


def _call(one: Any, name: str) -> dict[str, Any]:
    inner = one.get("function", one) if isinstance(one, Mapping) else None
    called = inner.get("name") if isinstance(inner, Mapping) else None
    if not isinstance(inner, Mapping) or not isinstance(called, str) or not called:
        raise Reject(f"{name}: a tool call names no function")
    arguments: Any = next(
        (inner[key] for key in ("arguments", "parameters") if inner.get(key) is not None), {}
    )
    made: dict[str, Any] = {"type": "function", "function": {"name": called, "arguments": arguments}}
    return made | ({"id": one["id"]} if isinstance(one.get("id"), str) else {})


def dialogue(text: str) -> list[Message] | None:
    """Return the turns of a text with `Human:` and `Assistant:` marks, without an empty last answer.

    None where it is no such dialogue: it does not begin with a mark, or its speakers do not take turns.
    """
    if SPEAKER not in text[:200]:
        return None
    found = list(_MARK.finditer(text))
    if not found or text[: found[0].start()].strip() or found[0][1] != "Human":
        return None
    ends = [mark.start() for mark in found[1:]] + [len(text)]
    parts = [(mark[1], text[mark.end() : end].strip()) for mark, end in zip(found, ends, strict=True)]
    if parts[-1] == ("Assistant", ""):
        parts.pop()
    speakers = [speaker for speaker, _ in parts]
    if speakers != (["Human", "Assistant"] * len(parts))[: len(parts)] or not all(said for _, said in parts):
        return None
    return [turn("user" if speaker == "Human" else "assistant", said) for speaker, said in parts]


def speaks_for_others(answer: str) -> bool:
    """Say whether an answer goes on as the user."""
    return SPEAKER in answer and _OTHER_SPEAKER.search(answer) is not None


def with_tools(messages: Iterable[Message], tools: str | None) -> list[Message]:
    """Return messages of which the first offers the tools."""
    listed = list(messages)
    if tools is not None and listed:
        listed[0] = replace(listed[0], tools=tools)
    return listed
