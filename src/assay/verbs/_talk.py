"""Verbs to talk to models."""

from __future__ import annotations

from pathlib import Path
from typing import Literal


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
    runs: Path = Path("runs"),
) -> None:
    """Talk to a model in the terminal, or to two side by side. A question can also be piped in.

    Example: `assay chat demo:base demo:random/800`, `echo 你好 | assay chat pocket`

    /help lists what can be done besides asking: /retry, /undo, /system, /temperature, /save, /quit.

    Parameters
    ----------
    model
        `pocket`, a folder, a Hugging Face id, or a model of a study: `study:arm/rung`, `study:base`.
    other
        A second model, to be shown beside the first.
    system
        Text that tells the model who it is.
    temperature
        0 takes the likeliest token; higher is more varied.
    top_p
        Draw from the likeliest tokens that make up this share.
    max_new_tokens
        Answers are cut here.
    seed
        The same seed and the same questions give the same answers.
    device
        auto, cpu or cuda.
    runs
        Folder of the studies' reports.
    """
    from assay import jobs

    jobs.chat_in_terminal(
        [model] if other is None else [model, other], system=system, temperature=temperature, top_p=top_p,
        max_new_tokens=max_new_tokens, seed=seed, device=device, runs=runs,
    )  # fmt: skip


def serve(
    *models: str,
    host: str = "127.0.0.1",
    port: int = 0,
    language: Literal["auto", "en", "zh"] = "auto",
    device: str = "auto",
    runs: Path = Path("runs"),
    open_browser: bool = False,
) -> None:
    """Serve models by OpenAI's protocol, and pages of studies, reports and chat; Ctrl-C ends.

    Example: `assay serve pocket --port 8100`

    The link and the key that are printed open it; ASSAY_TOKEN sets the key. Models of the studies in `runs`
    are served too.

    Parameters
    ----------
    models
        `pocket` (the default), folders, Hugging Face ids, or models of studies (`study:arm/rung`).
    host
        The address to listen on; any but this machine's own is warned about, for nothing is encrypted.
    port
        0 takes a free one.
    language
        Language of the pages; auto is that of each browser. It can be changed on the page.
    device
        auto, cpu or cuda.
    runs
        Folder of the studies' reports.
    open_browser
        Open the page in a browser.
    """
    from importlib.util import find_spec

    from assay import jobs
    from assay.core import AssayError

    missing = [name for name in ("fastapi", "python_multipart", "uvicorn") if find_spec(name) is None]
    if missing:
        raise AssayError(
            "serving needs packages that are not installed", value=", ".join(missing),
            hint="pip install 'instruct-assay[ui]'",
        )  # fmt: skip
    jobs.serve_models(
        models, runs=runs, device=device, host=host, port=port,
        language=None if language == "auto" else language, open_browser=open_browser,
    )  # fmt: skip
