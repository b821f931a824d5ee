"""Look into a data set: one sample as the model sees it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path

from assay import data, model
from assay.core import AssayError, Marked, Page, Paragraph, Shown, page, read_json_lines, say
from assay.jobs._pool import Data, Pool
from assay.study.steps import REJECTED


@dataclass(frozen=True, slots=True)
class ShownToken:
    """One token: its id, its bytes as the vocabulary spells them, and whether the loss counts it."""

    id: int
    piece: str
    learned: bool


@dataclass(frozen=True, slots=True)
class ShownSample(Shown):
    """A sample as the model sees it: its tokens, and its text in runs that the loss counts or not."""

    origin: str
    tokens: tuple[ShownToken, ...]
    runs: tuple[tuple[str, bool], ...]
    cut: bool

    def as_page(self) -> Page:
        """Return the text, what the loss counts set off."""
        counted = sum(token.learned for token in self.tokens)
        key = "sample.shown.cut" if self.cut else "sample.shown"
        head = say(key, origin=self.origin, tokens=len(self.tokens), counted=counted)
        return page(Paragraph(head), Marked(self.runs))


def rejected_rows(read: Path, out: data.Output) -> dict[str, int]:
    """Write the rows that a reading step rejected to ``out``, none to no file; count them by reason."""
    rows = [row for _, row in read_json_lines(read / REJECTED)]
    if rows:
        data.write_rows(rows, out)
    else:
        out.path.unlink(missing_ok=True)
    return dict(Counter(row["reason"] for row in rows).most_common())


def show(place: Data, *, base: str = "pocket", row: int = 0, max_tokens: int = 1024) -> ShownSample:
    """Show one sample as the model sees it: its tokens, and which of them count in the loss.

    Example: `assay data show alpaca.jsonl --row 7 --base bigscience/bloomz-560m`

        >>> shown = assay.data.show([{"instruction": "Add 2 and 3.", "output": "5"}])
        >>> [text for text, counted in shown.runs if counted][0][:1]
        '5'

    Parameters
    ----------
    place
        A file, folder or id of samples; in Python also samples.
    base
        Model whose tokenizer and chat template are used: `pocket`, a folder, or a Hugging Face id.
    row
        Index of the usable row, from 0.
    max_tokens
        Truncate longer samples to this many tokens.
    """
    pool = Pool(place)
    found = next(islice(pool, row, None), None) if row >= 0 else None
    if found is None:
        raise AssayError("no such row", place=pool.name, value=row, expected="a usable row, counted from 0")
    tokenizer = model.load_tokenizer(model.resolve_base(base))
    encoded = model.encode(tokenizer, [found], max_tokens)[0]
    pieces = tokenizer.convert_ids_to_tokens(list(encoded.ids))
    rows = zip(encoded.ids, pieces, encoded.learned, strict=True)
    tokens = tuple(ShownToken(int(i), piece, learned) for i, piece, learned in rows)
    runs = tuple(
        (tokenizer.decode([token.id for token in run]), learned)
        for learned, run in groupby(tokens, key=lambda token: token.learned)
    )
    return ShownSample(found.origin, tokens, runs, encoded.cut)
