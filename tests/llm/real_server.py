"""``transformers serve`` with the pocket model on loopback: a real server with a real, tiny model.

with transformers_serve() as url:
    Chat("openai-api/local/pocket", base_url=url)
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from assay.model import resolve_base

_SECONDS = 180.0


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def transformers_serve(base: Path | None = None) -> Iterator[str]:
    """Run the server for the block and give the address of its API; the model has its folder's name."""
    port, folder = free_port(), base or resolve_base("pocket")
    command = [
        sys.executable,
        "-m",
        "transformers.cli.transformers",
        "serve",
        folder.name,
    ]
    command += ["--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    offline = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            command, cwd=folder.parent, env=os.environ | offline, stdout=log, stderr=log
        )
        try:
            _wait(process, port, log)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes], port: int, log: object) -> None:
    until = time.monotonic() + _SECONDS
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                return
        except OSError:
            time.sleep(0.3)
        if process.poll() is not None:
            break
    log.seek(0)  # type: ignore[attr-defined]
    raise RuntimeError(f"transformers serve did not start:\n{log.read()[-3000:]}")  # type: ignore[attr-defined]
