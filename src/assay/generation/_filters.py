"""Filters of single tasks: what asks for more than text, is too short or long, or in another language."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from assay.core import AssayError
from assay.data import hashed, language_of
from assay.generation._prompts import EVOLUTIONS, Prompts
from assay.generation._tasks import Task
from assay.indicators import Indicator, find

# What asks for pictures, sound, links or files, or speaks of the model: after the lists of self-instruct and
# BELLE (1.5M/generate_instruction.py), without words that have a common meaning in text.
_MEDIA = re.compile(
    r"\b(images?|pictures?|photos?|photographs?|screenshots?|flow ?charts?|videos?|audio|soundtracks?"
    r"|(?:bar|line|pie|column) (?:charts?|graphs?)|hyperlinks?|urls?"
    r"|(?:draw|sketch|paint) (?:a|an|the|me) (?!conclusion|comparison|parallel|distinction|line betw|infer)"
    r"|(?:play|record) (?:a|an|the|me|some) (?:song|music|sound|melody)|click (?:on )?(?:the|this|a)"
    r"|(?:this|the following|attached|given|provided) (?:links?|files?|websites?|web ?pages?)"
    r"|(?:download|upload) (?:a|an|the|this|that|your))\b|https?://|www\.\w"
    r"|图像|图片|照片|截图|图表|图层|曲线图|折线图|直线图|柱形图|柱状图|饼状图|饼图|视频|音频|录音|链接|网址|附件"
    r"|(?<![刻描])画(?:一[幅张个]|出|幅|张)|绘制|播放|拍(?:一[张段]|张)|点击|(?:打开|下载|上传)(?:以下|下面|这|该|此|文件)"
    r"|(?:以下|下面|这个|所给|上述)(?:的)?(?:文件|网站|网页)",
    re.IGNORECASE,
)
_MODEL = re.compile(
    r"\b(open ?ai|chat ?gpt|gpt(?:-?\d[\w.]*)?|anthropic|claude(?:[- ]\d)?|gemini pro|llama ?\d|copilot"
    r"|(?:as )?an? (?:ai|artificial intelligence) (?:language )?(?:model|assistant)"
    r"|(?:large )?language models?)\b"
    r"|语言模型|人工智能(?:模型|助手)|作为(?:一个|一名)?\s*(?:AI|人工智能)|文心一言|通义千问",
    re.IGNORECASE,
)
GRAM = 8
_TOLD = ("zh", "ja", "ko", "ru", "ar", "hi", "th", "el", "he", "en", "de", "fr", "es", "it", "pt")
_MIXED_TYPES = ("translation", "code", "extraction", "classification", "math")
_LEAST_TOKENS_OF_LANGUAGE = 12
_COPIED = re.compile(
    r"#?\b((given|rewritten|evolved) (prompt|task)|(new|original) prompt)\b"
    r"|原任务|改写后的(?:任务|指令)|所给任务",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class FilterRules:
    """What is not kept.

    Parameters
    ----------
    keywords
        Forbidden words in instructions and inputs, in addition to the built-in ones.
    builtin
        Drop tasks that ask for images, audio, links or files, or that name the model.
    shortest
        Minimum length of an instruction, in words (Chinese: characters; BELLE: more than 3).
    longest
        Maximum length of an instruction without an input.
    longest_with_input
        Maximum length of an instruction with an input.
    novelty
        Drop tasks whose ROUGE-L with a kept instruction reaches this value; above 1: off.
    bm25
        Use BM25 instead: drop tasks that score above this value against a kept instruction (BELLE: 18).
    near
        Drop tasks whose Jaccard similarity (5-token shingles) with a kept task reaches this value; above 1:
        off.
    contained
        Drop tasks that contain this share of an evaluation prompt's 8-grams.
    same_language
        Drop tasks in another language than requested.
    refusals
        Keep refusals.
    """

    keywords: tuple[str, ...] = ()
    builtin: bool = True
    shortest: int = 3
    longest: int = 150
    longest_with_input: int = 100
    novelty: float = 0.7
    bm25: float | None = None
    near: float = 0.8
    contained: float = 0.6
    same_language: bool = True
    refusals: bool = False

    def __post_init__(self) -> None:
        """Raise :class:`AssayError` for limits that no task can meet."""
        if not 0 <= self.shortest <= min(self.longest, self.longest_with_input):
            raise AssayError(
                "length limits that no task can satisfy",
                value=f"{self.shortest} to {self.longest} ({self.longest_with_input} with input)",
                expected="minimum length at most the maximum",
            )


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a task goes: the rule, what was seen, and the partner and score where it was compared."""

    rule: str
    detail: str = ""
    partner: str | None = None
    score: float | None = None


@dataclass(frozen=True)
class Filters:
    """The filters that need no other task, for one language."""

    rules: FilterRules
    language: str
    prompts: Prompts
    _own: frozenset[bytes] = field(init=False)

    def __post_init__(self) -> None:
        """Note the texts of the prompts, which no task may copy."""
        names = ("self_instruct", "localise", *(f"evolve_{how}" for how in EVOLUTIONS))
        runs = (runs_of(self.prompts.template(name)) for name in names)
        object.__setattr__(self, "_own", frozenset().union(*runs))

    @property
    def tells_language(self) -> bool:
        """Whether the language can be told from others; where not, that filter lets all pass."""
        return self.rules.same_language and self.language in _TOLD

    def check(self, task: Task, parent: Task | None = None) -> Rejection | None:
        """Return the first rule that the task breaks, or None.  ``parent``: the task it was evolved from."""
        return (
            self._keyword(task)
            or self._length(task)
            or self._other_language(task)
            or self._copied(task)
            or (None if parent is None else _gain(task, parent))
            or self.answered(task)
        )

    def answered(self, task: Task) -> Rejection | None:
        """Return what is wrong with the task's answer, or None; a task without one passes."""
        if not task.output:
            return None
        if not any(c.isalnum() for c in task.output):
            return Rejection("answer", "the answer has no letter or digit")
        if task.output.strip() == task.prompt.strip() or task.output.strip() == task.instruction.strip():
            return Rejection("answer", "the answer repeats the task")
        if not self.rules.refusals and _refuses(task):
            return Rejection("refusal", task.output[:80])
        if found := self.rules.builtin and _MODEL.search(task.output):
            return Rejection("keyword", f"the answer names a model: {found[0]}")
        return None

    def _keyword(self, task: Task) -> Rejection | None:
        asked = f"{task.instruction}\n{task.input}"
        if self.rules.builtin:
            # Material may speak of pictures; only the instruction asks for them.
            found = (
                _MEDIA.search(task.instruction)
                or re.search(r"https?://|\bwww\.", asked)
                or _MODEL.search(asked)
            )
            if found:
                return Rejection("keyword", found[0])
        folded = asked.casefold()
        for word in self.rules.keywords:
            if word.casefold() in folded:
                return Rejection("keyword", word)
        return None

    def _length(self, task: Task) -> Rejection | None:
        size = int(hashed([task.instruction]).lengths[0])
        longest = self.rules.longest_with_input if task.input else self.rules.longest
        if size < self.rules.shortest or size > longest:
            return Rejection("length", f"{size} words, outside {self.rules.shortest} to {longest}")
        return None

    def _other_language(self, task: Task) -> Rejection | None:
        if not self.tells_language:
            return None
        found = language_of(task.instruction)
        if found not in (None, self.language):
            return Rejection("language", f"the instruction is in {found}")
        if task.type in _MIXED_TYPES or "```" in task.output:
            return None
        if hashed([task.output]).lengths[0] >= _LEAST_TOKENS_OF_LANGUAGE:
            found = language_of(task.output)
            if found not in (None, self.language):
                return Rejection("language", f"the answer is in {found}")
        return None

    def _copied(self, task: Task) -> Rejection | None:
        if found := _COPIED.search(task.instruction):
            return Rejection("copied", f"speaks of the prompt: {found[0]}")
        if not self._own.isdisjoint(runs_of(task.instruction)):
            return Rejection("copied", "holds a run of 8 tokens of the prompt")
        return None


def runs_of(text: str) -> set[bytes]:
    """Return the runs of 8 tokens of a text, or all of a shorter one (:func:`assay.selection.holding`)."""
    tokens = hashed([text]).tokens
    if len(tokens) < GRAM:
        return {tokens.tobytes()} if len(tokens) else set()
    return {tokens[i : i + GRAM].tobytes() for i in range(len(tokens) - GRAM + 1)}


def _refuses(task: Task) -> bool:
    indicator = find("refusal")
    assert isinstance(indicator, Indicator)  # noqa: S101 - it is no rule
    assert indicator.measure is not None  # noqa: S101 - it needs no model
    return indicator.measure([task.sample("")])[0] == 1.0


def _gain(task: Task, parent: Task) -> Rejection | None:
    """Return a rejection where an evolved task adds nothing (Evol-Instruct, section 3.3, elimination)."""
    old, new = (set(hashed([one.prompt]).tokens.tolist()) for one in (parent, task))
    if task.identity == parent.identity or len(new - old) < _LEAST_NEW:
        return Rejection("no_gain", f"{len(new - old)} new words", parent.name or None)
    return None


_LEAST_NEW = 3
