"""Look into a data set: one sample as the model sees it; write the testbed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import Any, Literal

from assay import data, model
from assay.core import AssayError, Sample
from assay.data import testbed
from assay.study.steps import REJECTED


@dataclass(frozen=True, slots=True)
class ShownToken:
    """One token: its id, its bytes as the vocabulary spells them, and whether the loss counts it."""

    id: int
    piece: str
    learned: bool


@dataclass(frozen=True, slots=True)
class ShownSample:
    """A sample as the model sees it: its tokens, and its text in runs that the loss counts or not."""

    origin: str
    tokens: tuple[ShownToken, ...]
    runs: tuple[tuple[str, bool], ...]
    cut: bool

    def __rich__(self) -> Any:
        """Return the text, what the loss counts set off in colour and brackets."""
        from rich.text import Text

        counted = sum(token.learned for token in self.tokens)
        head = f"{self.origin}: {len(self.tokens)} tokens, the loss counts {counted}"
        text = Text(f"{head}{', cut at the end' if self.cut else ''}\n\n")
        for run, learned in self.runs:
            text.append(f"⟦{run}⟧" if learned else run, style="bold green" if learned else "dim")
        return text


@dataclass(frozen=True, slots=True)
class Written:
    """A file that was written, with its rows and what was counted on the way."""

    path: str
    rows: int
    counts: dict[str, int]


def samples(place: str) -> Iterator[Sample]:
    """Yield the usable samples of a place."""
    return (row for row in data.read(place) if isinstance(row, Sample))


def rejected_rows(read: Path, out: Path) -> dict[str, int]:
    """Write the rows that a reading step rejected to ``out``, none to no file; count them by reason."""
    rows = [json.loads(line) for line in (read / REJECTED).read_text(encoding="utf-8").splitlines()]
    if rows:
        data.write_lines(rows, out)
    else:
        out.unlink(missing_ok=True)
    return dict(Counter(row["reason"] for row in rows).most_common())


def show_tokens(place: str, *, base: str, row: int, max_tokens: int) -> ShownSample:
    """Return one usable sample of ``place`` tokenized, with its loss mask."""
    found = next(islice(samples(place), row, None), None) if row >= 0 else None
    if found is None:
        raise AssayError("no such row", place=place, value=row, expected="a usable row, counted from 0")
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


def write_testbed(
    n: int, out: Path, *, seed: int, split: Literal["train", "eval"], defects: float
) -> Written:
    """Write ``n`` testbed samples to ``out`` and their planted defects to ``out`` + ``.defects.jsonl``."""
    if not 0 <= defects <= 1:
        raise AssayError("not a share", place="--defects", value=defects, expected="a number from 0 to 1")
    shares = {kind: defects / len(testbed.DEFECTS) for kind in testbed.DEFECTS} if defects else {}
    counts: dict[str, int] = {}
    truth = out.with_name(out.name + ".defects.jsonl")

    def rows() -> Iterator[Sample]:
        with truth.open("w", encoding="utf-8") as report:
            for index, planted in enumerate(testbed.generate(n, seed=seed, split=split, defects=shares)):
                if planted.defect:
                    counts[planted.defect] = counts.get(planted.defect, 0) + 1
                    entry = {"row": index, "defect": planted.defect, "span": planted.span}
                    report.write(json.dumps(entry) + "\n")
                yield planted.sample

    out.parent.mkdir(parents=True, exist_ok=True)
    data.write(rows(), out, "samples")
    if not counts:
        truth.unlink()
    return Written(str(out), n, counts)
