"""Indicators of a stream of samples, as a table on disk."""

from __future__ import annotations

import json
import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from assay import core
from assay.core import (
    Column,
    Heading,
    Page,
    Sample,
    Shown,
    Table,
    Text,
    page,
    replacing,
    say,
    stored_text,
    tie_to_parent,
    to_json,
)
from assay.indicators._indicator import Indicator, Undefined, Value
from assay.indicators._ready import PLUGINS, ready, slow_parts
from assay.indicators._tools import DEFAULT, Models

_BATCH = 1024
_MODEL_BATCH = 4096
"""More, so that samples of like length are found for a model to read together."""
_AHEAD = 4
NOTES = "notes"
"""Key of a table's metadata under which the notes of each indicator stand as JSON."""


@dataclass(frozen=True, slots=True)
class IndicatorSummary:
    """One indicator over a whole table; quantiles are of the defined values, None where there are none."""

    name: str
    unit: str
    direction: int
    defined: int
    undefined: int
    why: str
    """The commonest reason for having no value, or ""."""
    p05: float | None
    p50: float | None
    p95: float | None
    source: str = ""
    notes: tuple[Text, ...] = ()
    """What has to be said of a rule: its warnings, models that are not its own, samples outside its fit."""


def notes_of(table: Path, name: str) -> tuple[Text, ...]:
    """Return what a table says of an indicator beside its values; nothing where it is older than notes."""
    import pyarrow.parquet as pq

    written = (pq.read_metadata(table).metadata or {}).get(NOTES.encode(), b"{}")
    return tuple(map(stored_text, json.loads(written).get(name, ())))


@dataclass(frozen=True, slots=True)
class Scored(Shown):
    """What was written."""

    out: str
    samples: int
    indicators: tuple[IndicatorSummary, ...]
    page: str = ""
    language: str = "en"

    def as_page(self) -> Page:
        """Return one row per indicator: how many have a value, its quantiles, why others have none."""
        columns = (
            Column(say("rule.col.indicator"), "@"),
            Column(say("score.better"), "@score.direction"),
            Column(say("score.defined"), ".1%"), Column("5 %", ".3g"), Column(say("quantile.p50"), ".3g"),
            Column("95 %", ".3g"), Column(say("explain.why_not"), "@reason"),
        )  # fmt: skip
        rows = tuple(
            (
                i.name,
                str(i.direction),
                i.defined / self.samples if self.samples else None,
                i.p05,
                i.p50,
                i.p95,
                i.why,
            )
            for i in self.indicators
        )
        places = {"table": self.out, "page": self.page}
        files = core.files(**{name: place for name, place in places.items() if place})
        notes = core.Items(tuple(note for i in self.indicators for note in i.notes), "warning")
        head = Heading(say("pool.headline.score", n=self.samples), 1)
        return page(head, Table(columns, rows), notes, files if files.rows else None, language=self.language)


def score(
    samples: Iterable[Sample],
    out: Path,
    names: Sequence[str] = (),
    *,
    models: Models = DEFAULT,
    workers: int = 1,
    watch: Callable[[int], None] = lambda done: None,
) -> Scored:
    """Measure samples in one pass and write a Parquet table: id, origin, a column for each indicator.

    Indicators that need the whole pool go through ``samples`` before, so these must not be a bare stream.

    A value that is undefined is null, its reason in the column ``why`` ("mtld: fewer than 10 words; ...").
    Memory does not grow with the number of samples but for four bytes a value, for the quantiles.  The
    table appears whole, by a rename; ``workers`` never changes a value, and where one indicator needs more
    than the text all run in this process.  ``watch`` is told the number of samples done, which rises within a
    batch where models measure: those done by half of the models count half.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    heard = _Heard(watch, sum(map(slow_parts, names)))
    chosen = ready(names, models, samples, told=heard)
    fields = [("id", pa.string()), ("origin", pa.string())]
    schema = pa.schema([*fields, *((i.name, pa.float64()) for i in chosen), ("why", pa.string())])
    versions = {i.name: PLUGINS.identity(i.name) or str(i.version) for i in chosen}
    seen: dict[str, list[Any]] = {i.name: [] for i in chosen}
    reasons: dict[str, Counter[str]] = {i.name: Counter() for i in chosen}
    total = 0
    with (
        replacing(out) as partial,
        pq.ParquetWriter(partial, schema.with_metadata(versions), compression="zstd") as writer,
    ):
        for ids, origins, columns in _measured(samples, chosen, workers):
            rows: dict[str, Any] = {"id": ids, "origin": origins}
            whys: list[list[str]] = [[] for _ in ids]
            for name, values in columns.items():
                rows[name] = [None if isinstance(v, Undefined) else v for v in values]
                seen[name].append(np.array([v for v in rows[name] if v is not None], np.float32))
                for why, value in zip(whys, values, strict=True):
                    if isinstance(value, Undefined):
                        reasons[name][value.reason] += 1
                        why.append(f"{name}: {value.reason}")
            rows["why"] = ["; ".join(why) for why in whys]
            writer.write_table(pa.table(rows, schema=schema))
            total += len(ids)
            heard.reach(total)
        writer.add_key_value_metadata({NOTES: json.dumps({i.name: to_json(i.notes()) for i in chosen})})
    summaries = tuple(_summary(i, seen[i.name], reasons[i.name]) for i in chosen)
    return Scored(str(out), total, summaries)


class _Heard:
    """Adds up what each model has measured of the batch under way."""

    def __init__(self, watch: Callable[[int], None], models: int) -> None:
        self.watch, self.models, self.done, self.parts = watch, models, 0, 0

    def __call__(self, samples: int) -> None:
        self.parts += samples
        self.watch(self.done + self.parts // self.models)

    def reach(self, done: int) -> None:
        self.done, self.parts = done, 0
        self.watch(done)


def _summary(indicator: Indicator, parts: Sequence[Any], reasons: Counter[str]) -> IndicatorSummary:
    values = np.concatenate(parts) if parts else np.empty(0)
    p05, p50, p95 = np.quantile(values, (0.05, 0.5, 0.95)).tolist() if len(values) else (None,) * 3
    return IndicatorSummary(
        indicator.name,
        indicator.unit,
        indicator.direction,
        defined=len(values),
        undefined=reasons.total(),
        why=reasons.most_common(1)[0][0] if reasons else "",
        p05=p05,
        p50=p50,
        p95=p95,
        source=indicator.source,
        notes=indicator.notes(),
    )


Batch = tuple[list[str], list[str], dict[str, list[Value]]]


def _measure(batch: Sequence[Sample], chosen: Sequence[Indicator]) -> Batch:
    columns = {i.name: i.measure(batch) for i in chosen if i.measure is not None}
    return [s.id for s in batch], [s.origin for s in batch], columns


def _by_name(batch: Sequence[Sample], names: Sequence[str]) -> Batch:
    """Measure in a worker, which finds the indicators by name."""
    return _measure(batch, ready(names))


def _measured(samples: Iterable[Sample], chosen: Sequence[Indicator], workers: int) -> Iterator[Batch]:
    """Measure batches in order, a few ahead of the writer."""
    stream = iter(samples)
    needing = any(indicator.needs for indicator in chosen)
    batches = iter(lambda: list(islice(stream, _MODEL_BATCH if needing else _BATCH)), [])
    if workers <= 1 or needing:
        yield from (_measure(batch, chosen) for batch in batches)
        return
    names = [indicator.name for indicator in chosen]
    with ProcessPoolExecutor(workers, initializer=tie_to_parent, initargs=(os.getpid(),)) as pool:
        waiting: deque[Future[Batch]] = deque()
        for batch in batches:
            waiting.append(pool.submit(_by_name, batch, names))
            if len(waiting) >= _AHEAD * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
