"""A scripted provider on loopback that fine-tunes by OpenAI's protocol and breaks it on purpose.

    with tuning(faults={"error": 0.1, "lost": 0.1}, seed=3) as provider:
        provider.url, provider.jobs, provider.met

A job goes on by one stage each time it is looked at.  ``outcomes`` maps words in a job's file to how it ends.
Which fault meets the n-th request depends on the seed and n alone.
"""

from __future__ import annotations

import json
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

from assay.core import AssayError

T = TypeVar("T")

FAULTS = ("limited", "error", "lost", "cut", "reset")
"""429; 500 before anything is done; 500 after it; half a reply; a connection reset before it."""
STAGES = ("validating_files", "queued", "running", "running", "succeeded")


@dataclass
class Provider:
    """The state of the provider; ``lag`` seconds pass before a new job is on the list."""

    faults: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0
    lag: float = 0.0
    page: int = 2
    key: str | None = None
    outcomes: Mapping[str, str] = field(default_factory=dict)
    most_faults: int | None = None
    answer: Any = lambda body: "answer of " + body["model"]
    url: str = ""
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    met: Counter[str] = field(default_factory=Counter)
    asked: Counter[str] = field(default_factory=Counter)
    said: list[str] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)

    def fault(self) -> str | None:
        """Return what befalls the next request."""
        if self.most_faults is not None and sum(self.met.values()) >= self.most_faults:
            return None
        drawn = self.rng.random()
        for name, share in self.faults.items():
            if drawn < share:
                self.met[name] += 1
                return name
            drawn -= share
        return None

    def trained(self) -> Counter[str]:
        """Return how many jobs of each key were trained to their end, whoever was told."""
        return Counter(j["metadata"]["assay"] for j in self.jobs.values() if j["status"] == "succeeded")

    def billed(self) -> int:
        """Return the tokens of all jobs that were trained on, whole or in part."""
        return sum(j["billed"] for j in self.jobs.values())

    def create(self, body: Mapping[str, Any]) -> dict[str, Any]:
        number = f"ftjob-{len(self.jobs):04}"
        text = self.files[body["training_file"]]["text"]
        epochs = body["method"]["supervised"]["hyperparameters"]["n_epochs"]
        outcome = next((how for word, how in self.outcomes.items() if word in text), "")
        tried = sum(j["metadata"]["assay"] == body["metadata"]["assay"] for j in self.jobs.values())
        if outcome.startswith("once ") and tried:
            outcome = ""
        self.jobs[number] = {
            "id": number, "object": "fine_tuning.job", "created_at": 1_000 + len(self.jobs),
            "model": body["model"],
            "status": STAGES[0], "fine_tuned_model": None, "finished_at": None, "organization_id": "o",
            "result_files": [], "trained_tokens": None, "error": None, "validation_file": None,
            "training_file": body["training_file"], "seed": body["seed"], "metadata": body["metadata"],
            "hyperparameters": {"n_epochs": epochs}, "method": body["method"], "stage": 0, "billed": 0,
            "outcome": outcome.removeprefix("once "), "tokens": epochs * (len(text.encode()) // 4 + 1),
            "events": [], "born": time.monotonic(),
        }  # fmt: skip
        return self.jobs[number]

    def look(self, job: dict[str, Any]) -> dict[str, Any]:
        """Let a job go on by a stage."""
        if job["status"] in ("succeeded", "failed", "cancelled"):
            return job
        how = job["outcome"]
        if how == "hangs" and job["status"] == "running":
            return job
        job["stage"] += 1
        job["status"] = STAGES[job["stage"]]
        if how == "invalid" and job["stage"] == 1:
            job |= {
                "status": "failed",
                "error": {"code": "invalid_file", "message": "line 1", "param": "training_file"},
            }
        if how == "fails" and job["stage"] == 3:
            job |= {"status": "failed", "error": {"code": "server_error", "message": "broke", "param": None}}
            job |= {"billed": job["tokens"] // 2, "trained_tokens": job["tokens"] // 2}
        if job["status"] == "running":
            data = {"step": job["stage"], "total_steps": 4, "train_loss": 3.0 / job["stage"]}
            job["events"].append(
                {
                    "id": f"e{job['stage']}",
                    "object": "fine_tuning.job.event",
                    "level": "info",
                    "created_at": job["stage"],
                    "message": "step",
                    "type": "metrics",
                    "data": data,
                }
            )
        if job["status"] == "succeeded":
            name = f"ft:{job['model']}:o:{job['id']}"
            job |= {"billed": job["tokens"], "trained_tokens": job["tokens"], "fine_tuned_model": name}
        return job

    def reply(self, method: str, path: str, query: Mapping[str, list[str]], raw: bytes) -> tuple[Any, ...]:
        """Return status and body of a request, whose work is done; and headers, where there are any."""
        parts = path.removeprefix("/v1/").split("/")
        self.asked[f"{method} {parts[0]}"] += 1
        if parts[0] == "files":
            return 200, self._files(method, raw)
        if parts[0] == "chat":
            return 200, self._chat(json.loads(raw))
        if parts[:2] != ["fine_tuning", "jobs"]:
            return 404, {"error": {"message": "no such page"}}
        if len(parts) == 2:
            return 200, self.create(json.loads(raw)) if method == "POST" else self._list(query)
        job = self.jobs[parts[2]]
        if parts[3:] == ["events"]:
            return 200, {"object": "list", "data": job["events"][::-1], "has_more": False}
        if parts[3:] == ["cancel"]:
            job |= {"status": "cancelled", "billed": 7, "trained_tokens": 7}
            return 200, job
        return 200, self.look(job)

    def _list(self, query: Mapping[str, list[str]]) -> dict[str, Any]:
        """Return a page of the jobs that are on the list by now, newest first; the filter is not heard."""
        now = time.monotonic()
        rows = [j for j in self.jobs.values() if now - j["born"] >= self.lag][::-1]
        after = query.get("after", [None])[0]
        start = next((i + 1 for i, j in enumerate(rows) if j["id"] == after), 0)
        page = rows[start : start + self.page]
        return {"object": "list", "data": page, "has_more": start + self.page < len(rows)}

    def _files(self, method: str, raw: bytes) -> dict[str, Any]:
        if method == "GET":
            shown = [{k: v for k, v in f.items() if k != "text"} for f in self.files.values()]
            return {"object": "list", "data": shown, "has_more": False}
        name = re.search(rb'filename="([^"]+)"', raw)
        body = re.search(rb'filename="[^"]+"\r\n(?:[^\r\n]+\r\n)*\r\n(.*?)\r\n--', raw, re.DOTALL)
        assert name is not None and body is not None
        number = f"file-{len(self.files):04}"
        self.files[number] = {
            "id": number, "object": "file", "bytes": len(body[1]), "created_at": 1,
            "filename": name[1].decode(),
            "purpose": "fine-tune", "status": "processed", "text": body[1].decode(),
        }  # fmt: skip
        return {k: v for k, v in self.files[number].items() if k != "text"}

    def _chat(self, body: Mapping[str, Any]) -> dict[str, Any]:
        text = str(self.answer(body))
        read = sum(len(str(m["content"]).encode()) // 4 + 5 for m in body["messages"])
        wrote = len(text.split())
        message = {"role": "assistant", "content": text}
        return {
            "id": "c", "object": "chat.completion", "created": 1, "model": body["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": read, "completion_tokens": wrote, "total_tokens": read + wrote},
        }  # fmt: skip


def rows(folder: Path, word: str) -> Path:
    """Write twelve samples of a word."""
    file = folder / f"{word}.jsonl".replace(" ", "-")
    turns = [{"role": "user", "content": word}, {"role": "assistant", "content": "yes"}]
    file.write_text((json.dumps({"messages": turns}) + "\n") * 12, encoding="utf-8")
    return file


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    provider: Provider

    def do_GET(self) -> None:
        self._serve("GET")

    def do_POST(self) -> None:
        self._serve("POST")

    def do_PUT(self) -> None:
        self._serve("PUT")

    def log_message(self, *said: Any) -> None:
        pass

    def _serve(self, method: str) -> None:
        provider, place = self.provider, urlsplit(self.path)
        raw = self.rfile.read(int(self.headers.get("content-length", 0)))
        if provider.key and self.headers.get("authorization") != f"Bearer {provider.key}":
            told = f"wrong key {self.headers.get('authorization')}"
            return self._send(401, {"error": {"message": told}})
        with provider.lock:
            fault = None if place.path.endswith("/chat/completions") else provider.fault()
            if fault == "reset":
                return self._drop()
            if fault in ("limited", "error"):
                return self._send(429 if fault == "limited" else 500, {"error": {"message": fault}})
            status, body, *headers = provider.reply(
                method, unquote(place.path), parse_qs(unquote(place.query)), raw
            )
        if fault == "lost":
            return self._send(500, {"error": {"message": "lost"}})
        return self._send(status, body, *headers, half=fault == "cut")

    def _send(
        self, status: int, body: Any, headers: Mapping[str, str] | None = None, *, half: bool = False
    ) -> None:
        plain = not isinstance(body, bytes)
        text = json.dumps(body).encode() if plain else body
        self.send_response(status)
        self.send_header("Content-Type", f"application/{'json' if plain else 'x-protobuf'}")
        self.send_header("Content-Length", str(len(text)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if status in (429, 500):
            self.send_header("retry-after-ms", "5")
        self.end_headers()
        self.wfile.write(text[: len(text) // 2] if half else text)
        if half:
            self._drop()

    def _drop(self) -> None:
        self.wfile.flush()
        self.close_connection = True
        self.connection.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *said: Any) -> None:
        """Say nothing of clients that were killed."""


@contextmanager
def tuning(kind: type[Provider] = Provider, **options: Any) -> Iterator[Provider]:
    """Run a provider for the block; the options are those of :class:`Provider`."""
    provider = kind(**options)
    handler = type("Handler", (_Handler,), {"provider": provider})
    server = _Server(("127.0.0.1", 0), handler)
    provider.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()


def persistently(command: Callable[[], T]) -> T:
    """Give the same command again where a provider failed too often in a row, as its error says."""
    for _ in range(5):
        try:
            return command()
        except AssayError as error:
            if "the same command" not in (error.hint or ""):
                raise
    return command()
