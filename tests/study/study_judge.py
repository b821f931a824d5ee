"""What the scripted judge of a study says: a score from the scale, by the letters of the answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def answer(body: Mapping[str, Any]) -> str:
    """Return the judgement of the last answer in the prompt; one with a Z cannot be read."""
    text = body["messages"][-1]["content"]
    said = text.split("<answer>\n", 1)[1].split("\n</answer>", 1)[0].strip()
    if "Z" in said or "z" in said:
        return "no idea"
    schema = body["response_format"]["json_schema"]["schema"]
    scale = schema["properties"]["score"]["enum"]
    return json.dumps({"reason": f"{len(said)} letters", "score": scale[len(said) % len(scale)]})
