"""A base model with more tokens, learned from texts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay import data, model
from assay.core import File, Shown
from assay.plan import progress_bar


@dataclass(frozen=True, slots=True)
class Extended(Shown):
    """A model folder with a longer vocabulary; see :class:`assay.model.ExtensionReport`."""

    report: model.ExtensionReport

    def __rich__(self) -> Any:
        """Return what was added and what a text costs with it."""
        from rich.table import Table

        r = self.report
        table = Table(
            title=f"{r.out}: {r.base_tokens:,} tokens and {r.new_tokens:,} new ones", title_justify="left"
        )
        table.add_column("")
        table.add_column("before", justify="right")
        table.add_column("after", justify="right")
        if r.per_character is not None:
            table.add_row("tokens per Chinese character", *(f"{value:.3f}" for value in r.per_character))
        table.add_row("tokens per byte", *(f"{value:.3f}" for value in r.per_byte))
        head = "one embedding for input and output" if r.tied else "input embedding and output head"
        table.caption = (
            f"on {r.held_out:,} lines kept apart; {r.new_characters:,} new single characters; "
            f"{r.rows:,} rows, {head}; longest: {' '.join(r.longest)}"
        )
        table.caption_justify = "left"
        return table


def extend(base: str, texts: str, out: File, *, size: int = 8000) -> Extended:
    """Add tokens learned from texts to a base model, so that they cost fewer tokens; then train it on.

    Old tokens keep their ids and precedence; each new one joins whole old ones and starts at the mean of
    their embeddings.

    Example: `assay vocabulary extend meta-llama/Llama-2-7b-hf chinese.txt llama-zh --size 20000`

        >>> assay.vocabulary.extend("pocket", "pool.jsonl", "wider", size=20).report.out
        'wider'

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
    with progress_bar("read") as advance:

        def lines() -> Iterator[str]:
            return data.read_texts(texts, watch=lambda done, total: advance(done, total, "byte"))

        return Extended(model.extend_vocabulary(model.resolve_base(base), lines, size, Path(out)))
