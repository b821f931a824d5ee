"""Replies to tasks: blocks with labels, or JSON; whatever cannot be read is handed back with the reason."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from assay.core import TASK_TYPES, task_type
from assay.generation._tasks import Task

_NUMBER = r"(?:第?\s*[#＃]?\s*(?:[0-9０-９]+|[一二三四五六七八九十百]+)\s*[个個]?)"
_HEAD = re.compile(
    rf"^\s*(?:#{{1,6}}\s*|[-*>•]\s+)?[*_]{{0,2}}\s*"
    rf"(?:(?:new\s+)?tasks?|{_NUMBER}?\s*(?:新)?(?:任务|任務|题目|題目))?\s*{_NUMBER}?\s*[.．:：、)）]?\s*[*_]{{0,2}}\s*$",
    re.IGNORECASE,
)
_TITLE = re.compile(r"^\s*#{1,6}\s*(?:new\s+)?(?:task|任务|任務|题目|題目)\b.*$", re.IGNORECASE)
_OBJECT = re.compile(r'\{\s*"(?:type|instruction|task|id|类型|指令)"', re.IGNORECASE)
_RULE = re.compile(r"^\s*(?:#{1,6}|[-*_=]{3,})\s*$")
_NAMES: Mapping[str, str] = {
    "type": "type|task type|category|类型|任务类型|類型",
    "instruction": "instruction|instructions|指令|任务指令",
    "input": "input|inputs|输入|輸入",
    "output": "output|outputs|输出|輸出",
}
_FIELDS = {name: field for field, names in _NAMES.items() for name in names.split("|")}
_LABEL = re.compile(
    r"^\s*(?:#{1,6}\s*|[-*>•]\s+)?(?:[0-9０-９]+\s*[.．、)）]\s*)?(?P<marks>[*_`]{0,3})"
    r"(?P<open>[【\[])?\s*(?P<name>"
    + "|".join(sorted(_FIELDS, key=len, reverse=True))
    + r")\s*(?P<close>[】\]])?"
    r"(?:(?P=marks))?\s*(?P<colon>[:：])?(?:(?P=marks))?[ \t]*(?P<rest>.*)$",
    re.IGNORECASE | re.DOTALL,
)
_NONE = frozenset(
    "none n/a na null nil empty noinput no_input no-input 无 無 无输入 無輸入 没有 不需要 空 - — /".split()
)
_BARE = "()（）<>《》[]【】\"'“”.。*_ "
_FENCE = re.compile(r"^\s*```[\w-]*\s*\n(?P<inside>.*?)(?:\n\s*```\s*)?$", re.DOTALL)
_ORDER = ("type", "instruction", "input", "output")
_SHOWN = 400


@dataclass(frozen=True, slots=True)
class Unread:
    """A part of a reply that is no task: why, and how it begins (at most 400 characters).

    ``rule`` is ``cut`` for the last block of a reply that its limit ended, else ``unread``.
    """

    reason: str
    text: str
    rule: str = "unread"


@dataclass(frozen=True, slots=True)
class Parsed:
    """The tasks of a reply in order, and what could not be read."""

    tasks: tuple[Task, ...]
    unread: tuple[Unread, ...]


def parse(text: str, *, cut: bool = False, language: str | None = None, answered: bool = True) -> Parsed:
    """Return the tasks of a reply; never raises.

    Understands blocks ("### Task 1", labels in English or Chinese, with or without Markdown, numbers and
    full-width signs) and JSON (an array, or objects one after another), also in a fence or after a preface.
    ``cut``: the reply was ended by its limit, so its last block is left out (a JSON object that is closed is
    whole).  ``answered``: a block needs its output.  ``language`` is noted in the tasks.
    """
    body = text.replace("\r\n", "\n").replace("\r", "\n")
    fenced = _FENCE.match(body)
    inside = fenced["inside"] if fenced else body
    if inside.lstrip().startswith(("[", "{")):
        tasks, unread = _from_json(inside.lstrip(), language)
        if tasks:
            return _checked(tasks, unread, answered)
    blocks = list(_blocks(inside.split("\n")))
    if not blocks:
        start = re.search(r"\[\s*\{|\{\s*[\"“]", inside)
        if start:
            return _checked(*_from_json(inside[start.start() :], language), answered)
        reason = "the reply is empty" if not text.strip() else "no task in the reply"
        return Parsed((), (Unread(reason, text[:_SHOWN]),))
    unread = []
    if cut:
        last = blocks.pop()
        unread.append(Unread("the reply was cut off in this task", _show(last), "cut"))
    return _checked([_task(block, language) for block in blocks], unread, answered)


def _checked(tasks: list[Task], unread: list[Unread], answered: bool) -> Parsed:
    whole, bad = [], []
    for task in tasks:
        if not task.instruction:
            bad.append(Unread("no instruction", f"{task.input}\n{task.output}".strip()[:_SHOWN]))
        elif answered and not task.output:
            bad.append(Unread("no output", task.prompt[:_SHOWN]))
        else:
            whole.append(task)
    return Parsed(tuple(whole), (*bad, *unread))


def _blocks(lines: list[str]) -> Iterator[dict[str, str]]:
    """Yield the fields of each block; it begins at a heading before a label, or a label out of order."""
    block: dict[str, list[str]] = {}
    field = ""
    for number, line in enumerate(lines):
        label = _label(line)
        if label and _is_next(label[0], field, block):
            if field == "output" or (label[0] in ("type", "instruction") and label[0] in block):
                yield _joined(block)
                block = {}
            field = label[0]
            block[field] = [label[1]]
        elif field and _begins(lines, number):
            yield _joined(block)
            block, field = {}, ""
        elif field:
            block[field].append(line)
    if block:
        yield _joined(block)


def _label(line: str) -> tuple[str, str] | None:
    found = _LABEL.match(line)
    if found is None or not (found["colon"] or (found["open"] and found["close"])):
        return None
    return _FIELDS[found["name"].lower()], found["rest"]


def _is_next(name: str, field: str, block: Mapping[str, list[str]]) -> bool:
    """Whether a label is one of the form, and not a line of the material or of the answer."""
    if field == "":
        return True
    if field == "output":
        # An answer may hold a line "Input:"; only what begins a task ends it.
        return name in ("type", "instruction") and "instruction" in block
    if name in ("type", "instruction"):
        return name not in block or name == "instruction" or "instruction" in block
    return _ORDER.index(name) > _ORDER.index(field)


def _begins(lines: list[str], number: int) -> bool:
    """Whether a line is the heading of a task: nothing else stands on it, and a label or nothing follows."""
    line = lines[number]
    if not line.strip() or not any(form.match(line) for form in (_HEAD, _TITLE, _RULE)):
        return False
    for other in lines[number + 1 :]:
        if other.strip() and not _RULE.match(other):
            label = _label(other)
            return (label is not None and label[0] in ("type", "instruction")) or (
                bool(_RULE.match(line)) and bool(_HEAD.match(other))
            )
    return True


def _joined(block: Mapping[str, list[str]]) -> dict[str, str]:
    return {name: "\n".join(lines).strip() for name, lines in block.items()}


def _show(block: Mapping[str, str]) -> str:
    return "\n".join(block.values())[:_SHOWN]


def _task(block: Mapping[str, str], language: str | None) -> Task:
    instruction = re.sub(r"\n\s*[0-9０-９]+\s*[.．、)）]\s*$", "", block.get("instruction", ""))
    material = block.get("input", "")
    if unicodedata.normalize("NFKC", material).strip(_BARE).replace(" ", "").lower() in _NONE | {""}:
        material = ""
    answer = block.get("output", "").strip()
    return Task(instruction.strip(), material, answer, _type(block.get("type", "")), language)


def _type(text: str) -> str | None:
    """Return the type that a reply names first, or None where it names none of the twelve."""
    whole = task_type(text.strip(_BARE))
    if whole in TASK_TYPES:
        return whole
    for part in re.split(r"[\s,，、/()（）:：;；|]+", text.replace("-", "_")):
        name = task_type(part.strip(_BARE))
        if name in TASK_TYPES:
            return name
    return None


def _from_json(text: str, language: str | None) -> tuple[list[Task], list[Unread]]:
    """Return the tasks of all objects that are closed, one after another, and what breaks off."""
    decoder = json.JSONDecoder(strict=False)
    tasks: list[Task] = []
    unread: list[Unread] = []
    at = 0
    while (start := text.find("{", at)) >= 0:
        try:
            row, at = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            unread.append(Unread("JSON that breaks off or is not well formed", text[start:][:_SHOWN]))
            following = _OBJECT.search(text, start + 1)
            if following is None:
                break
            at = following.start()
            continue
        inner = next((v for v in row.values() if _is_rows(v)), None)
        tasks += [_row(one, language) for one in (inner or [row])]
    return tasks, unread


def _is_rows(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, dict) for one in value)


def _row(row: Mapping[str, Any], language: str | None) -> Task:
    block: dict[str, str] = {}
    for key, value in row.items():
        name = _FIELDS.get(unicodedata.normalize("NFKC", key).strip().lower())
        if name is not None and value is not None:
            block[name] = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return _task({name: _whole(text).strip() for name, text in block.items()}, language)


def _whole(text: str) -> str:
    """Return text that has a UTF-8 form: half a surrogate pair, which JSON may escape, becomes U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
