"""Samples as position-weighted means of a base model's hidden states (RDS+)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from assay.core import Sample
from assay.model.tokens import encode, pad_right, partition


@torch.no_grad()
def hidden_means(
    model: Any, tokenizer: Any, samples: Sequence[Sample], *, max_tokens: int = 1024, micro_tokens: int = 8192
) -> npt.NDArray[np.float32]:
    """Return unit vectors [n, hidden]: the last hidden states of prompt and answer, weighted by position.

    Token i of n weighs i / (1 + ... + n) (Ivison et al. 2025, 2503.01807, section 3.2: RDS+).
    """
    model.eval()
    device = next(model.parameters()).device
    rows = encode(tokenizer, samples, max_tokens)
    found = np.zeros((len(rows), model.config.hidden_size), np.float32)
    for group in partition([len(row.ids) for row in rows], micro_tokens):
        batch = pad_right([rows[i] for i in group], model.config.pad_token_id or 0)
        states = model(input_ids=batch.ids.to(device), output_hidden_states=True, use_cache=False)
        hidden = states.hidden_states[-1].float()
        for line, i in enumerate(group):
            size = len(rows[i].ids)
            weight = torch.arange(1, size + 1, device=device, dtype=torch.float32)
            mean = (hidden[line, :size] * weight[:, None]).sum(dim=0) / weight.sum()
            found[i] = torch.nn.functional.normalize(mean, dim=0).cpu().numpy()
    return found
