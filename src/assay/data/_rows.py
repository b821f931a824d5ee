"""One row of any known schema to one sample, or the reason why not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from assay.core import Message, Sample, task_type
from assay.data._languages import language_of

MAX_CHARACTERS = 1_000_000
"""Longest accepted message; longer fields are rejected with their length."""

Row = Mapping[str, Any]


class Reject(Exception):  # noqa: N818 - a verdict on a row, not an error of the program
    """Why a row is no sample."""


@dataclass(frozen=True, slots=True)
class Schema:
    """A known row schema: its name, the keys that show it, what a user is told, and how to read it."""

    name: str
    says: str
    fits: Callable[[Row], bool]
    parse: Callable[[Row], tuple[list[Message], bool]]
    """Return the messages, and whether a missing answer is allowed (an evaluation item)."""


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
    "system": "system",
}


def _text(value: Any, name: str, *, optional: bool = False) -> str:
    if value is None and optional:
        return ""
    if value is None:
        raise Reject(f"{name} is null or missing")
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise Reject(f"{name} is a {type(value).__name__}, not a text")
    text = value if isinstance(value, str) else str(value)
    if len(text) > MAX_CHARACTERS:
        raise Reject(f"{name} has {len(text):,} characters, more than {MAX_CHARACTERS:,}")
    if "\0" in text:
        raise Reject(f"{name} holds NUL characters")
    return text


def _turn(role: str, content: str) -> Message:
    return Message(role, content)  # type: ignore[arg-type]


def _first(row: Row, *names: str) -> Any:
    return next((row[name] for name in names if row.get(name) is not None), None)


def _alpaca(row: Row) -> tuple[list[Message], bool]:
    instruction = _text(row.get("instruction"), "instruction")
    extra = _text(row.get("input"), "input", optional=True)
    answer = _text(_first(row, "output", "response"), "output")
    turns = []
    if system := _text(row.get("system"), "system", optional=True):
        turns.append(_turn("system", system))
    history = row.get("history") or []
    if not isinstance(history, list):
        raise Reject("history is not a list")
    for pair in history:
        if not (isinstance(pair, list) and len(pair) == 2):
            raise Reject("history holds something else than [question, answer] pairs")
        turns += [_turn("user", _text(pair[0], "history")), _turn("assistant", _text(pair[1], "history"))]
    prompt = f"{instruction}\n\n{extra}" if extra.strip() else instruction
    return [*turns, _turn("user", prompt), _turn("assistant", answer)], False


def _conversation(turns: Any, name: str, role_key: str, text_key: str) -> list[Message]:
    if not isinstance(turns, list) or not turns:
        raise Reject(f"{name} is empty or not a list")
    messages = []
    for turn in turns:
        if not isinstance(turn, Mapping):
            raise Reject(f"{name} holds something else than turns")
        role = _ROLES.get(str(turn.get(role_key)).lower())
        if role is None:
            raise Reject(f"unknown role {str(turn.get(role_key))[:40]!r}")
        messages.append(_turn(role, _text(turn.get(text_key), f"{name} text")))
    return messages


def _sharegpt(row: Row) -> tuple[list[Message], bool]:
    turns = _conversation(row.get("conversations"), "conversations", "from", "value")
    system = _text(row.get("system"), "system", optional=True)
    return ([_turn("system", system)] if system else []) + turns, False


def _messages(row: Row) -> tuple[list[Message], bool]:
    item = any(row.get(key) is not None for key in ("checker", "class", "type", "category"))
    return _conversation(row.get("messages"), "messages", "role", "content"), item


def _belle_eval(row: Row) -> tuple[list[Message], bool]:
    question = _text(row.get("question"), "question")
    answer = _text(row.get("std_answer"), "std_answer", optional=True)
    turns = [_turn("user", question)]
    return (turns + [_turn("assistant", answer)] if answer.strip() else turns), True


def _seed(row: Row) -> tuple[list[Message], bool]:
    instances = row.get("instances")
    if not isinstance(instances, list) or not instances or not isinstance(instances[0], Mapping):
        raise Reject("instances is empty or not a list")
    return _alpaca({"instruction": row.get("instruction"), **instances[0]})


def _pair(question: str, answer: str) -> Callable[[Row], tuple[list[Message], bool]]:
    def parse(row: Row) -> tuple[list[Message], bool]:
        asked = _text(row.get(question), question)
        return [_turn("user", asked), _turn("assistant", _text(row.get(answer), answer))], False

    return parse


def _choices(row: Row) -> tuple[list[Message], bool]:
    letters = [letter for letter in "ABCDE" if row.get(letter) is not None]
    options = "\n".join(f"{letter}. {_text(row[letter], letter)}" for letter in letters)
    answer = _text(row.get("answer"), "answer", optional=True)
    turns = [_turn("user", f"{_text(row.get('question'), 'question')}\n\n{options}")]
    return ([*turns, _turn("assistant", answer)] if answer.strip() else turns), True


def _has(*names: str) -> Callable[[Row], bool]:
    return lambda row: all(name in row for name in names)


def _prompt_only(name: str) -> Callable[[Row], tuple[list[Message], bool]]:
    return lambda row: ([_turn("user", _text(row.get(name), name))], True)


SCHEMAS: tuple[Schema, ...] = tuple(
    Schema(name, f"rows have {' and '.join(f'`{key}`' for key in keys)}", _has(*keys), parse)
    for name, keys, parse in (
        ("messages", ("messages",), _messages),
        ("sharegpt", ("conversations",), _sharegpt),
        ("belle-eval", ("question", "std_answer"), _belle_eval),
        ("self-instruct", ("instruction", "instances"), _seed),
        ("alpaca", ("instruction", "output"), _alpaca),
        ("alpaca", ("instruction", "response"), _alpaca),
        ("multiple-choice", ("question", "A", "B", "answer"), _choices),
        ("question-answer", ("question", "answer"), _pair("question", "answer")),
        ("question-answer", ("question", "reference"), _pair("question", "reference")),
        ("prompt-completion", ("prompt", "completion"), _pair("prompt", "completion")),
        ("prompt-completion", ("prompt", "response"), _pair("prompt", "response")),
        ("prompts", ("prompt",), _prompt_only("prompt")),
        ("prompts", ("question",), _prompt_only("question")),
        ("prompts", ("instruction",), _prompt_only("instruction")),
    )
)
"""Known schemas, the most telling first; `prompts` are evaluation items without references."""


def schema_of(row: Any) -> Schema | None:
    """Return the schema that a row shows, the most telling first."""
    if not isinstance(row, Mapping):
        return None
    return next((schema for schema in SCHEMAS if schema.fits(row)), None)


def to_sample(row: Any, schema: Schema | None, source: str, origin: str) -> Sample:
    """Return the sample of a row; raise :class:`Reject` with the reason if there is none.

    A row that does not show the file's main ``schema`` is read by the one it shows.
    """
    if not isinstance(row, Mapping):
        raise Reject(f"the row is a {type(row).__name__}, not an object")
    chosen = schema if schema is not None and schema.fits(row) else schema_of(row)
    if chosen is None:
        keys = ", ".join(str(k)[:30] for k in list(row)[:8]) or "none"
        raise Reject(f"no known schema; keys: {keys}")
    messages, is_item = chosen.parse(row)
    _check(messages, is_item)
    kind = _first(row, "type", "class", "category", "task_type")
    language = _label(row.get("language")) or _label(row.get("lang"))
    return Sample(
        messages=tuple(messages),
        type=task_type(kind) if isinstance(kind, str) and kind.strip() else None,
        language=language or language_of(" ".join(m.content for m in messages if m.role != "system")),
        source=_label(row.get("source")) or source,
        checker=_label(row.get("checker")),
        group=_label(row.get("group")),
        origin=origin,
    )


def _label(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _check(messages: Iterable[Message], is_item: bool) -> None:
    turns = list(messages)
    if not any(m.role == "user" for m in turns):
        raise Reject("no user turn")
    if not any(m.content.strip() for m in turns if m.role == "user"):
        raise Reject("the instruction is empty")
    last = turns[-1]
    if last.role == "assistant" and not last.content.strip():
        raise Reject("the answer is empty")
    if last.role != "assistant" and not is_item:
        raise Reject("the last turn is not the assistant's")
    try:
        "".join(m.content for m in turns).encode("utf-8")
    except UnicodeEncodeError:
        raise Reject("the text holds half of a surrogate pair") from None
