"""A server closes connections that begin a request and do not end it, and says so in one line."""

from __future__ import annotations

import socket
import subprocess
import sys
import time

import pytest

SERVER = """
import sys
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from assay.web import bind, run
from assay.web._patience import PatientProtocol
PatientProtocol.patience = 0.6
async def hello(request):
    await request.body()
    return PlainTextResponse("hello")
bound = bind("127.0.0.1", 0, fixed=True)
print(bound.getsockname()[1], flush=True)
run(Starlette(routes=[Route("/", hello, methods=["GET", "POST"])]), bound)
"""


def exchange(port: int, *parts: bytes, pause: float = 0.0) -> bytes:
    """Send parts, pausing between, and return all that comes until the other side closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as line:
        for part in parts:
            line.sendall(part)
            time.sleep(pause)
        got = b""
        while block := line.recv(4096):
            got += block
        return got


@pytest.fixture(scope="module")
def server() -> subprocess.Popen[str]:  # type: ignore[misc]
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.port = int(process.stdout.readline())  # type: ignore[attr-defined]
    yield process  # type: ignore[misc]
    process.kill()
    process.wait()


HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n"


@pytest.mark.parametrize("half", [b"GET / HTT", b"GET / HTTP/1.1\r\nHost:", HEAD + b"12345"])
def test_half_a_request_is_closed_and_logged_in_one_line(server: subprocess.Popen[str], half: bytes) -> None:
    assert b"hello" not in exchange(server.port, half)  # type: ignore[attr-defined]
    assert server.stderr is not None
    line = server.stderr.readline()
    assert "closed a half-open connection from 127.0.0.1" in line


def test_who_says_nothing_is_closed_without_a_word(server: subprocess.Popen[str]) -> None:
    assert exchange(server.port) == b""  # type: ignore[attr-defined]


def test_who_is_slow_but_goes_on_is_served(server: subprocess.Popen[str]) -> None:
    parts = [HEAD, *(b"%d" % k for k in range(10))]
    answer = exchange(server.port, *parts, b"", pause=0.2)  # type: ignore[attr-defined]
    assert answer.endswith(b"hello")
