"""Indicators that a causal language model gives: how hard the answer is, with its instruction and without."""

from __future__ import annotations

import math
from collections.abc import Sequence

from assay import model
from assay.core import Sample
from assay.score._indicator import Indicator, Undefined, Value

_CUT = Undefined("no answer, or the prompt alone is too long for the model")


class _Losses:
    """Mean losses of answers under one model; the last batch is kept, as indicators share it."""

    def __init__(self, base: str, max_tokens: int) -> None:
        self.folder = model.resolve_base(base)
        self.max_tokens = max_tokens
        self._model = model.load_model(self.folder, model.pick_device())
        self._tokenizer = model.load_tokenizer(self.folder)
        self._kept: tuple[tuple[str, ...], list[float | None]] = ((), [])

    def conditioned(self, samples: Sequence[Sample]) -> list[float | None]:
        """Return nats per token of each answer after its prompt, the end mark among the tokens."""
        ids = tuple(sample.id for sample in samples)
        if ids != self._kept[0]:
            found = model.reference_loss(self._model, self._tokenizer, samples, max_tokens=self.max_tokens)
            self._kept = (ids, [_mean(loss) for loss in found])
        return self._kept[1]

    def alone(self, samples: Sequence[Sample]) -> list[float | None]:
        """Return nats per token of each answer after the start mark only."""
        texts = [sample.answer or "" for sample in samples]
        found = model.text_loss(self._model, self._tokenizer, texts, max_tokens=self.max_tokens)
        return [_mean(loss) for loss in found]


def _mean(loss: model.ItemLoss | None) -> float | None:
    return loss.nats / loss.tokens if loss is not None and loss.tokens else None


def model_indicators(base: str, *, max_tokens: int = 1024) -> dict[str, Indicator]:
    """Return the indicators that ``base`` (``pocket``, a folder or an id) gives; loads the model."""
    losses = _Losses(base, max_tokens)

    def ppl(samples: Sequence[Sample]) -> list[Value]:
        return [_CUT if loss is None else math.exp(min(loss, 700.0)) for loss in losses.conditioned(samples)]

    def ifd(samples: Sequence[Sample]) -> list[Value]:
        pairs = zip(losses.conditioned(samples), losses.alone(samples), strict=True)
        return [_CUT if after is None or not alone else after / alone for after, alone in pairs]

    made = (
        Indicator("ppl", 1, "ratio", 0, (f"model:{base}",), "INSTRUCTMINING, table 1", ppl),
        Indicator("ifd", 1, "ratio", 1, (f"model:{base}",), "Li et al. 2024 (2308.12032), equation 4", ifd),
    )
    return {indicator.name: indicator for indicator in made}
