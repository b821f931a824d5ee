from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from chat_client import MODEL, outcomes, question, questions, texts
from chat_server import serving

from assay.core import AssayError, Message
from assay.llm import Budget, Chat, ChatConfig, Failure, Request, Sampling, open_chat

FAULTS = {"limited": 0.02, "error": 0.05, "reset": 0.05, "truncated": 0.05, "schema": 0.03}


@pytest.fixture
def prices(tmp_path: Path) -> Path:
    path = tmp_path / "prices.toml"
    text = f'currency = "USD"\n[[price]]\nmodel = "{MODEL}"\ninput = 1000.0\noutput = 3000.0\n'
    path.write_text(text)
    return path


def budget_failures(found: dict[int, object]) -> list[Failure]:
    return [one for one in found.values() if isinstance(one, Failure) and one.kind == "budget"]


@pytest.mark.parametrize("faults", [{}, FAULTS])
def test_tokens_are_never_passed(calls: Path, faults: dict[str, float]) -> None:
    """Counted by the server, with all that it worked for in vain."""
    cap = 6000
    with (
        serving(faults=faults, seed=1, latency=0.01, retry_after="0") as server,
        Chat(MODEL, base_url=server.url, calls=calls, budget=Budget(tokens=cap), attempts=10) as chat,
    ):
        found = outcomes(chat, questions(300))
        good, failed = texts(found), budget_failures(found)
        assert good and failed and len(good) + len(failed) == 300
        spent = chat.spent.tokens_in + chat.spent.tokens_out
        assert server.tokens() <= spent <= cap
        # No more is left over than one request may need.
        largest = max(chat.estimate([question(i)]).tokens_in + 64 for i in range(300))
        assert cap - spent < largest
        if not faults:
            assert server.tokens() == spent and chat.spent.unknown == 0


def test_money_is_never_passed(calls: Path, prices: Path) -> None:
    cap = 12.0
    with (
        serving(faults=FAULTS, seed=2, latency=0.01, retry_after="0") as server,
        Chat(
            MODEL, base_url=server.url, calls=calls, prices=prices, budget=Budget(money=cap), attempts=10
        ) as chat,
    ):
        told: list[str] = []
        found = outcomes(chat, questions(200), advance=lambda done, total, text: told.append(text))
        assert texts(found) and budget_failures(found)
        assert chat.spent.money is not None and 0.0 < chat.spent.money <= cap
        assert told[-1].startswith("replies, ") and told[-1].endswith(" of 12 USD")
        reply = next(one for one in found.values() if not isinstance(one, Failure))
        assert reply.cost == pytest.approx((reply.tokens_in * 1000 + reply.tokens_out * 3000) / 1e6)  # type: ignore[operator]


def test_a_named_run_remembers_what_it_spent(calls: Path) -> None:
    cap = Budget(tokens=4000)
    with serving() as server:
        with Chat(MODEL, base_url=server.url, calls=calls, budget=cap, run="study") as chat:
            first = outcomes(chat, questions(200))
        with Chat(MODEL, base_url=server.url, calls=calls, budget=cap, run="study") as chat:
            again = outcomes(chat, questions(200))
            assert texts(again) == texts(first) and chat.spent.calls == 0
        assert server.tokens() <= 4000
        with Chat(MODEL, base_url=server.url, calls=calls, budget=cap, run="other") as chat:
            more = texts(outcomes(chat, questions(200)))
            assert len(more) > len(texts(first)) and chat.spent.cached == len(texts(first))


def test_a_request_waits_for_what_is_in_flight(calls: Path) -> None:
    """Two that fit one after the other but not at once are both answered."""
    with serving(latency=0.2) as server:
        with Chat(MODEL, base_url=server.url, calls=calls / "bound") as chat:
            bound = chat.estimate([question(0)])
        cap = Budget(tokens=bound.tokens_in + bound.tokens_out + 60)
        with Chat(MODEL, base_url=server.url, calls=calls, budget=cap) as chat:
            assert len(texts(outcomes(chat, [question(0), question(2)]))) == 2
            failed = outcomes(chat, [question(4)])[0]
            assert isinstance(failed, Failure) and failed.kind == "budget" and "tokens" in failed.problem
        assert max(row["flying"] for row in server.log()) == 1


def test_rejected_replies_are_paid(calls: Path) -> None:
    with serving() as server, Chat(MODEL, base_url=server.url, calls=calls, attempts=4) as chat:
        outcomes(chat, [question(0)], usable=lambda reply: "no")
        assert chat.spent.calls == 4
        assert chat.spent.tokens_in + chat.spent.tokens_out == server.tokens()


def test_cap_in_money_needs_a_price(calls: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCRIPTED_API_KEY", "none")
    with pytest.raises(AssayError, match="price of this model is unknown"):
        Chat(MODEL, base_url="http://models.example/v1", calls=calls, budget=Budget(money=1.0))
    assert not calls.exists()


def test_currencies_must_agree(calls: Path, prices: Path) -> None:
    with pytest.raises(AssayError, match="is in USD"):
        Chat(
            MODEL,
            base_url="http://127.0.0.1:1/v1",
            calls=calls,
            prices=prices,
            budget=Budget(money=1.0, currency="CNY"),
        )


def test_estimate_bounds_what_is_spent(calls: Path, prices: Path) -> None:
    with (
        serving() as server,
        Chat(MODEL, base_url=server.url, calls=calls, prices=prices) as chat,
    ):
        requests = [
            Request((Message("user", "用中文写一首诗" * 30),), Sampling(max_tokens=20)),
            *questions(20),
            question(3),
        ]
        before = chat.estimate(requests)
        assert (before.requests, before.cached) == (22, 1)
        outcomes(chat, requests)
        assert before.tokens_in >= chat.spent.tokens_in > 0
        assert before.tokens_out >= chat.spent.tokens_out > 0
        assert before.money is not None and chat.spent.money is not None and before.money >= chat.spent.money
        after = chat.estimate(requests)
        assert (after.cached, after.tokens_in, after.money) == (22, 0, 0.0)


def test_a_chat_from_a_study_file(calls: Path, prices: Path) -> None:
    with serving() as server:
        config = ChatConfig(
            MODEL,
            base_url=server.url,
            budget="30 USD and 1M tokens",
            prices=prices,
            calls=calls,
            max_tokens=3,
            temperature=0.0,
        )
        assert config.sampling(Sampling(top_p=0.5)) == Sampling(0.0, 0.5, 3)
        with open_chat(config) as chat:
            assert chat.budget == Budget(1_000_000, 30.0)
            request = config.request(question(0, schema=False))
            reply = outcomes(chat, [request])[0]
        assert not isinstance(reply, Failure) and reply.ended == "length" and len(reply.text) == 3


def test_the_calls_file_holds_no_question(calls: Path) -> None:
    """Only the digest of what was asked; and it can be read by any SQLite."""
    with serving() as server, Chat(MODEL, base_url=server.url, calls=calls) as chat:
        outcomes(chat, questions(3))
    with sqlite3.connect(calls / "calls.sqlite") as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        keys = {key for (key,) in db.execute("SELECT key FROM reply")}
        assert keys == {one.digest(MODEL) for one in questions(3)}
        assert db.execute("SELECT count(*) FROM open").fetchone() == (0,)
    assert b"Rate answer" not in (calls / "calls.sqlite").read_bytes()
