"""A client that goes away stops its answer: told by the answer itself, when it is closed."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from assay import model, web
from assay.serving._door import Door
from assay.serving._site import build_app

DOOR = Door.new()
LONG = 300
# The pocket model goes round in circles here.
ENDLESS = {
    "model": "pocket", "messages": [{"role": "user", "content": "Name a fruit"}],
    "max_tokens": LONG, "temperature": 0,
}  # fmt: skip


@dataclass
class Watched:
    """The pocket model, which tells of every answer how many tokens there were when it was closed."""

    real: model.ChatModel
    closed: queue.Queue[int]

    def prompt(self, *arguments: Any, **options: Any) -> model.Prompt:
        return self.real.prompt(*arguments, **options)

    def stream(self, *arguments: Any, **options: Any) -> Iterator[model.Piece]:
        tokens = 0
        try:
            for piece in self.real.stream(*arguments, **options):
                tokens = piece.tokens
                yield piece
        finally:
            self.closed.put(tokens)


@dataclass
class Shelf:
    runs: Path
    given: tuple[str, ...] = ("pocket",)
    closed: queue.Queue[int] = field(default_factory=queue.Queue)

    def studies(self, language: str) -> list[Any]:
        return []

    def open(self, name: str) -> Any:
        return Watched(model.open_chat(model.resolve_base(name)), self.closed)


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


@pytest.fixture
def client(shelf: Shelf) -> Iterator[httpx.Client]:
    bound = web.bind("127.0.0.1", 0, fixed=False)
    at = web.address("127.0.0.1", bound.getsockname()[1])
    app = build_app(shelf, DOOR, web.allowed_hosts("127.0.0.1"))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
    thread.start()
    headers = {"authorization": f"Bearer {DOOR.token}"}
    try:
        with httpx.Client(base_url=at, headers=headers, timeout=60) as opened:
            yield opened
    finally:
        server.should_exit = True
        thread.join()


def test_a_client_that_goes_away_stops_its_answer(client: httpx.Client, shelf: Shelf) -> None:
    assert shelf.closed.get(timeout=60) == 1  # of the token that warmed the model up at the start
    whole = client.post("/v1/chat/completions", json=ENDLESS).json()
    assert whole["choices"][0]["finish_reason"] == "length"
    assert shelf.closed.get(timeout=60) == LONG
    for _ in range(2):
        with client.stream("POST", "/v1/chat/completions", json={**ENDLESS, "stream": True}) as reply:
            said = reply.iter_lines()
            assert ["role" in next(said), next(said), '"content": "' in next(said)] == [True, "", True]
        assert 0 < shelf.closed.get(timeout=60) < LONG
        with pytest.raises(httpx.ReadTimeout):
            client.post("/v1/chat/completions", json=ENDLESS, timeout=httpx.Timeout(10, read=0.1))
        assert 0 < shelf.closed.get(timeout=60) < LONG
    client.post("/v1/chat/completions", json={**ENDLESS, "max_tokens": 1})
    assert shelf.closed.get(timeout=60) == 1
