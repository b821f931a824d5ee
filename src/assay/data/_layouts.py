"""Layouts of rows: which keys show each, and how it is read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from assay.core import Message
from assay.data._raw import Number
from assay.data._turns import (
    Reject,
    Row,
    conversation,
    dialogue,
    json_of,
    left_in,
    speaks_for_others,
    text_of,
    tools_of,
    turn,
    with_tools,
)

LABELS = frozenset(
    "type class category task_type task_category kind language lang source dataset checker group "
    "origin".split()
)
"""Fields that say something about a sample and are read in every layout."""

ANSWERS = frozenset(
    "output response completion answer answers target reference std_answer chosen solution messages "
    "conversations".split()
)
# Not "na", the sign of sodium; in an answer not "无" either, which says "none" where there is none.
_NO_INPUT = frozenset("noinput|no input|n/a|not applicable|无|无输入|没有输入".split("|"))
_NOTED_PLACEHOLDER = ("inputs that say there is none (`<noinput>`, `N/A` …)",)
_NO_ANSWER = (_NO_INPUT - {"无"}) | frozenset("nooutput|no output|无输出".split("|"))


@dataclass(frozen=True, slots=True)
class Parsed:
    """The messages of a row; ``item``: it may lack an answer; ``notes``: what a report should say of it.

    ``unused``: fields within its fields that are not read, as ``messages.reasoning_content``.
    """

    messages: list[Message]
    item: bool = False
    notes: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()


Parser = Callable[[Row], Parsed]


@dataclass(frozen=True)
class Schema:
    """A known layout: its name, keys that must have a value, keys that may be null, and how it is read.

    ``fits`` may ask for more than keys; ``also`` names further fields that are read where they are there.
    ``plain``: those of a prompt, what may be added to it ("" is none) and its answer, where a row of texts
    in these alone, which no check is about, is one question and its answer.
    """

    name: str
    needs: tuple[str, ...]
    parse: Parser
    nullable: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    like: str = ""
    check: Callable[[Row], bool] | None = None
    plain: tuple[str, str, str] | None = None

    @property
    def says(self) -> str:
        """What a user is told."""
        return f"rows have {' and '.join(f'`{key}`' for key in (*self.needs, *self.nullable))}"

    @cached_property
    def reads(self) -> frozenset[str]:
        """All fields that are read."""
        return LABELS.union(self.needs, self.nullable, self.also)

    def fits(self, row: Row) -> bool:
        """Say whether a row shows this layout; a null key counts as absent."""
        for key in self.needs:
            if row.get(key) is None or row[key] == []:
                return False
        if self.nullable and not all(key in row for key in self.nullable):
            return False
        return self.check is None or self.check(row)


def placeholder(text: str, *, answer: bool = False) -> bool:
    """Say whether a text stands for "there is none": `<noinput>`, `N/A`, 无; in answers `<nooutput>` too."""
    if len(text) > 24 or not text.strip():
        return False
    bare = text.strip().strip("<>[]().。! ").lower().replace("n.a", "n/a").replace("_", " ")
    return bare in (_NO_ANSWER if answer else _NO_INPUT)


def _first(row: Row, *names: str) -> Any:
    for name in names:
        value = row.get(name)
        if value is not None:
            return value
    return None


def _asked(instruction: str, extra: str) -> tuple[list[Message], tuple[str, ...]]:
    """Return the turns of an instruction and its input, and notes."""
    notes: tuple[str, ...] = ()
    if extra and placeholder(extra):
        extra, notes = "", _NOTED_PLACEHOLDER
    turns = dialogue(instruction) or []
    asked = turns.pop().content if turns and turns[-1].role == "user" else instruction
    if not turns or turns[-1].role == "user":
        turns = []
    turns.append(turn("user", f"{asked}\n\n{extra}" if extra and extra.strip() else asked))
    return turns, notes


def _answered(turns: list[Message], answer: str, notes: tuple[str, ...] = ()) -> Parsed:
    if speaks_for_others(answer):
        notes = (*notes, "answers that go on as the user (`Human:`)")
    return Parsed([*turns, turn("assistant", answer)], notes=notes)


def _system(row: Row, *names: str) -> list[Message]:
    system = text_of(_first(row, *names), names[0], optional=True)
    return [turn("system", system)] if system else []


_ALPACA = ("input", "context", "system", "system_prompt", "history", "tools", "functions")
_BESIDE_ALPACA = frozenset(("system", "system_prompt", "history", "tools", "functions"))


def alpaca(row: Row) -> Parsed:
    """Read instruction, input (or context), output (or response), system and history."""
    instruction = text_of(row.get("instruction"), "instruction")
    extra = text_of(_first(row, "input", "context"), "input", optional=True)
    answer = text_of(_first(row, "output", "response"), "output")
    turns, notes = _asked(instruction, extra)
    if not _BESIDE_ALPACA.isdisjoint(row):
        before = [*_system(row, "system", "system_prompt"), *_history(row)]
        turns = with_tools([*before, *turns], tools_of(row))
    return _answered(turns, answer, notes)


def _history(row: Row) -> list[Message]:
    history = row.get("history") or []
    if not isinstance(history, list):
        raise Reject("history is not a list")
    turns = []
    for pair in history:
        if not (isinstance(pair, list) and len(pair) == 2):
            raise Reject("history holds something else than [question, answer] pairs")
        turns += [turn("user", text_of(pair[0], "history")), turn("assistant", text_of(pair[1], "history"))]
    return turns


def _sharegpt(row: Row) -> Parsed:
    listed = row.get("conversations")
    first = listed[0] if isinstance(listed, list) and listed else None
    keys = ("role", "content") if isinstance(first, Mapping) and "role" in first else ("from", "value")
    turns = conversation(listed, "conversations", *keys)
    messages = with_tools(_system(row, "system", "system_prompt") + turns, tools_of(row))
    return Parsed(messages, unused=left_in(listed, "conversations"))


def _messages(row: Row) -> Parsed:
    item = any(row.get(key) is not None for key in ("checker", "class", "type", "category"))
    listed = row.get("messages")
    first = listed[0] if isinstance(listed, list) and listed else None
    keys = ("from", "value") if isinstance(first, Mapping) and "from" in first else ("role", "content")
    turns = conversation(listed, "messages", *keys)
    system = [] if turns and turns[0].role == "system" else _system(row, "system")
    return Parsed(with_tools(system + turns, tools_of(row)), item, unused=left_in(listed, "messages"))


_EXCHANGE = (("human", "assistant"), ("input", "output"), ("user", "assistant"), ("question", "answer"))


def _exchange_keys(row: Row) -> tuple[str, str] | None:
    first = row["conversation"][0] if isinstance(row["conversation"], list) else None
    if not isinstance(first, Mapping):
        return None
    return next((keys for keys in _EXCHANGE if all(key in first for key in keys)), None)


def _exchanges(row: Row) -> Parsed:
    """Read a list of exchanges, each of a question and its answer; the first may hold a system turn."""
    asked, answered = _exchange_keys(row) or ("", "")
    messages = _system(row, "system", "system_prompt")
    for index, one in enumerate(row["conversation"]):
        if not isinstance(one, Mapping):
            raise Reject("conversation holds something else than exchanges")
        messages += _system(one, "system") if index == 0 else []
        messages += [turn("user", text_of(one.get(asked), asked))]
        messages += [turn("assistant", text_of(one.get(answered), answered))]
    return Parsed(messages, unused=left_in(row["conversation"], "conversation", asked, answered, "system"))


def _in_turn(name: str) -> Parser:
    """Read a list of texts whose speakers take turns, the user first."""

    def parse(row: Row) -> Parsed:
        texts = [text_of(one, f"a turn of {name}") for one in row[name]]
        roles = ("user", "assistant")
        return Parsed([turn(roles[i % 2], one) for i, one in enumerate(texts)], item=len(texts) == 1)

    return parse


def _belle_eval(row: Row) -> Parsed:
    turns = [turn("user", text_of(row.get("question"), "question"))]
    answer = text_of(row.get("std_answer"), "std_answer", optional=True)
    return Parsed([*turns, turn("assistant", answer)] if answer.strip() else turns, item=True)


def _seed(row: Row) -> Parsed:
    instances = row.get("instances")
    if not isinstance(instances, list) or not instances or not isinstance(instances[0], Mapping):
        raise Reject("instances is empty or not a list")
    notes = ("instances beyond the first of a row",) if len(instances) > 1 else ()
    found = alpaca({"instruction": row.get("instruction"), **instances[0]})
    unused = left_in([instances[0]], "instances", "instruction", *_ALPACA, "output", "response")
    return replace(found, notes=(*found.notes, *notes), unused=unused)


def pair(question: str, answer: str, *, system: str = "system") -> Parser:
    """Read a question and its answer from two fields."""

    def parse(row: Row) -> Parsed:
        asked, _ = _asked(text_of(row.get(question), question), "")
        return _answered([*_system(row, system), *asked], text_of(row.get(answer), answer))

    return parse


def _choices(row: Row) -> Parsed:
    letters = [letter for letter in "ABCDE" if row.get(letter) is not None]
    options = "\n".join(f"{letter}. {text_of(row[letter], letter)}" for letter in letters)
    answer = text_of(row.get("answer"), "answer", optional=True)
    turns = [turn("user", f"{text_of(row.get('question'), 'question')}\n\n{options}")]
    return Parsed([*turns, turn("assistant", answer)] if answer.strip() else turns, item=True)


def _prompt_only(name: str) -> Parser:
    return lambda row: Parsed([turn("user", text_of(row.get(name), name))], item=True)


def _dialogue(row: Row) -> Parsed:
    turns = dialogue(row["text"]) or []
    return Parsed(turns)


def _mt_bench(row: Row) -> Parsed:
    """Read the questions of an item, with its reference answers where there are any."""
    name = "turns" if isinstance(row.get("turns"), list) else "prompt"
    asked = [text_of(one, f"a turn of {name}") for one in row[name]]
    given = row.get("reference") or []
    if not isinstance(given, list):
        raise Reject("reference is not a list")
    answers = [text_of(one, "reference") for one in given][: len(asked)]
    messages: list[Message] = []
    for index, question in enumerate(asked):
        messages.append(turn("user", question))
        if index == len(answers):
            left = len(asked) - index - 1
            notes = ("later questions whose first answer is not given",) if left else ()
            return Parsed(messages, item=True, notes=notes)
        messages.append(turn("assistant", answers[index]))
    return Parsed(messages, item=True)


def _answer_alone(row: Row) -> Parsed:
    raise Reject(f"an answer to question {str(row.get('question_id'))[:40]} without the question")


def _message_alone(row: Row) -> Parsed:
    raise Reject("one message of a conversation tree; read the export of whole trees instead")


def _tree(row: Row) -> Parsed:
    """Follow the best-ranked replies of a conversation tree to their last answer."""
    node: Any = row["prompt"]
    messages: list[Message] = []
    others, nodes = 0, list[Row]()
    while isinstance(node, Mapping):
        nodes.append(node)
        role = {"prompter": "user", "user": "user"}.get(
            str(node.get("role", "prompter")).lower(), "assistant"
        )
        messages.append(turn(role, text_of(node.get("text"), "text")))
        replies = [r for r in node.get("replies") or () if isinstance(r, Mapping) and not r.get("deleted")]
        others += max(0, len(replies) - 1)
        node = min(replies, key=_rank, default=None)
    while messages and messages[-1].role != "assistant":
        messages.pop()
    if not messages:
        raise Reject("nobody answers in this tree")
    notes = ("trees with replies besides the best-ranked",) if others else ()
    return Parsed(messages, notes=notes, unused=left_in(nodes, "prompt", *_NODE))


_NODE = ("text", "replies", "rank", "deleted")


def _number(value: Any) -> float | None:
    if isinstance(value, Number):
        value = float(value.text)
    return float(value) if isinstance(value, int | float) else None


def _rank(reply: Row) -> float:
    rank = _number(reply.get("rank"))
    return float("inf") if rank is None else rank


_ANSWER_TEXTS = ("text", "answer", "body", "content")
_ACCEPTED = ("selected", "accepted", "is_accepted")
_SCORES = ("pm_score", "score", "upvotes", "votes")


def _ranked(row: Row) -> Parsed:
    """Read a question and the best of its answers: the accepted one, else the one of the highest score."""
    parts = [text_of(row[name], name) for name in ("title", "question", "body") if row.get(name) is not None]
    answers = [one if isinstance(one, Mapping) else {"text": one} for one in row["answers"]]
    best = max(answers, key=_merit)
    notes = ("answers besides the best of a question",) if len(answers) > 1 else ()
    answer = text_of(_first(best, *_ANSWER_TEXTS), "the text of an answer")
    unused = left_in([best], "answers", *_ANSWER_TEXTS, *_ACCEPTED, *_SCORES, "rank")
    return Parsed([turn("user", "\n\n".join(parts)), turn("assistant", answer)], notes=notes, unused=unused)


def _merit(answer: Row) -> tuple[bool, float, float]:
    accepted = bool(_first(answer, *_ACCEPTED))
    score = _number(_first(answer, *_SCORES))
    return accepted, float("-inf") if score is None else score, -_rank(answer)


def _wikihow(row: Row) -> Parsed:
    """Read a title as the question and the text, or the steps of its methods, as the answer."""
    if row.get("text") is not None:
        return Parsed(
            [turn("user", text_of(row["title"], "title")), turn("assistant", text_of(row["text"], "text"))]
        )
    opening = text_of(_first(row, "introduction", "intro"), "introduction", optional=True)
    lines = ([opening] if opening.strip() else []) + _steps(
        _first(row, "methods", "parts", "sections", "steps")
    )
    turns = [turn("user", text_of(row["title"], "title")), turn("assistant", "\n".join(lines))]
    return Parsed(turns, unused=tuple(dict.fromkeys(_left_in_steps(row))))


_STEP = ("name", "title", "headline", "method", "steps", "text", "description")


def _left_in_steps(row: Row) -> Iterator[str]:
    for name in ("methods", "parts", "sections", "steps"):
        parts = row.get(name)
        for part in parts if isinstance(parts, list) else [parts]:
            if isinstance(part, Mapping):
                yield from (
                    f"{name}.{key}" for key, value in part.items() if value is not None and key not in _STEP
                )


def _steps(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        heading, inner = _first(value, *_STEP[:4]), _steps(_first(value, *_STEP[4:]))
        return ([text_of(heading, "a heading")] if heading is not None else []) + inner
    if isinstance(value, list):
        return [line for one in value for line in _steps(one)]
    return [text_of(value, "a step", optional=True)] if value is not None else []


_MOSS_MARK = re.compile(r"<\|[^|]{1,30}\|>:?\s*|<eo\w>\s*|\[(?:Human|MOSS)\]:\s*")
_MOSS_READ = frozenset(("Human", "Commands", "Tool Responses", "MOSS"))
_MOSS_NONE = ("", "none")
_MOSS_TEXT = re.compile(r"\[(Human|MOSS)\]:\s*(.*?)<eo\w>", re.DOTALL)


def _moss_plain(row: Row) -> Parsed:
    turns = [
        turn("user" if speaker == "Human" else "assistant", said.strip())
        for speaker, said in _MOSS_TEXT.findall(text_of(row["plain_text"], "plain_text"))
    ]
    return Parsed(_system(row, "prefix", "meta_instruction") + turns)


def _moss(row: Row) -> Parsed:
    """Read MOSS's turns with their commands and results; inner thoughts are left out, and counted."""
    messages, unused = _system(row, "meta_instruction"), set[str]()
    for name in sorted(row["chat"], key=lambda key: (len(key), key)):
        part = row["chat"][name]
        if not isinstance(part, Mapping):
            raise Reject(f"chat: {name[:40]} is no object")
        said = {
            key: _MOSS_MARK.sub("", text_of(value, key, optional=True)).strip() for key, value in part.items()
        }
        messages.append(turn("user", said.get("Human", "")))
        unused |= {
            f"chat.{key}" for key in said if key not in _MOSS_READ and said[key].lower() not in _MOSS_NONE
        }
        commands = said.get("Commands", "")
        if commands.lower() not in _MOSS_NONE:
            calls = [
                {"type": "function", "function": _command(one)} for one in commands.split("\n") if one.strip()
            ]
            messages.append(Message("assistant", "", tool_calls=json_of(calls, "Commands")))
            messages.append(turn("tool", said.get("Tool Responses", "")))
        messages.append(turn("assistant", said.get("MOSS", "")))
    return Parsed(messages, unused=tuple(sorted(unused)))


def _command(text: str) -> dict[str, Any]:
    name, _, inside = text.partition("(")
    return {"name": name.strip() or "command", "arguments": {"text": inside.rstrip(") \n").strip("\"' ")}}


def _lists_texts(name: str) -> Callable[[Row], bool]:
    return lambda row: isinstance(row[name], list) and all(isinstance(one, str) for one in row[name])


def _no_answer(row: Row) -> bool:
    return not ANSWERS & row.keys()


def _pair(name: str, question: str, answer: str, *, system: str = "system", like: str = "") -> Schema:
    """Return the layout of a question and its answer in two fields."""
    return Schema(
        name, (question, answer), pair(question, answer, system=system), also=(system,), like=like,
        plain=(question, "", answer),
    )  # fmt: skip


SCHEMAS: tuple[Schema, ...] = (
    Schema("messages", ("messages",), _messages, also=("system", "tools", "functions"),
           like="OpenAI, Tulu, no-robots, UltraChat 200k, tool calls, `weight`"),
    Schema("lima", ("conversations",), _in_turn("conversations"), check=_lists_texts("conversations"),
           like="LIMA: a list of texts, the user first"),
    Schema("sharegpt", ("conversations",), _sharegpt, also=("system", "system_prompt", "tools", "functions"),
           like="ShareGPT, Magpie, BELLE; `function_call` and `observation` turns"),
    Schema("exchanges", ("conversation",), _exchanges, also=("system", "system_prompt"),
           like="Firefly's and XTuner's multi-turn sets: `human`, `assistant`; `input`, `output`",
           check=lambda row: _exchange_keys(row) is not None),
    Schema("moss", ("chat",), _moss, also=("meta_instruction",), like="MOSS 003",
           check=lambda row: isinstance(row["chat"], Mapping)),
    Schema("moss", ("plain_text",), _moss_plain, also=("prefix", "meta_instruction"), like="MOSS 002"),
    Schema("oasst-tree", ("prompt",), _tree, like="OpenAssistant trees: the best-ranked replies",
           check=lambda row: isinstance(row["prompt"], Mapping)),
    Schema("oasst-message", ("message_id", "text", "role"), _message_alone, nullable=("parent_id",),
           like="OpenAssistant's single messages: rejected, read the trees"),
    Schema("mt-bench", ("turns",), _mt_bench, also=("reference",), check=_lists_texts("turns"),
           like="MT-bench questions, `reference` answers where there are any"),
    Schema("mt-bench", ("prompt",), _mt_bench, also=("reference",), check=_lists_texts("prompt"),
           like="MT-bench on the hub"),
    Schema("mt-bench-answer", ("choices", "question_id"), _answer_alone,
           like="MT-bench answer files: rejected, they hold no question"),
    Schema("ultrachat", ("data",), _in_turn("data"), check=_lists_texts("data"),
           like="UltraChat: a list of texts"),
    Schema("ranked-answers", ("question", "answers"), _ranked,
           like="StackExchange: the accepted or best answer",
           also=("title", "body"), check=lambda row: isinstance(row["answers"], list)),
    Schema("ranked-answers", ("body", "answers"), _ranked, also=("title",),
           like="StackExchange: title and body", check=lambda row: isinstance(row["answers"], list)),
    Schema("belle-eval", ("question",), _belle_eval, nullable=("std_answer",), like="BELLE's evaluation set"),
    Schema("self-instruct", ("instruction", "instances"), _seed,
           like="Self-Instruct seeds: the first instance"),
    Schema("dolly", ("instruction", "response"), alpaca, nullable=("context",), also=_ALPACA,
           plain=("instruction", "context", "response"),
           like="Dolly: `context` is the input"),
    Schema("alpaca", ("instruction", "output"), alpaca, also=_ALPACA,
           plain=("instruction", "input", "output"),
           like="Alpaca, BELLE, COIG-CQIA, LLaMA-Factory's `history`, `Human:`/`Assistant:` dialogues"),
    Schema("alpaca", ("instruction", "response"), alpaca, also=_ALPACA, like="Alpaca with `response`",
           plain=("instruction", "input", "response")),
    Schema("multiple-choice", ("question", "A", "B"), _choices, nullable=("answer",), also=("C", "D", "E"),
           like="C-Eval, MMLU in columns"),
    _pair("openorca", "question", "response", system="system_prompt", like="OpenOrca"),
    _pair("input-target", "input", "target", like="Firefly (`kind`), BELLE's `Human:` prompts"),
    _pair("input-target", "inputs", "targets", like="FLAN, xP3"),
    _pair("question-answer", "question", "answer", like="GSM8K"),
    _pair("question-answer", "question", "reference"),
    _pair("prompt-completion", "prompt", "completion"),
    _pair("prompt-completion", "prompt", "response"),
    _pair("prompt-completion", "query", "response"),
    _pair("prompt-completion", "input", "output"),
    _pair("prompt-completion", "problem", "solution"),
    Schema("wikihow", ("title", "text"), _wikihow, like="wikiHow"),
    *(Schema("wikihow", ("title", name), _wikihow, also=("introduction", "intro"), like="wikiHow by steps")
      for name in ("methods", "parts", "sections", "steps")),
    Schema("dialogue", ("text",), _dialogue, like="`Human:`/`Assistant:` dialogues in one text",
           check=lambda row: isinstance(row["text"], str) and dialogue(row["text"]) is not None),
    *(Schema("prompts", (name,), _prompt_only(name), check=_no_answer,
             like="evaluation items without references")
      for name in ("prompt", "question", "instruction")),
)  # fmt: skip
"""Known layouts, the most telling first."""


def schema_of(row: Any) -> Schema | None:
    """Return the layout that a row shows, the most telling first; keys that are null do not count."""
    if not isinstance(row, Mapping):
        return None
    return next((schema for schema in SCHEMAS if schema.fits(row)), None)


def broken_schema_of(row: Row) -> Schema | None:
    """Return the layout that the keys of a row show whatever their values, to say what is wrong with it."""
    return next((s for s in SCHEMAS if s.name != "prompts" and all(key in row for key in s.needs)), None)
