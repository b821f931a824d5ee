"""The base model of steps: where it lies, and what stands for it in keys."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from assay.core import digest, file_digest
from assay.model import base_digest


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
