"""Jobs on pools of samples: score them, clean them, select from them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from assay import data, indicators, selection
from assay.core import AssayError, PoolChange, Sample
from assay.data import Rejected
from assay.jobs._pages import Gallery, clean_page, score_page, select_page
from assay.plan import Advance, progress_bar
from assay.view import new_table, write_page

_BATCH = 1024
_SHOWN = 12
_TOLD = 8
GROUPS = ("source", "type", "language", "length")


@dataclass(frozen=True, slots=True)
class CleanReport:
    """What cleaning kept and removed; every row of the input is in one of the counts."""

    out: str
    receipts: str
    page: str
    rows: int
    kept: int
    removed_by: dict[str, int]
    alarms: tuple[selection.Alarm, ...]


@dataclass(frozen=True, slots=True)
class SelectedFile:
    """One file of selected samples."""

    path: str
    rule: str
    rows: int


@dataclass(frozen=True, slots=True)
class SelectReport:
    """The files written, the selection first, and what it shifted, the greatest change of a share first."""

    files: tuple[SelectedFile, ...]
    page: str
    pool: int
    without_score: int
    shifts: tuple[PoolChange, ...]

    def __rich__(self) -> Any:
        """Return the files, and the shares and lengths that the selection moved most."""
        from rich.console import Group

        files = new_table("file", "rule", "rows", left=["rule"])
        for file in self.files:
            files.add_row(file.path, file.rule, f"{file.rows:,}")
        moved = new_table("what moved most", "pool", "selection")
        for c in self.shifts[:_TOLD]:
            form = ",.0f" if c.kind == "length" else ".1%"
            moved.add_row(f"{c.kind} {c.name}", f"{c.pool:{form}}", f"{c.selected:{form}}")
        none = f" {self.without_score:,} have no score and were left out." if self.without_score else ""
        return Group(f"{self.files[0].rows:,} of {self.pool:,} samples.{none}", files, moved, self.page)


class PoolFiles:
    """The usable samples of files, as often as they are asked for."""

    def __init__(
        self,
        places: Sequence[str],
        rejected: Callable[[Rejected], None] = lambda row: None,
        advance: Advance = lambda done, total, unit: None,
    ) -> None:
        """Read nothing yet; ``rejected`` is told of each unusable row, ``advance`` of the bytes read."""
        self.places, self.rejected, self.advance = places, rejected, advance

    def __iter__(self) -> Iterator[Sample]:
        """Yield the usable samples."""

        def watch(done: int, total: int) -> None:
            self.advance(done / 1e6, total / 1e6, "MB")

        for row in chain.from_iterable(data.read(place, watch=watch) for place in self.places):
            if isinstance(row, Sample):
                yield row
            else:
                self.rejected(row)

    def rows(
        self, rows: NDArray[np.int64], see: Callable[[int, Sample], None] = lambda row, sample: None
    ) -> Iterator[Sample]:
        """Yield the samples of row numbers in that order: as they stream by where they rise, or collected.

        ``see`` is shown every sample of the pool.
        """
        wanted, rising = set(rows.tolist()), bool(np.all(np.diff(rows) > 0))
        found: dict[int, Sample] = {}
        for row, sample in enumerate(self):
            see(row, sample)
            if row in wanted and rising:
                yield sample
            elif row in wanted:
                found[row] = sample
        if not rising:
            yield from (found[row] for row in rows.tolist())


def score_pool(
    places: Sequence[str],
    out: Path,
    names: Sequence[str],
    *,
    models: indicators.Models,
    workers: int,
    language: str,
    quiet: bool,
) -> indicators.Scored:
    """Measure all usable samples of ``places``, write the table ``out`` (Parquet) and a page beside it."""
    if out.suffix != ".parquet":
        raise AssayError("not a table", place="--out", value=str(out), expected="a file ending in .parquet")
    with progress_bar("score", quiet=quiet) as advance:
        found = indicators.score(
            PoolFiles(places, advance=advance), out, names, models=models, workers=workers
        )
    page = score_page(out, found, PoolFiles(places))
    return dataclasses.replace(found, page=str(write_page(page, out.with_suffix(".html"), language)))


def clean_pool(
    places: Sequence[str],
    out: Path,
    rules: selection.CleanRules,
    *,
    evaluation: Sequence[str],
    by: str | None,
    models: indicators.Models,
    workers: int,
    language: str,
    quiet: bool,
) -> CleanReport:
    """Clean ``places`` into ``out``; a receipt for every row that is not there and a page go beside it.

    ``by`` names an indicator: of near-duplicates the best sample stays, and ``rules.to`` keeps the best of
    what is left.  Without it the longest answer stays, and ``to`` keeps a random part.
    """
    receipts = out.with_name(out.name + ".removed.jsonl")
    out.parent.mkdir(parents=True, exist_ok=True)
    embeds = rules.semantic is not None or rules.alike is not None
    tools = indicators.Tools(models)
    with ExitStack() as stack:
        lines = stack.enter_context(data.replacing_text(receipts))
        rejected = _Rejections(lines)
        quality = None if by is None else _oriented(by, models, PoolFiles(places))
        advance = stack.enter_context(progress_bar("clean", quiet=quiet))
        found = selection.clean(
            PoolFiles(places, rejected, advance),
            rules,
            evaluation=PoolFiles(evaluation),
            quality=quality,
            embed=tools.embed if embeds else None,
            workers=workers,
        )
        for receipt in found.receipts:
            lines.write(json.dumps(dataclasses.asdict(receipt), ensure_ascii=False) + "\n")
    gallery = Gallery(found.receipts)
    written = data.write(PoolFiles(places).rows(found.kept, gallery.see), out, "samples")
    counts = {"rejected": rejected.count, **found.removed_by}
    page = clean_page(out.stem, found.samples + rejected.count, found, counts, gallery)
    return CleanReport(
        out=str(out),
        receipts=str(receipts),
        page=str(write_page(page, out.with_suffix(".html"), language)),
        rows=found.samples + rejected.count,
        kept=written,
        removed_by={rule: count for rule, count in counts.items() if count},
        alarms=found.alarms,
    )


def select_pool(
    places: Sequence[str],
    out: Path,
    n: int,
    *,
    rule: str,
    by: str | None,
    scores: Path | None,
    models: indicators.Models,
    groups: str,
    seed: int,
    language: str,
) -> SelectReport:
    """Write the first ``n`` samples of a selection, in its order, with baselines of that size and a page.

    ``groups`` is source, type, language or length, for the rules that take them in turn; ``scores`` a table
    of :func:`score_pool` to take ``by`` from.  The baselines are random, random over sources in turn, and the
    longest answers.
    """
    if groups not in GROUPS:
        raise AssayError("no such grouping", place="--groups", value=groups, expected=", ".join(GROUPS))
    wanted = selection.needs(rule)
    pool = PoolFiles(places)
    facts = _Facts(pool)
    if not 0 < n <= len(facts.ids):
        raise AssayError(
            "not so many samples", place="-n", value=n, expected=f"1 to {len(facts.ids)}, the pool's size"
        )
    values = None
    if by is not None:
        values = _from_table(scores, by, facts.ids) if scores else _measured(by, models, pool)
    order = selection.pick(
        facts.ids,
        rule,
        n=n,
        score=values,
        groups=selection.length_classes(facts.lengths) if groups == "length" else facts.names[groups],
        vectors=indicators.Tools(models).embed(map(indicators.whole, pool)) if "vectors" in wanted else None,
        targets=_targets(models) if "targets" in wanted else None,
        tags=_tags(pool) if "tags" in wanted else None,
        seed=seed,
    )
    orders = {rule: order, **_baselines(facts, rule, seed)}
    files = []
    for name, rows in orders.items():
        path = out if name == rule else out.with_name(f"{out.stem}.{name}{out.suffix}")
        files.append(SelectedFile(str(path), name, data.write(pool.rows(rows[:n]), path, "samples")))
    changes = _changes(selection.shift(facts.lengths, facts.names, order[:n]))
    columns = (
        {} if by is None or values is None else {indicators.find(by).name: values * indicators.direction(by)}
    )
    columns["length"] = np.array(facts.lengths, np.float64)
    page = select_page(out.stem, columns, order[:n], changes, pool)
    return SelectReport(
        files=tuple(files),
        page=str(write_page(page, out.with_suffix(".html"), language)),
        pool=len(facts.ids),
        without_score=0 if values is None else int(np.isnan(values).sum()),
        shifts=changes,
    )


class _Facts:
    """What a selection needs to know of each sample, without its text."""

    def __init__(self, pool: PoolFiles) -> None:
        self.ids: list[str] = []
        self.lengths: list[int] = []
        self.names: dict[str, list[str]] = {"source": [], "type": [], "language": []}
        for sample in pool:
            self.ids.append(sample.id)
            self.lengths.append(len(sample.answer or ""))
            self.names["source"].append(sample.source)
            self.names["type"].append(sample.type or "untyped")
            self.names["language"].append(sample.language or "unknown")


def _baselines(facts: _Facts, rule: str, seed: int) -> dict[str, NDArray[np.int64]]:
    found = {
        "random": selection.pick(facts.ids, "random", seed=seed),
        "longest": selection.pick(facts.ids, "top", score=facts.lengths, seed=seed),
    }
    if len(set(facts.names["source"])) > 1:
        found["balanced"] = selection.pick(facts.ids, "balanced", groups=facts.names["source"], seed=seed)
    found.pop(rule, None)
    return found


def _targets(models: indicators.Models) -> NDArray[np.float32]:
    tools = indicators.Tools(models)
    return tools.embed(map(indicators.whole, tools.target("of the selection")))


def _tags(pool: PoolFiles) -> list[frozenset[str]]:
    tags = indicators.Tags(pool)
    return [tags.of(sample) for sample in pool]


def _from_table(table: Path, by: str, ids: Sequence[str]) -> NDArray[np.float64]:
    """Return an indicator of the ids from a table, oriented so that more is better."""
    import polars

    try:
        frame = polars.read_parquet(table)
    except (OSError, polars.exceptions.PolarsError) as error:
        raise AssayError(
            f"the table cannot be read ({type(error).__name__})",
            place=str(table),
            expected="what `assay score` wrote",
        ) from None
    name = indicators.find(by).name
    if name not in frame.columns:
        raise AssayError(
            "the table has no such column",
            place=str(table),
            value=name,
            expected=", ".join(c for c in frame.columns if c not in ("id", "origin", "why")),
        )
    known = dict(zip(frame["id"].to_list(), frame[name].to_list(), strict=True))
    missing = sum(sample not in known for sample in ids)
    if missing:
        raise AssayError(
            "samples of the pool are not in the table",
            place=str(table),
            value=f"{missing:,} of {len(ids):,}",
            hint="score this pool: `assay score POOL --out TABLE`",
        )
    values = np.array([np.nan if known[i] is None else known[i] for i in ids], np.float64)
    return values * indicators.direction(by)


def _changes(found: dict[str, dict[str, tuple[float, float]]]) -> tuple[PoolChange, ...]:
    lengths = [PoolChange("length", k, *pair) for k, pair in found.pop("length").items()]
    shares = [PoolChange(kind, name, *pair) for kind, rows in found.items() for name, pair in rows.items()]
    shares.sort(key=lambda row: -abs(row.selected - row.pool))
    return (*lengths, *shares[:_SHOWN])


class _Rejections:
    """Writes rejected rows among the receipts."""

    def __init__(self, lines: TextIO) -> None:
        self.lines, self.count = lines, 0

    def __call__(self, row: Rejected) -> None:
        self.count += 1
        entry = {"rule": "rejected", "origin": f"{row.place}:{row.line}", "detail": row.reason}
        self.lines.write(json.dumps(entry, ensure_ascii=False) + "\n")


def _oriented(
    by: str, models: indicators.Models, pool: PoolFiles
) -> Callable[[Sequence[Sample]], list[float]]:
    """Return a measure of batches whose values are better the higher they are; NaN where undefined."""
    (indicator,) = indicators.ready([by], models, pool)
    sign = indicator.direction or 1

    def measure(samples: Sequence[Sample]) -> list[float]:
        assert indicator.measure is not None  # noqa: S101 - ready() has made it
        found = indicator.measure(samples)
        return [np.nan if isinstance(v, indicators.Undefined) else sign * v for v in found]

    return measure


def _measured(by: str, models: indicators.Models, pool: PoolFiles) -> NDArray[np.float64]:
    measure = _oriented(by, models, pool)
    stream = iter(pool)
    values: list[float] = []
    while batch := list(islice(stream, _BATCH)):
        values += measure(batch)
    return np.array(values)
