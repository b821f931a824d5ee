"""What the scripted judge of a study of dialogues says: a rating by the letters of the answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def answer(body: Mapping[str, Any]) -> str:
    """Return a rating of the scale; the letters of the answer decide."""
    text = body["messages"][-1]["content"]
    said = text.split("<answer>\n", 1)[1].split("\n</answer>", 1)[0].strip()
    scale = body["response_format"]["json_schema"]["schema"]["properties"]["score"]["enum"]
    return json.dumps({"reason": f"{len(said)} letters", "score": scale[len(said) % len(scale)]})
