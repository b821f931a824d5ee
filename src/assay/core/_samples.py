"""The one sample value, and the twelve types of use."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import orjson

from assay.core._frozen import quickly_made

Role: TypeAlias = Literal["system", "user", "assistant", "tool"]


SelectionRule: TypeAlias = Literal[
    "top", "bottom", "random", "balanced", "quota", "clusters", "deita", "k_center", "facility", "qdit",
    "target", "tags",
]  # fmt: skip
"""Ways to select, as :func:`assay.selection.pick` explains them."""

# BELLE, section 3.1: the twelve types of use, in the paper's order.
TASK_TYPES: tuple[str, ...] = (
    "math",
    "code",
    "cot",
    "classification",
    "extraction",
    "open_qa",
    "closed_qa",
    "generation",
    "brainstorming",
    "rewrite",
    "translation",
    "summarization",
)

_ALIASES: Mapping[str, str] = {
    "extract": "extraction",
    "information_extraction": "extraction",
    "summarisation": "summarization",
    "summary": "summarization",
    "summarize": "summarization",
    "summarise": "summarization",
    "classify": "classification",
    "generate": "generation",
    "brainstorm": "brainstorming",
    "rewriting": "rewrite",
    "translate": "translation",
    "chain_of_thought": "cot",
    "mathematics": "math",
    "coding": "code",
    "数学": "math",
    "代码": "code",
    "编程": "code",
    "思维链": "cot",
    "推理": "cot",
    "分类": "classification",
    "抽取": "extraction",
    "信息抽取": "extraction",
    "提取": "extraction",
    "开放问答": "open_qa",
    "开放式问答": "open_qa",
    "封闭问答": "closed_qa",
    "封闭式问答": "closed_qa",
    "生成": "generation",
    "头脑风暴": "brainstorming",
    "改写": "rewrite",
    "重写": "rewrite",
    "翻译": "translation",
    "摘要": "summarization",
    "总结": "summarization",
}


def task_type(name: str) -> str:
    r"""Return the standard name of a type of use, whatever its spelling.

    "closed\\xa0qa", "Closed QA" and "closed-qa" give ``closed_qa``; "Extract" gives ``extraction``.
    A name outside BELLE's twelve keeps its own normalised spelling: users may have types of their own.
    """
    plain = unicodedata.normalize("NFKC", name).strip().lower()
    plain = re.sub(r"[\s\-_/]+", "_", plain)
    return _ALIASES.get(plain, plain)


_UNSAID = {"unsaid": True}


@quickly_made
@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation.

    ``tool_calls`` (assistant turns) is the canonical JSON of a list of ``{"type": "function", "function":
    {"name", "arguments"}}``; ``tool_call_id`` and ``name`` say which call a ``tool`` turn answers; ``tools``,
    on the first turn, is the canonical JSON of the list of tools on offer.  A turn that is not ``learned``
    (``weight: 0``) is read by the model and left out of the loss.
    """

    role: Role
    content: str
    tool_calls: str | None = field(default=None, metadata=_UNSAID)
    tool_call_id: str | None = field(default=None, metadata=_UNSAID)
    name: str | None = field(default=None, metadata=_UNSAID)
    tools: str | None = field(default=None, metadata=_UNSAID)
    learned: bool = field(default=True, metadata=_UNSAID)

    @property
    def extras(self) -> dict[str, str | bool]:
        """What a turn holds beside role and content: empty for a plain turn."""
        if self.learned and self.tool_calls is self.tool_call_id is self.name is self.tools is None:
            return {}
        names = ("tool_calls", "tool_call_id", "name", "tools")
        found: dict[str, str | bool] = {n: v for n in names if (v := getattr(self, n)) is not None}
        return found if self.learned else found | {"learned": False}

    @property
    def said(self) -> str:
        """The text of the turn, with its tool calls on a line of their own."""
        if self.tool_calls is None:
            return self.content
        return f"{self.content}\n{self.tool_calls}" if self.content else self.tool_calls


@quickly_made
@dataclass(frozen=True, slots=True)
class Sample:
    """A conversation to learn from, or (with ``checker`` or as a reference) an evaluation item.

    ``messages`` hold at least one user turn; in an evaluation item without a reference answer the last
    turn is the user's.  ``type`` is a standard name (:func:`task_type`) or None where the data does not
    say; ``language`` a BCP 47 primary tag (``en``, ``zh``) or None; ``source`` names the data set;
    ``checker`` is canonical JSON that names an exact checker and its arguments; ``group`` names a family
    of items that share wording, over which errors are clustered; ``origin`` is ``file:line``.
    """

    messages: tuple[Message, ...]
    type: str | None = None
    language: str | None = None
    source: str = ""
    checker: str | None = None
    group: str | None = None
    origin: str = ""

    @property
    def id(self) -> str:
        """Digest of the conversation (32 hex digits): the same text has the same id in every file."""
        turns = [
            [m.role, m.content]
            if m.learned and m.tool_calls is m.tool_call_id is m.name is m.tools is None
            else [m.role, m.content, m.extras]
            for m in self.messages
        ]
        # The canonical JSON of plain texts, without the walk over unknown types.
        try:
            text = orjson.dumps(turns)
        except orjson.JSONEncodeError:  # half of a surrogate pair
            plain = json.dumps(turns, ensure_ascii=False, separators=(",", ":"))
            text = plain.encode("utf-8", "surrogatepass")
        return hashlib.sha256(text).hexdigest()[:32]

    @property
    def tools(self) -> str | None:
        """Canonical JSON of the list of tools on offer, or None."""
        return self.messages[0].tools

    @property
    def prompt(self) -> tuple[Message, ...]:
        """All turns before the last assistant turn, or all turns where there is none."""
        return self.messages[:-1] if self.messages[-1].role == "assistant" else self.messages

    @property
    def answer(self) -> str | None:
        """The text of the last assistant turn, or None: missing is not empty.

        It is "" where that turn only calls tools.
        """
        last = self.messages[-1]
        return last.content if last.role == "assistant" else None

    @classmethod
    def single(cls, instruction: str, answer: str | None, **fields: str | None) -> Sample:
        """Build a one-turn sample."""
        turns = [Message("user", instruction)]
        if answer is not None:
            turns.append(Message("assistant", answer))
        return cls(tuple(turns), **fields)  # type: ignore[arg-type]
