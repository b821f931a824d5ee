from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from chat_client import SCHEMA, outcomes, texts
from real_server import transformers_serve

from assay.core import Message
from assay.llm import Chat, Failure, Reply, Request, Sampling

pytest.importorskip("fastapi", reason="transformers serve needs FastAPI and Uvicorn")

MODEL = "openai-api/local/pocket"
PROMPTS = ["What is the capital of France?", "法国的首都是哪里？", "Write a word.", "写一个词。"]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with transformers_serve() as url:
        yield url


def asked(max_tokens: int = 12) -> list[Request]:
    sampling = Sampling(temperature=0.0, max_tokens=max_tokens)
    return [Request((Message("user", prompt),), sampling) for prompt in PROMPTS]


def test_streamed_and_not_are_the_same(server: str, tmp_path: Path) -> None:
    found = []
    for stream in (False, True):
        with Chat(MODEL, base_url=server, calls=tmp_path / str(stream), stream=stream) as chat:
            first = outcomes(chat, asked())
            assert all(isinstance(one, Reply) and not one.cached for one in first.values()), first
            for one in first.values():
                assert isinstance(one, Reply)
                assert one.tokens_in and one.tokens_out and one.tokens_out <= 12
                assert one.ended == ("length" if one.tokens_out == 12 else "stop")
                assert "pocket" in one.model and one.cost == 0.0
            again = outcomes(chat, asked())
            assert all(isinstance(one, Reply) and one.cached for one in again.values())
            assert chat.spent.calls == len(PROMPTS) == chat.spent.cached
            found.append(texts(first))
    assert found[0] == found[1] and any(found[0].values())


def test_the_bound_on_prompt_tokens_holds(server: str, tmp_path: Path) -> None:
    with Chat(MODEL, base_url=server, calls=tmp_path) as chat:
        for request in [*asked(1), Request((Message("user", "𠮷野家🍜ﷺ" * 20),), Sampling(max_tokens=1))]:
            bound = chat.estimate([request]).tokens_in
            reply = outcomes(chat, [request])[0]
            assert isinstance(reply, Reply) and reply.tokens_in is not None
            assert reply.tokens_in <= bound


def test_many_at_once(server: str, tmp_path: Path) -> None:
    requests = [Request((Message("user", f"{i} + {i} = ?"),), Sampling(max_tokens=4)) for i in range(16)]
    with Chat(MODEL, base_url=server, calls=tmp_path) as chat:
        assert len(texts(outcomes(chat, requests))) == 16
        assert chat.spent.calls == 16


def test_a_server_that_knows_no_schema_is_checked_all_the_same(server: str, tmp_path: Path) -> None:
    """The tiny model does not write such JSON: it is told so, never let through."""
    request = Request((Message("user", "Rate: fine"),), Sampling(max_tokens=8), SCHEMA)
    with Chat(MODEL, base_url=server, calls=tmp_path, attempts=2) as chat:
        failure = outcomes(chat, [request])[0]
        assert isinstance(failure, Failure)
        assert (failure.kind, failure.attempts, chat.spent.calls) == ("malformed", 2, 2)
