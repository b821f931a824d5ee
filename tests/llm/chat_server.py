"""A scripted server on loopback that speaks OpenAI's chat protocol and breaks it on purpose.

    with serving(faults={"error": 0.05, "reset": 0.05}, seed=3) as server:
        Chat("openai-api/scripted/model", base_url=server.url)
        server.log()

It runs as a process of its own.  Which fault meets the n-th try of a request depends on the seed, the request
and n alone, never on the order of arrival.  Every answer is a function of the request.  Tests of other rooms
import this by putting its folder on ``sys.path``, and give their own answers with
``script="module:function"`` (a function of the request body that returns the text), looked for in
``script_path``.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import json
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

FAULTS = ("limited", "error", "reset", "cut", "truncated", "schema", "empty", "slow", "stall")
"""429 with Retry-After; 500; reset before a reply, and in the middle of one; half a JSON body that claims to
be whole (or half a stream); JSON of another schema; no choice; late; never."""


@dataclass
class Options:
    """Shares of faults; requests a second, above which it says 429; seconds that an answer takes."""

    faults: dict[str, float] = field(default_factory=dict)
    seed: int = 0
    rate: float | None = None
    latency: float = 0.0
    slow_seconds: float = 1.0
    retry_after: str = "1"
    key: str | None = None
    usage: bool = True
    script: str | None = None
    script_path: str | None = None
    port: int = 0
    log: str = ""


class Server:
    """The protocol on plain streams, so that it can be broken anywhere."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.tries: Counter[str] = Counter()
        self.rng = random.Random(options.seed)
        self.tokens, self.filled = 0.0, time.monotonic()
        self.flying = 0
        self.answer: Callable[[Mapping[str, Any]], str] = default_answer
        if options.script:
            sys.path.insert(0, options.script_path or ".")
            module, name = options.script.split(":")
            self.answer = getattr(importlib.import_module(module), name)
        self.out = Path(options.log).open("a", buffering=1) if options.log else None  # noqa: SIM115

    async def run(self) -> None:
        server = await asyncio.start_server(self.connection, "127.0.0.1", self.options.port, backlog=1024)
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                path, headers = read_head(head.decode("latin-1"))
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                self.flying += 1
                try:
                    await self.respond(path, headers, body, writer)
                finally:
                    self.flying -= 1
        except (asyncio.IncompleteReadError, ConnectionError, BrokenPipeError):
            pass
        finally:
            writer.close()

    async def respond(
        self, path: str, headers: Mapping[str, str], raw: bytes, writer: asyncio.StreamWriter
    ) -> None:
        if not path.endswith("/chat/completions"):
            return await send(writer, 404, error("no such page"))
        if self.options.key and headers.get("authorization") != f"Bearer {self.options.key}":
            return await send(writer, 401, error(f"wrong key {headers.get('authorization')}"))
        body = json.loads(raw)
        said = "\n".join(str(one["content"]) for one in body["messages"])
        if found := re.search(r"\[\[status (\d+)\]\]", said):
            self.note(key_of(body), "asked", int(found[1]))
            return await send(writer, int(found[1]), error("as you wish"))
        if not self.allowed():
            self.note(key_of(body), "over", 429)
            return await send(writer, 429, error("slower"), {"Retry-After": self.options.retry_after})
        return await self.scripted(body, writer)

    async def scripted(self, body: Mapping[str, Any], writer: asyncio.StreamWriter) -> None:
        key = key_of(body)
        self.tries[key] += 1
        fault = self.fault(key, self.tries[key])
        if fault == "limited":
            self.note(key, fault, 429)
            return await send(writer, 429, error("slower"), {"Retry-After": self.options.retry_after})
        await asyncio.sleep(self.options.latency * self.rng.uniform(0.5, 1.5))
        if fault == "error":
            self.note(key, fault, 500)
            return await send(writer, 500, error("broken"))
        if fault == "slow":
            await asyncio.sleep(self.options.slow_seconds)
        made = completion(
            body, self.wrong(body) if fault == "schema" else self.answer(body), self.options.usage
        )
        spent = counted(body, made["choices"][0]["message"]["content"])
        if fault == "empty":
            made["choices"] = []
        if fault == "stall":
            self.note(key, fault, 0, spent)
            await asyncio.sleep(3600)
        whole = fault not in ("reset", "cut", "truncated", "schema", "empty")
        if fault == "reset":
            self.note(key, fault, 0, spent)
            writer.transport.abort()
            raise ConnectionResetError
        send_reply = send_stream if body.get("stream") else send_whole
        await send_reply(writer, made, fault, body)
        self.note(key, "well" if whole else str(fault), 200, spent, late=fault == "slow")
        if fault == "cut":
            writer.transport.abort()
            raise ConnectionResetError
        return None

    def wrong(self, body: Mapping[str, Any]) -> str:
        return json.dumps({"unheard": "of"}) if body.get("response_format") else ""

    def fault(self, key: str, number: int) -> str | None:
        """Return what befalls the ``number``-th try of a request."""
        place = hashlib.sha256(f"{self.options.seed}:{key}:{number}".encode()).digest()
        drawn = int.from_bytes(place[:8]) / 2.0**64
        for name, share in self.options.faults.items():
            if drawn < share:
                return name
            drawn -= share
        return None

    def allowed(self) -> bool:
        """Take from a bucket that is empty at first, fills with the rate and holds what a second brings."""
        if self.options.rate is None:
            return True
        now = time.monotonic()
        most = max(self.options.rate, 1.0)
        self.tokens = min(self.tokens + (now - self.filled) * self.options.rate, most)
        self.filled = now
        if self.tokens < 1.0:
            return False
        self.tokens -= 1.0
        return True

    def note(self, key: str, kind: str, status: int, spent: int = 0, *, late: bool = False) -> None:
        if self.out is not None:
            row = {"at": time.time(), "key": key, "kind": kind, "status": status, "tokens": spent}
            self.out.write(json.dumps(row | {"flying": self.flying, "late": late}) + "\n")


def read_head(head: str) -> tuple[str, dict[str, str]]:
    first, *rest = head.split("\r\n")
    headers = dict(line.split(": ", 1) for line in rest if ": " in line)
    return first.split(" ")[1], {name.lower(): value for name, value in headers.items()}


def key_of(body: Mapping[str, Any]) -> str:
    """Return what a request is: all but the way it is sent, and the seed, which differs from try to try."""
    held = {k: v for k, v in body.items() if k not in ("stream", "stream_options", "seed")}
    return hashlib.sha256(json.dumps(held, sort_keys=True).encode()).hexdigest()[:24]


def counted(body: Mapping[str, Any], text: str) -> int:
    return prompt_tokens(body) + reply_tokens(text)


def prompt_tokens(body: Mapping[str, Any]) -> int:
    """Count as a thrifty tokenizer would: a token for four bytes, and four for each message."""
    return sum(len(str(one["content"]).encode()) // 4 + 5 for one in body["messages"])


def reply_tokens(text: str) -> int:
    return len(re.findall(r"[一-鿿]|\w+|[^\w\s]", text))


def default_answer(body: Mapping[str, Any]) -> str:
    """Return JSON of the wanted schema, else words; a function of the messages."""
    place = hashlib.sha256(json.dumps(body["messages"], ensure_ascii=False).encode()).hexdigest()
    wanted = body.get("response_format")
    if wanted:
        made = instance(wanted["json_schema"]["schema"], random.Random(place))
        return json.dumps(made, ensure_ascii=False)
    return f"回答 answer {place[:12]}"


def instance(schema: Mapping[str, Any], rng: random.Random) -> Any:
    """Return a value that fits a simple schema."""
    if "enum" in schema:
        return rng.choice(schema["enum"])
    kind = schema.get("type")
    if kind == "object":
        return {name: instance(part, rng) for name, part in schema.get("properties", {}).items()}
    if kind == "array":
        return [instance(schema.get("items", {}), rng) for _ in range(2)]
    if kind == "boolean":
        return rng.random() < 0.5
    if kind in ("integer", "number"):
        return rng.randint(0, 1) if kind == "integer" else round(rng.random(), 3)
    return f"文 {rng.randrange(10**6)}"


def completion(body: Mapping[str, Any], text: str, usage: bool) -> dict[str, Any]:
    limit = body.get("max_tokens") or body.get("max_completion_tokens") or 10**9
    cut = reply_tokens(text) > limit
    if cut:
        text = text[: max(int(limit), 1)]
    choice: dict[str, Any] = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "finish_reason": "length" if cut else "stop",
    }
    if body.get("logprobs"):
        choice["logprobs"] = {"content": [logprob(one, body) for one in re.findall(r"\S+\s*", text)]}
    made: dict[str, Any] = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": body["model"] + "-2026",
        "choices": [choice],
    }
    if usage:
        before, after = prompt_tokens(body), reply_tokens(text)
        made["usage"] = {
            "prompt_tokens": before,
            "completion_tokens": after,
            "total_tokens": before + after,
        }
    return made


def logprob(token: str, body: Mapping[str, Any]) -> dict[str, Any]:
    top = [{"token": f"{token}{i or ''}", "logprob": -0.1 - i, "bytes": None} for i in range(20)]
    return {
        "token": token,
        "logprob": -0.1,
        "bytes": None,
        "top_logprobs": top[: body.get("top_logprobs") or 0],
    }


def error(text: str) -> bytes:
    return json.dumps({"error": {"message": text, "type": "error", "code": None}}).encode()


def on_the_wire(made: Mapping[str, Any]) -> bytes:
    """Return JSON in UTF-8, with escapes where there is half a surrogate pair."""
    try:
        return json.dumps(made, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return json.dumps(made).encode()


async def send(
    writer: asyncio.StreamWriter, status: int, body: bytes, headers: Mapping[str, str] | None = None
) -> None:
    lines = [f"HTTP/1.1 {status} x", "Content-Type: application/json", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
    await writer.drain()


async def send_whole(
    writer: asyncio.StreamWriter, made: Mapping[str, Any], fault: str | None, body: Mapping[str, Any]
) -> None:
    text = on_the_wire(made)
    if fault == "cut":
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n"
        writer.write(head.encode())
        writer.write(text[: len(text) // 2])
        await writer.drain()
        return
    await send(writer, 200, text[: len(text) // 2] if fault == "truncated" else text)


async def send_stream(
    writer: asyncio.StreamWriter, made: Mapping[str, Any], fault: str | None, body: Mapping[str, Any]
) -> None:
    """Send the completion in chunks, as server-sent events."""
    head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    writer.write(head.encode())
    events = list(chunks(made, body))
    if fault in ("cut", "truncated"):
        events = events[: len(events) // 2]
    for one in events:
        data = b"data: " + on_the_wire(one) + b"\n\n"
        writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        await writer.drain()
    if fault == "cut":
        return
    done = b"" if fault == "truncated" else b"e\r\ndata: [DONE]\n\n\r\n"
    writer.write(done + b"0\r\n\r\n")
    await writer.drain()


def chunks(made: Mapping[str, Any], body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    shared = {"id": made["id"], "object": "chat.completion.chunk", "created": 1, "model": made["model"]}
    for choice in made["choices"]:
        text = choice["message"]["content"]
        parts = [text[i : i + 5] for i in range(0, len(text), 5)] or [""]
        for number, part in enumerate(parts):
            delta = {"content": part} | ({"role": "assistant"} if number == 0 else {})
            piece = {"index": 0, "delta": delta, "finish_reason": None}
            if number == 0 and "logprobs" in choice:
                piece["logprobs"] = choice["logprobs"]
            yield shared | {"choices": [piece]}
        yield shared | {"choices": [{"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}]}
    if "usage" in made and (body.get("stream_options") or {}).get("include_usage"):
        yield shared | {"choices": [], "usage": made["usage"]}


@dataclass
class Running:
    """A server in a process of its own."""

    process: subprocess.Popen[str]
    port: int
    path: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def log(self) -> list[dict[str, Any]]:
        """Return every request that was answered, or was to be, in order."""
        lines = self.path.read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def kinds(self) -> Counter[str]:
        return Counter(row["kind"] for row in self.log())

    def answered_well(self) -> Counter[str]:
        """Return how often each request got a whole and right reply."""
        return Counter(row["key"] for row in self.log() if row["kind"] == "well")

    def tokens(self) -> int:
        """Return all tokens that the server has worked for, whether they arrived or not."""
        return sum(row["tokens"] for row in self.log())

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def serving(**options: Any) -> Iterator[Running]:
    """Run a server for the block; the options are those of :class:`Options`."""
    with tempfile.TemporaryDirectory(prefix="chat-server-") as folder:
        log = Path(folder) / "log.jsonl"
        log.touch()
        given = json.dumps(asdict(Options(**options, log=str(log))))
        command = [sys.executable, __file__, given]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        running = Running(process, int(process.stdout.readline()), log)
        try:
            yield running
        finally:
            running.stop()


def kinds_by_key(rows: list[dict[str, Any]]) -> dict[str, list[str]]:
    found: defaultdict[str, list[str]] = defaultdict(list)
    for row in rows:
        found[row["key"]].append(row["kind"])
    return dict(found)


if __name__ == "__main__":
    asyncio.run(Server(Options(**json.loads(sys.argv[1]))).run())
