"""Talk to models: in the terminal, through OpenAI's protocol on loopback, and on a page.

The server's parts are loaded at first use, so that the terminal does without FastAPI.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from assay.chat._models import unknown_model
from assay.chat._terminal import Voice, answer_piped, check_temperature, converse
from assay.chat._values import Library, StudyRow

if TYPE_CHECKING:
    from assay.chat._serve import serve

__all__ = [
    "Library",
    "StudyRow",
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
        return import_module("assay.chat._serve").serve
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
