"""The base model of steps: where it lies, and what stands for it in keys."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.core import digest, file_digest
from assay.model import base_digest
from assay.plan import Step


@dataclass(frozen=True, slots=True)
class Base:
    """A model's folder, and the digest of its weights, configuration and tokenizer."""

    folder: Path
    digest: str

    @classmethod
    def at(cls, folder: Path) -> Base:
        """Return the model that lies in ``folder``, or is a GGUF file with its tokenizer beside it."""
        if folder.is_file():
            beside = [p for pattern in ("*.json", "*.jinja") for p in folder.parent.glob(pattern)]
            return cls(folder, digest({p.name: file_digest(p) for p in (folder, *sorted(beside))}))
        return cls(folder, base_digest(folder))


@dataclass(frozen=True, slots=True)
class Subject:
    """A model that is measured, in a step: as its input where a step makes it, else by place and digest.

    ``settings`` are part of identity: an adapter is another one on another base.
    """

    inputs: dict[str, Step]
    settings: dict[str, Any]
    where: dict[str, Any]


def subject_of(made: Step | Base, base: Base | None) -> Subject:
    """Return the model that a step made, or one that is there; ``base`` is the one below an adapter."""
    where: dict[str, Any] = {"base": None if base is None else str(base.folder)}
    if isinstance(made, Step):
        return Subject({"model": made}, {}, where)
    settings = {"model": made.digest, "base": None if base is None else base.digest}
    return Subject({}, settings, {**where, "model": str(made.folder)})
