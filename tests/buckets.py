"""Real S3 servers on loopback: moto's, which can be made to fail, and SeaweedFS where it is installed."""

from __future__ import annotations

import itertools
import logging
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

BUCKET = "tests"
NUMBER = itertools.count()
Fault = Callable[[int, dict[str, Any]], str | None]
REFUSED = b"<?xml version='1.0'?><Error><Code>%s</Code><Message>no</Message></Error>"


class Faulty:
    """moto's application, and what is to go wrong.

    ``fault`` is asked of each request (its number, its environment): ``busy`` (503, not done), ``lost``
    (done, and answered with 500), ``refused`` (403), ``unconditional`` (conditions are ignored), or None.
    """

    def __init__(self, app: Any) -> None:
        self.app, self.fault, self.count = app, None, 0
        self.lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        with self.lock:
            self.count += 1
            number = self.count
        kind = None if self.fault is None else self.fault(number, environ)
        if kind == "busy":
            return answer(start, "503 Service Unavailable", b"ServiceUnavailable")
        if kind == "refused":
            return answer(start, "403 Forbidden", b"AccessDenied")
        if kind == "unconditional":
            environ = {k: v for k, v in environ.items() if not k.startswith("HTTP_IF_")}
        if kind == "lost":
            list(self.app(environ, lambda *_: lambda _: None))
            return answer(start, "500 Internal Server Error", b"InternalError")
        return self.app(environ, start)

    @contextmanager
    def failing(self, fault: Fault) -> Iterator[None]:
        """Go wrong in the block; requests are counted from 1."""
        self.count, self.fault = 0, fault
        try:
            yield
        finally:
            self.fault = None


def answer(start: Any, status: str, code: bytes) -> list[bytes]:
    start(status, [("Content-Type", "application/xml"), ("Connection", "close")])
    return [REFUSED % code]


@contextmanager
def moto() -> Iterator[tuple[str, Faulty]]:
    """Serve moto's S3."""
    server = pytest.importorskip("moto.server")
    from werkzeug.serving import make_server

    app = Faulty(server.DomainDispatcherApplication(server.create_backend_app))
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    made = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{made.server_port}", app
    made.shutdown()
    thread.join()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def seaweed(address: str = "127.0.0.1") -> Iterator[str]:
    """Serve SeaweedFS's S3 at an address of this machine."""
    tool = shutil.which("weed") or shutil.which("weed", path=str(Path(sys.executable).parent))
    if tool is None:
        pytest.skip("SeaweedFS is not installed")
    folder = tempfile.mkdtemp()
    names = [f"{part}.port{kind}" for part in ("s3", "master", "volume", "filer") for kind in ("", ".grpc")]
    ports = [free_port() for _ in names]
    process = subprocess.Popen(
        [tool, "server", f"-dir={folder}", f"-ip={address}", f"-ip.bind={address}", "-s3", "-filer",
         "-master.volumeSizeLimitMB=64", "-volume.max=20", "-master.telemetry=false",
         "-s3.port.iceberg=0", "-s3.port.lance=0",
         *(f"-{name}={port}" for name, port in zip(names, ports, strict=True))],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder,
    )  # fmt: skip
    url = f"http://{address}:{ports[0]}"
    try:
        wait_for(url, process)
        yield url
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        assert process.poll() is None, "SeaweedFS ended"
        with suppress(OSError):
            try:
                urllib.request.urlopen(url, timeout=5)
                return
            except urllib.error.HTTPError:
                return
        time.sleep(0.1)
    raise AssertionError("SeaweedFS does not answer")


def settings(url: str) -> dict[str, str]:
    """Return what a process has to have in its environment."""
    return {
        "AWS_ENDPOINT_URL": url, "AWS_ACCESS_KEY_ID": "someone", "AWS_SECRET_ACCESS_KEY": "hush-hush",
        "AWS_DEFAULT_REGION": "us-east-1", "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }  # fmt: skip


def make_bucket(url: str, name: str = BUCKET) -> None:
    import boto3

    keys = {"aws_access_key_id": "someone", "aws_secret_access_key": "hush-hush"}
    client = boto3.client("s3", endpoint_url=url, region_name="us-east-1", **keys)
    for _ in range(50):
        with suppress(Exception):
            client.create_bucket(Bucket=name)
            return
        time.sleep(0.2)
    raise AssertionError("no bucket could be made")


def new_address() -> str:
    """Return the address of a store that is not there yet."""
    return f"s3://{BUCKET}/{os.getpid()}/{next(NUMBER)}"


def machine(cache: Path) -> dict[str, str]:
    """Return the environment of a process on a machine of its own: with another cache."""
    return {**os.environ, "ASSAY_CACHE": str(cache)}
