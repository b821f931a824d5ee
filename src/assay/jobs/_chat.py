"""Talk to the models of studies: what the terminal and the server need of runs and store."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from assay import serving
from assay.core import AssayError, File
from assay.jobs._shelf import Shelf
from assay.model import POCKET
from assay.study import ModelPlace, find_model

if TYPE_CHECKING:
    from assay.model import ChatModel


def open_place(place: ModelPlace, device: str = "auto") -> ChatModel:
    """Load the model of a place for conversation."""
    from assay.model import open_chat  # brings torch

    return open_chat(place.folder, base=place.base, device=device)


def chat(
    model: str,
    other: str | None = None,
    *,
    system: str | None = None,
    temperature: float = 0.7,
    top_p: float = 1.0,
    max_new_tokens: int = 512,
    seed: int = 0,
    device: str = "auto",
    runs: File = Path("runs"),
) -> None:
    """Chat with a model in the terminal, or with two side by side; prompts can also be piped in.

    Example: `assay chat demo:base demo:random/800`, `echo 你好 | assay chat pocket`

    /help lists the chat commands: /retry, /undo, /system, /temperature, /save, /quit.

    Parameters
    ----------
    model
        `pocket`, a folder, a Hugging Face id, or a model of a study: `study:arm/rung`, `study:base`.
    other
        Second model, shown next to the first.
    system
        System prompt.
    temperature
        Sampling temperature; 0 is greedy decoding.
    top_p
        Nucleus sampling: cumulative probability of the tokens to sample from.
    max_new_tokens
        Maximum length of an answer, in tokens.
    seed
        Random seed for sampling.
    device
        auto, cpu or cuda.
    runs
        Folder of the study reports.
    """
    serving.check_temperature(temperature)
    if not 0 < top_p <= 1:
        raise AssayError("not a share", place="--top-p", value=top_p, expected="above 0, up to 1")
    if max_new_tokens < 1:
        raise AssayError("no tokens left for an answer", place="--max-new-tokens", value=max_new_tokens)
    question = None if sys.stdin.isatty() else sys.stdin.read().strip()
    if question == "":
        raise AssayError(
            "no question was given", place="standard input", expected="a question, or a terminal"
        )
    from rich.console import Console

    from assay.model import Decoding  # brings torch

    names = [model] if other is None else [model, other]
    places = [find_model(name, runs=Path(runs)) for name in names]
    voices = [serving.Voice(place.label, open_place(place, device)) for place in places]
    decoding = Decoding(max_new_tokens, temperature, top_p, seed)
    if question is None:
        serving.converse(voices, system, decoding, Console(highlight=False))
    else:
        serving.answer_piped(voices, question, system, decoding)


def serve(
    *models: str,
    host: str = "127.0.0.1",
    port: int = 0,
    language: Literal["auto", "en", "zh"] = "auto",
    device: str = "auto",
    runs: File = Path("runs"),
    open_browser: bool = False,
    queue: int = serving.QUEUE,
) -> None:
    """Serve models over an OpenAI-compatible API, with web pages for studies, reports and chat; Ctrl-C stops.

    Example: `assay serve pocket --port 8100`

    Open the printed link; ASSAY_TOKEN sets the key. The first two models named are loaded at the start.
    Models of the studies in `runs` are served too.

    Parameters
    ----------
    models
        `pocket` (the default), folders, Hugging Face ids, or models of studies (`study:arm/rung`).
    host
        Address to listen on. Traffic is not encrypted, so any address other than localhost gives a warning.
    port
        Port; 0 picks a free one.
    language
        Language of the pages; auto follows the browser. It can be changed on the page.
    device
        auto, cpu or cuda.
    runs
        Folder of the study reports.
    open_browser
        Open the page in a browser.
    queue
        Requests that may wait for each model, which answers one at a time; any beyond get status 429.
    """
    if queue < 0:
        raise AssayError("not a length of a queue", place="--queue", value=queue, expected="0 or more")
    need_packages("serving", "fastapi", "python_multipart", "uvicorn")
    given = tuple(dict.fromkeys(models)) or (POCKET,)
    for name in given:
        find_model(name, runs=Path(runs))
    serving.serve(
        Shelf(Path(runs), given, open_place, device), host=host, port=port,
        language=None if language == "auto" else language, open_browser=open_browser,
        queue=queue,
    )  # fmt: skip


def need_packages(what: str, *names: str) -> None:
    """Raise :class:`AssayError` where a package for pages is not installed."""
    missing = [name for name in names if find_spec(name) is None]
    if missing:
        raise AssayError(
            f"{what} needs packages that are not installed", value=", ".join(missing),
            hint="pip install 'instruct-assay[ui]'",
        )  # fmt: skip
