"""What another trainer is told of a run: the whole run in one pass over rows whose order is fixed.

The passes of the recipe are written one after another as rows of one file, so that the trainer reads it once,
from top to bottom, and no shuffling of its own has a say in the order.  No torch here: plans need it too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from assay.core import AssayError, read_json
from assay.model.tokens import TokenTable
from assay.model.train import Indices, Recipe, Segment

_UNUSED = -100
"""The label of tokens that the loss does not count, as all trainers of this family have it."""


@dataclass(frozen=True, slots=True)
class ExternalRun:
    """One run of a ladder as another trainer makes it.

    ``longest``: tokens of the longest sample of the pool; ``processes``: how many share the training, by
    which gradient accumulation is set so that the batch stays that of the recipe; ``family``: the base's
    ``model_type``.
    """

    recipe: Recipe
    seed: int
    n_train: int
    longest: int
    processes: int = 1
    family: str = ""

    @classmethod
    def of(cls, segment: Segment, table: TokenTable, base: Path, processes: int) -> ExternalRun:
        """Return the run that a segment ends, on the samples of ``table``, from ``base``."""
        family = str(read_json(base / "config.json").get("model_type", ""))
        longest = int(table.lengths.max())
        return cls(segment.recipe, segment.seed, segment.n_train, longest, processes, family)

    def __post_init__(self) -> None:
        """Refuse processes over which the batch cannot be spread evenly."""
        if self.recipe.batch_size % self.processes:
            raise AssayError(
                "the batch cannot be spread evenly over the processes",
                place="where.launch.processes",
                value=f"{self.recipe.batch_size} samples on {self.processes} processes",
                expected="a number that divides recipe.batch_size",
            )

    @property
    def rows(self) -> int:
        """The rows of the data file: every sample once for each pass."""
        return self.recipe.epochs * self.n_train

    @property
    def steps(self) -> int:
        """The optimizer steps of one pass over all rows; only its last batch may be short."""
        return math.ceil(self.rows / self.recipe.batch_size)

    @property
    def per_device(self) -> int:
        """Samples of a forward pass: the most that divide the batch and keep to ``micro_tokens``."""
        share = self.recipe.batch_size // self.processes
        fit = max(1, self.recipe.micro_tokens // max(1, self.longest))
        return max(n for n in range(1, share + 1) if share % n == 0 and n <= fit)

    @property
    def accumulation(self) -> int:
        """Forward passes of a process between two optimizer steps."""
        return self.recipe.batch_size // self.processes // self.per_device

    @property
    def save_every(self) -> int:
        """Steps between two checkpoints: four in a run, so that a kill costs a quarter at most."""
        return max(1, math.ceil(self.steps / 4))


def row_order(recipe: Recipe, order: Indices, n_train: int, seed: int) -> Indices:
    """Return the pool's rows [epochs x n_train] in the order in which Assay's own trainer takes them."""
    steps = range(recipe.steps(n_train))
    return np.concatenate([recipe.batch(order, n_train, seed, step) for step in steps])


def token_rows(table: TokenTable, rows: Indices) -> Iterator[dict[str, list[int]]]:
    """Yield what is learned from, row by row: ``input_ids``, ``attention_mask`` and ``labels``."""
    for row in rows:
        ids, learned = table.row(int(row))
        labels = np.where(learned, ids, _UNUSED)
        labels[:1] = _UNUSED  # nothing stands before it
        yield {
            "input_ids": ids.tolist(),
            "attention_mask": [1] * len(ids),
            "labels": labels.tolist(),
        }


def schedule(run: ExternalRun) -> dict[str, Any]:
    """Return the recipe's schedule of the learning rate in the Trainer's words.

    Of ``warmup`` steps, step s has (s + 1) / warmup of the rate.  The Trainer can say that where nothing
    decays, by a smallest rate; else its warm-up begins at a rate of 0 (:func:`warms_late`).
    """
    recipe, total = run.recipe, run.steps
    if recipe.schedule == "cosine":
        return {"lr_scheduler_type": "cosine", "warmup_steps": recipe.warmup_steps}
    if recipe.schedule == "constant" and recipe.warmup_steps < 2:
        return {"lr_scheduler_type": "constant"}
    warmup = max(0, recipe.warmup_steps - 1)
    decay = math.ceil(recipe.cooldown * total) if recipe.schedule == "wsd" else 0
    # LLaMA-Factory would set what is not said: a third of the steps is stable, the rest decays.
    stages = {"num_stable_steps": total - warmup - decay, "num_decay_steps": decay, "decay_type": "1-sqrt"}
    if recipe.schedule == "constant":
        stages["min_lr_ratio"] = 1 / recipe.warmup_steps
    return {
        "lr_scheduler_type": "warmup_stable_decay",
        "lr_scheduler_kwargs": stages,
        "warmup_steps": warmup,
    }


def warms_late(recipe: Recipe) -> bool:
    """Say whether the first step of the warm-up has a rate of 0 where ours has a part of the rate."""
    return recipe.warmup_steps > (1 if recipe.schedule == "wsd" else 0) and recipe.schedule != "constant"


def optimizer(run: ExternalRun) -> dict[str, Any]:
    """Return the optimizer's settings in the Trainer's words; betas apart, whose names differ by tool."""
    recipe = run.recipe
    return {
        "learning_rate": recipe.learning_rate,
        "optim": "adamw_torch_fused",
        "weight_decay": recipe.weight_decay,
        "adam_beta1": recipe.betas[0],
        "adam_beta2": recipe.betas[1],
        "adam_epsilon": recipe.eps,
        "max_grad_norm": recipe.clip_norm,
    }


def trainer_arguments(run: ExternalRun) -> dict[str, Any]:
    """Return the arguments that Hugging Face's Trainer and those that stand on it share."""
    return {
        "per_device_train_batch_size": run.per_device,
        "gradient_accumulation_steps": run.accumulation,
        "num_train_epochs": 1,
        **optimizer(run),
        **schedule(run),
        "gradient_checkpointing": run.recipe.gradient_checkpointing,
        "seed": run.seed,
        "output_dir": "out",
        "logging_steps": 1,
        "save_strategy": "steps",
        "save_steps": run.save_every,
        "save_total_limit": 1,
        "report_to": "none",
    }


def refuse(tool: str, name: str, value: object, expected: str, hint: str | None = None) -> NoReturn:
    """Raise for a setting of the recipe that a tool has no equal of."""
    raise AssayError(
        f"{tool} has no equal of this setting", place=f"recipe.{name}", value=value, expected=expected,
        hint=hint or "trainer: full has it",
    )  # fmt: skip
