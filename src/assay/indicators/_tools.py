"""The models and samples that indicators may ask for, each loaded once, at its first use."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from assay import model
from assay.core import AssayError, Sample, digest
from assay.indicators._cache import Cache
from assay.model import Given

Vectors = NDArray[np.float32]

_BATCH = 1024
_KEPT = 1 << 16


@dataclass(frozen=True, slots=True)
class Models:
    """Which models and samples serve the indicators.

    ``base``: `pocket`, a folder or an id, for ppl, ifd, miwv, rds, less; ``second``: another, for loss_gap;
    ``embedder``: for knn, miwv; ``reward`` (`deberta`, `oasst`) and ``dialog`` (`unieval`): critics, by short
    name, folder or id; ``target``: samples like those the model
    is to be good at, for rds and less; ``reference``: samples that knn_reference measures the distance to;
    ``neighbour``: which one knn takes; ``template``: how a conversation is written for the base (`auto`: by
    its tokenizer's own template, else `plain`); ``cache``: folder for values of models (None: nowhere);
    ``other_models``: apply a rule with models that are not its own, and say so.
    """

    base: str = model.POCKET
    second: str | None = None
    embedder: str = model.MINILM
    reward: str | None = None
    dialog: str | None = None
    target: tuple[Sample, ...] = ()
    reference: tuple[Sample, ...] = ()
    neighbour: int = 6
    max_tokens: int = 1024
    template: str = "auto"
    cache: Path | None = None
    other_models: bool = False


CRITICS = {
    "deberta": "OpenAssistant/reward-model-deberta-v3-large-v2",
    "oasst": "OpenAssistant/oasst-rm-2.1-pythia-1.4b-epoch-2.5",
    "unieval": "MingZhong/unieval-dialog",
}
"""The published critics by short name: reward models of INSTRUCTMINING's two rules, and UniEval."""

DEFAULT = Models()
"""The embedded models, nothing cached."""


class Losses:
    """Mean losses of answers under one model; the latest are kept, as indicators share them."""

    def __init__(self, name: str, max_tokens: int, template: str = "auto") -> None:
        """Find the model; its weights are loaded where a loss is asked for."""
        self.folder = model.resolve_base(name)
        self.max_tokens, self.template = max_tokens, template
        self._kept: dict[tuple[Given, str], float | None] = {}

    @cached_property
    def revision(self) -> str:
        """Digest of all that a loss depends on beside the text."""
        facts = {"base": model.base_digest(self.folder), "max_tokens": self.max_tokens}
        return digest(facts if self.template == "auto" else {**facts, "template": self.template})

    @cached_property
    def model(self) -> Any:
        """The network."""
        return model.load_model(self.folder, model.pick_device())

    @cached_property
    def tokenizer(self) -> Any:
        """The tokenizer, which writes conversations by the template."""
        return model.load_tokenizer(self.folder, None if self.template == "auto" else self.template)

    def of(self, samples: Sequence[Sample], given: Given = "prompt") -> list[float | None]:
        """Return nats per token of each last answer after what is ``given``, its end mark not counted."""
        missing = {s.id: s for s in samples if (given, s.id) not in self._kept}
        if missing:
            if len(self._kept) > _KEPT:
                self._kept.clear()
                missing = {s.id: s for s in samples}
            found = model.answer_loss(
                self.model, self.tokenizer, list(missing.values()), given=given, max_tokens=self.max_tokens
            )
            self._kept.update(((given, i), _mean(loss)) for i, loss in zip(missing, found, strict=True))
        return [self._kept[given, sample.id] for sample in samples]


def _mean(loss: model.ItemLoss | None) -> float | None:
    return loss.nats / loss.tokens if loss is not None and loss.tokens else None


class Tools:
    """What :class:`Models` names, loaded at the first use and shared between indicators."""

    def __init__(self, models: Models) -> None:
        """Load nothing yet."""
        self.models = models

    @cached_property
    def base(self) -> Losses:
        """The base model."""
        return Losses(self.models.base, self.models.max_tokens, self.models.template)

    @cached_property
    def second(self) -> Losses:
        """The second model."""
        if self.models.second is None:
            raise AssayError(
                "two models are compared, and one is missing", place="--second", expected="a causal model"
            )
        return Losses(self.models.second, self.models.max_tokens, self.models.template)

    @cached_property
    def embedder(self) -> model.Embedder:
        """The embedding model."""
        return model.embedder(self.models.embedder)

    @cached_property
    def reward(self) -> tuple[model.Grade, str]:
        """The reward model and its digest."""
        folder = self.critic("reward")
        return model.rewarder(folder, max_tokens=self.models.max_tokens), model.critic_digest(folder)

    @cached_property
    def dialog(self) -> tuple[Any, str]:
        """UniEval by dimension, and its digest."""
        folder = self.critic("dialog")
        return model.boolean_questions(folder, max_tokens=self.models.max_tokens), model.critic_digest(folder)

    def critic(self, setting: Literal["reward", "dialog"]) -> Path:
        """Return the folder of a critic."""
        name = self.models.reward if setting == "reward" else self.models.dialog
        if name is None:
            usual = "deberta or oasst" if setting == "reward" else "unieval"
            raise AssayError(
                "the indicator needs a model", place=f"--{setting}", expected=f"{usual}, or a folder or id"
            )
        return model.critic_folder(CRITICS.get(name, name), f"--{setting}")

    def target(self, name: str) -> tuple[Sample, ...]:
        """Return the target samples, or say that ``name`` needs them."""
        if not self.models.target:
            raise AssayError(
                "the indicator needs target samples",
                place=f"indicator {name}",
                expected="samples like those the model is to be good at",
                hint="--target FILE (never the set that you report on)",
            )
        return self.models.target

    def reference(self) -> tuple[Sample, ...]:
        """Return the reference samples, or say that they are needed."""
        if not self.models.reference:
            raise AssayError(
                "the indicator needs reference samples",
                place="indicator knn_reference",
                hint="--reference FILE",
            )
        return self.models.reference

    def embed(self, texts: Iterable[str]) -> Vectors:
        """Return the unit vectors [n, dim] of a stream of texts; those in the cache are not computed.

        Half precision is what is stored, so it is what is returned, whether stored before or not.
        """
        stream = iter(texts)
        folder = self.models.cache
        if self.models.embedder == model.LEXICAL:
            folder = None  # cheaper to compute than to look up
        store = None if folder is None else Cache(folder, f"vectors-{self.embedder.revision[:16]}")
        parts = [np.zeros((0, self.embedder.dim), np.float16)]
        while batch := list(islice(stream, _BATCH)):
            parts.append(self._embed(batch, store))
        return np.concatenate(parts).astype(np.float32)

    def _embed(self, batch: Sequence[str], store: Cache | None) -> NDArray[np.float16]:
        if store is None:
            return self.embedder.encode(batch).astype(np.float16)
        keys = [hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32] for text in batch]
        known = store.get(keys)
        missing = {key: text for key, text in zip(keys, batch, strict=True) if key not in known}
        if missing:
            vectors = self.embedder.encode(list(missing.values())).astype(np.float16)
            fresh = {key: vector.tobytes() for key, vector in zip(missing, vectors, strict=True)}
            store.put(fresh)
            known |= fresh
        return np.stack([np.frombuffer(known[key], np.float16) for key in keys])  # type: ignore[arg-type]


def whole(sample: Sample) -> str:
    """Return prompt and answer as one text."""
    return "\n".join(m.content for m in sample.messages)


def prompt(sample: Sample) -> str:
    """Return the prompt as one text."""
    return "\n".join(m.content for m in sample.prompt)
