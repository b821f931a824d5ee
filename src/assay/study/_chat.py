"""Talk to the models of studies: what the terminal and the server need of runs and store."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from assay import chat, model
from assay.core import AssayError
from assay.study._find import ModelPlace, find_model


def open_place(place: ModelPlace, device: str = "auto") -> model.ChatModel:
    """Load the model of a place for conversation."""
    return model.open_chat(place.folder, base=place.base, device=device)


def chat_in_terminal(
    names: Sequence[str],
    *,
    system: str | None,
    temperature: float,
    top_p: float,
    max_new_tokens: int,
    seed: int,
    device: str,
    runs: Path,
) -> None:
    """Talk to one model, or to two side by side; standard input that is no terminal is one question."""
    from rich.console import Console

    chat.check_temperature(temperature)
    if not 0 < top_p <= 1:
        raise AssayError("not a share", place="--top-p", value=top_p, expected="above 0, up to 1")
    if max_new_tokens < 1:
        raise AssayError("no room for an answer", place="--max-new-tokens", value=max_new_tokens)
    question = None if sys.stdin.isatty() else sys.stdin.read().strip()
    if question == "":
        raise AssayError("nothing is asked", place="standard input", expected="a question, or a terminal")
    places = [find_model(name, runs=runs) for name in names]
    voices = [chat.Voice(place.label, open_place(place, device)) for place in places]
    decoding = model.Decoding(max_new_tokens, temperature, top_p, seed)
    if question is None:
        chat.converse(voices, system, decoding, Console(highlight=False))
    else:
        chat.answer_piped(voices, question, system, decoding)
