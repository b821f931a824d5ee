"""What a training step needs of a model, its optimizer and the devices they are on."""

from __future__ import annotations

import gc
import inspect
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from assay.core import AssayError
from assay.model.base import ADAPTER, load_tokenizer, load_whole
from assay.model.tokens import MicroBatch, stop_ids
from assay.model.train._adapters import adapted, copy_adapter, write_adapter
from assay.model.train._loss import Loss
from assay.model.train._recipe import Recipe
from assay.model.train._state import load_state, save_state


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
        """Forget the gradient so far and give free memory back."""

    def step(self, learning_rate: float) -> None:
        """Clip the gradient, take an optimizer step and forget the gradient."""

    def sum(self, values: Sequence[float]) -> list[float]:
        """Return each value summed over all processes."""

    def save(self, folder: Path, step: int, notes: Mapping[str, Any]) -> None:
        """Write the trained weights and moments in the form of :mod:`assay.model.train._state`."""

    def load(self, folder: Path) -> tuple[int, dict[str, Any]]:
        """Load a state that any number of processes wrote; return its step and notes."""

    def write_model(self, folder: Path) -> None:
        """Write the trained model, or its adapter alone, with the tokenizer."""


def build_model(base: Path, recipe: Recipe, seed: int, device: str) -> Any:
    """Return the base as the recipe trains it, in training mode: whole, or a peft model of frozen base."""
    whole = recipe.adapter == "none"
    model = load_whole(base, device) if whole else adapted(base, recipe, seed, device)
    if recipe.gradient_checkpointing:
        causal(model).activation_checkpointing_enable({"use_reentrant": False})
    return model.train()


def use_kernels(model: Any, recipe: Recipe, device: str) -> None:
    """Put in the kernels of the device that a causal model will train on, wherever it is now."""
    if use_packing(recipe, device, model) and device.startswith("cuda"):
        model.set_attn_implementation("flash_attention_2")
    if recipe.liger:
        _apply_liger(model, device)


def causal(model: Any) -> Any:
    """Return the causal model itself, with the adapter in its layers where there is one."""
    return model.get_base_model() if hasattr(model, "peft_config") else model


def _apply_liger(model: Any, device: str) -> None:
    """Put Liger's fused kernels (norms, rotations, gated layers) in; the loss has its own."""
    problem = None
    if not device.startswith("cuda"):
        problem = "Liger kernels run on GPUs only"
    elif find_spec("liger_kernel") is None:
        problem = "the package liger-kernel is missing"
    else:
        monkey_patch = import_module("liger_kernel.transformers.monkey_patch")

        if model.config.model_type in monkey_patch.MODEL_TYPE_TO_APPLY_LIGER_FN:
            plain = {"cross_entropy": False, "fused_linear_cross_entropy": False}
            monkey_patch._apply_liger_kernel_to_instance(model=model, **plain)
        else:
            problem = f"Liger has no kernels for models of type {model.config.model_type}"
    if problem is not None:
        raise AssayError(
            problem, place="recipe.liger", value=True, expected="false, or a GPU and the package"
        )


def build_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.AdamW:
    """Return AdamW with weight decay on matrices only (biases and norms are not decayed)."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=recipe.betas, eps=recipe.eps, fused=True)


def use_packing(recipe: Recipe, device: str, model: Any) -> bool:
    """Say whether rows are packed end to end: where model and kernel keep them apart by their positions.

    Raises :class:`AssayError` where the recipe asks for it and the model would mix the rows.
    """
    able = _takes_positions(model)
    if recipe.batching == "packed" and not able:
        raise AssayError(
            "the model cannot keep packed sequences apart",
            place="recipe.batching",
            value="packed",
            expected=f"auto or buckets for models of type {model.config.model_type}",
        )
    if recipe.batching != "auto" or not able:
        return recipe.batching == "packed"
    from transformers.utils import is_flash_attn_2_available

    # The kernel takes 16 bits only.
    return device.startswith("cuda") and recipe.dtype == "bf16" and is_flash_attn_2_available()


def _takes_positions(model: Any) -> bool:
    """Say whether a model reads positions; one that biases attention by distance (ALiBi) does not."""
    takes = "position_ids" in inspect.signature(model.forward).parameters
    return takes and model._supports_flash_attn and not getattr(model.config, "alibi", False)


def write_trained(
    model: Any, base: Path, recipe: Recipe, folder: Path, weights: Mapping[str, Tensor] | None = None
) -> None:
    """Write a trained model, or its adapter alone, with tokenizer, the template it learned and end marks.

    ``weights`` by name where the model does not hold them.
    """
    tokenizer = load_tokenizer(base, recipe.template)
    if recipe.adapter == "none":
        model.generation_config.eos_token_id = stop_ids(tokenizer)
        model.save_pretrained(folder, state_dict=weights)
    else:
        write_adapter(model, base, recipe, folder, weights)
    tokenizer.save_pretrained(folder)


def write_received(weights: Path, base: Path, recipe: Recipe, folder: Path) -> None:
    """Write what another trainer left in ``weights`` as :func:`write_trained` writes a model of ours."""
    if recipe.adapter == "none":
        if (weights / ADAPTER).exists():
            raise AssayError(
                "an adapter came back where all weights were to be trained", place=str(weights / ADAPTER),
                expected="a whole model, as recipe.adapter is none",
            )  # fmt: skip
        write_trained(load_whole(weights), base, recipe, folder)
        return
    copy_adapter(weights, base, recipe, folder)
    load_tokenizer(base, recipe.template).save_pretrained(folder)


def set_threads(threads: int) -> None:
    """Fix the number of CPU threads inside an operator: it changes the order of sums."""
    torch.set_num_threads(threads)


class LocalEngine:
    """The whole model on one device, one process."""

    rank, world = 0, 1

    def __init__(self, base: Path, recipe: Recipe, seed: int, device: str) -> None:
        """Load the base model; CPU kernels are made deterministic."""
        set_threads(recipe.threads)
        torch.use_deterministic_algorithms(device == "cpu")
        self.base, self.recipe, self.device = base, recipe, device
        self.model = build_model(base, recipe, seed, device)
        self.loss = Loss(causal(self.model), recipe.dtype, offload=recipe.offload_activations)
        use_kernels(self.loss.model, recipe, device)
        self.packing = use_packing(recipe, device, self.loss.model)
        self.pad = self.model.config.pad_token_id or 0
        self.optimizer = build_optimizer(self.loss, recipe)

    def backward(self, batch: MicroBatch, learned: int, *, last: bool) -> float:
        """See :class:`Engine`."""
        loss: Tensor = self.loss(batch) / learned
        loss.backward()
        return loss.item()

    def drop(self) -> None:
        """See :class:`Engine`."""
        self.optimizer.zero_grad()
        gc.collect()
        torch.cuda.empty_cache()

    def step(self, learning_rate: float) -> None:
        """See :class:`Engine`."""
        trained = [p for p in self.loss.parameters() if p.requires_grad]
        nn.utils.clip_grad_norm_(trained, self.recipe.clip_norm)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        self.optimizer.step()
        self.optimizer.zero_grad()

    def sum(self, values: Sequence[float]) -> list[float]:
        """See :class:`Engine`."""
        return list(values)

    def save(self, folder: Path, step: int, notes: Mapping[str, Any]) -> None:
        """See :class:`Engine`."""
        save_state(folder, self.loss.model, self.optimizer, step, notes)

    def load(self, folder: Path) -> tuple[int, dict[str, Any]]:
        """See :class:`Engine`."""
        return load_state(folder, self.loss.model, self.optimizer)

    def write_model(self, folder: Path) -> None:
        """See :class:`Engine`."""
        write_trained(self.model, self.base, self.recipe, folder)
