"""One sample: its scores and where they stand in the pool, its neighbours, why it was kept or dropped."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from assay import indicators, selection
from assay.core import AssayError, File, Sample, Shown
from assay.jobs._pool import Data, Pool
from assay.jobs._score import MODELS, ScoreTable, read_scores
from assay.jobs._select import Table

_BATCH = 4096
_NEIGHBOURS = 5
_SHOWN = 240
_LEAST_ID = 6
_LEXICAL = replace(MODELS, embedder="lexical")


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """One indicator of the sample; ``percentile`` is the share of the pool's values at or below it."""

    name: str
    value: float | None
    percentile: float | None
    why: str


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A sample that is like it: cosine of the embeddings of prompt and answer."""

    id: str
    origin: str
    similarity: float
    prompt: str
    answer: str


@dataclass(frozen=True, slots=True)
class Explanation(Shown):
    """What is known of one sample."""

    id: str
    origin: str
    source: str
    type: str | None
    language: str | None
    prompt: str
    answer: str | None
    scores: tuple[ScoreRow, ...]
    fate: str
    neighbours: tuple[Neighbour, ...]

    def __rich__(self) -> Any:
        """Return the sample, then its fate, scores and neighbours."""
        from rich import box
        from rich.console import Group
        from rich.markup import escape
        from rich.table import Table
        from rich.text import Text

        facts = " · ".join(t for t in (self.id, self.origin, self.source, self.type, self.language) if t)
        parts: list[Any] = [
            Text(facts, style="dim"),
            Text(self.prompt, style="bold"),
            Text(self.answer or ""),
        ]
        if self.fate:
            parts.append(Text(f"\n{self.fate}"))
        if self.scores:
            table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
            for name in ("indicator", "value", "percentile", "why not"):
                table.add_column(name, justify="right" if name in ("value", "percentile") else "left")
            for row in self.scores:
                shown = "–" if row.value is None else f"{row.value:.4g}"
                place = "–" if row.percentile is None else f"{row.percentile:.0%}"
                table.add_row(row.name, shown, place, row.why)
            parts.append(table)
        if self.neighbours:
            table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title="most like it", title_justify="left")
            table.add_column("cosine", justify="right", no_wrap=True)
            table.add_column("sample")
            for near in self.neighbours:
                table.add_row(
                    f"{near.similarity:.3f}", escape(f"{near.id[:12]}  {near.prompt} → {near.answer}")
                )
            parts.append(table)
        return Group(*parts)


def explain(
    sample: str,
    samples: Data,
    *,
    scores: Table = None,
    removed: File | None = None,
    selected: Sequence[str] = (),
    models: indicators.Models = _LEXICAL,
) -> Explanation:
    """Explain one sample: its scores and their percentiles, its neighbours, why it was kept or dropped.

    Example: `assay explain 3f1a2b pool.jsonl --scores scores.parquet --removed clean.jsonl.removed.jsonl`

        >>> pool = assay.load("pool.jsonl")
        >>> found = assay.explain(pool[3].id, pool, scores=assay.score(pool, ["len_out"]))
        >>> found.scores[0].name, len(found.neighbours)
        ('len_out', 5)

    Parameters
    ----------
    sample
        Its id (or the first six digits or more), or file:line.
    samples
        The pool.
    scores
        A table of `assay score`.
    removed
        The receipts of `assay clean`.
    selected
        Files of `assay select`.
    models
        See below; the embedder finds the neighbours.

    Raises
    ------
    AssayError
        Where no sample fits, or several.
    """
    pool = Pool(samples)
    found = _found(sample, pool)
    receipts = _receipts(found, None if removed is None else Path(removed))
    return Explanation(
        id=found.id,
        origin=found.origin,
        source=found.source,
        type=found.type,
        language=found.language,
        prompt=selection.prompt_of(found),
        answer=found.answer,
        scores=() if scores is None else _scores(found, scores),
        fate="; ".join([*receipts, *_selections(found, selected)]),
        neighbours=_neighbours(found, pool, indicators.Tools(models)),
    )


def _found(wanted: str, pool: Pool) -> Sample:
    found: dict[str, Sample] = {}
    by_id = len(wanted) >= _LEAST_ID and all(c in "0123456789abcdef" for c in wanted)
    for sample in pool:
        place = sample.origin == wanted or (":" in wanted and sample.origin.endswith(f"/{wanted}"))
        if place or (by_id and sample.id.startswith(wanted)):
            found.setdefault(sample.id, sample)
    if len(found) == 1:
        return next(iter(found.values()))
    raise AssayError(
        "no such sample" if not found else "several samples fit",
        value=wanted,
        expected="an id or its first 6 digits or more, or file:line",
        hint=", ".join(list(found)[:3])
        if found
        else "ids stand in the tables of `assay score` and in receipts",
    )


def _scores(sample: Sample, table: str | Path | ScoreTable) -> tuple[ScoreRow, ...]:
    import polars

    frame = table.frame if isinstance(table, ScoreTable) else read_scores(Path(table))
    own = frame.filter(polars.col("id") == sample.id)
    if own.is_empty():
        raise AssayError("the sample is not in the table", place="scores", value=sample.id)
    whys = dict(part.split(": ", 1) for part in own["why"][0].split("; ") if ": " in part)
    rows = []
    for name in (c for c in frame.columns if c not in ("id", "origin", "why")):
        value, column = own[name][0], frame[name].drop_nulls()
        place = None if value is None else float((column <= value).mean() or 0.0)
        rows.append(ScoreRow(name, value, place, whys.get(name, "")))
    return tuple(rows)


def _receipts(sample: Sample, removed: Path | None) -> list[str]:
    if removed is None:
        return []
    try:
        lines = removed.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise AssayError(
            f"the receipts cannot be read ({type(error).__name__})", place=str(removed),
            expected="OUT.removed.jsonl of `assay clean`",
        ) from None  # fmt: skip
    found, stood_for = [], 0
    for line in lines:
        receipt = json.loads(line)
        if receipt.get("id") == sample.id and receipt["origin"] == sample.origin:
            score_text = "" if receipt["score"] is None else f" ({receipt['score']})"
            partner = f", for {receipt['partner']}{score_text}" if receipt["partner"] else ""
            detail = f": {receipt['detail']}" if receipt["detail"] else ""
            found.append(f"removed by the rule {receipt['rule']}{partner}{detail}")
        elif receipt.get("partner") in (sample.origin, sample.id):
            stood_for += 1
    if not found:
        found.append(f"kept by cleaning{f', in place of {stood_for:,} others' if stood_for else ''}")
    return found


def _selections(sample: Sample, selected: Sequence[str]) -> list[str]:
    found = []
    for place in selected:
        rows = [s.id for s in Pool([place])]
        if sample.id in rows:
            found.append(f"selected in {place}, place {rows.index(sample.id) + 1:,} of {len(rows):,}")
        else:
            found.append(f"not among the {len(rows):,} of {place}")
    return found


def _neighbours(sample: Sample, pool: Pool, tools: indicators.Tools) -> tuple[Neighbour, ...]:
    own = tools.embed([indicators.whole(sample)])[0]
    best: list[tuple[float, Sample]] = []
    stream = iter(pool)
    while batch := list(islice(stream, _BATCH)):
        likeness = tools.embed(map(indicators.whole, batch)) @ own
        for row in np.argsort(-likeness)[: _NEIGHBOURS + 1].tolist():
            if batch[row].id != sample.id:
                best.append((float(likeness[row]), batch[row]))
        best = sorted(best, key=lambda pair: -pair[0])[:_NEIGHBOURS]
    return tuple(
        Neighbour(s.id, s.origin, value, selection.prompt_of(s)[:_SHOWN], (s.answer or "")[:_SHOWN])
        for value, s in best
    )
