"""States: folders of shards, whole when their index is, the same whatever number of processes wrote them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from assay.model.train import State, finish_state, has_state, load_state, save_state, write_shards
from assay.model.train import _state as implementation
from assay.model.train._state import INDEX


def stepped(steps: int) -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(steps)
    model = nn.Sequential(nn.Linear(5, 7), nn.LayerNorm(7), nn.Linear(7, 3))
    model[1].requires_grad_(False)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], fused=True)
    for _ in range(steps):
        model(torch.randn(4, 5)).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    return model, optimizer


def tensors(folder: Path) -> dict[str, Tensor]:
    state = State(folder)
    return {name: state[name] for name in state._places}


@pytest.mark.parametrize("world", [1, 2, 3, 50])
def test_a_state_is_the_same_whoever_wrote_it(
    world: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(implementation, "SHARD_BYTES", 100)
    model, optimizer = stepped(3)
    save_state(tmp_path / "alone", model, optimizer, 3, {"counts": [1, "二"]})
    expected = tensors(tmp_path / "alone")
    assert set(expected) == {
        f"{kind}/{place}.{name}"
        for kind in ("weight", "exp_avg", "exp_avg_sq", "step")
        for place in ("0", "2")
        for name in ("weight", "bias")
    }
    shared = tmp_path / "shared"
    for rank in range(world):
        assert not has_state(shared)
        write_shards(shared, 3, iter(expected.items()), rank=rank, world=world)
    finish_state(shared, 3, {"counts": [1, "二"]}, world=world)
    again, optimizer_again = stepped(0)
    assert load_state(shared, again, optimizer_again) == (3, {"counts": [1, "二"]})
    save_state(tmp_path / "back", again, optimizer_again, 3)
    found = tensors(tmp_path / "back")
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_a_kill_while_saving_leaves_the_earlier_state(tmp_path: Path) -> None:
    model, optimizer = stepped(2)
    save_state(tmp_path, model, optimizer, 2)
    before = tensors(tmp_path)

    def cut() -> Iterator[tuple[str, Tensor]]:
        yield "weight/0.weight", torch.zeros(7, 5)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_shards(tmp_path, 4, cut())
    write_shards(tmp_path, 4, iter({"weight/0.weight": torch.zeros(7, 5)}.items()))
    assert State(tmp_path).step == 2
    assert all(torch.equal(tensors(tmp_path)[name], before[name]) for name in before)
    model, optimizer = stepped(5)
    save_state(tmp_path, model, optimizer, 5)
    index = json.loads((tmp_path / INDEX).read_text())
    assert State(tmp_path).step == index["step"] == 5
    assert len(index["shards"]) == 1
    assert {path.name for path in tmp_path.iterdir()} == {INDEX, *index["shards"]}
