"""What a training step needs of a model, its optimizer and the devices they are on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from assay.model._base import load_model, load_tokenizer
from assay.model._batches import MicroBatch
from assay.model._loss import Loss
from assay.model._recipe import Recipe
from assay.model._state import load_state, save_state


class Engine(Protocol):
    """A model under training, on one process or as one of ``world``.

    The gradient of a step is that of the loss summed over all processes' micro-batches; every process calls
    the same methods in the same order.
    """

    rank: int
    world: int
    device: str
    packing: bool
    """Whether rows are packed end to end rather than padded."""
    pad: int
    """The token that fills rows."""

    def backward(self, batch: MicroBatch, learned: int, *, last: bool) -> float:
        """Add the gradient of a micro-batch's summed loss / ``learned``; return that loss.

        ``learned`` counts the tokens of the whole optimizer batch; ``last`` marks this process's last
        micro-batch of it.  Raises torch's out-of-memory error.
        """

    def drop(self) -> None:
        """Forget the gradients of the batch so far."""

    def step(self, learning_rate: float) -> None:
        """Clip the gradient, take an optimizer step and forget the gradient."""

    def sum(self, values: Sequence[float]) -> list[float]:
        """Return each value summed over all processes."""

    def save(self, folder: Path, step: int, notes: Mapping[str, Any]) -> None:
        """Write the trained weights and moments in the form of :mod:`assay.model._state`."""

    def load(self, folder: Path) -> tuple[int, dict[str, Any]]:
        """Load a state that any number of processes wrote; return its step and notes."""

    def write_model(self, folder: Path) -> None:
        """Write the trained model, or its adapter alone, with the tokenizer."""


def build_model(base: Path, recipe: Recipe, device: str, *, packing: bool) -> Any:
    """Return the base model as the recipe trains it, in training mode."""
    flash = "flash_attention_2" if packing and device.startswith("cuda") else None
    model = load_model(base, device, flash)
    if recipe.gradient_checkpointing:
        model.activation_checkpointing_enable({"use_reentrant": False})
    return model.train()


def build_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.AdamW:
    """Return AdamW with weight decay on matrices only (biases and norms are not decayed)."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=recipe.betas, eps=recipe.eps, fused=True)


def use_packing(recipe: Recipe, device: str) -> bool:
    """Say whether rows are packed end to end: where the attention kernel takes variable lengths."""
    if recipe.batching != "auto":
        return recipe.batching == "packed"
    from transformers.utils import is_flash_attn_2_available

    return device.startswith("cuda") and is_flash_attn_2_available()


def write_trained(model: Any, base: Path, folder: Path, weights: Mapping[str, Tensor] | None = None) -> None:
    """Write a trained model and its base's tokenizer; ``weights`` by name where it does not hold them."""
    model.save_pretrained(folder, state_dict=weights)
    load_tokenizer(base).save_pretrained(folder)


def set_threads(threads: int) -> None:
    """Fix the number of CPU threads inside an operator: it changes the order of sums."""
    torch.set_num_threads(threads)


class LocalEngine:
    """The whole model on one device, one process."""

    rank, world = 0, 1

    def __init__(self, base: Path, recipe: Recipe, device: str) -> None:
        """Load the base model; CPU kernels are made deterministic."""
        set_threads(recipe.threads)
        torch.use_deterministic_algorithms(device == "cpu")
        self.base, self.recipe, self.device = base, recipe, device
        self.packing = use_packing(recipe, device)
        self.model = build_model(base, recipe, device, packing=self.packing)
        self.pad = self.model.config.pad_token_id or 0
        self.loss = Loss(self.model, recipe.dtype)
        self.optimizer = build_optimizer(self.model, recipe)

    def backward(self, batch: MicroBatch, learned: int, *, last: bool) -> float:
        """See :class:`Engine`."""
        loss: Tensor = self.loss(batch) / learned
        loss.backward()
        return loss.item()

    def drop(self) -> None:
        """See :class:`Engine`."""
        self.optimizer.zero_grad()

    def step(self, learning_rate: float) -> None:
        """See :class:`Engine`."""
        nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip_norm)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        self.optimizer.step()
        self.optimizer.zero_grad()

    def sum(self, values: Sequence[float]) -> list[float]:
        """See :class:`Engine`."""
        return list(values)

    def save(self, folder: Path, step: int, notes: Mapping[str, Any]) -> None:
        """See :class:`Engine`."""
        save_state(folder, self.model, self.optimizer, step, notes)

    def load(self, folder: Path) -> tuple[int, dict[str, Any]]:
        """See :class:`Engine`."""
        return load_state(folder, self.model, self.optimizer)

    def write_model(self, folder: Path) -> None:
        """See :class:`Engine`."""
        write_trained(self.model, self.base, folder)
