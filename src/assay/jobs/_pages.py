"""Pages about pools: what of a scoring, a cleaning or a selection is worth looking at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from assay import indicators, selection
from assay.core import PoolChange, PoolColumn, PoolExample, PoolLoss, PoolPage, PoolRemoval, Sample

_BINS = 40
_ENDS = 3
_SHOWN = 600
_EACH_RULE = 6

Values = NDArray[np.float64]


def score_page(table: Path, scored: indicators.Scored, pool: Iterable[Sample]) -> PoolPage:
    """Return the distributions of all indicators of a table, with the samples at both ends of each."""
    import polars

    frame = polars.read_parquet(table)
    ids = frame["id"].to_list()
    ends: dict[str, tuple[list[int], list[int]]] = {}
    values = {i.name: frame[i.name].to_numpy().astype(float) for i in scored.indicators}
    for name, found in values.items():
        order = np.argsort(found, kind="stable")[: int(np.isfinite(found).sum())]
        ends[name] = (order[:_ENDS].tolist(), order[::-1][:_ENDS].tolist())
    wanted = {row for both in ends.values() for rows in both for row in rows}
    shown = {row: sample for row, sample in enumerate(pool) if row in wanted}

    def examples(name: str, rows: Sequence[int]) -> tuple[PoolExample, ...]:
        return tuple(example(shown[row], float(values[name][row])) for row in rows if row in shown)

    columns = []
    for summary in scored.indicators:
        low, high = ends[summary.name]
        edges, counts, _ = histogram(values[summary.name])
        quantiles = tuple(q for q in (summary.p05, summary.p50, summary.p95) if q is not None)
        columns.append(
            PoolColumn(
                summary.name, summary.unit, summary.direction, summary.source, summary.defined,
                summary.undefined, summary.why, quantiles, edges, counts,
                lowest=examples(summary.name, low), highest=examples(summary.name, high),
            )
        )  # fmt: skip
    return PoolPage("score", table.stem, len(ids), columns=tuple(columns))


class Gallery:
    """Picks, while a pool streams by, the samples that a page about its cleaning shows."""

    def __init__(self, receipts: Iterable[selection.Receipt]) -> None:
        """Choose some receipts of each rule."""
        chosen: dict[str, list[selection.Receipt]] = {}
        for receipt in receipts:
            if len(chosen.setdefault(receipt.rule, [])) < _EACH_RULE:
                chosen[receipt.rule].append(receipt)
        self.receipts = [receipt for some in chosen.values() for receipt in some]
        self._rows = {r.row for r in self.receipts}
        self._names = {r.partner for r in self.receipts if r.partner}
        self._removed: dict[int, Sample] = {}
        self._partners: dict[str, Sample] = {}

    def see(self, row: int, sample: Sample) -> None:
        """Look at one sample of the pool."""
        if row in self._rows:
            self._removed[row] = sample
        elif (sample.origin or sample.id) in self._names:
            self._partners[sample.origin or sample.id] = sample

    def removals(self) -> tuple[PoolRemoval, ...]:
        """Return the chosen receipts with their samples."""
        return tuple(
            PoolRemoval(
                r.rule,
                example(self._removed[r.row]),
                example(self._partners[r.partner]) if r.partner in self._partners else None,
                r.partner or "",
                r.score,
                r.detail,
            )
            for r in self.receipts
            if r.row in self._removed
        )


def clean_page(
    title: str, rows: int, found: selection.Cleaned, removed: Mapping[str, int], gallery: Gallery
) -> PoolPage:
    """Return counts, alarms, and some receipts of each rule beside the sample that stayed."""
    losses = tuple(PoolLoss(a.kind, a.name, a.lost, a.samples, a.rule) for a in found.alarms)
    return PoolPage(
        "clean",
        title,
        rows,
        len(found.kept),
        removed=dict(removed),
        losses=losses,
        removals=gallery.removals(),
    )


def select_page(
    title: str,
    columns: Mapping[str, Values],
    chosen: NDArray[np.int64],
    changes: tuple[PoolChange, ...],
    pool: Iterable[Sample],
) -> PoolPage:
    """Return what a selection shifted, its distributions against the pool's, its first and last samples."""
    first, last = chosen[:_ENDS].tolist(), chosen[-_ENDS:].tolist()
    shown = {row: sample for row, sample in enumerate(pool) if row in {*first, *last}}
    found = []
    size = 0
    for name, values in columns.items():
        size = len(values)
        defined = values[np.isfinite(values)]
        edges, counts, selected = histogram(values, values[chosen])
        quantiles = tuple(float(q) for q in np.quantile(defined, (0.05, 0.5, 0.95))) if len(defined) else ()
        known = indicators.PLUGINS.get(name) or indicators.INDICATORS.get(name)
        ends = [tuple(example(shown[r], _shown(values[r])) for r in rows) for rows in (first, last)]
        found.append(
            PoolColumn(
                name, known.unit if known else "", known.direction if known else 0,
                known.source if known else "", len(defined), size - len(defined), "", quantiles, edges,
                counts, selected, highest=ends[0], lowest=ends[1],
            )
        )  # fmt: skip
    return PoolPage("select", title, size, len(chosen), columns=tuple(found), changes=changes)


def _shown(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def histogram(
    values: Values, part: Values | None = None
) -> tuple[tuple[float, ...], tuple[int, ...], tuple[int, ...]]:
    """Return edges and counts of all defined values, and the counts of a part of them."""
    defined = values[np.isfinite(values)]
    if not len(defined):
        return (), (), ()
    low, high = np.quantile(defined, (0.005, 0.995))
    edges = np.linspace(low, high if high > low else low + 1, _BINS + 1)
    counts = [
        np.histogram(np.clip(v[np.isfinite(v)], edges[0], edges[-1]), edges)[0]
        for v in (defined, np.zeros(0) if part is None else part)
    ]
    whole, some = (tuple(int(c) for c in found) for found in counts)
    return tuple(float(e) for e in edges), whole, () if part is None else some


def example(sample: Sample, value: float | None = None) -> PoolExample:
    """Return a sample with long texts cut."""
    prompt, answer = selection.prompt_of(sample), sample.answer or ""
    cut = max(0, len(prompt) - _SHOWN) + max(0, len(answer) - _SHOWN)
    return PoolExample(sample.id, sample.origin, prompt[:_SHOWN], answer[:_SHOWN], value, cut)
