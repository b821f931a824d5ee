"""Loss on reference answers and answers of a model's own: transformers, vLLM, llama.cpp, chat."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assay.model._lazy import lazy

if TYPE_CHECKING:
    from assay.model.inference._evaluate import (
        Answer,
        Decoding,
        ItemLoss,
        answer,
        answer_confidence,
        answer_loss,
        reference_loss,
    )
    from assay.model.inference._llama_cpp import GgufModel, quantize_gguf, tokenizer_agreement
    from assay.model.inference._odds import Odds
    from assay.model.inference._stream import ChatModel, Piece, Prompt, TooLongError, open_chat
    from assay.model.inference._vllm import vllm_answer, vllm_python

__all__ = [
    "Answer",
    "ChatModel",
    "Decoding",
    "GgufModel",
    "ItemLoss",
    "Odds",
    "Piece",
    "Prompt",
    "TooLongError",
    "answer",
    "answer_confidence",
    "answer_loss",
    "open_chat",
    "quantize_gguf",
    "reference_loss",
    "tokenizer_agreement",
    "vllm_answer",
    "vllm_python",
]

if not TYPE_CHECKING:
    __getattr__ = lazy(
        __name__,
        _evaluate="Answer Decoding ItemLoss answer answer_confidence answer_loss reference_loss",
        _llama_cpp="GgufModel quantize_gguf tokenizer_agreement",
        _odds="Odds",
        _stream="ChatModel Piece Prompt TooLongError open_chat",
        _vllm="vllm_answer vllm_python",
    )
