"""Weights and AdamW moments as one safetensors file: no pickle, exact to the bit."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

_MOMENTS = ("exp_avg", "exp_avg_sq")


def save_state(
    path: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    step: int,
    notes: Mapping[str, str] | None = None,
) -> None:
    """Write weights and optimizer moments to ``path`` by a rename, so that a kill leaves the old file."""
    tensors: dict[str, Tensor] = {}
    for name, parameter in model.named_parameters():
        tensors[f"weight/{name}"] = parameter.detach().contiguous()
        state = optimizer.state.get(parameter, {})
        for moment in _MOMENTS:
            if moment in state:
                tensors[f"{moment}/{name}"] = state[moment].contiguous()
    partial = path.with_suffix(".partial")
    save_file(tensors, partial, metadata={"step": str(step), **(notes or {})})
    with partial.open("rb+") as handle:
        os.fsync(handle.fileno())
    partial.replace(path)


def load_state(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[int, dict[str, str]]:
    """Load what :func:`save_state` wrote, in place; return the number of steps taken and the notes."""
    with safe_open(path, framework="pt") as tensors:
        notes = dict(tensors.metadata())
        step = int(notes.pop("step"))
        names = set(tensors.keys())
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.copy_(tensors.get_tensor(f"weight/{name}"))
                if f"exp_avg/{name}" in names:
                    state = optimizer.state[parameter]
                    state["step"] = torch.tensor(float(step))
                    for moment in _MOMENTS:
                        state[moment] = tensors.get_tensor(f"{moment}/{name}").to(parameter.device)
    return step, notes
