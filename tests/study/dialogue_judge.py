"""What the scripted judge of a study of dialogues says: a rating by the letters of the answer."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def answer(body: Mapping[str, Any]) -> str:
    """Return a rating of the scale; the letters of the answer decide."""
    text = body["messages"][-1]["content"]
    with Path(os.environ["PROMPTS_SEEN"]).open("a", encoding="utf-8") as seen:
        seen.write(json.dumps(text) + "\n")
    said = text.split("<answer>\n", 1)[1].split("\n</answer>", 1)[0].strip()
    scale = body["response_format"]["json_schema"]["schema"]["properties"]["score"]["enum"]
    return json.dumps({"reason": f"{len(said)} letters", "score": scale[len(said) % len(scale)]})
