"""A base model with more tokens, learned from texts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from assay import data, model
from assay.core import Column, File, Page, Shown, Table, page, say
from assay.plan import progress_bar


@dataclass(frozen=True, slots=True)
class Extended(Shown):
    """A model folder with a longer vocabulary; see :class:`assay.model.ExtensionReport`."""

    report: model.ExtensionReport

    def as_page(self) -> Page:
        """Return what was added and what a text costs with it."""
        r = self.report
        rows = [(say("vocabulary.per_character"), *r.per_character)] if r.per_character is not None else []
        rows.append((say("vocabulary.per_byte"), *r.per_byte))
        columns = (
            Column(""),
            Column(say("vocabulary.before"), ".3f"),
            Column(say("vocabulary.after"), ".3f"),
        )
        head = say("vocabulary.tied" if r.tied else "vocabulary.untied")
        note = say(
            "vocabulary.note", held_out=r.held_out, characters=r.new_characters, rows=r.rows, head=head,
            longest=" ".join(r.longest),
        )  # fmt: skip
        title = say("vocabulary.title", out=r.out, base=r.base_tokens, new=r.new_tokens)
        return page(Table(columns, tuple(rows), title, note))


def extend(base: str, texts: str, out: File, *, size: int = 8000) -> Extended:
    """Add tokens learned from texts to a base model, so that such texts need fewer tokens.

    Existing tokens keep their ids and merges; each new token joins existing ones and starts at the mean of
    their embeddings.

    Example: `assay vocabulary extend meta-llama/Llama-2-7b-hf chinese.txt llama-zh --size 20000`

        >>> assay.vocabulary.extend("pocket", "pool.jsonl", "wider", size=20).report.out
        'wider'

    Parameters
    ----------
    base
        `pocket`, a folder, or a Hugging Face id.
    texts
        A .txt file (one text per line), rows with a `text` field, or any data set; may be compressed.
    out
        Folder for the new model; it must not exist.
    size
        Maximum number of new tokens.
    """
    with progress_bar("read") as advance:

        def lines() -> Iterator[str]:
            return data.read_texts(texts, watch=lambda done, total: advance(done, total, "byte"))

        return Extended(model.extend_vocabulary(model.resolve_base(base), lines, size, Path(out)))
