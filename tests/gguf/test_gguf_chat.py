"""A conversation with a GGUF file, through llama.cpp."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from assay import model, study
from assay.core import Message

pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed: make test-gguf")


def test_a_gguf_file_talks_as_its_source_does(tmp_path: Path) -> None:
    pocket = model.resolve_base("pocket")
    for file in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(pocket / file, tmp_path)
    made = model.write_gguf(pocket, tmp_path / "pocket.gguf", "f16")
    place = study.find_model(str(made.path))
    chats = model.open_chat(place.folder), model.open_chat(pocket)
    turns = (
        Message("user", "法国的首都是哪里？"),
        Message("assistant", "巴黎。"),
        Message("user", "And of Spain?"),
    )
    for messages in (turns[:1], turns):
        prompts = [chat.prompt(messages, 24) for chat in chats]
        assert prompts[0] == prompts[1]
        found = [list(chat.stream(p, model.Decoding(24))) for chat, p in zip(chats, prompts, strict=True)]
        assert found[0] == found[1] and len(found[0]) > 3
    drawn = [list(chats[0].stream(prompts[0], model.Decoding(12, 1.0, seed=s))) for s in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
