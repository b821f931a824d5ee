"""The models and samples that indicators may ask for, each loaded once, at its first use."""

from __future__ import annotations

import atexit
import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from assay import model
from assay.core import AssayError, OnCommand, Sample, digest
from assay.data import read
from assay.indicators._cache import Cache
from assay.llm import Chat, ChatConfig, open_chat
from assay.model import Given

Vectors = NDArray[np.float32]

_BATCH = 1024
_KEPT = 1 << 16

Advance: TypeAlias = Callable[[float, float, str], None]
"""Is told how many of how many of which unit are done."""
Samples: TypeAlias = Annotated[Sequence[Sample | str | Path], OnCommand(tuple[str, ...])]
"""Samples, and places of samples."""


@dataclass(frozen=True, slots=True)
class Models:
    """Models and samples that indicators and selections may need.

    Parameters
    ----------
    base
        Causal model for ppl, ifd, miwv, rds, less: `pocket`, a folder, or a Hugging Face id.
    second
        Another causal model, for loss_gap.
    embedder
        `minilm` (English), `lexical` (any script, no model), or a sentence-transformers or Model2Vec model.
    reward
        Reward model: `deberta`, `oasst`, or any sequence classifier with one output.
    dialog
        UniEval model (`unieval`, or a compatible T5), for naturalness, coherence and understandability.
    target
        Samples that represent the tasks the model should be good at, for rds, less and the target
        selection: files, or in Python also samples.
    reference
        Reference samples for knn_reference.
    rater
        Chat model for alpagasus, deita and instag, by its inspect-ai name (`openai/...`, `ollama/...`).
    rater_url
        URL of the server of `rater`.
    rater_budget
        Hard limit on what ratings may ever spend with this cache: "20 USD", "2M tokens", or both.
    neighbour
        Rank of the neighbour used by knn.
    max_tokens
        Truncate samples to this many tokens for the causal models.
    template
        Chat template for the base model: `auto` (the model's own), `plain`, `belle`, `alpaca`, `chatml`.
    cache
        Folder that caches model outputs, so that nothing is computed twice.
    other_models
        Apply a rule with models other than those it was fitted with; the result says so.
    """

    base: str = model.POCKET
    second: str | None = None
    embedder: str = model.MINILM
    reward: str | None = None
    dialog: str | None = None
    target: Samples = ()
    reference: Samples = ()
    rater: str | None = None
    rater_url: str | None = None
    rater_budget: str | None = None
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

    def __init__(self, models: Models, advance: Advance = lambda done, total, unit: None) -> None:
        """Load nothing yet; ``advance`` is told of what comes before the first sample is measured."""
        self.models, self.advance = models, advance

    @cached_property
    def base(self) -> Losses:
        """The base model."""
        return Losses(self.models.base, self.models.max_tokens, self.models.template)

    @cached_property
    def second(self) -> Losses:
        """The second model."""
        if self.models.second is None:
            raise AssayError(
                "the indicator compares two models, and one is missing",
                place="--second",
                expected="a causal model",
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

    @cached_property
    def rater(self) -> Chat:
        """The chat model that rates; its replies and what they cost are kept beside the cache of scores."""
        models = self.models
        if models.rater is None:
            raise AssayError(
                "the indicator needs a chat model", place="--rater",
                expected="a model as inspect-ai names it",
                hint='--rater openai/... --rater-budget "2 USD"; --rater-url for a server of your own',
            )  # fmt: skip
        config = ChatConfig(models.rater, models.rater_url, budget=models.rater_budget)
        run = None
        if models.cache is not None:
            config = replace(config, calls=models.cache.parent / "calls")
            run = f"ratings {models.cache.resolve()}"
        chat = open_chat(config, run=run)
        # Not where these tools are collected: that may be in the thread that closing waits for.
        atexit.register(chat.close)
        return chat

    def critic(self, setting: Literal["reward", "dialog"]) -> Path:
        """Return the folder of a critic."""
        name = self.models.reward if setting == "reward" else self.models.dialog
        if name is None:
            usual = "deberta or oasst" if setting == "reward" else "unieval"
            raise AssayError(
                "the indicator needs a model", place=f"--{setting}", expected=f"{usual}, or a folder or id"
            )
        return model.critic_folder(CRITICS.get(name, name), f"--{setting}")

    @cached_property
    def _target(self) -> tuple[Sample, ...]:
        return _samples(self.models.target)

    @cached_property
    def _reference(self) -> tuple[Sample, ...]:
        return _samples(self.models.reference)

    def target(self, name: str) -> tuple[Sample, ...]:
        """Return the target samples, or say that ``name`` needs them."""
        if not self._target:
            raise AssayError(
                "the indicator needs target samples",
                place=f"indicator {name}",
                expected="samples that represent the tasks the model should be good at",
                hint="--target FILE (never the set that you report on)",
            )
        return self._target

    def reference(self) -> tuple[Sample, ...]:
        """Return the reference samples, or say that they are needed."""
        if not self._reference:
            raise AssayError(
                "the indicator needs reference samples",
                place="indicator knn_reference",
                hint="--reference FILE",
            )
        return self._reference

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


def _samples(given: Samples) -> tuple[Sample, ...]:
    """Return samples, those of places read."""
    found: list[Sample] = []
    for one in given:
        rows = [one] if isinstance(one, Sample) else read(one)
        found += (row for row in rows if isinstance(row, Sample))
    return tuple(found)


def whole(sample: Sample) -> str:
    """Return prompt and answer as one text."""
    return "\n".join(m.content for m in sample.messages)


def prompt(sample: Sample) -> str:
    """Return the prompt as one text."""
    return "\n".join(m.content for m in sample.prompt)
