"""Talk to models: in the terminal, through OpenAI's protocol on loopback, and on a page.

The server's parts are loaded at first use, so that the terminal does without FastAPI.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from assay.serving._models import QUEUE, unknown_model
from assay.serving._terminal import Voice, answer_piped, check_temperature, converse
from assay.serving._values import Library, Live, StudyRow, Under

if TYPE_CHECKING:
    from assay.serving._serve import serve

__all__ = [
    "QUEUE",
    "Library",
    "Live",
    "StudyRow",
    "Under",
    "Voice",
    "answer_piped",
    "check_temperature",
    "converse",
    "serve",
    "unknown_model",
]


def __getattr__(name: str) -> Any:
    """Load the server at its first use."""
    if name == "serve":
        return import_module("assay.serving._serve").serve
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
