"""Cross-entropy from hidden states, without ever holding all logits.

At small model sizes the vocabulary dominates memory traffic: 2,048 tokens x 4,096 logits are 33 MB
that a plain implementation reads and writes several times. Working through the tokens in chunks that
fit the cache, and computing the gradient in the forward pass (the softmax minus the one-hot target),
does the same sums in a fraction of the traffic.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from assay.model.tokens import MicroBatch
from assay.model.train._memory import offloaded

CHUNK = 512


class Loss(nn.Module):
    """Summed cross-entropy of learned tokens, by the cheapest way that is right for the model.

    Most causal models are a body and a linear head; then only learned positions pass the head, in
    chunks.  Whether that is so is not guessed from names: it is checked once on the model itself.
    A module around the model, so that what spreads a model over devices can take hold of both.
    """

    def __init__(self, model: Any, dtype: str, *, offload: bool = False) -> None:
        """Check whether the head may be applied apart from the body; ``offload`` the activations."""
        super().__init__()
        self.model = model
        self.kept = offloaded if offload else nullcontext
        self.dtype = torch.bfloat16 if dtype == "bf16" else None
        self.split = self._head_is_linear()

    @property
    def body(self) -> Any:
        """The model without its head, None where it has no such part."""
        return getattr(self.model, self.model.base_model_prefix, None)

    @property
    def head(self) -> Any:
        """The layer from hidden states to logits."""
        return self.model.get_output_embeddings()

    @torch.no_grad()
    def _head_is_linear(self) -> bool:
        if self.body is None or getattr(self.head, "bias", None) is not None:
            return False
        if not hasattr(self.head, "weight"):
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

    def forward(self, batch: MicroBatch) -> Tensor:
        """Return the summed loss in nats over the learned tokens of a micro-batch."""
        device = self.head.weight.device
        inputs: dict[str, Tensor] = {"input_ids": batch.ids.to(device)}
        if batch.positions is not None:
            inputs["position_ids"] = batch.positions.to(device)
        learned = batch.learned[:, 1:].to(device)
        targets = inputs["input_ids"][:, 1:][learned]
        with self.kept(), torch.autocast(device.type, torch.bfloat16, enabled=self.dtype is not None):
            if self.split:
                hidden = self.body(**inputs, use_cache=False).last_hidden_state[:, :-1][learned]
            else:
                logits = self.model(**inputs, use_cache=False).logits[:, :-1][learned]
        if self.split:
            return linear_cross_entropy(hidden, self.head.weight, targets, self.dtype)
        return nn.functional.cross_entropy(logits.float(), targets, reduction="sum")


class _LinearCrossEntropy(torch.autograd.Function):
    """Sum over tokens of -log softmax(hidden @ weight.T)[target], chunked."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, target: Tensor, dtype: torch.dtype | None
    ) -> Tensor:
        kept, weight = weight, weight if dtype is None else weight.to(dtype)
        total = hidden.new_zeros((), dtype=torch.float32)
        grad_hidden = torch.empty_like(hidden)
        # A frozen head has no gradient to hold.
        grad_weight = torch.zeros_like(kept, dtype=torch.float32) if ctx.needs_input_grad[1] else None
        for start in range(0, len(hidden), CHUNK):
            part = hidden[start : start + CHUNK].to(weight.dtype)
            wanted = target[start : start + CHUNK, None]
            logits = (part @ weight.T).float()
            log_sum = torch.logsumexp(logits, dim=-1, keepdim=True)
            total += (log_sum - logits.gather(1, wanted)).sum()
            probabilities = logits.sub_(log_sum).exp_()
            probabilities.scatter_add_(1, wanted, probabilities.new_full(wanted.shape, -1.0))
            slope = probabilities.to(weight.dtype)
            grad_hidden[start : start + CHUNK] = slope @ weight
            if grad_weight is not None:
                grad_weight += slope.T @ part
        ctx.save_for_backward(grad_hidden, None if grad_weight is None else grad_weight.to(kept.dtype))
        return total

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, Tensor | None, None, None]:
        grad_hidden, grad_weight = ctx.saved_tensors
        return grad_hidden * upstream, None if grad_weight is None else grad_weight * upstream, None, None


def linear_cross_entropy(
    hidden: Tensor, weight: Tensor, target: Tensor, dtype: torch.dtype | None = None
) -> Tensor:
    """Return the summed negative log-likelihood in nats.

    ``hidden`` [n, d], ``weight`` [vocabulary, d], ``target`` [n] (int64, every entry counts); ``dtype``
    is the type of the matrix products (None: that of the weight).  Equal to
    ``cross_entropy(hidden @ weight.T, target, reduction="sum")`` up to rounding.
    """
    result: Tensor = _LinearCrossEntropy.apply(  # type: ignore[no-untyped-call]
        hidden, weight, target, dtype
    )
    return result
