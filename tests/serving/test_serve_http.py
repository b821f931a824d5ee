"""The server over real HTTP: OpenAI's own client, our own judge's door, and everybody who is refused."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from served import NAME, Server

from assay import llm, model
from assay.core import AssayError, Message, Sample
from assay.serving._door import TOKEN, Door
from assay.serving._files import find_file

openai = pytest.importorskip("openai", reason="OpenAI's client is not installed")
ASKED = [{"role": "user", "content": "法国的首都是哪里？"}]
# The pocket model goes round in circles here.
ENDLESS = [{"role": "user", "content": "Name a fruit"}]
TRAINED = f"{NAME}:random/16/seed1"


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[Any]:
    with openai.OpenAI(base_url=f"{server.base}/v1", api_key=server.token, max_retries=0) as opened:
        yield opened


@pytest.fixture
def raw(server: Server) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {server.token}"}
    with httpx.Client(base_url=server.base, headers=headers, timeout=60) as opened:
        yield opened


@pytest.fixture
def page(server: Server) -> Iterator[httpx.Client]:
    """A browser that has logged in."""
    with httpx.Client(base_url=server.base, headers={"origin": server.base}, timeout=60) as opened:
        assert opened.post("/login", data={"token": server.token}).status_code == 303
        yield opened


def greedy(tokens: int) -> str:
    folder = model.resolve_base("pocket")
    network, tokenizer = model.load_model(folder), model.load_tokenizer(folder)
    item = Sample((Message("user", ASKED[0]["content"]),))
    return model.answer(network, tokenizer, [item], model.Decoding(tokens))[0].text.rstrip("\ufffd")


def test_openai_s_client_gets_the_same_answer_whole_and_streamed(client: Any) -> None:
    whole = client.chat.completions.create(model="pocket", messages=ASKED, temperature=0, max_tokens=16)
    said = whole.choices[0]
    assert said.message.content == greedy(16) and said.finish_reason == "length"
    assert whole.usage.completion_tokens == 16
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + 16
    chunks = list(
        client.chat.completions.create(
            model="pocket", messages=ASKED, temperature=0, max_tokens=16, stream=True,
            stream_options={"include_usage": True},
        )
    )  # fmt: skip
    parts = [c.choices[0].delta.content or "" for c in chunks if c.choices]
    assert "".join(parts) == said.message.content and sum(map(bool, parts)) > 3
    assert chunks[-1].usage == whole.usage and chunks[-2].choices[0].finish_reason == "length"
    assert len({c.id for c in chunks}) == 1
    stop = said.message.content[4:6]
    cut = client.chat.completions.create(
        model="pocket", messages=ASKED, temperature=0, max_completion_tokens=16, stop=[stop]
    ).choices[0]
    assert cut.message.content == said.message.content[: said.message.content.index(stop)]
    assert cut.finish_reason == "stop"


def test_log_probabilities_come_as_openai_s_client_reads_them(client: Any) -> None:
    asked = {"model": "pocket", "messages": ASKED, "temperature": 0, "max_tokens": 8, "logprobs": True}
    whole = client.chat.completions.create(**asked, top_logprobs=3).choices[0]
    told = whole.logprobs.content
    assert len(told) == 8 and all(len(one.top_logprobs) == 3 for one in told)
    assert all(one.top_logprobs[0].logprob == one.logprob <= 0 for one in told)  # greedy: the likeliest
    assert (
        b"".join(bytes(one.bytes) for one in told).decode("utf-8", "ignore").strip() == whole.message.content
    )
    chunks = list(client.chat.completions.create(**asked, stream=True))
    parts = [c.choices[0].logprobs.content for c in chunks if c.choices[0].logprobs]
    assert [one.logprob for part in parts for one in part] == [one.logprob for one in told]
    assert not any(one.top_logprobs for part in parts for one in part)


def test_a_seed_fixes_an_answer(client: Any) -> None:
    def ask(seed: int) -> str:
        made = client.chat.completions.create(
            model=TRAINED, messages=ASKED, temperature=1.2, top_p=0.9, max_tokens=12, seed=seed
        )
        return str(made.choices[0].message.content)

    assert ask(1) == ask(1) and len({ask(seed) for seed in range(4)}) > 1


def test_models_are_those_named_and_those_trained(client: Any) -> None:
    names = [row.id for row in client.models.list()]
    runs = [f"{NAME}:random/{n}/seed{s}" for s in (0, 1) for n in (8, 16)]
    assert names == ["pocket", f"{NAME}:base", *runs]
    parts = [{"type": "text", "text": "Bonjour"}]
    messages = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": parts}]
    made = client.chat.completions.create(model=f"{NAME}:random/8", messages=messages, max_tokens=2)
    assert made.usage.completion_tokens == 2


@pytest.mark.parametrize(
    ("change", "status", "code", "param"),
    [
        ({"model": "poket"}, 404, "model_not_found", "model"),
        ({"model": "/etc"}, 404, "model_not_found", "model"),
        ({"model": "../../x:y"}, 404, "model_not_found", "model"),
        ({"model": f"{NAME}:random/9"}, 404, "model_not_found", "model"),
        ({"temperature": 3}, 400, "invalid_value", "temperature"),
        ({"temperature": "hot"}, 400, "invalid_value", "temperature"),
        ({"max_tokens": 0}, 400, "invalid_value", "max_tokens"),
        ({"n": 2}, 400, "invalid_value", "n"),
        ({"messages": []}, 400, "invalid_value", "messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, 400, "invalid_value", "messages.0.role"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, 400, "invalid_value", None),
        (
            {"messages": [{"role": "user", "content": "字" * 3000}]},
            400,
            "context_length_exceeded",
            "messages",
        ),
        ({"tools": [{"type": "function"}]}, 400, "unsupported_parameter", "tools"),
        ({"response_format": {"type": "json_object"}}, 400, "unsupported_parameter", "response_format"),
        ({"logprobs": "yes"}, 400, "invalid_value", "logprobs"),
        ({"top_logprobs": 2}, 400, "invalid_value", "top_logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, 400, "invalid_value", "top_logprobs"),
        ({"logit_bias": {"5": 1}}, 400, "unsupported_parameter", "logit_bias"),
    ],
)
def test_what_is_wrong_is_said_in_openai_s_shape(
    raw: httpx.Client, change: dict[str, Any], status: int, code: str, param: str | None
) -> None:
    body = {"model": "pocket", "messages": ASKED, "max_tokens": 2, **change}
    for stream in (False, True):
        reply = raw.post("/v1/chat/completions", json={**body, "stream": stream})
        error = reply.json()["error"]
        assert (reply.status_code, error["code"]) == (status, code), error
        assert error["message"] and error["type"] == "invalid_request_error"
        assert param is None or error["param"] == param


def test_broken_bodies_and_texts(raw: httpx.Client) -> None:
    json_type = {"content-type": "application/json"}
    for body in (b"", b"{", b"[]", b"\xff", b'{"a":' * 5000):
        reply = raw.post("/v1/chat/completions", content=body, headers=json_type)
        assert reply.status_code == 400 and reply.json()["error"]["message"]
    half = b'{"model": "pocket", "max_tokens": 2, "messages": [{"role": "user", "content": "\\ud800"}]}'
    assert raw.post("/v1/chat/completions", content=half, headers=json_type).status_code == 200
    not_a_number = b'{"model": "pocket", "temperature": NaN, "messages": [{"role": "user", "content": "x"}]}'
    assert raw.post("/v1/chat/completions", content=not_a_number, headers=json_type).status_code == 400


def test_old_turns_go_only_where_that_is_asked_for(raw: httpx.Client) -> None:
    messages = [{"role": "system", "content": "s"}]
    for _ in range(12):
        messages += [{"role": "user", "content": "word " * 150}, {"role": "assistant", "content": "yes"}]
    messages.append({"role": "user", "content": "And now?"})
    body = {"model": "pocket", "messages": messages, "max_tokens": 4}
    assert raw.post("/v1/chat/completions", json=body).status_code == 400
    reply = raw.post("/v1/chat/completions", json={**body, "truncation": "auto"}).json()
    assert reply["dropped_turns"] > 0 and reply["dropped_turns"] % 2 == 0
    assert reply["usage"]["prompt_tokens"] < 1024


def test_only_a_token_opens(server: Server, page: httpx.Client) -> None:
    body = {"model": "pocket", "messages": ASKED, "max_tokens": 2}
    with httpx.Client(base_url=server.base) as stranger:
        for headers in ({}, {"authorization": "Bearer x"}, {"authorization": f"Basic {server.token}"}):
            assert stranger.get("/v1/models", headers=headers).status_code == 401
        refused = stranger.post("/v1/chat/completions", json=body, headers={"authorization": "Bearer wrong"})
        assert refused.status_code == 401 and refused.json()["error"]["code"] == "invalid_api_key"
        assert stranger.post("/v1/chat/completions", json=body).status_code == 403  # no origin, no token
        for path in ("/", "/chat", f"/runs/{NAME}/report.html"):
            assert stranger.get(path).headers["location"] == "/login"
        assert stranger.get("/login", params={"token": "wrong"}).status_code == 403
        own = {"origin": server.base}
        assert stranger.post("/login", data={"token": "wrong"}, headers=own).status_code == 403
        assert not stranger.cookies
    csrf = re.search(r'data-csrf="(\w+)"', page.get("/chat").text)[1]  # type: ignore[index]
    assert page.get("/v1/models").status_code == 200
    assert page.post("/v1/chat/completions", json=body).status_code == 403
    own = {"x-csrf-token": csrf}
    assert page.post("/v1/chat/completions", json=body, headers=own).status_code == 200
    for origin in ("https://evil.example", "null", server.base.replace("127.0.0.1", "localhost"), ""):
        elsewhere = {**own, "origin": origin}
        assert page.post("/v1/chat/completions", json=body, headers=elsewhere).status_code == 403
        bearer = {"origin": origin, "authorization": f"Bearer {server.token}"}
        assert page.post("/v1/chat/completions", json=body, headers=bearer).status_code == 403
    assert page.get("/", headers={"host": "evil.example"}).status_code == 421
    assert page.post("/choose", data={"theme": "dark"}).status_code == 403
    back = page.post("/choose", data={"theme": "dark", "csrf": csrf, "back": "//evil.example"})
    assert back.headers["location"] == "/" and 'data-theme="dark"' in page.get("/").text
    assert page.post("/choose", data={"theme": "pink", "csrf": csrf}).status_code == 422
    cookie = next(c for c in page.cookies.jar if c.name == Door(server.token).cookie)
    assert cookie.has_nonstandard_attr("HttpOnly") and server.token not in str(cookie.value)
    assert page.post("/logout", data={"csrf": csrf}).status_code == 303
    assert page.get("/").status_code == 303


def test_pages_show_studies_and_load_nothing_from_elsewhere(page: httpx.Client) -> None:
    text = page.get("/", headers={"accept-language": "zh-CN"}).text
    assert "小实验 &amp; &lt;b&gt;x" in text and "<b>x" not in text
    assert "可对话的模型：5 / 5" in text and "已完成" in text and "重新运行该研究" in text
    for path in ("/", "/chat", "/login", "/nothing", "/static/chat.js"):
        reply = page.get(path)
        policy = reply.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy
        assert not re.search(
            r"<script(?! src=\"/static/)|\son\w+=|style=|(src|href)=\"(https?:)?//", reply.text
        )
    assert page.get("/nothing").status_code == 404
    assert page.get("/static/../_site.py").status_code == 404


def test_files_of_runs_and_no_others(page: httpx.Client, runs: Path) -> None:
    report = page.get(f"/runs/{NAME}/report.html")
    assert report.status_code == 200 and report.headers["content-type"].startswith("text/html")
    assert report.headers["content-security-policy"].startswith("sandbox allow-scripts")
    assert page.get(f"/runs/{NAME}/points.csv").status_code == 200
    for path in (
        "../secret.json", "%2e%2e/secret.json", "..%2fsecret.json", f"{NAME}/../../secret.json",
        "/etc/passwd", f"{NAME}/out.json", f"{NAME}/nothing.html", NAME, "", "%00", "..\\secret.json",
    ):  # fmt: skip
        request = page.build_request("GET", "/runs/x")
        request.url = request.url.copy_with(raw_path=b"/runs/" + quote(path, safe="/%.").encode())
        assert page.send(request).status_code == 404, path
    hidden = runs / NAME / ".hidden.json"
    hidden.write_text("{}")
    assert find_file(runs, f"{NAME}/.hidden.json") is None
    for path in ("../secret.json", f"{NAME}/out.json", str(runs.parent / "secret.json"), "a\0b"):
        assert find_file(runs, path) is None
    assert find_file(runs, f"{NAME}/result.json") == (runs / NAME / "result.json").resolve()


def test_questions_wait_and_those_beyond_the_queue_are_refused(runs: Path) -> None:
    server = Server(runs.parent, "pocket", "--runs", str(runs), "--queue", "4")
    body = {"model": "pocket", "messages": ENDLESS, "max_tokens": 120, "temperature": 0}
    httpx.post(f"{server.base}/v1/chat/completions", json={**body, "max_tokens": 1},
               headers={"authorization": f"Bearer {server.token}"}, timeout=60)  # fmt: skip
    statuses: list[int] = []
    gate = threading.Barrier(8)
    headers = {"authorization": f"Bearer {server.token}"}
    client = httpx.Client(
        base_url=server.base, headers=headers, timeout=120, limits=httpx.Limits(max_connections=None)
    )

    def ask() -> None:
        gate.wait()
        statuses.append(client.post("/v1/chat/completions", json=body).status_code)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    server.stop()
    assert statuses.count(429) == 8 - 5 and statuses.count(200) == 5


def test_our_own_door_to_chat_models_takes_it(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a judge or a generator: ``--base-url``, the key from the environment."""
    monkeypatch.setenv("LOCAL_API_KEY", server.token)
    request = llm.Request((Message("user", ASKED[0]["content"]),), llm.Sampling(temperature=0, max_tokens=12))
    for stream in (False, True):
        calls = tmp_path / str(stream)
        with llm.Chat(
            "openai-api/local/pocket", base_url=f"{server.base}/v1", calls=calls, stream=stream
        ) as chat:
            ((_, reply),) = chat.ask([request])
            assert isinstance(reply, llm.Reply), reply
            assert reply.text == greedy(12) and reply.tokens_out == 12 and reply.ended == "length"


def test_a_token_of_one_s_own(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for weak in ("short", "with blanks in it all", "中文" * 10):
        monkeypatch.setenv(TOKEN, weak)
        with pytest.raises(AssayError, match="too weak"):
            Door.known()
    monkeypatch.setenv(TOKEN, "0123456789abcdef")
    door = Door.known()
    assert door is not None and door.opens("0123456789abcdef") and not door.opens("0123456789abcdeF")
    assert door.session != door.csrf and Door.new().session != door.session
    started = Server(runs.parent, "pocket", "--runs", str(runs), **{TOKEN: door.token})
    try:
        assert door.token not in started.said
        headers = {"authorization": f"Bearer {door.token}"}
        found = httpx.get(f"{started.base}/v1/models", headers=headers)
        assert json.loads(found.text)["data"][0]["id"] == "pocket"
    finally:
        started.stop()
