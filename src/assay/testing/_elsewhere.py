"""The same call in another process: another seed of hashes, another working folder, nothing warmed up."""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import tempfile
from functools import cache
from importlib import import_module
from typing import Any

_MARK = "assay-elsewhere "


def here(call: str, *arguments: Any) -> Any:
    """Return what ``module:function`` gives in this process, as JSON would carry it."""
    module, _, name = call.partition(":")
    return json.loads(json.dumps(getattr(import_module(module), name)(*arguments)))


def elsewhere(call: str, *arguments: Any) -> Any:
    """Return what ``module:function`` gives in the other process; it is started once and then kept."""
    process = _process(tuple(sys.path))
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps([call, arguments]) + "\n")
    process.stdin.flush()
    for line in process.stdout:
        if line.startswith(_MARK):
            found = json.loads(line.removeprefix(_MARK))
            if "error" in found:
                raise AssertionError(f"in another process: {found['error']}")
            return found["value"]
    raise AssertionError("the other process ended")


@cache
def _process(path: tuple[str, ...]) -> subprocess.Popen[str]:
    seed = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"
    places = os.pathsep.join(part for part in path if part)
    process = subprocess.Popen(  # noqa: S603 - this interpreter, this module
        [sys.executable, "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        cwd=tempfile.gettempdir(),
        env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": places, "PYTHONIOENCODING": "utf-8"},
    )
    atexit.register(process.kill)
    return process


def _serve() -> None:
    for line in sys.stdin:
        call, arguments = json.loads(line)
        try:
            answer = {"value": here(call, *arguments)}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(_MARK + json.dumps(answer), flush=True)


if __name__ == "__main__":
    _serve()
