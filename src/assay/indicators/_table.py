"""Indicators of a stream of samples, as a table on disk."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from assay import core
from assay.core import (
    Column,
    Heading,
    Inline,
    Page,
    Pool,
    Sample,
    Say,
    Shown,
    Table,
    Text,
    mapped,
    page,
    replacing,
    say,
    stored_text,
    to_json,
)
from assay.data import (
    Part,
    Rejected,
    Shard,
    ShardRows,
    in_batches,
    kept_beside,
    nothing_read,
    part_key,
    whole_files,
)
from assay.indicators._indicator import Indicator, Undefined
from assay.indicators._provenance import APPLIED
from assay.indicators._ready import PLUGINS, find, ready, slow_parts
from assay.indicators._rule import Rule
from assay.indicators._tools import DEFAULT, Advance, Models

_BATCH = 1024
INLINE = Inline()
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
    return tuple(map(stored_text, _written(table).get(name, ())))


def applied_notes(table: Path) -> tuple[Text, ...]:
    """Return how rules were applied in a table: with which other models, to how many samples outside.

    Their caveats are left out: a rule may have been tried since it was measured, and knows those of today.
    """
    notes = (stored_text(note) for said in _written(table).values() for note in said)
    return tuple(note for note in notes if isinstance(note, Say) and note.key in APPLIED)


def _written(table: Path) -> dict[str, Any]:
    import pyarrow.parquet as pq

    found: dict[str, Any] = json.loads((pq.read_metadata(table).metadata or {}).get(NOTES.encode(), b"{}"))
    return found


@dataclass(frozen=True, slots=True)
class Scored(Shown):
    """What was written."""

    out: str
    samples: int
    indicators: tuple[IndicatorSummary, ...]
    page: str = ""
    language: str = "en"
    parts: tuple[int, ...] = ()
    """Samples of each part that was measured by itself."""

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
    pool: Pool = INLINE,
    parts: Iterable[Part] | None = None,
    reject: Callable[[Rejected], None] = lambda row: None,
    watch: Callable[[int], None] = lambda done: None,
    advance: Advance = lambda done, total, unit: None,
) -> Scored:
    """Measure samples in one pass and write a Parquet table: id, origin, a column for each indicator.

    Indicators that need the whole pool go through ``samples`` before, so these must not be a bare stream.
    Where all need the text alone and none is a rule, ``parts`` (the samples again, by default in batches of
    them) are measured in the ``pool``, which never changes a value; ``reject`` is told of rejected rows.
    What is finished of files is kept beside ``out`` until the table is whole: a run that was killed goes on.

    A value that is undefined is null, its reason in the column ``why`` ("mtld: fewer than 10 words; ...").
    Memory does not grow with the number of samples but for four bytes a value, for the quantiles.  The
    table appears whole, by a rename.  ``watch`` is told the number of samples done, which rises within a
    batch where models measure: those done by half of the models count half; ``advance`` of what comes before
    the first sample.  Raises :class:`AssayError` where there is no sample.
    """
    import pyarrow.parquet as pq

    heard = _Heard(watch, sum(map(slow_parts, names)))
    chosen = ready(names, models, samples, told=heard, advance=advance)
    # A rule counts what lies outside of its fit, and that of a file has a name that no worker finds.
    text_alone = not any(i.needs for i in chosen) and not any(isinstance(find(name), Rule) for name in names)
    schema = _schema(chosen)
    seen: dict[str, list[Any]] = {i.name: [] for i in chosen}
    reasons: dict[str, Counter[str]] = {i.name: Counter() for i in chosen}
    counts: list[int] = []
    with (
        kept_beside(out) as kept,
        replacing(out) as partial,
        pq.ParquetWriter(partial, schema, compression="zstd") as writer,
    ):
        if text_alone:
            work = _Work(tuple(i.name for i in chosen), dict(schema.metadata), str(kept))
            found = whole_files(mapped(pool, work, in_batches(samples) if parts is None else parts))
        else:
            found = (_measure(batch, chosen) for batch in in_batches(samples))
        for part in found:
            for row in part.rejected:
                reject(row)
            for i in chosen:
                seen[i.name].append(part.table[i.name].drop_null().to_numpy().astype(np.float32))
                reasons[i.name].update(part.reasons.get(i.name, {}))
            writer.write_table(part.table.cast(schema))
            counts.append(part.table.num_rows)
            heard.reach(sum(counts))
        if not sum(counts):
            shutil.rmtree(kept, ignore_errors=True)  # there is nothing to go on from
            raise nothing_read("samples")
        writer.add_key_value_metadata({NOTES: json.dumps({i.name: to_json(i.notes()) for i in chosen})})
    summaries = tuple(_summary(i, seen.pop(i.name), reasons[i.name]) for i in chosen)
    return Scored(str(out), sum(counts), summaries, parts=tuple(counts))


def _schema(chosen: Sequence[Indicator]) -> Any:
    """Return the columns of a table, with the version of each indicator."""
    import pyarrow as pa

    fields = [("id", pa.string()), ("origin", pa.string())]
    schema = pa.schema([*fields, *((i.name, pa.float64()) for i in chosen), ("why", pa.string())])
    return schema.with_metadata({i.name: PLUGINS.identity(i.name) or str(i.version) for i in chosen})


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


class _Part(NamedTuple):
    """The values of a part of the samples, and the rows that were none."""

    table: Any
    reasons: dict[str, dict[str, int]]
    rejected: tuple[Rejected, ...] = ()
    path: str = ""
    stopped: bool = False


def _measure(samples: Sequence[Sample], chosen: Sequence[Indicator]) -> _Part:
    import pyarrow as pa

    columns: dict[str, Any] = {"id": [s.id for s in samples], "origin": [s.origin for s in samples]}
    whys: list[list[str]] = [[] for _ in samples]
    reasons: dict[str, dict[str, int]] = {}
    for indicator in chosen:
        assert indicator.measure is not None  # noqa: S101 - ready() has made it
        values, counted = indicator.measure(samples), Counter[str]()
        for why, value in zip(whys, values, strict=True):
            if isinstance(value, Undefined):
                counted[value.reason] += 1
                why.append(f"{indicator.name}: {value.reason}")
        columns[indicator.name] = [None if isinstance(v, Undefined) else v for v in values]
        reasons[indicator.name] = dict(counted)
    columns["why"] = ["; ".join(why) for why in whys]
    return _Part(pa.table(columns, schema=_schema(chosen)), reasons)


@dataclass(frozen=True, slots=True)
class _Work:
    """Measures a part in a worker, which finds the indicators by name."""

    names: tuple[str, ...]
    versions: Mapping[bytes, bytes]
    kept: str

    def __call__(self, part: Part) -> _Part:
        if not isinstance(part, Shard):
            return _measure(part, ready(self.names))
        versions = sorted((k.decode(), v.decode()) for k, v in self.versions.items())
        file = Path(self.kept, f"{part_key(part, [list(self.names), versions])}.arrow")
        if not file.exists():
            with replacing(file) as partial:
                _save(self._shard(part), partial)
        return _load(file)

    def _shard(self, part: Shard) -> _Part:
        import pyarrow as pa

        rows, rejected, chosen = ShardRows(part), list[Rejected](), ready(self.names)
        done = [_measure(batch, chosen) for batch in in_batches(_usable(rows, rejected), _BATCH)]
        table = pa.concat_tables([d.table for d in done]) if done else _schema(chosen).empty_table()
        reasons = {i.name: sum((Counter(d.reasons[i.name]) for d in done), Counter[str]()) for i in chosen}
        told = {name: dict(counts) for name, counts in reasons.items()}
        return _Part(table, told, tuple(rejected), str(part.path), rows.stopped)


def _usable(rows: Iterable[Sample | Rejected], rejected: list[Rejected]) -> Iterator[Sample]:
    for row in rows:
        if isinstance(row, Sample):
            yield row
        else:
            rejected.append(row)


def _save(part: _Part, file: Path) -> None:
    import pyarrow as pa

    rejected = [to_json(row) for row in part.rejected]
    told = json.dumps([part.reasons, rejected, part.path, part.stopped])
    table = part.table.replace_schema_metadata({**(part.table.schema.metadata or {}), b"told": told})
    with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


def _load(file: Path) -> _Part:
    import pyarrow as pa

    with pa.OSFile(str(file)) as source:
        table = pa.ipc.open_file(source).read_all()
    reasons, rejected, path, stopped = json.loads(table.schema.metadata[b"told"])
    return _Part(table, reasons, tuple(Rejected(**row) for row in rejected), path, stopped)
