"""One sample: its scores and where they stand in the pool, its neighbours, why it was kept or dropped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np

from assay import core, indicators, selection
from assay.core import (
    AssayError,
    Column,
    File,
    Items,
    Page,
    Paragraph,
    Sample,
    Say,
    Shown,
    page,
    read_json_lines,
    say,
)
from assay.jobs._measuring import measuring, watched
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
    fate: tuple[Say, ...]
    neighbours: tuple[Neighbour, ...]

    def as_page(self) -> Page:
        """Return the sample, then its fate, scores and neighbours."""
        facts = " · ".join(t for t in (self.id, self.origin, self.source, self.type, self.language) if t)
        scores = core.Table(
            (
                Column(say("rule.col.indicator"), "@"), Column(say("col.value"), ".4g"),
                Column(say("explain.percentile"), "percent"), Column(say("explain.why_not"), "@reason"),
            ),
            tuple((row.name, row.value, row.percentile, row.why) for row in self.scores),
        )  # fmt: skip
        near = core.Table(
            (Column(say("explain.cosine"), ".3f"), Column("id", "@"), Column(say("explain.sample"))),
            tuple((n.similarity, n.id[:12], f"{n.prompt} → {n.answer}") for n in self.neighbours),
            title=say("explain.near"),
        )
        return page(
            Paragraph(facts, "quiet"), Paragraph(self.prompt, "strong"), Paragraph(self.answer or ""),
            Items(self.fate), scores if self.scores else None,
            near if self.neighbours else None,
        )  # fmt: skip


def explain(
    sample: str,
    samples: Data,
    *,
    scores: Table = None,
    removed: File | None = None,
    selected: Sequence[str] = (),
    cap: str | None = None,
    models: indicators.Models = _LEXICAL,
) -> Explanation:
    """Explain one sample: its scores and percentiles, its neighbours, and why it was kept or removed.

    Example: `assay explain 3f1a2b pool.jsonl --scores scores.parquet --removed clean.jsonl.removed.jsonl`

        >>> pool = assay.load("pool.jsonl")
        >>> found = assay.explain(pool[3].id, pool, scores=assay.score(pool, ["len_out"]))
        >>> found.scores[0].name, len(found.neighbours)
        ('len_out', 5)

    Parameters
    ----------
    sample
        Sample id (or its first six digits or more), or file:line.
    samples
        The pool.
    scores
        Table from `assay score`.
    removed
        Removal records from `assay clean`.
    selected
        Files from `assay select`.
    cap
        Stop before this command takes more than this: "2 hours", "20 USD", "2M tokens", "50 GB", or several
        with `and`; what models computed is kept.
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
    with measuring("explain", (), pool, models, cap, embeds=True) as (check, _):
        neighbours = _neighbours(found, watched(pool, check), indicators.Tools(models))
    return Explanation(
        id=found.id,
        origin=found.origin,
        source=found.source,
        type=found.type,
        language=found.language,
        prompt=selection.prompt_of(found),
        answer=found.answer,
        scores=() if scores is None else _scores(found, scores),
        fate=(*receipts, *_selections(found, selected)),
        neighbours=neighbours,
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


def _receipts(sample: Sample, removed: Path | None) -> list[Say]:
    if removed is None:
        return []
    found: list[Say] = []
    stood_for = 0
    for _, receipt in read_json_lines(removed, hint="give OUT.removed.jsonl of `assay clean`"):
        if receipt.get("id") == sample.id and receipt["origin"] == sample.origin:
            why = {name: receipt[name] for name in ("rule", "partner", "score", "detail")}
            key = "explain.removed.score" if receipt["score"] is not None else "explain.removed.for"
            found.append(say(key if receipt["partner"] else "explain.removed", **why))
        elif receipt.get("partner") in (sample.origin, sample.id):
            stood_for += 1
    if not found:
        found.append(say("explain.kept.for" if stood_for else "explain.kept", others=stood_for))
    return found


def _selections(sample: Sample, selected: Sequence[str]) -> list[Say]:
    found = []
    for place in selected:
        rows = [s.id for s in Pool([place])]
        if sample.id in rows:
            found.append(say("explain.selected", file=place, place=rows.index(sample.id) + 1, rows=len(rows)))
        else:
            found.append(say("explain.not_selected", file=place, rows=len(rows)))
    return found


def _neighbours(sample: Sample, pool: Iterable[Sample], tools: indicators.Tools) -> tuple[Neighbour, ...]:
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
