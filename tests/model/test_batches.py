from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assay.model import TokenTable, load_model
from assay.model.tokens import bucketed, micro_batches, packed, partition
from assay.model.tokens._batches import PASS_OVERHEAD
from assay.model.train import Loss, linear_cross_entropy


def cost(lengths: list[int], groups: list[list[int]]) -> int:
    return sum(len(g) * max(lengths[i] for i in g) + PASS_OVERHEAD for g in groups)


def brute_force(lengths: list[int], limit: int) -> int:
    """Return the least cost over all ways to cut the sorted lengths."""
    ordered = sorted(lengths)

    @cache
    def best(stop: int) -> int:
        if stop == 0:
            return 0
        width = ordered[stop - 1]
        return min(
            best(start) + (stop - start) * width + PASS_OVERHEAD
            for start in range(stop)
            if (stop - start) * width <= limit or stop - start == 1
        )

    return best(len(ordered))


@given(st.lists(st.integers(1, 300), min_size=1, max_size=12), st.integers(1, 900))
def test_partition_is_the_cheapest(lengths: list[int], limit: int) -> None:
    groups = partition(lengths, limit)
    assert sorted(i for g in groups for i in g) == list(range(len(lengths)))
    assert all(len(g) == 1 or len(g) * max(lengths[i] for i in g) <= limit for g in groups)
    assert cost(lengths, groups) == brute_force(lengths, limit)


@given(st.integers(1, 40), st.integers(0, 2**31))
@settings(max_examples=25, deadline=None)
def test_linear_cross_entropy_equals_torch(n: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(n, 8, generator=generator, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(30, 8, generator=generator, dtype=torch.float64, requires_grad=True)
    target = torch.randint(30, (n,), generator=generator)
    own = linear_cross_entropy(hidden, weight, target)
    own.backward()
    gradients = hidden.grad, weight.grad
    hidden.grad = weight.grad = None
    expected = torch.nn.functional.cross_entropy(hidden @ weight.T, target, reduction="sum")
    expected.backward()
    assert torch.allclose(own.double(), expected, rtol=1e-5)
    for mine, theirs in zip(gradients, (hidden.grad, weight.grad), strict=True):
        assert torch.allclose(mine, theirs, rtol=1e-5, atol=1e-5)  # the sums are in fp32


def test_buckets_packing_and_padded_logits_give_the_same_loss(base: Path, table: TokenTable) -> None:
    model = load_model(base)
    loss = Loss(model, "fp32")
    assert loss.split
    rows = np.arange(24)
    in_buckets = sum(loss(b).item() for b in bucketed(table, rows, 300, 0))
    end_to_end = sum(loss(b).item() for b in packed(table, rows, 300))
    one_by_one = 0.0
    for row in rows:
        ids, learned = table.row(int(row))
        logits = model(torch.from_numpy(ids)[None]).logits[0, :-1]
        targets = torch.from_numpy(np.where(learned, ids, -100))[1:]
        one_by_one += torch.nn.functional.cross_entropy(logits, targets, reduction="sum").item()
    assert in_buckets == pytest.approx(one_by_one, rel=1e-5)
    assert end_to_end == pytest.approx(one_by_one, rel=1e-5)


def test_buckets_hold_little_padding(table: TokenTable) -> None:
    rows = np.arange(64)
    real = table.lengths[rows].sum()
    padded = sum(b.ids.numel() for b in bucketed(table, rows, 2048, 0))
    assert real / padded > 0.85
    assert real / (len(rows) * table.lengths[rows].max()) < 0.7


@given(st.integers(1, 90), st.integers(1, 5), st.integers(1, 600), st.booleans())
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_processes_share_a_batch_in_equal_rounds(
    table: TokenTable, n: int, world: int, limit: int, packing: bool
) -> None:
    rows = np.arange(n)
    shares = [
        micro_batches(table, rows, limit, pad=0, packing=packing, rank=rank, world=world)
        for rank in range(world)
    ]
    assert len({len(share) for share in shares}) == 1
    learned = sum(int(batch.learned[:, 1:].sum()) for share in shares for batch in share)
    assert learned == sum(int(table.row(row)[1][1:].sum()) for row in rows)
    work = [sum(batch.ids.numel() for batch in share) for share in shares]
    assert max(work) <= 2 * min(work) + table.lengths[rows].max() + 2 * len(shares[0]) or n < 2 * world


def test_an_empty_micro_batch_learns_nothing_and_still_runs(base: Path, table: TokenTable) -> None:
    loss = Loss(load_model(base), "fp32")
    for packing in (False, True):
        *_, empty = micro_batches(table, np.arange(1), 300, pad=0, packing=packing, rank=1, world=2)
        found = loss(empty)
        found.backward()
        assert found.item() == 0.0
    assert all(p.grad is None or not p.grad.any() for p in loss.parameters())
    assert any(p.grad is not None for p in loss.parameters())
