"""Jobs on pools of samples: score them, clean them, select from them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from assay import data, score, select
from assay.core import AssayError, Sample
from assay.data import Rejected
from assay.plan import Advance, progress_bar

_SURPLUS = "surplus"
_BATCH = 1024
_SHOWN = 12
_BASELINES = ("random", "balanced")


@dataclass(frozen=True, slots=True)
class CleanReport:
    """What cleaning kept and removed; every row of the input is in one of the counts."""

    out: str
    receipts: str
    rows: int
    kept: int
    removed_by: dict[str, int]
    alarms: tuple[select.Alarm, ...]


@dataclass(frozen=True, slots=True)
class SelectedFile:
    """One file of selected samples."""

    path: str
    rule: str
    rows: int


@dataclass(frozen=True, slots=True)
class Shift:
    """How a selection differs from its pool in one respect."""

    what: str
    pool: float
    selected: float


@dataclass(frozen=True, slots=True)
class SelectReport:
    """The files written, the selection first, and what it shifted, the greatest change of a share first."""

    files: tuple[SelectedFile, ...]
    pool: int
    without_score: int
    shifts: tuple[Shift, ...]


def score_pool(
    places: Sequence[str], out: Path, names: Sequence[str], *, base: str, workers: int, quiet: bool
) -> score.Scored:
    """Measure all usable samples of ``places`` and write the table ``out`` (Parquet)."""
    if out.suffix != ".parquet":
        raise AssayError("not a table", place="--out", value=str(out), expected="a file ending in .parquet")
    with progress_bar("score", quiet=quiet) as advance:
        return score.score(_samples(places, advance=advance), out, names, base=base, workers=workers)


def clean_pool(
    places: Sequence[str],
    out: Path,
    rules: select.CleanRules,
    *,
    evaluation: Sequence[str],
    to: int | None,
    by: str | None,
    base: str,
    quiet: bool,
) -> CleanReport:
    """Clean ``places`` into ``out``; a receipt for every row that is not there goes beside it.

    ``by`` names an indicator: of near-duplicates the best sample stays, and ``to`` keeps the best of what is
    left.  Without it the longest answer stays and ``to`` keeps a random part.
    """
    receipts = out.with_name(out.name + ".removed.jsonl")
    out.parent.mkdir(parents=True, exist_ok=True)
    quality = None if by is None else _indicator(places, by, base)
    with ExitStack() as stack:
        report = stack.enter_context(receipts.open("w", encoding="utf-8"))
        advance = stack.enter_context(progress_bar("clean", quiet=quiet))
        rejected = _Rejections(report)
        found = select.clean(
            _samples(places, rejected, advance),
            rules,
            evaluation=_samples(evaluation),
            quality=None if quality is None else quality.tolist(),
        )
        for receipt in found.receipts:
            report.write(json.dumps(dataclasses.asdict(receipt), ensure_ascii=False) + "\n")
        kept = found.kept
        if to is not None and to < len(kept):
            kept = _at_most(places, kept, to, quality, report)
    surplus = len(found.kept) - len(kept)
    counts = {"rejected": rejected.count, **found.removed_by, _SURPLUS: surplus}
    written = data.write(_rows(places, kept), out, "samples")
    return CleanReport(
        out=str(out),
        receipts=str(receipts),
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
    base: str,
    groups: str,
    seed: int,
) -> SelectReport:
    """Write the first ``n`` samples of a selection, in its order, and random baselines of that size.

    ``groups`` is source, type or language, for the rules that take them in turn.
    """
    if groups not in ("source", "type", "language"):
        raise AssayError(
            "no such grouping", place="--groups", value=groups, expected="source, type or language"
        )
    ids: list[str] = []
    lengths: list[int] = []
    names: dict[str, list[str]] = {"source": [], "type": [], "language": []}
    for sample in _samples(places):
        ids.append(sample.id)
        lengths.append(len(sample.answer or ""))
        names["source"].append(sample.source)
        names["type"].append(sample.type or "untyped")
        names["language"].append(sample.language or "unknown")
    if not 0 < n <= len(ids):
        raise AssayError(
            "not so many samples", place="-n", value=n, expected=f"1 to {len(ids)}, the pool's size"
        )
    values = None if by is None else _indicator(places, by, base)
    order = select.pick(ids, rule, score=values, groups=names[groups], seed=seed)
    orders = {rule: order}
    for baseline in _BASELINES:
        if baseline != rule and (baseline == "random" or len(set(names["source"])) > 1):
            orders[baseline] = select.pick(ids, baseline, groups=names["source"], seed=seed)
    files = []
    for name, rows in orders.items():
        path = out if name == rule else out.with_name(f"{out.stem}.{name}{out.suffix}")
        files.append(SelectedFile(str(path), name, data.write(_rows(places, rows[:n]), path, "samples")))
    return SelectReport(
        files=tuple(files),
        pool=len(ids),
        without_score=0 if values is None else int(np.isnan(values).sum()),
        shifts=_shifts(select.shift(lengths, names, order[:n])),
    )


def _shifts(found: dict[str, dict[str, tuple[float, float]]]) -> tuple[Shift, ...]:
    lengths = [Shift(f"answer length, {k}", *pair) for k, pair in found.pop("length").items()]
    shares = [Shift(f"{kind} {name}", *pair) for kind, rows in found.items() for name, pair in rows.items()]
    shares.sort(key=lambda row: -abs(row.selected - row.pool))
    return (*lengths, *shares[:_SHOWN])


class _Rejections:
    """Writes rejected rows among the receipts."""

    def __init__(self, report: TextIO) -> None:
        self.report, self.count = report, 0

    def __call__(self, row: Rejected) -> None:
        self.count += 1
        entry = {"rule": "rejected", "origin": f"{row.place}:{row.line}", "detail": row.reason}
        self.report.write(json.dumps(entry, ensure_ascii=False) + "\n")


def _samples(
    places: Sequence[str], rejected: _Rejections | None = None, advance: Advance | None = None
) -> Iterator[Sample]:
    """Yield the usable samples of all places; ``advance`` is told the bytes read of each."""

    def watch(done: int, total: int) -> None:
        if advance is not None:
            advance(done / 1e6, total / 1e6, "MB")

    for row in chain.from_iterable(data.read(place, watch=watch) for place in places):
        if isinstance(row, Sample):
            yield row
        elif rejected is not None:
            rejected(row)


def _rows(places: Sequence[str], rows: NDArray[np.int64]) -> Iterator[Sample]:
    """Yield the samples of row numbers in that order: as they stream by where they rise, else collected."""
    wanted = set(rows.tolist())
    if np.all(np.diff(rows) > 0):
        yield from (sample for row, sample in enumerate(_samples(places)) if row in wanted)
        return
    found = {row: sample for row, sample in enumerate(_samples(places)) if row in wanted}
    yield from (found[row] for row in rows.tolist())


def _indicator(places: Sequence[str], name: str, base: str) -> NDArray[np.float64]:
    """Return an indicator of all samples, oriented so that more is better; NaN where it is undefined."""
    (indicator,) = score.pick([name], base)
    values: list[float] = []
    stream = _samples(places)
    while batch := list(islice(stream, _BATCH)):
        measured = indicator.measure(batch)
        values += [np.nan if isinstance(v, score.Undefined) else v for v in measured]
    return np.array(values) * (indicator.direction or 1)


def _at_most(
    places: Sequence[str],
    kept: NDArray[np.int64],
    to: int,
    quality: NDArray[np.float64] | None,
    report: TextIO,
) -> NDArray[np.int64]:
    """Return the best (or a random part) of the kept rows, in file order, with receipts for the surplus."""
    wanted = set(kept.tolist())
    found = {row: (s.id, s.origin) for row, s in enumerate(_samples(places)) if row in wanted}
    ids = [found[row][0] for row in kept.tolist()]
    rule = "random" if quality is None else "top"
    order = select.pick(ids, rule, score=None if quality is None else quality[kept])
    for place in order[to:].tolist():
        row = int(kept[place])
        receipt = select.Receipt(row, *found[row], _SURPLUS, detail=f"beyond the {to:,} asked for")
        report.write(json.dumps(dataclasses.asdict(receipt), ensure_ascii=False) + "\n")
    return np.sort(kept[order[:to]])
