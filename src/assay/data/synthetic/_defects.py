"""Planted defects of known kind and place."""

from __future__ import annotations

import random

DEFECTS: tuple[str, ...] = (
    "wrong_answer",
    "truncated",
    "off_topic",
    "near_duplicate",
    "refusal",
    "wrong_language",
    "garbled",
)
"""Kinds of defect: a wrong answer, one cut off, one to another question, a near-copy of an earlier sample, a
boilerplate refusal, an answer in the other language, and letters destroyed as by a wrong encoding."""

REFUSALS = (
    (
        "I'm sorry, but as a language model I cannot help with that.",
        "As an AI, I am unable to answer this request.",
        "Sorry, I can't assist with that question.",
    ),
    (
        "很抱歉，作为一个语言模型，我无法回答这个问题。",
        "作为人工智能，我不能满足您的请求。",
        "对不起，我无法提供帮助。",
    ),
)
_MARKS = "�#@%&*~^|Ã¤â€œ"


def garbled(answer: str, rng: random.Random) -> tuple[str, tuple[int, int]]:
    """Return the answer with a run of letters replaced by marks, and that run's place."""
    length = max(1, len(answer) // 2)
    start = int(rng.random() * (len(answer) - length + 1))
    marks = "".join(_MARKS[int(rng.random() * len(_MARKS))] for _ in range(length))
    return answer[:start] + marks + answer[start + length :], (start, start + length)


def truncated(answer: str, rng: random.Random) -> tuple[str, tuple[int, int]]:
    """Return the answer cut off in the middle, and the place of the cut."""
    cut = 1 + int(rng.random() * max(1, len(answer) // 2))
    return answer[:cut], (cut, cut)


def misspelt(prompt: str, rng: random.Random) -> str:
    """Return the prompt with one neighbouring pair of letters swapped, or a mark added where none differs."""
    start = int(rng.random() * max(1, len(prompt) - 1))
    for index in (*range(start, len(prompt) - 1), *range(start)):
        a, b = prompt[index], prompt[index + 1]
        if a != b and a.isalpha() and b.isalpha():
            return prompt[:index] + b + a + prompt[index + 2 :]
    return prompt + "!"


def refusal(lang: int, rng: random.Random) -> str:
    """Return a refusal in the sample's language."""
    return REFUSALS[lang][int(rng.random() * len(REFUSALS[lang]))]
