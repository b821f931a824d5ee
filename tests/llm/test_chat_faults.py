from __future__ import annotations

from collections import Counter
from pathlib import Path
from statistics import median

import pytest
from chat_client import MODEL, outcomes, question, questions, texts
from chat_server import kinds_by_key, serving

from assay.core import AssayError, Message
from assay.llm import Chat, Failure, Reply, Request, Sampling

# Together 20 %.
FAULTS = {
    "limited": 0.04, "error": 0.04, "reset": 0.02, "cut": 0.02, "truncated": 0.03, "schema": 0.02,
    "empty": 0.01, "slow": 0.02,
}  # fmt: skip


@pytest.mark.parametrize("stream", [False, True])
def test_plain_replies(calls: Path, stream: bool) -> None:
    with serving() as server, Chat(MODEL, base_url=server.url, calls=calls, stream=stream) as chat:
        found = outcomes(chat, [question(0, schema=False), question(1, schema=False, max_tokens=1)])
        whole, cut = found[0], found[1]
        assert isinstance(whole, Reply) and isinstance(cut, Reply)
        assert whole.text.startswith("回答 answer ") and whole.ended == "stop" and not whole.cached
        assert whole.model == "model-2026" and whole.cost == 0.0 and whole.seconds > 0
        assert whole.tokens_in is not None and whole.tokens_out == 4
        assert cut.ended == "length" and cut.tokens_out == 1
        assert chat.spent.calls == 2 and chat.spent.tokens_out == 5


@pytest.mark.parametrize("n", [200, pytest.param(2000, marks=pytest.mark.long)])
def test_twenty_percent_faults(calls: Path, n: int) -> None:
    """None lost, none paid twice, and the texts are those of a server without faults."""
    with (
        serving(faults=FAULTS, seed=1, slow_seconds=0.5) as server,
        Chat(MODEL, base_url=server.url, calls=calls, attempts=12) as chat,
    ):
        found = outcomes(chat, questions(n))
        assert [one for one in found.values() if isinstance(one, Failure)] == []
        well = server.answered_well()
        assert len(well) == n and set(well.values()) == {1}
        kinds = server.kinds()
        assert all(kinds[name] > 0 for name in FAULTS if name != "slow")
        late = sum(row["late"] for row in server.log())
        assert late > 0 and 0.14 < (sum(kinds[name] for name in FAULTS) + late) / kinds.total() < 0.26
        again = outcomes(chat, questions(n))
        assert all(isinstance(one, Reply) and one.cached for one in again.values())
        assert texts(again) == texts(found)
        assert len(server.answered_well()) == n and chat.spent.cached == n


def test_texts_do_not_depend_on_faults_or_order(tmp_path: Path) -> None:
    n, seen = 60, []
    for seed, connections, stream in ((1, 1, False), (2, 40, False), (3, None, True)):
        with (
            # A reply of the wrong schema is the one fault that a stream does not have by itself.
            serving(faults=FAULTS, seed=seed, slow_seconds=0.2, latency=0.005, retry_after="0") as server,
            Chat(
                MODEL,
                base_url=server.url,
                calls=tmp_path / str(seed),
                connections=connections,
                attempts=12,
                stream=stream,
            ) as chat,
        ):
            requests = questions(n) if seed == 1 else list(reversed(questions(n)))
            found = texts(outcomes(chat, requests))
            seen.append(sorted(found.values()))
            assert set(server.answered_well().values()) == {1}
    assert len(seen[0]) == n and seen[0] == seen[1] == seen[2]


def test_every_fault_is_survived_streaming(calls: Path) -> None:
    faults = {name: share for name, share in FAULTS.items() if name not in ("limited", "slow")}
    with (
        serving(faults=faults, seed=5) as server,
        Chat(MODEL, base_url=server.url, calls=calls, attempts=12, stream=True) as chat,
    ):
        found = outcomes(chat, questions(150))
        assert len(texts(found)) == 150
        assert set(server.answered_well().values()) == {1}
        assert {"cut", "truncated", "reset"} <= set(server.kinds())


@pytest.mark.parametrize(("status", "asked"), [(400, 1), (403, 1), (404, 1), (422, 1), (500, 3), (503, 3)])
def test_statuses(calls: Path, status: int, asked: int) -> None:
    request = Request((Message("user", f"[[status {status}]]"),))
    with serving() as server, Chat(MODEL, base_url=server.url, calls=calls, attempts=3) as chat:
        failure = outcomes(chat, [request])[0]
        assert isinstance(failure, Failure)
        assert failure.kind == ("refused" if status < 500 else "exhausted")
        assert failure.attempts == asked == len(server.log())
        assert str(status) in failure.problem
        assert chat.spent.calls == 0


def test_retry_after_is_waited_for(calls: Path) -> None:
    with (
        serving(faults={"limited": 0.5}, seed=4, retry_after="1") as server,
        Chat(MODEL, base_url=server.url, calls=calls) as chat,
    ):
        outcomes(chat, questions(12))
        rows = server.log()
    kinds = kinds_by_key(rows)
    assert any("limited" in one for one in kinds.values())
    for key, one in kinds.items():
        times = [row["at"] for row in rows if row["key"] == key]
        for before, (kind, after) in zip(times, list(zip(one, times, strict=True))[1:], strict=False):
            assert kind in ("limited", "well") and after - before >= 0.99


def test_a_timeout_is_asked_again(calls: Path) -> None:
    with (
        serving(faults={"stall": 0.5}, seed=2) as server,
        Chat(MODEL, base_url=server.url, calls=calls, timeout=1.0, attempts=10) as chat,
    ):
        found = outcomes(chat, questions(8))
        assert len(texts(found)) == 8
        assert server.kinds()["stall"] > 0 and chat.spent.unknown == server.kinds()["stall"]


def test_no_key(calls: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(AssayError) as caught:
        Chat("openai/gpt-4o-mini", calls=calls)
    assert "OPENAI_API_KEY" in str(caught.value)


def test_wrong_key(calls: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCRIPTED_API_KEY", "sk-secret-value")
    with (
        serving(key="sk-other") as server,
        Chat(MODEL, base_url=server.url, calls=calls) as chat,
        pytest.raises(AssayError) as caught,
    ):
        list(chat.ask(questions(5)))
    assert "SCRIPTED_API_KEY" in str(caught.value) and "401" in str(caught.value)
    assert "sk-secret-value" not in str(caught.value)
    stored = b"".join(path.read_bytes() for path in calls.rglob("*") if path.is_file())
    assert b"sk-secret" not in stored


def test_unknown_model(calls: Path) -> None:
    with pytest.raises(AssayError, match="cannot open"):
        Chat("nobody/knows", calls=calls)


def test_key_in_an_error_is_struck_out(calls: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCRIPTED_API_KEY", "sk-secret-value")
    script = calls.parent / "telling.py"
    script.write_text("def answer(body):\n    return 'x'\n")
    with serving(key="sk-secret-value") as server, Chat(MODEL, base_url=server.url, calls=calls) as chat:
        request = Request((Message("user", "[[status 400]] sk-secret-value"),))
        failure = outcomes(chat, [request])[0]
    assert isinstance(failure, Failure) and "sk-secret" not in failure.problem


def test_unusable_replies_are_asked_again_then_given_up(calls: Path) -> None:
    with serving() as server, Chat(MODEL, base_url=server.url, calls=calls, attempts=3) as chat:
        failure = outcomes(chat, [question(0)], usable=lambda reply: "not to my liking")[0]
        assert failure == Failure(failure.key, "malformed", "not to my liking", 3)
        assert len(server.log()) == 3 and chat.spent.calls == 3
        # What was paid for is kept: asked in the same way, nothing is sent; another reader may use it.
        assert isinstance(outcomes(chat, [question(0)], usable=lambda reply: "no")[0], Failure)
        reply = outcomes(chat, [question(0)])[0]
        assert isinstance(reply, Reply) and reply.cached
        assert len(server.log()) == 3


def test_rejected_replies_are_asked_with_another_seed(calls: Path) -> None:
    def answer(number: int) -> Request:
        return Request((Message("user", "掷骰子"),), Sampling(seed=7, max_tokens=8), repeat=number)

    script = calls.parent / "dice.py"
    script.write_text("def answer(body):\n    return f\"seed {body['seed']}\"\n")
    with (
        serving(script="dice:answer", script_path=str(script.parent)) as server,
        Chat(MODEL, base_url=server.url, calls=calls) as chat,
    ):
        found = outcomes(chat, [answer(0), answer(1), answer(2), answer(0)])
        assert len(set(texts(found).values())) == 3 and found[0] != found[1]
        assert texts(found)[0] == texts(found)[3] and len(server.log()) == 3
        rejected = outcomes(chat, [answer(0)], usable=lambda reply: "no" if reply.text == "seed 7" else None)
        assert texts(rejected)[0] not in ("", "seed 7")


def test_schema_in_a_fence(calls: Path) -> None:
    script = calls.parent / "fenced.py"
    script.write_text('def answer(body):\n    return \'```json\\n{"score": 0.5, "why": "好"}\\n```\'\n')
    with (
        serving(script="fenced:answer", script_path=str(script.parent)) as server,
        Chat(MODEL, base_url=server.url, calls=calls) as chat,
    ):
        assert texts(outcomes(chat, [question(0)])) == {0: '{"score": 0.5, "why": "好"}'}


@pytest.mark.parametrize("stream", [False, True])
def test_logprobs(calls: Path, stream: bool) -> None:
    request = Request((Message("user", "几分？"),), Sampling(top_logprobs=3, max_tokens=8))
    with serving() as server:
        for again in (False, True):
            with Chat(MODEL, base_url=server.url, calls=calls, stream=stream) as chat:
                reply = outcomes(chat, [request])[0]
                assert isinstance(reply, Reply) and reply.cached is again
                assert "".join(one.token for one in reply.logprobs) == reply.text
                assert [len(one.top) for one in reply.logprobs] == [3] * len(reply.logprobs)
                assert reply.logprobs[0].logprob == -0.1 and reply.logprobs[0].top[1][1] == -1.1


def test_no_count_of_tokens(calls: Path) -> None:
    with serving(usage=False) as server, Chat(MODEL, base_url=server.url, calls=calls) as chat:
        reply = outcomes(chat, [question(0)])[0]
        assert isinstance(reply, Reply)
        assert reply.tokens_in is None and reply.tokens_out is None and reply.cost is None
        assert chat.spent.unknown == 1 and chat.spent.tokens_in >= len("Rate answer number 0.")


def test_same_question_many_times_is_paid_once(calls: Path) -> None:
    with serving(latency=0.05) as server, Chat(MODEL, base_url=server.url, calls=calls) as chat:
        found = outcomes(chat, [question(0)] * 20)
        assert len(set(texts(found).values())) == 1 and len(server.log()) == 1
        assert chat.spent.calls == 1 and chat.spent.cached == 19


def test_requests_are_read_lazily_and_an_early_end_keeps_what_was_paid(calls: Path) -> None:
    read = 0

    def endless():  # noqa: ANN202
        nonlocal read
        while True:
            yield question(read)
            read += 1

    with serving(latency=0.05) as server:
        with Chat(MODEL, base_url=server.url, calls=calls, connections=4) as chat:
            asked = chat.ask(endless())
            for _ in range(10):
                next(asked)
            asked.close()  # type: ignore[attr-defined]
            assert read < 40
        answered = len(server.answered_well())
        with Chat(MODEL, base_url=server.url, calls=calls) as chat:
            taken = questions(read + 1)  # the last may have been taken and sent before the reader was closed
            assert chat.estimate(taken).cached == answered
            outcomes(chat, taken)
        assert set(server.answered_well().values()) == {1}


def test_a_failing_reader_is_not_swallowed(calls: Path) -> None:
    def usable(reply: Reply) -> str | None:
        raise ZeroDivisionError("mine")

    with (
        serving() as server,
        Chat(MODEL, base_url=server.url, calls=calls) as chat,
        pytest.raises(ZeroDivisionError, match="mine"),
    ):
        list(chat.ask(questions(3), usable=usable))


@pytest.mark.long
def test_throughput_at_the_servers_limit(calls: Path) -> None:
    """Nine tenths of the limit, in the median of two seconds: a busy machine stalls at times."""
    rate, n = 15.0, 330
    with (
        serving(rate=rate, latency=0.1) as server,
        Chat(MODEL, base_url=server.url, calls=calls) as chat,
    ):
        outcomes(chat, questions(n))
        rows = [row["at"] for row in server.log() if row["kind"] == "well"]
        over = server.kinds()["over"]
    counts = Counter(int((at - rows[0]) / 2.0) for at in rows)
    middle = [counts[window] for window in range(3, max(counts) - 1)]
    assert len(middle) >= 5
    assert median(middle) / 2.0 >= 0.9 * rate, f"{middle} of {rate} a second, {over} turned away"
    assert over > 0


def test_a_server_that_queues_is_not_flooded(calls: Path) -> None:
    """One answer at a time, 30 ms each: hundreds of calls at once would only wait."""
    script = calls.parent / "queued.py"
    script.write_text("import time\ndef answer(body):\n    time.sleep(0.03)\n    return 'x'\n")
    with (
        serving(script="queued:answer", script_path=str(script.parent)) as server,
        Chat(MODEL, base_url=server.url, calls=calls) as chat,
    ):
        outcomes(chat, [question(i, schema=False) for i in range(200)])
        assert max(row["flying"] for row in server.log()) < 64


def test_lone_surrogates_are_no_end(calls: Path) -> None:
    script = calls.parent / "broken.py"
    script.write_text("def answer(body):\n    return 'a\\ud83d b'\n")
    with (
        serving(script="broken:answer", script_path=str(script.parent)) as server,
        Chat(MODEL, base_url=server.url, calls=calls) as chat,
    ):
        asked = [Request((Message("user", "half \ud83d of an emoji"),)), question(1, schema=False)]
        found = outcomes(chat, asked)
        assert isinstance(found[0], Failure) and found[0].kind == "refused"
        assert texts(found) == {1: "a\ufffd b"}


def test_progress(calls: Path) -> None:
    told: list[tuple[float, float, str]] = []
    with serving() as server, Chat(MODEL, base_url=server.url, calls=calls) as chat:
        outcomes(chat, questions(5), advance=lambda *now: told.append(now))
    assert [one[0] for one in told] == [1, 2, 3, 4, 5] and {one[1] for one in told} == {5}
    assert told[-1][2] == "replies, 0 USD"


def test_schema_must_be_one(calls: Path) -> None:
    request = Request((Message("user", "x"),), schema='{"type": "nothing known"}')
    with (
        serving() as server,
        Chat(MODEL, base_url=server.url, calls=calls) as chat,
        pytest.raises(AssayError, match="JSON schema"),
    ):
        list(chat.ask([request]))
