"""What fixes a training, and the arithmetic of its steps. No torch here: plans need it too."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from assay.core import AssayError
from assay.model.tokens import AUTO, TEMPLATES

Schedule: TypeAlias = Literal["constant", "wsd", "cosine"]
Indices: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that fixes a fine-tuning apart from base, data and seed; no paths, no devices.

    ``batch_size`` in samples per optimizer step; ``epochs`` passes over the samples; ``warmup_steps``
    absolute, so that runs of different sizes share their beginning; ``cooldown`` the fraction of steps
    over which ``wsd`` decays by 1 - sqrt (Hägele et al. 2024); ``max_tokens`` cuts longer samples at the
    right; ``template`` writes the conversations (``auto``: the tokenizer's own, else ``plain``) and is
    saved with the model.  ``threads`` (CPU threads inside an operator) and ``micro_tokens`` (padded tokens
    a forward pass, gradients accumulated over the batch) change the order of sums, hence bits, hence
    identity.

    ``adapter`` trains low-rank matrices of ``rank``, scaled by ``alpha`` / ``rank``, beside the frozen
    layers named in ``targets`` (empty: all linear layers but the head); ``qlora`` holds those in NF4.  The
    frozen base is held in ``dtype``; what is trained stays in fp32.  ``gradient_checkpointing`` computes
    activations again, ``offload_activations`` keeps them in the machine's memory, ``liger`` takes Liger's
    kernels (GPU).
    """

    batch_size: int = 64
    epochs: int = 2
    learning_rate: float = 3e-6
    schedule: Schedule = "constant"
    warmup_steps: int = 0
    cooldown: float = 0.2
    weight_decay: float = 0.001
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    clip_norm: float = 1.0
    dtype: Literal["fp32", "bf16"] = "fp32"
    max_tokens: int = 1024
    template: str = AUTO
    micro_tokens: int = 2048
    batching: Literal["auto", "buckets", "packed"] = "auto"
    gradient_checkpointing: bool = False
    offload_activations: bool = False
    liger: bool = False
    adapter: Literal["none", "lora", "dora", "qlora"] = "none"
    rank: int = 16
    alpha: int = 32
    adapter_dropout: float = 0.0
    targets: tuple[str, ...] = ()
    threads: int = 1
    trainer: str = "full"

    def __post_init__(self) -> None:
        """Refuse values that cannot be trained with."""
        for name in ("batch_size", "epochs", "max_tokens", "micro_tokens", "threads", "rank", "alpha"):
            if getattr(self, name) < 1:
                _refuse(name, getattr(self, name), "a whole number of at least 1")
        if self.learning_rate <= 0:
            _refuse("learning_rate", self.learning_rate, "a positive number")
        if not 0 < self.cooldown <= 1:
            _refuse("cooldown", self.cooldown, "a fraction in (0, 1]")
        if not 0 <= self.adapter_dropout < 1:
            _refuse("adapter_dropout", self.adapter_dropout, "a share in [0, 1)")
        if self.warmup_steps < 0:
            _refuse("warmup_steps", self.warmup_steps, "0 or more steps")
        if self.template not in (AUTO, *TEMPLATES):
            _refuse("template", self.template, ", ".join((AUTO, *TEMPLATES)))

    def steps(self, n_train: int) -> int:
        """Return the number of optimizer steps of a run on ``n_train`` samples."""
        return self.epochs * math.ceil(n_train / self.batch_size)

    def cooldown_start(self, n_train: int) -> int:
        """Return the first step of the cooldown (the total for a constant schedule)."""
        total = self.steps(n_train)
        return total - math.ceil(self.cooldown * total) if self.schedule == "wsd" else total

    def shared_steps(self, n_train: int) -> int:
        """Return how many first steps are the same for every larger run of this recipe and seed.

        The full batches of the first pass, up to the cooldown; none for a cosine schedule, whose every
        step depends on the total.
        """
        if self.schedule == "cosine":
            return 0
        return min(n_train // self.batch_size, self.cooldown_start(n_train))

    def begins_like(self, other: Recipe) -> bool:
        """Return whether the first pass of both is the same, step for step, up to the cooldown.

        So it is where only passes, cooldown, or a constant schedule in place of ``wsd`` differ: then a run of
        one recipe may go on from the other's trunk.
        """
        if "cosine" in (self.schedule, other.schedule):
            return False
        begun = [replace(one, epochs=1, schedule="constant", cooldown=1.0) for one in (self, other)]
        return begun[0] == begun[1]

    def learning_rate_at(self, step: int, n_train: int) -> float:
        """Return the learning rate of one step of the run on ``n_train`` samples."""
        if step < self.warmup_steps:
            return self.learning_rate * (step + 1) / self.warmup_steps
        total = self.steps(n_train)
        if self.schedule == "cosine":
            done = (step - self.warmup_steps) / max(1, total - self.warmup_steps)
            return self.learning_rate * 0.5 * (1 + math.cos(math.pi * done))
        start = self.cooldown_start(n_train)
        if step < start:
            return self.learning_rate
        return self.learning_rate * (1 - math.sqrt((step - start) / (total - start)))

    def batch(self, order: Indices, n_train: int, seed: int, step: int) -> Indices:
        """Return the pool rows of one step.

        The first pass follows ``order`` (so that prefixes of runs are the same); later passes are
        shuffled privately by (seed, n_train, pass).
        """
        per_pass = math.ceil(n_train / self.batch_size)
        epoch, position = divmod(step, per_pass)
        rows = order[:n_train]
        if epoch:
            rows = np.random.default_rng([seed, n_train, epoch]).permutation(rows)
        return rows[position * self.batch_size : (position + 1) * self.batch_size]

    def samples_in(self, n_train: int, start: int, stop: int) -> int:
        """Return how many sample passes the steps [start, stop) of a run take."""
        per_pass = math.ceil(n_train / self.batch_size)

        def passed(step: int) -> int:
            epoch, position = divmod(step, per_pass)
            return epoch * n_train + min(position * self.batch_size, n_train)

        return passed(stop) - passed(start)


def read_recipe(data: Mapping[str, Any]) -> Recipe:
    """Return the recipe that ``dataclasses.asdict`` and JSON made ``data`` from."""
    fields: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in data.items()}
    return Recipe(**fields)


def _refuse(name: str, value: object, expected: str) -> None:
    raise AssayError(f"{name} is out of range", place=f"recipe.{name}", value=value, expected=expected)


PRESETS: Mapping[str, Recipe] = {
    # BELLE, section 4.1: batch 64, 2 epochs, constant 3e-6, weight decay 0.001.
    "belle": Recipe(),
    # Adapter: BELLE's train/configs/lora_config_llama.json.  Rate: QLoRA's for 7B and 13B (Dettmers et al.
    # 2023, Table 9), as BELLE's own script gives LoRA the rate of full fine-tuning.  The rest as above.
    "belle-lora": Recipe(adapter="lora", rank=16, alpha=32, adapter_dropout=0.05, learning_rate=2e-4),
    # Stanford Alpaca's README: LLaMA 7B, all weights.  Its warm-up is a share of the steps, ours is absolute.
    "alpaca": Recipe(
        batch_size=128, epochs=3, learning_rate=2e-5, schedule="cosine", weight_decay=0.0, max_tokens=512
    ),
    # tloen/alpaca-lora, finetune.py: a rate fifteen times that of all weights.
    "alpaca-lora": Recipe(
        batch_size=128,
        epochs=3,
        learning_rate=3e-4,
        schedule="cosine",
        warmup_steps=100,
        weight_decay=0.0,
        max_tokens=256,
        adapter="lora",
        rank=8,
        alpha=16,
        adapter_dropout=0.05,
        targets=("q_proj", "v_proj"),
    ),
    # Tinker's own rank, and no decay; rate and the rest as belle-lora's.
    "tinker": Recipe(adapter="lora", rank=32, alpha=32, learning_rate=2e-4, weight_decay=0.0),
    # For a model of a million parameters.  On text a rate that forgets less (LOG.md); the associations of the
    # testbed are learned in a few hundred samples by three times that.
    "pocket": Recipe(
        batch_size=32, epochs=1, learning_rate=5e-4, schedule="wsd", warmup_steps=10, weight_decay=0.01
    ),
    "testbed": Recipe(
        batch_size=32, epochs=1, learning_rate=1.5e-3, schedule="wsd", warmup_steps=10, weight_decay=0.01
    ),
}


def preset(name: str, **changes: object) -> Recipe:
    """Return a preset with some fields changed; raise :class:`AssayError` for an unknown name."""
    if name not in PRESETS:
        raise AssayError(
            "no such recipe", place="recipe", value=name, expected=f"one of {', '.join(sorted(PRESETS))}"
        )
    return replace(PRESETS[name], **changes)  # type: ignore[arg-type]
