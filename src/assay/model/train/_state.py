"""Weights and optimizer moments as a folder of safetensors shards: no pickle, exact to the bit.

A state holds full tensors by name, ``weight/<parameter>`` and ``<moment>/<parameter>``, whatever number of
processes wrote it, so any other number can load it.  ``index.json`` is written last and names the shards:
a state is there when its index is.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from assay.data import replacing_text

INDEX = "index.json"
WEIGHT = "weight"
SHARD_BYTES = 2**30

NamedTensors = Iterable[tuple[str, Tensor]]


def write_shards(folder: Path, step: int, tensors: NamedTensors, *, rank: int = 0, world: int = 1) -> None:
    """Write one process's share of the state after ``step`` steps: the tensors with index % world == rank.

    Each process goes through all of ``tensors``, which may gather them one at a time; no more than a shard
    of its own (1 GiB) is held.  The state is there once :func:`finish_state` has run after every process.
    """
    folder.mkdir(parents=True, exist_ok=True)
    held: dict[str, Tensor] = {}
    shards = 0

    def flush() -> None:
        nonlocal shards
        path = folder / f"{step:08}-{rank:05}of{world:05}-{shards:05}.safetensors"
        partial = path.with_suffix(".partial")
        save_file(held, partial)
        with partial.open("rb+") as handle:
            os.fsync(handle.fileno())
        partial.replace(path)
        held.clear()
        shards += 1

    for index, (name, tensor) in enumerate(tensors):
        if index % world == rank:
            held[name] = tensor.detach().contiguous()
            if sum(t.nbytes for t in held.values()) >= SHARD_BYTES:
                flush()
    if held:
        flush()


def finish_state(folder: Path, step: int, notes: Mapping[str, Any], *, world: int = 1) -> None:
    """Write the index of what ``world`` processes wrote at ``step`` and remove the rest; one does it."""
    shards = sorted(path.name for path in folder.glob(f"{step:08}-*of{world:05}-*.safetensors"))
    with replacing_text(folder / INDEX) as file:
        file.write(json.dumps({"step": step, "shards": shards, "notes": dict(notes)}))
    for path in folder.iterdir():
        if path.name not in (INDEX, *shards):
            path.unlink()


def has_state(folder: Path) -> bool:
    """Say whether a whole state is in ``folder``."""
    return (folder / INDEX).exists()


class State:
    """A state to read from: ``step``, ``notes``, the names of its tensors, and each tensor in full."""

    def __init__(self, folder: Path) -> None:
        """Read the index and the heads of the shards; no tensor yet."""
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        self.step: int = index["step"]
        self.notes: dict[str, Any] = index["notes"]
        self._places: dict[str, Path] = {}
        for shard in index["shards"]:
            with safe_open(folder / shard, framework="pt") as tensors:
                self._places |= dict.fromkeys(tensors.keys(), folder / shard)
        self._kinds: dict[str, list[str]] = {}
        for name in self._places:
            kind, _, parameter = name.partition("/")
            self._kinds.setdefault(parameter, []).append(kind)

    def __getitem__(self, name: str) -> Tensor:
        """Return one tensor, on the CPU."""
        with safe_open(self._places[name], framework="pt") as tensors:
            found: Tensor = tensors.get_tensor(name)
        return found

    def moments(self, parameter: str) -> dict[str, Tensor]:
        """Return the optimizer's tensors for a parameter by kind, none where it never stepped."""
        kinds = self._kinds.get(parameter, [])
        return {kind: self[f"{kind}/{parameter}"] for kind in kinds if kind != WEIGHT}


def trained(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """Yield the parameters that are trained, by name."""
    return ((name, p) for name, p in model.named_parameters() if p.requires_grad)


def save_state(
    folder: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    step: int,
    notes: Mapping[str, Any] | None = None,
) -> None:
    """Write the trained weights and their moments, of a model that one process holds whole."""

    def tensors() -> Iterator[tuple[str, Tensor]]:
        for name, parameter in trained(model):
            yield f"{WEIGHT}/{name}", parameter
            for kind, moment in optimizer.state.get(parameter, {}).items():
                yield f"{kind}/{name}", moment

    write_shards(folder, step, tensors())
    finish_state(folder, step, notes or {})


def load_state(
    folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[int, dict[str, Any]]:
    """Load a state in place; return the number of steps taken and the notes."""
    state = State(folder)
    with torch.no_grad():
        for name, parameter in trained(model):
            parameter.copy_(state[f"{WEIGHT}/{name}"])
            for kind, moment in state.moments(name).items():
                optimizer.state[parameter][kind] = moment.to(parameter.device)
    return state.step, state.notes
