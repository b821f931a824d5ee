"""Pages about pools: what of a scoring, a cleaning or a selection is worth looking at."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from assay import core, indicators, selection
from assay.core import Sample, Say, say

_BINS = 40
_ENDS = 3
_SHOWN = 600
_EACH_RULE = 6

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PoolChange:
    """How a selection differs from its pool: a length quantile (characters), or the share of a group."""

    kind: str
    name: str
    pool: float
    selected: float


@dataclass(frozen=True, slots=True)
class _Shown:
    """One indicator over a pool, with the samples at both ends: titles, then samples."""

    name: str
    unit: str
    direction: int
    source: str
    defined: int
    undefined: int
    why: str
    values: Values
    chosen: Values | None
    ends: tuple[tuple[str, tuple[core.Example, ...]], tuple[str, tuple[core.Example, ...]]]
    title: str


def _page(kind: str, name: str, blocks: Iterable[core.Block]) -> core.Page:
    title = say(f"pool.title.{kind}", name=name)
    return core.Page(tuple(blocks), None, title, say(f"pool.eyebrow.{kind}"), name)


def score_page(
    table: Path,
    scored: indicators.Scored,
    take: Callable[[Collection[int], Sequence[int]], Mapping[int, Sample]],
) -> core.Page:
    """Return the distributions of all indicators of a table, with the samples at both ends of each.

    ``take`` returns the samples of row numbers, told how many each part of the pool has.  One column of the
    table is in memory at a time.
    """
    ends = {i.name: _ends(_column(table, i.name)) for i in scored.indicators}
    wanted = {row for both in ends.values() for rows in both for row, _ in rows}
    shown = take(wanted, scored.parts)

    def examples(rows: Sequence[tuple[int, float]]) -> tuple[core.Example, ...]:
        return tuple(example(shown[row], value) for row, value in rows if row in shown)

    sections: list[core.Block] = []
    for i in scored.indicators:
        low, high = map(examples, ends[i.name])
        both = ("pool.lowest", low), ("pool.highest", high)
        sections += _indicator(
            _Shown(
                i.name, i.unit, i.direction, i.source, i.defined, i.undefined, i.why, _column(table, i.name),
                None, both, "pool.ends.score",
            )
        )  # fmt: skip
    head = (
        *scored.as_page().blocks[:1],
        core.Paragraph(say("pool.lead.score")),
        *scored.as_page().blocks[1:2],
    )
    return _page("score", table.stem, (*head, *sections))


def _column(table: Path, name: str) -> Values:
    import polars

    return polars.read_parquet(table, columns=[name])[name].to_numpy().astype(float)


def _ends(found: Values) -> tuple[list[tuple[int, float]], list[tuple[int, float]]]:
    """Return the rows of the lowest and of the highest values, with them."""
    order = np.argsort(found, kind="stable")[: int(np.isfinite(found).sum())]
    low, high = order[:_ENDS].tolist(), order[::-1][:_ENDS].tolist()
    return [(r, float(found[r])) for r in low], [(r, float(found[r])) for r in high]


def _indicator(shown: _Shown) -> Iterator[core.Block]:
    """Yield what is known of one indicator, its histogram, and its examples folded away."""
    unit = say("pool.unit", unit=shown.unit) if shown.unit else ""
    yield core.Heading(say("pool.indicator", name=shown.name, unit=unit))
    yield core.Paragraph(say("pool.defined", n=shown.defined))
    if shown.undefined:
        key = "pool.undefined.why" if shown.why else "pool.undefined"
        yield core.Paragraph(say(key, n=shown.undefined, why=shown.why))
    yield core.Paragraph(say(f"pool.direction.{shown.direction}"), "quiet")
    if shown.source:
        yield core.Paragraph(say("pool.from", source=shown.source), "quiet")
    defined = shown.values[np.isfinite(shown.values)]
    if not len(defined):
        return
    yield histogram(say("pool.indicator", name=shown.name, unit=""), shown.values, shown.chosen)
    low, mid, high = (float(q) for q in np.quantile(defined, (0.05, 0.5, 0.95)))
    yield core.Paragraph(say("pool.quantiles", low=low, mid=mid, high=high), "quiet")
    if shown.chosen is not None:
        yield core.Paragraph(say("pool.line"), "quiet")
    sides: list[tuple[core.Block, ...]] = [(core.Heading(say(title), 3), *some) for title, some in shown.ends]
    yield core.Fold(say(shown.title), (core.Beside(tuple(sides)),))


class Gallery:
    """Picks, while a pool streams by, the samples that a page about its cleaning shows."""

    def __init__(self, receipts: Iterable[selection.Receipt]) -> None:
        """Choose some receipts of each rule."""
        self.chosen: dict[str, list[selection.Receipt]] = {}
        for receipt in receipts:
            if len(self.chosen.setdefault(receipt.rule, [])) < _EACH_RULE:
                self.chosen[receipt.rule].append(receipt)
        receipts = [receipt for some in self.chosen.values() for receipt in some]
        self._rows = {r.row for r in receipts}
        self._names = {r.partner for r in receipts if r.partner}
        self._removed: dict[int, Sample] = {}
        self._partners: dict[str, Sample] = {}

    def see(self, row: int, sample: Sample) -> None:
        """Look at one sample of the pool."""
        if row in self._rows:
            self._removed[row] = sample
        elif (sample.origin or sample.id) in self._names:
            self._partners[sample.origin or sample.id] = sample

    def blocks(self) -> Iterator[core.Block]:
        """Yield the chosen receipts by rule: each sample beside why it went and what stayed instead."""
        for rule, some in self.chosen.items():
            pairs = tuple(self._pair(r) for r in some if r.row in self._removed)
            if pairs:
                yield core.Fold(say("cell.rule", rule=rule), pairs)

    def _pair(self, receipt: selection.Receipt) -> core.Beside:
        score = "" if receipt.score is None else f"{receipt.score:.4g} "
        reason = f"{score}{receipt.detail}".strip()
        why: list[core.Block] = [core.Paragraph(reason, "quiet")] if reason else []
        if receipt.partner in self._partners:
            why.append(example(self._partners[receipt.partner]))
        elif receipt.partner:
            why.append(core.Paragraph(receipt.partner))
        return core.Beside(((example(self._removed[receipt.row]),), tuple(why)))


def clean_blocks(
    rows: int, kept: int, removed: Mapping[str, int], alarms: Iterable[selection.Alarm], conflicts: int = 0
) -> Iterator[core.Block]:
    """Yield how much was kept, what each rule removed, contradictions, and the groups that lost much."""
    share = kept / rows if rows else None
    yield core.Heading(say("pool.headline.clean", n=rows, kept=kept, share=share), 1)
    counts = tuple((rule, count, count) for rule, count in removed.items() if count)
    if counts:
        columns = (
            core.Column(say("pool.rule"), "@pool.rule"),
            core.Column(say("col.rows"), ","),
            core.Column("", "bar"),
        )
        yield core.Heading(say("pool.removed"))
        yield core.Table(columns, counts, note=say("pool.removed.caption"))
    if conflicts:
        yield core.Paragraph(say("pool.conflicts", n=conflicts), "warning")
    lost = tuple(_alarm(alarm) for alarm in alarms)
    if lost:
        yield core.Heading(say("pool.alarms"), 3)
        yield core.Items(lost, "warning")


def _alarm(alarm: selection.Alarm) -> Say:
    return say(
        "pool.alarm", kind=say(f"pool.kind.{alarm.kind}"), name=_of(alarm.kind, alarm.name), lost=alarm.lost,
        samples=alarm.samples, share=alarm.lost / alarm.samples, rule=alarm.rule,
    )  # fmt: skip


def clean_page(
    title: str, rows: int, found: selection.Cleaned, removed: Mapping[str, int], gallery: Gallery
) -> core.Page:
    """Return counts, alarms, and some receipts of each rule beside the sample that stayed."""
    receipts = tuple(gallery.blocks())
    if receipts:
        receipts = (core.Heading(say("pool.receipts")), core.Paragraph(say("pool.receipts.lead")), *receipts)
    return _page(
        "clean",
        title,
        (*clean_blocks(rows, len(found.kept), removed, found.alarms, len(found.conflicts)), *receipts),
    )


def shift_blocks(pool: int, chosen: int, changes: Sequence[PoolChange]) -> Iterator[core.Block]:
    """Yield how much was selected, and what that changed."""
    yield core.Heading(
        say("pool.headline.select", n=pool, kept=chosen, share=chosen / pool if pool else None), 1
    )
    if changes:
        yield core.Heading(say("pool.shift"))
        yield core.Paragraph(say("pool.shift.lead"), "quiet")
        yield core.Table(
            (
                core.Column(say("pool.what")),
                core.Column(say("col.pool"), "@"),
                core.Column(say("pool.selected"), "@"),
            ),
            tuple((_what(c), *(_amount(c, v) for v in (c.pool, c.selected))) for c in changes),
        )


def _what(change: PoolChange) -> Say:
    return say("pool.change", kind=say(f"pool.kind.{change.kind}"), name=_of(change.kind, change.name))


def _of(kind: str, name: str) -> Say:
    """Return a group of a pool by its name: a length, a language, else a type or source."""
    return say(f"cell.{kind}" if kind in ("length", "language") else "cell.type", name=name)


def _amount(change: PoolChange, value: float) -> Say:
    return say("cell.count" if change.kind == "length" else "cell.share", n=value)


def select_page(
    title: str,
    columns: Mapping[str, Values],
    chosen: NDArray[np.int64],
    changes: tuple[PoolChange, ...],
    shown: Mapping[int, Sample],
) -> core.Page:
    """Return what a selection shifted, its distributions against the pool's, its first and last samples.

    ``shown`` holds the samples of the rows ``chosen``.
    """
    first, last = chosen[:_ENDS].tolist(), chosen[-_ENDS:].tolist()
    sections: list[core.Block] = []
    size = 0
    for name, values in columns.items():
        size, defined = len(values), int(np.isfinite(values).sum())
        known = indicators.PLUGINS.get(name) or indicators.INDICATORS.get(name)
        begun, ended = (tuple(example(shown[r], _value(values[r])) for r in rows) for rows in (first, last))
        sections += _indicator(
            _Shown(
                name, known.unit if known else "", known.direction if known else 0,
                known.source if known else "", defined, size - defined, "", values, values[chosen],
                (("pool.last", ended), ("pool.first", begun)), "pool.ends.select",
            )
        )  # fmt: skip
    return _page("select", title, (*shift_blocks(size, len(chosen), changes), *sections))


def _value(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def histogram(name: Say, values: Values, part: Values | None = None) -> core.Histogram:
    """Return the counts of all defined values, and those of a part of them.

    The bins lie between the 0.5 % and 99.5 % quantiles; values beyond stand in the outer bins.
    """
    defined = values[np.isfinite(values)]
    low, high = np.quantile(defined, (0.005, 0.995))
    edges = np.linspace(low, high if high > low else low + 1, _BINS + 1)
    whole, some = (
        tuple(np.histogram(np.clip(v[np.isfinite(v)], edges[0], edges[-1]), edges)[0].tolist())
        for v in (defined, np.zeros(0) if part is None else part)
    )
    return core.Histogram(name, tuple(edges.tolist()), whole, () if part is None else some)


def example(sample: Sample, value: float | None = None) -> core.Example:
    """Return a sample with long texts cut."""
    prompt, answer = selection.prompt_of(sample), sample.answer or ""
    cut = max(0, len(prompt) - _SHOWN) + max(0, len(answer) - _SHOWN)
    return core.Example(sample.id, sample.origin, prompt[:_SHOWN], answer[:_SHOWN], value, cut)
