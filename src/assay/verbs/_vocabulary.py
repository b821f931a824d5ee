"""Verbs of vocabularies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from assay.verbs import _progress as progress

if TYPE_CHECKING:
    from assay.jobs import Extended


def vocabulary_extend(base: str, texts: str, out: Path, *, size: int = 8000) -> Extended:
    """Add tokens learned from texts to a base model, so that they cost fewer tokens; then train it on.

    Old tokens keep their ids and precedence; each new one joins whole old ones and starts at the mean of
    their embeddings.

    Example: `assay vocabulary extend meta-llama/Llama-2-7b-hf chinese.txt llama-zh --size 20000`

    Parameters
    ----------
    base
        `pocket`, a folder, or a Hugging Face id.
    texts
        A .txt file (a text a line), rows with a `text` field, or any data set; may be compressed.
    out
        Folder of the new model; it must not exist.
    size
        New tokens at most.
    """
    from assay import jobs

    return jobs.extend_vocabulary(base, texts, out, size=size, quiet=progress.quiet)
