"""Prompts and replies are their owner's alone, whatever the umask says."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from assay.llm import Chat


def test_the_calls_are_the_owners_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCRIPTED_API_KEY", "sk-test")
    before = os.umask(0)
    try:
        with Chat("openai-api/scripted/model", base_url="http://127.0.0.1:9/v1", calls=tmp_path / "calls"):
            modes = {
                p.name: stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "calls").glob("calls.sqlite*")
            }
    finally:
        os.umask(before)
    assert modes and set(modes.values()) == {0o600}
