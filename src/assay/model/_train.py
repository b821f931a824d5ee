"""The trainer: full fine-tuning of a causal language model over the steps [start, stop) of a run.

A run is fixed by base, order of the data, recipe, size and seed; a segment is a part of it.  Segments
chain through a saved state, and the chain is equal to the uninterrupted run to the bit (CPU, fp32): the
batches follow from the step alone, dropout draws from (seed, step), and the state holds all moments.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from assay.core import AssayError
from assay.model._base import load_model, load_tokenizer, pick_device
from assay.model._batches import MicroBatch, bucketed, packed
from assay.model._loss import linear_cross_entropy
from assay.model._recipe import Indices, Recipe
from assay.model._state import load_state, save_state
from assay.model._tokens import TokenTable

Advance = Callable[[float, float, str], None]

SAVE_EVERY_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Segment:
    """The optimizer steps [start, stop) of the run of ``recipe`` on the first ``n_train`` of an order."""

    recipe: Recipe
    seed: int
    n_train: int
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class TrainReport:
    """What a segment did.  ``trace`` holds (step, loss in nats per learned token)."""

    steps: int
    samples: int
    tokens: int
    learned_tokens: int
    padded_tokens: int
    seconds: float
    device: str
    trace: tuple[tuple[int, float], ...]


class Trainer(Protocol):
    """Plugin point: trains a segment from ``base`` or ``state`` and leaves a model or a state in ``out``.

    ``out/model`` is written when the segment ends its run, ``out/state.safetensors`` otherwise.
    """

    def __call__(
        self,
        segment: Segment,
        *,
        base: Path,
        state: Path | None,
        table: TokenTable,
        order: Indices,
        out: Path,
        device: str,
        advance: Advance,
    ) -> TrainReport:
        """Train, resuming from ``out/scratch`` where an earlier attempt was killed."""


class Loss:
    """Summed cross-entropy of learned tokens, by the cheapest way that is right for the model.

    Most causal models are a body and a linear head; then only learned positions pass the head, in
    chunks.  Whether that is so is not guessed from names: it is checked once on the model itself.
    """

    def __init__(self, model: Any, dtype: str) -> None:
        """Check whether the head may be applied apart from the body."""
        self.model = model
        self.dtype = torch.bfloat16 if dtype == "bf16" else None
        self.body: Any = getattr(model, model.base_model_prefix, None)
        self.head: Any = model.get_output_embeddings()
        self.split = self.body is not None and self.head is not None and self._head_is_linear()

    @torch.no_grad()
    def _head_is_linear(self) -> bool:
        if getattr(self.head, "bias", None) is not None or not hasattr(self.head, "weight"):
            return False
        device = self.head.weight.device
        ids = torch.arange(8, device=device)[None] % self.head.weight.shape[0]
        was_training = self.model.training
        self.model.eval()
        logits = self.model(input_ids=ids).logits.float()
        hidden = self.body(input_ids=ids).last_hidden_state
        own = (hidden @ self.head.weight.T).float()
        self.model.train(was_training)
        return own.shape == logits.shape and bool(torch.allclose(own, logits, rtol=1e-3, atol=1e-3))

    def __call__(self, batch: MicroBatch) -> Tensor:
        """Return the summed loss in nats over the learned tokens of a micro-batch."""
        device = self.head.weight.device
        inputs: dict[str, Tensor] = {"input_ids": batch.ids.to(device)}
        if batch.positions is not None:
            inputs["position_ids"] = batch.positions.to(device)
        learned = batch.learned[:, 1:].to(device)
        targets = inputs["input_ids"][:, 1:][learned]
        with torch.autocast(device.type, torch.bfloat16, enabled=self.dtype is not None):
            if self.split:
                hidden = self.body(**inputs, use_cache=False).last_hidden_state[:, :-1][learned]
            else:
                logits = self.model(**inputs, use_cache=False).logits[:, :-1][learned]
        if self.split:
            return linear_cross_entropy(hidden, self.head.weight, targets, self.dtype)
        return torch.nn.functional.cross_entropy(logits.float(), targets, reduction="sum")


def use_packing(recipe: Recipe, device: str) -> bool:
    """Say whether rows are packed end to end: where the attention kernel takes variable lengths."""
    if recipe.batching != "auto":
        return recipe.batching == "packed"
    from transformers.utils import is_flash_attn_2_available

    return device.startswith("cuda") and is_flash_attn_2_available()


def build_optimizer(model: Any, recipe: Recipe) -> torch.optim.AdamW:
    """Return AdamW with weight decay on matrices only (biases and norms are not decayed)."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=recipe.betas, eps=recipe.eps, fused=True)


class _Run:
    """The mutable state of one segment under way."""

    def __init__(self, segment: Segment, base: Path, device: str) -> None:
        recipe = segment.recipe
        set_threads(recipe.threads)
        torch.use_deterministic_algorithms(device == "cpu")
        self.segment, self.device = segment, device
        self.packing = use_packing(recipe, device)
        flash = "flash_attention_2" if self.packing and device.startswith("cuda") else None
        self.model = load_model(base, device, flash)
        if recipe.gradient_checkpointing:
            self.model.activation_checkpointing_enable({"use_reentrant": False})
        self.model.train()
        self.loss = Loss(self.model, recipe.dtype)
        self.optimizer = build_optimizer(self.model, recipe)
        self.pad = self.model.config.pad_token_id or 0
        self.tokens = self.learned = self.padded = 0
        self.trace: list[tuple[int, float]] = []

    def step(self, table: TokenTable, order: Indices, step: int) -> None:
        """Take one optimizer step."""
        segment, recipe = self.segment, self.segment.recipe
        torch.manual_seed(segment.seed * 1_000_003 + step)
        rows = recipe.batch(order, segment.n_train, segment.seed, step)
        if self.packing:
            batches = packed(table, rows, recipe.micro_tokens)
        else:
            batches = bucketed(table, rows, recipe.micro_tokens, self.pad)
        learned = sum(int(b.learned[:, 1:].sum()) for b in batches)
        total = 0.0
        for batch in batches:
            if not bool(batch.learned[:, 1:].any()):
                continue
            loss = self.loss(batch) / learned
            loss.backward()
            total += loss.item()
        if learned:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), recipe.clip_norm)
            for group in self.optimizer.param_groups:
                group["lr"] = recipe.learning_rate_at(step, segment.n_train)
            self.optimizer.step()
            self.optimizer.zero_grad()
            if total != total:
                raise AssayError(
                    "the training loss is not a number",
                    place=f"step {step} of a run on {segment.n_train} samples, seed {segment.seed}",
                    expected="a finite loss",
                    hint="lower recipe.learning_rate or recipe.clip_norm",
                )
            self.trace.append((step, total))
        self.tokens += int(table.lengths[rows].sum())
        self.learned += learned
        self.padded += sum(b.ids.numel() for b in batches)

    def save(self, path: Path, step: int) -> None:
        """Write the state with the counts so far."""
        counts = [self.tokens, self.learned, self.padded, self.trace]
        save_state(path, self.model, self.optimizer, step, {"counts": json.dumps(counts)})

    def load(self, path: Path, *, counts: bool) -> int:
        """Load a state; with ``counts`` it is this segment's own, else that of the one before."""
        step, notes = load_state(path, self.model, self.optimizer)
        if counts:
            self.tokens, self.learned, self.padded, trace = json.loads(notes["counts"])
            self.trace = [(int(s), float(v)) for s, v in trace]
        return step


def train_full(
    segment: Segment,
    *,
    base: Path,
    state: Path | None,
    table: TokenTable,
    order: Indices,
    out: Path,
    device: str = "auto",
    advance: Advance = lambda done, total, unit: None,
) -> TrainReport:
    """Fine-tune all weights; see :class:`Trainer`."""
    run = _Run(segment, base, pick_device(device))
    scratch = out / "scratch" / "state.safetensors"
    if scratch.exists():
        first = run.load(scratch, counts=True)
    elif state is not None:
        first = run.load(state, counts=False)
    else:
        first = 0
    if not segment.start <= first <= segment.stop:
        raise AssayError("the state does not fit the segment", value=first, expected=str(segment))
    began = saved = time.monotonic()
    for step in range(first, segment.stop):
        run.step(table, order, step)
        advance(step + 1 - segment.start, segment.stop - segment.start, "step")
        if time.monotonic() - saved > SAVE_EVERY_SECONDS:
            scratch.parent.mkdir(parents=True, exist_ok=True)
            run.save(scratch, step + 1)
            saved = time.monotonic()
    if segment.stop == segment.recipe.steps(segment.n_train):
        run.model.save_pretrained(out / "model")
        load_tokenizer(base).save_pretrained(out / "model")
    else:
        run.save(out / "state.safetensors", segment.stop)
    return TrainReport(
        steps=segment.stop - segment.start,
        samples=segment.recipe.samples_in(segment.n_train, segment.start, segment.stop),
        tokens=run.tokens,
        learned_tokens=run.learned,
        padded_tokens=run.padded,
        seconds=time.monotonic() - began,
        device=run.device,
        trace=tuple(run.trace),
    )


def trainer(name: str) -> Trainer:
    """Return the trainer of that name: ``full``, or one from the entry points ``assay.trainers``."""
    if name == "full":
        return train_full
    found = {point.name: point for point in entry_points(group="assay.trainers")}
    if name not in found:
        raise AssayError(
            "no such trainer",
            place="recipe.trainer",
            value=name,
            expected=", ".join(["full", *sorted(found)]),
            hint="install the plugin that registers it under the entry points `assay.trainers`",
        )
    loaded: Trainer = found[name].load()
    return loaded


def set_threads(threads: int) -> None:
    """Fix the number of CPU threads inside an operator: it changes the order of sums."""
    torch.set_num_threads(threads)
