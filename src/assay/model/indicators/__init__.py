"""Models that indicators of samples need: embeddings, reward models, hidden states, influence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assay.model._lazy import lazy

if TYPE_CHECKING:
    from assay.model.indicators._agreement import Gradients, loss_gradients
    from assay.model.indicators._critics import (
        DIMENSIONS,
        Grade,
        boolean_questions,
        critic_digest,
        critic_folder,
        rewarder,
    )
    from assay.model.indicators._embed import LEXICAL, MINILM, Embedder, embedder, embedder_id
    from assay.model.indicators._hidden import hidden_means
    from assay.model.indicators._influence import Influence, InfluenceSettings

__all__ = [
    "DIMENSIONS",
    "LEXICAL",
    "MINILM",
    "Embedder",
    "Grade",
    "Gradients",
    "Influence",
    "InfluenceSettings",
    "boolean_questions",
    "critic_digest",
    "critic_folder",
    "embedder",
    "embedder_id",
    "hidden_means",
    "loss_gradients",
    "rewarder",
]

if not TYPE_CHECKING:
    __getattr__ = lazy(
        __name__,
        _agreement="Gradients loss_gradients",
        _critics="DIMENSIONS Grade boolean_questions critic_digest critic_folder rewarder",
        _embed="Embedder LEXICAL MINILM embedder embedder_id",
        _hidden="hidden_means",
        _influence="Influence InfluenceSettings",
    )
