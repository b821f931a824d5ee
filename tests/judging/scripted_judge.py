"""What the scripted server says when it is asked to judge: words in the answer decide."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

SCORES = {"GOOD": 1.0, "FAIR": 0.5, "BAD": 0.0}
_asked: Counter[str] = Counter()


def answer(body: Mapping[str, Any]) -> str:
    """Return a judgement; a function of the request, and for some words of how often it came."""
    text = body["messages"][-1]["content"]
    _asked[text] += 1
    if "<answer_a>" in text:
        return pair(text)
    said = text[text.index("<answer>") : text.rindex("</answer>")]
    if "GARBLE" in said or ("HICCUP" in said and _asked[text] == 1):
        return reply(body, "who knows")
    score = next((score for word, score in SCORES.items() if word in said), 0.25)
    if "WAVER" in said:
        score = (0.5, 1.0, 0.75)[(_asked[text] - 1) % 3]
    if body.get("logprobs"):
        values = re.findall(r"^(\d): ", text[text.rindex("</answer>") :], re.MULTILINE)
        if "MUTE" in said:
            return " "
        return "99" if "LONG" in said else str(round(score * (len(values) - 1)))
    return reply(body, score)


def reply(body: Mapping[str, Any], score: float | str) -> str:
    chinese = "阅卷人" in body["messages"][0]["content"]
    reason = "回答正确，分数: 0" if chinese else 'It says "score: 0" itself.'
    if body.get("response_format"):
        return json.dumps({"reason": reason, "score": score}, ensure_ascii=False)
    return f"分数：{score}" if chinese else f"Well.\n\nScore: {score}"


def pair(text: str) -> str:
    a = text[text.index("<answer_a>") : text.rindex("</answer_a>")]
    b = text[text.index("<answer_b>") : text.rindex("</answer_b>")]
    if "GARBLE" in a + b:
        return "who knows"
    if "EITHER" in a:
        better = "A"
    else:
        better = "A" if "GOOD" in a and "GOOD" not in b else "B" if "GOOD" in b and "GOOD" not in a else "tie"
    return json.dumps({"reason": "", "better": better})
