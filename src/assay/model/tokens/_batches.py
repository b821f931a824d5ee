"""Cut an optimizer batch into micro-batches with little padding.

Only the rows of one optimizer batch are sorted by length, never the data set: the batch stays what the
order of the data says (so that prefixes of a run stay prefixes), the gradient is that of the whole batch,
and almost no padding is computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from assay.model.tokens._encode import Encoded, TokenTable

if TYPE_CHECKING:
    import torch

# What one more forward and backward pass costs, in tokens: launching operators on a small model.
PASS_OVERHEAD = 48


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """``ids`` [rows, width]; ``learned`` [rows, width]; ``positions`` [rows, width] or None (from 0)."""

    ids: torch.Tensor
    learned: torch.Tensor
    positions: torch.Tensor | None = None


def partition(lengths: Sequence[int], limit: int) -> list[list[int]]:
    """Group rows so that the padded tokens plus the overhead of the passes are fewest.

    ``lengths`` in tokens; each group's padded size (rows x longest) is at most ``limit`` unless it is a
    single row.  Optimal over groups of neighbours in length order, by dynamic programming.
    """
    order = sorted(range(len(lengths)), key=lambda i: (lengths[i], i))
    best: list[tuple[int, int]] = [(0, 0)]
    for stop in range(1, len(order) + 1):
        width = lengths[order[stop - 1]]
        candidates = []
        for start in range(stop - 1, -1, -1):
            padded = (stop - start) * width
            if padded > limit and stop - start > 1:
                break
            candidates.append((best[start][0] + padded + PASS_OVERHEAD, start))
        best.append(min(candidates))
    groups, stop = [], len(order)
    while stop:
        start = best[stop][1]
        groups.append(order[start:stop])
        stop = start
    return groups[::-1]


def micro_batches(
    table: TokenTable,
    rows: npt.NDArray[np.int64],
    limit: int,
    *,
    pad: int,
    packing: bool,
    rank: int = 0,
    world: int = 1,
) -> list[MicroBatch]:
    """Return one process's micro-batches of an optimizer batch: as many on every process.

    Rows are dealt by length, so that all have about as much to do; a process with fewer micro-batches ends
    with empty ones, which learn nothing and still run, as the others wait for it.
    """
    if world == 1:
        return packed(table, rows, limit) if packing else bucketed(table, rows, limit, pad)
    lengths = table.lengths[rows]
    by_length = np.lexsort((np.arange(len(rows)), lengths))
    shares = [np.sort(by_length[place::world]) for place in range(world)]
    group = _filled if packing else partition
    rounds = max(len(group(lengths[share].tolist(), limit)) for share in shares)
    own = rows[shares[rank]]
    batches = packed(table, own, limit) if packing else bucketed(table, own, limit, pad)
    return batches + [_empty(pad, packing=packing)] * (rounds - len(batches))


def _empty(pad: int, *, packing: bool) -> MicroBatch:
    import torch

    ids = torch.full((1, 2), pad)
    return MicroBatch(
        ids, torch.zeros_like(ids, dtype=torch.bool), torch.arange(2)[None] if packing else None
    )


def bucketed(table: TokenTable, rows: npt.NDArray[np.int64], limit: int, pad: int) -> list[MicroBatch]:
    """Return right-padded micro-batches of the given rows.

    No attention mask is needed: in causal attention a real token never sees padding to its right.
    """
    import torch

    items = [table.row(int(row)) for row in rows]
    batches = []
    for group in partition([len(ids) for ids, _ in items], limit):
        width = max(len(items[i][0]) for i in group)
        ids = np.full((len(group), width), pad, np.int64)
        learned = np.zeros((len(group), width), np.bool_)
        for line, i in enumerate(group):
            ids[line, : len(items[i][0])] = items[i][0]
            learned[line, : len(items[i][1])] = items[i][1]
        batches.append(MicroBatch(torch.from_numpy(ids), torch.from_numpy(learned)))
    return batches


def pad_right(rows: Sequence[Encoded], pad: int) -> MicroBatch:
    """Return rows of ids and loss masks as one batch, padded at the right."""
    import torch

    width = max(len(r.ids) for r in rows)
    ids = [[*r.ids, *[pad] * (width - len(r.ids))] for r in rows]
    learned = [[*r.learned, *[False] * (width - len(r.learned))] for r in rows]
    return MicroBatch(torch.tensor(ids), torch.tensor(learned))


def _filled(lengths: Sequence[int], limit: int) -> list[list[int]]:
    """Group rows in their order, each group as full as it gets."""
    groups: list[list[int]] = []
    filled = 0
    for i, length in enumerate(lengths):
        if not groups or filled + length > limit:
            groups.append([])
            filled = 0
        groups[-1].append(i)
        filled += length
    return groups


def packed(table: TokenTable, rows: npt.NDArray[np.int64], limit: int) -> list[MicroBatch]:
    """Return padding-free micro-batches: rows end to end, positions from 0 in each.

    Attention kernels with variable length take the borders from the positions; a row's first token is
    never learned, so nothing is predicted across a border.
    """
    import torch

    items = [table.row(int(row)) for row in rows]
    batches = []
    for group in _filled([len(ids) for ids, _ in items], limit):
        ids = np.concatenate([items[i][0] for i in group])
        learned = np.concatenate([np.r_[False, items[i][1][1:]] for i in group])
        positions = np.concatenate([np.arange(len(items[i][0])) for i in group])
        tensors = (torch.from_numpy(a[None]) for a in (ids, learned, positions))
        batches.append(MicroBatch(*tensors))
    return batches
