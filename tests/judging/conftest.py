"""A real server on loopback that judges by a script."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from assay.llm import Chat

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "llm"))

MODEL = "openai-api/scripted/judge"


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCRIPTED_API_KEY", "sk-test")


@pytest.fixture
def judge_server() -> Callable[..., Any]:
    from chat_server import serving

    def serve(**options: Any) -> Any:
        return serving(script="scripted_judge:answer", script_path=str(HERE), **options)

    return serve


@pytest.fixture
def server(judge_server: Callable[..., Any]) -> Iterator[Any]:
    with judge_server() as running:
        yield running


@pytest.fixture
def chat(server: Any, tmp_path: Path) -> Iterator[Chat]:
    with Chat(MODEL, base_url=server.url, calls=tmp_path / "calls") as opened:
        yield opened
