"""What the scripted server says when it is asked for ratings: the number that the answer names."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def answer(body: Mapping[str, Any]) -> str:
    """Return the rating that the answer names, 3 where it names none; higher where a reference is given."""
    text = body["messages"][-1]["content"]
    with Path(os.environ["PROMPTS_SEEN"]).open("a", encoding="utf-8") as seen:
        seen.write(json.dumps(text) + "\n")
    said = text[text.index("<answer>") : text.rindex("</answer>")]
    steps = re.findall(r"^(\d+)[:：]", text[text.rindex("</answer>") :], re.MULTILINE)
    assert steps == [str(n) for n in range(1, 11)], "the scale goes from 1 to 10"
    named = re.search(r"RATE(\d+)", said)
    rating = int(named[1]) if named else 3
    if "REFERENCE" in text[: text.index("<answer>")]:
        rating = min(rating + 1, 10)
    return json.dumps({"reason": f"Rating: [[{rating}]]", "score": rating})
