"""How much training on a sample would lower the loss on targets: LESS (Xia et al. 2024, 2402.04333)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from assay.core import AssayError, Sample
from assay.model.base import load_model, load_tokenizer, pick_device
from assay.model.tokens import Encoded, encode, pad_right
from assay.model.train import Loss

_BETAS, _EPSILON = (0.9, 0.999), 1e-8


@dataclass(frozen=True, slots=True)
class InfluenceSettings:
    """Settings of LESS; the defaults are the paper's (section 4.1, appendix B) but for the sketch.

    ``rank``, ``alpha``: LoRA on all linear layers; ``epochs`` of warm-up, each ends with a checkpoint;
    ``dimension`` of the random projection, a count sketch: inner products keep their mean, at a cost that
    does not grow with the dimension.
    """

    rank: int = 128
    alpha: int = 512
    epochs: int = 4
    learning_rate: float = 2e-5
    batch_size: int = 32
    dimension: int = 8192
    max_tokens: int = 1024
    seed: int = 0


@dataclass(frozen=True)
class _Checkpoint:
    """Flat LoRA weights and Adam's moments after an epoch of warm-up, and the epoch's mean learning rate."""

    weights: Tensor
    first: Tensor
    second: Tensor
    steps: int
    rate: float


class Influence:
    """Warm up LoRA on ``warmup``, take gradients of ``targets``, and then score any sample.

    The score is the mean cosine of the sample's Adam step with the gradients of the targets of one type, at
    its largest over types, averaged over checkpoints by learning rate: in [-1, 1], higher helps more.
    """

    def __init__(
        self, base: Path, warmup: Sequence[Sample], targets: Sequence[Sample], settings: InfluenceSettings
    ) -> None:
        """Train the warm-up and take the targets' gradients; needs peft."""
        if find_spec("peft") is None:
            raise AssayError(
                "LESS needs LoRA",
                place="indicator less",
                expected="the package peft",
                hint='pip install "instruct-assay[score]"',
            )
        self.settings = settings
        self.tokenizer = load_tokenizer(base)
        self.model = _with_lora(load_model(base, pick_device()), settings)
        self.loss = Loss(self.model, "fp32")
        self.parameters = [p for p in self.model.parameters() if p.requires_grad]
        self.size = sum(p.numel() for p in self.parameters)
        generator = torch.Generator().manual_seed(settings.seed)
        self.places = torch.randint(settings.dimension, (self.size,), generator=generator)
        self.signs = torch.randint(2, (self.size,), generator=generator).float() * 2 - 1
        self.checkpoints = self._warm_up(self._rows(warmup))
        self.targets = self._target_gradients(targets)

    def _rows(self, samples: Sequence[Sample]) -> list[Encoded]:
        rows = encode(self.tokenizer, samples, self.settings.max_tokens)
        return [row for row in rows if any(row.learned[1:])]

    def _warm_up(self, rows: Sequence[Encoded]) -> list[_Checkpoint]:
        settings = self.settings
        if not rows:
            raise AssayError("no samples to warm up on", place="indicator less")
        optimizer = torch.optim.AdamW(
            self.parameters, lr=settings.learning_rate, betas=_BETAS, eps=_EPSILON, weight_decay=0.0
        )
        generator = torch.Generator().manual_seed(settings.seed)
        per_epoch = -(-len(rows) // settings.batch_size)
        total, step = per_epoch * settings.epochs, 0
        found = []
        for _ in range(settings.epochs):
            rates = []
            order = torch.randperm(len(rows), generator=generator).tolist()
            for start in range(0, len(rows), settings.batch_size):
                rates.append(settings.learning_rate * (1 - step / total))
                optimizer.param_groups[0]["lr"] = rates[-1]
                batch = [rows[i] for i in order[start : start + settings.batch_size]]
                self._mean_loss(batch).backward()
                optimizer.step()
                optimizer.zero_grad()
                step += 1
            moments = [optimizer.state[p] for p in self.parameters]
            found.append(
                _Checkpoint(
                    _flat(self.parameters),
                    _flat([m["exp_avg"] for m in moments]),
                    _flat([m["exp_avg_sq"] for m in moments]),
                    step,
                    sum(rates) / len(rates),
                )
            )
        return found

    def _mean_loss(self, rows: Sequence[Encoded]) -> Tensor:
        batch = pad_right(rows, self.model.config.pad_token_id or 0)
        loss: Tensor = self.loss(batch) / batch.learned[:, 1:].sum()
        return loss

    def _load(self, checkpoint: _Checkpoint) -> None:
        place = 0
        with torch.no_grad():
            for p in self.parameters:
                p.copy_(checkpoint.weights[place : place + p.numel()].view_as(p))
                place += p.numel()

    def gradient(self, row: Encoded) -> Tensor:
        """Return the flat gradient of one sample's mean loss at the loaded weights."""
        for p in self.parameters:
            p.grad = None
        self._mean_loss([row]).backward()
        return _flat([torch.zeros_like(p) if p.grad is None else p.grad for p in self.parameters])

    def project(self, vector: Tensor) -> Tensor:
        """Return the count sketch of a flat gradient, of unit length."""
        sketch = torch.zeros(self.settings.dimension).index_add_(0, self.places, self.signs * vector)
        return torch.nn.functional.normalize(sketch, dim=0)

    def _target_gradients(self, targets: Sequence[Sample]) -> list[Tensor]:
        """Return, for each checkpoint, the mean unit gradients of the targets of each type [types, d]."""
        groups: dict[str, list[Encoded]] = defaultdict(list)
        for sample in targets:
            groups[sample.type or "untyped"] += self._rows([sample])
        usable = [rows for rows in groups.values() if rows]
        if not usable:
            raise AssayError(
                "no target samples to learn from",
                place="indicator less",
                expected="target samples with answers",
            )
        found = []
        for checkpoint in self.checkpoints:
            self._load(checkpoint)
            means = [
                torch.stack([self.project(self.gradient(r)) for r in rows]).mean(dim=0) for rows in usable
            ]
            found.append(torch.stack(means))
        return found

    def score(self, samples: Sequence[Sample]) -> list[float | None]:
        """Return the influence of each sample, None where it has no answer or does not fit."""
        rows = encode(self.tokenizer, samples, self.settings.max_tokens)
        usable = [i for i, row in enumerate(rows) if any(row.learned[1:])]
        whole = sum(checkpoint.rate for checkpoint in self.checkpoints)
        totals = [torch.zeros(len(self.targets[0])) for _ in usable]
        for checkpoint, target in zip(self.checkpoints, self.targets, strict=True):
            self._load(checkpoint)
            for place, i in enumerate(usable):
                step = self.project(_adam_step(checkpoint, self.gradient(rows[i])))
                totals[place] += checkpoint.rate / whole * (target @ step)
        results: list[float | None] = [None] * len(samples)
        for place, i in enumerate(usable):
            results[i] = float(totals[place].max())
        return results


def _adam_step(checkpoint: _Checkpoint, gradient: Tensor) -> Tensor:
    """Return the step that Adam would take next on this gradient, per unit of learning rate."""
    first = _BETAS[0] * checkpoint.first + (1 - _BETAS[0]) * gradient
    second = _BETAS[1] * checkpoint.second + (1 - _BETAS[1]) * gradient**2
    next_step = checkpoint.steps + 1
    return (first / (1 - _BETAS[0] ** next_step)) / (
        (second / (1 - _BETAS[1] ** next_step)).sqrt() + _EPSILON
    )


def _flat(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([t.detach().reshape(-1).cpu().float() for t in tensors]).clone()


def _with_lora(model: Any, settings: InfluenceSettings) -> Any:
    from peft import LoraConfig, inject_adapter_in_model

    torch.manual_seed(settings.seed)
    config = LoraConfig(r=settings.rank, lora_alpha=settings.alpha, target_modules="all-linear")
    inject_adapter_in_model(config, model)
    for name, p in model.named_parameters():
        p.requires_grad_("lora_" in name)
    return model.train()
