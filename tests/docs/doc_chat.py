"""The chat model of the tutorials: writes tasks, judges an answer by what it shares with the reference."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from task_writer import answer as write_tasks


def answer(body: Mapping[str, Any]) -> str:
    """Return tasks, or a judgement where an answer is shown."""
    text = str(body["messages"][-1]["content"])
    return judgement(text) if "<answer>" in text else write_tasks(body)


def judgement(text: str) -> str:
    """Return a score of 0, 0.5 or 1, or a rating of 1, 5 or 10 where those are asked for."""
    answered, reference = (_words(text, name) for name in ("answer", "reference"))
    shared = len(answered & reference) / max(1, len(answered | reference))
    score = 1.0 if shared > 0.3 else 0.5 if shared > 0.05 else 0.0
    if "\n10: " in text:
        score = {0.0: 1, 0.5: 5, 1.0: 10}[score]
    return json.dumps({"reason": f"{shared:.2f} of the words are shared.", "score": score})


def _words(text: str, name: str) -> set[str]:
    found = re.search(rf"<{name}>(.*?)</{name}>", text, re.DOTALL)
    return set(re.findall(r"\w", found[1])) if found else set()
