"""The questions that the tests ask, and a process that asks them: ``chat_client.py {json}``."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Any

from assay.core import Message
from assay.llm import Budget, Chat, Failure, Reply, Request, Sampling

MODEL = "openai-api/scripted/model"
SCHEMA = json.dumps(
    {
        "type": "object",
        "properties": {"score": {"type": "number", "minimum": 0, "maximum": 1}, "why": {"type": "string"}},
        "required": ["score", "why"],
        "additionalProperties": False,
    }
)


def question(number: int, *, schema: bool = True, max_tokens: int = 64) -> Request:
    said = f"请给第 {number} 个回答打分。" if number % 2 else f"Rate answer number {number}."
    return Request(
        (Message("system", "You rate answers."), Message("user", said)),
        Sampling(max_tokens=max_tokens),
        SCHEMA if schema else None,
    )


def questions(n: int) -> list[Request]:
    return [question(number) for number in range(n)]


def outcomes(chat: Chat, requests: list[Request], **options: Any) -> dict[int, Reply | Failure]:
    got = list(chat.ask(requests, **options))
    assert sorted(index for index, _ in got) == list(range(len(requests)))
    return dict(got)


def texts(found: dict[int, Reply | Failure]) -> dict[int, str]:
    return {index: one.text for index, one in found.items() if isinstance(one, Reply)}


def main() -> None:
    given = json.loads(sys.argv[1])
    budget = Budget(**given.pop("budget", {}))
    n, url, calls = given.pop("n"), given.pop("url"), Path(given.pop("calls"))
    with Chat(MODEL, base_url=url, calls=calls, budget=budget, **given) as chat:
        for _, one in chat.ask(questions(n)):
            print(f"{one.key} {type(one).__name__}", flush=True)


if __name__ == "__main__":
    # A parent that runs in the background hands down that interrupts are ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    main()
