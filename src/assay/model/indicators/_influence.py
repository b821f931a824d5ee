"""How much training on a sample would lower the loss on targets: LESS (Xia et al. 2024, 2402.04333)."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from assay.core import AssayError, Sample
from assay.model.base import load_model, load_tokenizer, pick_device
from assay.model.tokens import Encoded, encode, pad_right, partition
from assay.model.train import Loss

Advance: TypeAlias = Callable[[float, float, str], None]

_BETAS, _EPSILON = (0.9, 0.999), 1e-8
_ATTENTION = re.compile(r"att(ention|n)")


@dataclass(frozen=True, slots=True)
class InfluenceSettings:
    """Settings of LESS; the defaults are its authors' (appendix B, their code) but for the sketch.

    ``rank``, ``alpha``, ``dropout``: LoRA on the matrices of attention; ``epochs`` of warm-up, each ends with
    a checkpoint; ``dimension`` of the random projection, a count sketch: inner products keep their mean, at a
    cost that does not grow with the dimension; ``micro_tokens`` go through the model at once.
    """

    rank: int = 128
    alpha: int = 512
    dropout: float = 0.1
    epochs: int = 4
    learning_rate: float = 2e-5
    batch_size: int = 32
    dimension: int = 8192
    max_tokens: int = 1024
    micro_tokens: int = 2048
    seed: int = 0


@dataclass(frozen=True)
class _Checkpoint:
    """Flat LoRA weights and Adam's moments after an epoch of warm-up, and the epoch's mean learning rate."""

    weights: Tensor
    first: Tensor
    second: Tensor
    rate: float


class Influence:
    """Warm up LoRA on ``warmup``, take gradients of ``targets``, and then score any sample.

    The score is the mean cosine of the sample's Adam step with the gradients of the targets of one type, at
    its largest over types, averaged over checkpoints by learning rate: in [-1, 1], higher helps more.
    ``advance`` is told of warm-up steps and of target gradients.
    """

    def __init__(
        self,
        base: Path,
        warmup: Sequence[Sample],
        targets: Sequence[Sample],
        settings: InfluenceSettings,
        advance: Advance = lambda done, total, unit: None,
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
        with torch.random.fork_rng():
            torch.manual_seed(settings.seed)
            self.model = _with_lora(load_model(base, pick_device()), settings)
            self.loss = Loss(self.model, "fp32")
            self.parameters = [p for p in self.model.parameters() if p.requires_grad]
            self.checkpoints = self._warm_up(self._rows(warmup), advance)
        self.size = sum(p.numel() for p in self.parameters)
        generator = torch.Generator().manual_seed(settings.seed)
        self.places = torch.randint(settings.dimension, (self.size,), generator=generator)
        self.signs = torch.randint(2, (self.size,), generator=generator).float() * 2 - 1
        self.layers = self._layers()
        self._freeze()
        self.targets = self._target_gradients(targets, advance)

    def _rows(self, samples: Sequence[Sample]) -> list[Encoded]:
        rows = encode(self.tokenizer, samples, self.settings.max_tokens)
        return [row for row in rows if any(row.learned[1:])]

    def _warm_up(self, rows: Sequence[Encoded], advance: Advance) -> list[_Checkpoint]:
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
        self.model.train()
        for _ in range(settings.epochs):
            rates = []
            order = torch.randperm(len(rows), generator=generator).tolist()
            for start in range(0, len(rows), settings.batch_size):
                rates.append(settings.learning_rate * (1 - step / total))
                optimizer.param_groups[0]["lr"] = rates[-1]
                self._mean_loss([rows[i] for i in order[start : start + settings.batch_size]]).backward()
                optimizer.step()
                optimizer.zero_grad()
                step += 1
                advance(step, total, "warm-up")
            moments = [optimizer.state[p] for p in self.parameters]
            parts = (self.parameters, [m["exp_avg"] for m in moments], [m["exp_avg_sq"] for m in moments])
            weights, first, second = map(_flat, parts)
            found.append(_Checkpoint(weights, first, second, sum(rates) / len(rates)))
        return found

    def _mean_loss(self, rows: Sequence[Encoded]) -> Tensor:
        batch = pad_right(rows, self.model.config.pad_token_id or 0)
        loss: Tensor = self.loss(batch) / batch.learned[:, 1:].sum()
        return loss

    def _layers(self) -> dict[nn.Linear, slice]:
        """Return where in the flat weights those of each linear layer of LoRA lie."""
        places, start = {}, 0
        for parameter in self.parameters:
            places[parameter] = slice(start, start + parameter.numel())
            start += parameter.numel()
        linear = (m for m in self.model.modules() if isinstance(m, nn.Linear))
        return {layer: places[layer.weight] for layer in linear if layer.weight in places}

    def _freeze(self) -> None:
        """Let gradients reach layers and no weights: what a batch sums up over its samples is not wanted."""
        self.model.eval()
        for parameter in self.parameters:
            parameter.requires_grad_(False)
            parameter.grad = None
        inputs = self.model.get_input_embeddings()
        inputs.register_forward_hook(lambda module, given, output: output.requires_grad_())

    def _load(self, checkpoint: _Checkpoint) -> None:
        with torch.no_grad():
            for layer, place in self.layers.items():
                layer.weight.copy_(checkpoint.weights[place].view_as(layer.weight))

    def _sketches(
        self, rows: Sequence[Encoded], checkpoint: _Checkpoint | None
    ) -> Iterator[tuple[int, Tensor]]:
        """Yield each row's place and the sketch [dimension] of its gradient at the loaded weights.

        With a ``checkpoint`` that of the step that Adam would take.  Of unit length.
        """
        for group in partition([len(row.ids) for row in rows], self.settings.micro_tokens):
            yield from zip(group, self._batch([rows[i] for i in group], checkpoint), strict=True)

    def _batch(self, rows: Sequence[Encoded], checkpoint: _Checkpoint | None) -> Tensor:
        """Return the sketches [rows, dimension] of one padded batch, by one pass forward and one back."""
        sketch = torch.zeros(len(rows), self.settings.dimension)
        learned = torch.tensor([[sum(row.learned[1:])] for row in rows], dtype=torch.float32)

        def receive(layer: nn.Linear, gradients: Tensor) -> None:
            place = self.layers[layer]
            values = gradients.reshape(len(rows), -1).cpu().float() / learned
            if checkpoint is not None:
                values = _adam_step(checkpoint.first[place], checkpoint.second[place], values)
            sketch.index_add_(1, self.places[place], values.mul_(self.signs[place]))

        with _each_gradient(list(self.layers), receive):
            self.loss(pad_right(rows, self.model.config.pad_token_id or 0)).backward()
        return nn.functional.normalize(sketch, dim=1)

    def _target_gradients(self, targets: Sequence[Sample], advance: Advance) -> list[Tensor]:
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
        for done, checkpoint in enumerate(self.checkpoints):
            self._load(checkpoint)
            means = [torch.stack([s for _, s in self._sketches(r, None)]).mean(dim=0) for r in usable]
            found.append(torch.stack(means))
            advance(done + 1, len(self.checkpoints), "checkpoint")
        return found

    def score(self, samples: Sequence[Sample]) -> list[float | None]:
        """Return the influence of each sample, None where it has no answer or does not fit."""
        rows = encode(self.tokenizer, samples, self.settings.max_tokens)
        usable = [i for i, row in enumerate(rows) if any(row.learned[1:])]
        whole = sum(checkpoint.rate for checkpoint in self.checkpoints)
        totals = torch.zeros(len(usable), len(self.targets[0]))
        for checkpoint, target in zip(self.checkpoints, self.targets, strict=True):
            self._load(checkpoint)
            for place, step in self._sketches([rows[i] for i in usable], checkpoint):
                totals[place] += checkpoint.rate / whole * (target @ step)
        results: list[float | None] = [None] * len(samples)
        for i, total in zip(usable, totals, strict=True):
            results[i] = float(total.max())
        return results


@contextmanager
def _each_gradient(
    layers: Sequence[nn.Linear], receive: Callable[[nn.Linear, Tensor], None]
) -> Iterator[None]:
    """Hand on, layer by layer in a pass back, the gradient of each sample's loss in a layer's weights.

    The gradient [rows, out, in] is the sum over tokens of what comes back times what went in, the
    same products that a batch sums up for its own gradient.
    """

    def watch(layer: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
        went_in = given[0].detach()

        def come_back(slope: Tensor) -> None:
            receive(layer, torch.einsum("bto,bti->boi", slope, went_in))  # type: ignore[arg-type]

        output.register_hook(come_back)

    hooks = [layer.register_forward_hook(watch) for layer in layers]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _adam_step(first: Tensor, second: Tensor, gradient: Tensor) -> Tensor:
    """Return the steps [rows, weights] that Adam would take next on gradients, up to their length.

    As in the authors' ``collect_grad_reps.py``: moments without correction for their start, and epsilon
    under the root.
    """
    scale = gradient.square().mul_(1 - _BETAS[1]).add_(_BETAS[1] * second + _EPSILON).rsqrt_()
    return scale.mul_(torch.add(_BETAS[0] * first, gradient, alpha=1 - _BETAS[0]))


def _flat(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([t.detach().reshape(-1).cpu().float() for t in tensors]).clone()


def _with_lora(model: Any, settings: InfluenceSettings) -> Any:
    from peft import LoraConfig, inject_adapter_in_model

    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=_attention(model) or "all-linear",
    )
    inject_adapter_in_model(config, model)
    for name, p in model.named_parameters():
        p.requires_grad_("lora_" in name)
    return model


def _attention(model: Any) -> list[str]:
    """Return the names of the linear layers within attention; none where a model has no such part."""
    from transformers.pytorch_utils import Conv1D

    linear = (name for name, m in model.named_modules() if isinstance(m, nn.Linear | Conv1D))
    return [name for name in linear if _ATTENTION.search(name.rpartition(".")[0])]
