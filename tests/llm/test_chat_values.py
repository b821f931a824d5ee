from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from chat_client import SCHEMA, question
from hypothesis import given
from hypothesis import strategies as st

from assay.core import AssayError, Message
from assay.llm import Budget, Price, Request, Sampling, find_price, parse_budget
from assay.llm._door import _answer, is_local, size_of
from assay.llm._faults import Fault, fault_of, pause
from assay.llm._limit import Connections
from assay.llm._schema import bare_json, is_strict, misfit


@pytest.mark.parametrize(
    ("text", "tokens", "money", "currency"),
    [
        ("20 USD", None, 20.0, "USD"),
        ("$0.50", None, 0.5, "USD"),
        ("2M tokens", 2_000_000, None, "USD"),
        ("1,500 tokens", 1500, None, "USD"),
        ("50 元", None, 50.0, "CNY"),
        ("¥1.5万", None, 15_000.0, "CNY"),
        ("200万词元", 2_000_000, None, "USD"),
        ("2M tokens and 20 USD", 2_000_000, 20.0, "USD"),
        ("20元；300k tokens", 300_000, 20.0, "CNY"),
    ],
)
def test_budgets(text: str, tokens: int | None, money: float | None, currency: str) -> None:
    assert parse_budget(text) == Budget(tokens, money, currency)


@pytest.mark.parametrize("text", ["", "20", "USD", "20 USD 3 EUR", "much", "-5 USD", "1 USD and 2 USD", "5m"])
def test_what_is_no_budget(text: str) -> None:
    with pytest.raises(AssayError, match="cannot parse the budget"):
        parse_budget(text)


def test_digest() -> None:
    """It names the whole question and nothing else, and never changes: replies paid for hang on it."""
    one = Request((Message("user", "你好"),), Sampling(seed=1))
    assert one.digest("openai/x") == "eea2a832a5050f6c54a86334dc4294fe766dd348c79f075fe76a38ac13e5decb"
    others = [
        Request((Message("user", "你好!"),), Sampling(seed=1)),
        Request((Message("system", "你好"),), Sampling(seed=1)),
        Request((Message("user", "你好"),), Sampling(seed=2)),
        Request((Message("user", "你好"),), Sampling(seed=1), schema="{}"),
        Request((Message("user", "你好"),), Sampling(seed=1), repeat=1),
    ]
    assert len({each.digest("openai/x") for each in [one, *others]} | {one.digest("openai/y")}) == 7


@pytest.mark.parametrize(
    "bad",
    [
        {"temperature": 2.5},
        {"top_p": -0.1},
        {"top_logprobs": 21},
        {"max_tokens": 0},
        {"temperature": float("nan")},
    ],
)
def test_sampling_has_ranges(bad: dict[str, float]) -> None:
    with pytest.raises(AssayError):
        Sampling(**bad)  # type: ignore[arg-type]


def test_prices(tmp_path: Path) -> None:
    assert find_price("openai/gpt-4o-mini", None, local=False) == Price(0.15, 0.6)
    assert find_price("openai/gpt-4o-mini-2024-07-18", None, local=False) == Price(0.15, 0.6)
    assert find_price("openai/gpt-4o-mini-tuned", None, local=False) is None
    assert find_price("ollama/qwen", None, local=True) == Price(0.0, 0.0, train=0.0)
    own = tmp_path / "own.toml"
    own.write_text('currency = "CNY"\n[[price]]\nmodel = "openai-api/x/y"\ninput = 1\noutput = 2.5\n')
    price = find_price("openai-api/x/y", own, local=True)
    assert price == Price(1.0, 2.5, "CNY") and price.of(2_000_000, 1_000_000) == 4.5
    assert find_price("openai/gpt-4o-mini", own, local=False) == Price(0.15, 0.6)


@pytest.mark.parametrize(
    "row", ["input = -1\noutput = 1", "input = 1", 'input = "1"\noutput = 1', "input = true\noutput = 1"]
)
def test_bad_prices_are_named(tmp_path: Path, row: str) -> None:
    own = tmp_path / "own.toml"
    own.write_text(f'[[price]]\nmodel = "a"\ninput = 1\noutput = 1\n[[price]]\nmodel = "b"\n{row}\n')
    with pytest.raises(AssayError, match=r"price\[1\]"):
        find_price("a", own, local=False)


def test_local_models() -> None:
    assert is_local("ollama/qwen", None) and is_local("hf/x/y", None)
    assert is_local("openai-api/x/y", "http://127.0.0.1:80/v1") and is_local("vllm/x", "http://[::1]:80/v1")
    assert not is_local("openai/gpt-4o", None) and not is_local("vllm/x", "http://10.0.0.1/v1")
    assert not is_local("openai/gpt-4o", "https://localhost.example/v1")


def test_schema() -> None:
    assert misfit('{"score": 0.5, "why": "好"}', SCHEMA) is None
    assert "score" in str(misfit('{"why": "x"}', SCHEMA))
    assert "$.score" in str(misfit('{"score": 1.5, "why": ""}', SCHEMA))
    for text in ("", "{", '{"score": NaN, "why": ""}', '{"score": 1, "score": 0, "why": ""}', "[" * 100_000):
        assert "not JSON" in str(misfit(text, SCHEMA))
    assert bare_json('```json\n{"a": 1}\n```') == '{"a": 1}' == bare_json('\n```\n{"a": 1}\n```\n')
    assert bare_json('x ```json\n{"a": 1}\n```') != '{"a": 1}'
    assert is_strict(json.loads(SCHEMA))
    loose = json.loads(SCHEMA)
    assert not is_strict({**loose, "required": ["why"]})
    assert not is_strict({**loose, "additionalProperties": True})


@given(st.text())
def test_bound_on_tokens(text: str) -> None:
    assert size_of(Request((Message("user", text),))) >= len(text.encode("utf-8", "surrogatepass"))


def test_retry_after() -> None:
    def error(status: int, **headers: str) -> Exception:
        made = RuntimeError("slower")
        made.response = SimpleNamespace(
            status_code=status, headers={k.replace("_", "-"): v for k, v in headers.items()}
        )  # type: ignore[attr-defined]
        return made

    assert fault_of(error(429, retry_after="7")).retry_after == 7.0
    assert fault_of(error(429, retry_after_ms="250", retry_after="9")).retry_after == 0.25
    then = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    assert 28.0 < (fault_of(error(503, retry_after=then)).retry_after or 0.0) <= 30.0
    assert fault_of(error(429, retry_after="soon")).retry_after is None
    waited = [pause(Fault("limited", "", retry_after=7.0), 1) for _ in range(100)]
    assert min(waited) >= 7.0 and max(waited) < 10.0
    doubled = [pause(Fault("transient", ""), n) for n in (1, 3, 5, 50)]
    assert doubled == sorted(doubled) and doubled[-1] <= 90.0


def test_kinds_of_faults() -> None:
    assert fault_of(json.JSONDecodeError("x", "y", 0)) == Fault(
        "transient", "JSONDecodeError: x: line 1 column 1 (char 0)", paid=True
    )
    quota = RuntimeError("You exceeded your current quota: insufficient_quota")
    quota.status_code = 429  # type: ignore[attr-defined]
    assert fault_of(quota).kind == "refused"
    overloaded = RuntimeError("Overloaded")
    overloaded.status_code = 529  # type: ignore[attr-defined]
    fault = fault_of(overloaded)
    assert (fault.kind, fault.crowded, fault.paid) == ("transient", True, False)
    assert "sk-1" not in fault_of(RuntimeError("key sk-1 is bad"), "sk-1").problem


def test_an_error_worded_as_a_reply_is_a_refusal() -> None:
    from inspect_ai.model import ModelOutput

    filtered = ModelOutput.from_content("m", "blocked by policy", stop_reason="content_filter")
    said = _answer(filtered, 0.1, streamed=False)
    assert isinstance(said, Fault) and (said.kind, said.problem) == ("refused", "blocked by policy")


def test_slots_follow_the_server() -> None:
    async def calls(made: Connections, n: int, share: float) -> None:
        turned = 0.0
        for _ in range(n):
            async with made.slot():
                turned += share
                if turned >= 1.0:
                    turned -= 1.0
                    made.turned_away(None)
                else:
                    made.answered(0.1)

    async def run() -> None:
        made = Connections(None)
        await calls(made, 4 + 8 + 16 + 32, 0.0)
        assert made.limit == 64
        await calls(made, 3000, 0.5)
        assert made.limit <= 4
        await calls(made, 40, 0.0)
        assert 8 <= made.limit <= 32
        fixed = Connections(7)
        await calls(fixed, 100, 0.5)
        assert fixed.limit == 7

    asyncio.run(run())


def test_slots_stop_growing_when_replies_slow_down() -> None:
    async def run() -> None:
        made = Connections(None)
        for _ in range(2000):
            async with made.slot():
                made.answered(0.01 * made.limit)
        assert made.limit < 40

    asyncio.run(run())


def test_slots_are_held_by_as_many_as_there_are() -> None:
    async def run() -> None:
        made, inside, most = Connections(3), 0, 0

        async def one(cancelled: bool) -> None:
            nonlocal inside, most
            async with made.slot():
                inside += 1
                most = max(most, inside)
                try:
                    await asyncio.sleep(0.001)
                finally:
                    inside -= 1

        tasks = [asyncio.create_task(one(i % 3 == 0)) for i in range(200)]
        await asyncio.sleep(0.003)
        for task in tasks[::3]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert most == 3 and inside == 0
        async with made.slot(), made.slot(), made.slot():
            pass

    asyncio.run(run())


def test_import_is_light() -> None:
    """The room is imported by a command line that must start fast."""
    heavy = ("inspect_ai", "openai", "jsonschema", "torch")
    code = f"import assay.llm, sys; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_batch_reaches_the_model_layer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that can be seen of it without a provider: the config asks for it, and no clock runs."""
    from assay.llm._door import Door

    monkeypatch.setenv("OPENAI_API_KEY", "none")
    door = Door("openai/gpt-4o-mini", None, timeout=1.0, stream=False, batch=True)
    assert door._config(question(0), 0).batch is True and door._timeout is None
    plain = Door("openai/gpt-4o-mini", None, timeout=1.0, stream=False, batch=False)._config(question(0), 0)
    assert plain.batch is None and plain.max_retries == 0
    assert plain.response_schema is not None and plain.response_schema.strict is True
