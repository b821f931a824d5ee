"""Verbs to talk to models."""

from __future__ import annotations

from pathlib import Path


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
    from assay import study

    study.chat_in_terminal(
        [model] if other is None else [model, other], system=system, temperature=temperature, top_p=top_p,
        max_new_tokens=max_new_tokens, seed=seed, device=device, runs=runs,
    )  # fmt: skip
