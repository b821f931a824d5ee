"""What the scripted server says when it is asked for a type: words in the instruction decide."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

_asked: Counter[str] = Counter()


def answer(body: Mapping[str, Any]) -> str:
    """Return the type after "kind"; in a sentence, wrong at first, or never right, as the words ask."""
    text = body["messages"][-1]["content"]
    _asked[text] += 1
    said = re.search(r"<(instruction|指令)>(.*?)</\1>", text, re.DOTALL)
    instruction = said[2] if said else ""
    named = re.search(r"kind (\w+)", instruction)
    kind = named[1] if named else "open_qa"
    if "stubborn" in instruction or ("hiccup" in instruction and _asked[text] == 1):
        return "It could be math, or else code."
    if "chatty" in instruction:
        return f"**{kind.replace('_', ' ')}**."
    return "摘要" if said and said[1] == "指令" and kind == "summarization" else kind
