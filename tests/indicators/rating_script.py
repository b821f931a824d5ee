"""What the scripted server says when it is asked for a rating: words in the sample decide."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

SCORES = {"PERFECT": 5.0, "GREAT": 4.5, "FAIR": 3.0, "POOR": 1.0}
_asked: Counter[str] = Counter()


def answer(body: Mapping[str, Any]) -> str:
    """Return a rating in the language of the question; unreadable at first, or always, as the words ask."""
    text = body["messages"][-1]["content"]
    _asked[text] += 1
    chinese = "只回复一行" in text
    asked = re.search(
        r"(?:\[Instruction\]|【指令】)\n(.*?)\n(?:\[End of instruction\]|【指令结束】)", text, re.S
    )
    said = re.search(r"(?:\[Answer\]|【回答】)\n(.*?)\n(?:\[End of answer\]|【回答结束】)", text, re.S)
    prompt = asked[1] if asked else ""
    if "GARBLE" in prompt or ("HICCUP" in prompt and _asked[text] == 1):
        return "I would rather not: 3 or 4, score: 3, or score: 4."
    if "tags" in text.splitlines()[-1] or "标签" in text.splitlines()[-1]:
        named = ["write"] * 2 + prompt.split()
        return ("标签：" if chinese else "tags: ") + ("；" if chinese else "; ").join(named)
    whole = said[1] if said else prompt
    score = next((score for word, score in SCORES.items() if word in whole), 2.0)
    return f"分数：{score}" if chinese else f"score: {score}"
