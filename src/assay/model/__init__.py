"""The only room that imports torch: tokens and loss masks, fine-tuning, loss, answers, embeddings, critics.

Names that need torch are loaded at first use, so that plans and help stay quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from assay.model.base._resolve import (
    POCKET,
    base_digest,
    base_name,
    load_model,
    load_tokenizer,
    model_folder,
    name_base,
    pick_device,
    resolve_base,
)
from assay.model.estimate._estimate import (
    DEVICES,
    Device,
    TrainingEstimate,
    estimate_training,
    smallest_machine,
    this_gpu,
    training_memory,
)
from assay.model.estimate._shape import Shape, find_shape, read_shape
from assay.model.indicators._embed import LEXICAL, MINILM, Embedder, embedder, embedder_id
from assay.model.inference._vllm import vllm_answer, vllm_python
from assay.model.launch._launch import Launch
from assay.model.tokens._encode import Encoded, TokenTable, encode, encode_prompts, write_tokens
from assay.model.tokens._templates import TEMPLATES, chat_template, end_mark, render, stop_ids
from assay.model.train._recipe import PRESETS, Recipe, preset, read_recipe

if TYPE_CHECKING:
    from assay.model.base._merge import ExportDtype, load_exported, merge
    from assay.model.base._vocabulary import ExtensionReport, extend_vocabulary
    from assay.model.export._gguf import GgufFile, GgufKind, write_gguf
    from assay.model.export._gptq import Quantized, quantize_gptq, quantize_gptqmodel
    from assay.model.export._modelfile import write_modelfile
    from assay.model.indicators._critics import DIMENSIONS, boolean_questions, rewarder
    from assay.model.indicators._hidden import hidden_means
    from assay.model.indicators._influence import Influence, InfluenceSettings
    from assay.model.inference._evaluate import Answer, Decoding, ItemLoss, answer, reference_loss, text_loss
    from assay.model.inference._llama_cpp import GgufModel, tokenizer_agreement
    from assay.model.inference._stream import ChatModel, Piece, Prompt, TooLongError, open_chat
    from assay.model.train._engine import set_threads
    from assay.model.train._train import Segment, Trainer, TrainReport, train_full, trainer

_LAZY = {
    "DIMENSIONS": "indicators._critics",
    "boolean_questions": "indicators._critics",
    "rewarder": "indicators._critics",
    "GgufFile": "export._gguf",
    "GgufKind": "export._gguf",
    "write_gguf": "export._gguf",
    "GgufModel": "inference._llama_cpp",
    "tokenizer_agreement": "inference._llama_cpp",
    "Quantized": "export._gptq",
    "quantize_gptq": "export._gptq",
    "quantize_gptqmodel": "export._gptq",
    "hidden_means": "indicators._hidden",
    "Influence": "indicators._influence",
    "InfluenceSettings": "indicators._influence",
    "Answer": "inference._evaluate",
    "Decoding": "inference._evaluate",
    "ItemLoss": "inference._evaluate",
    "answer": "inference._evaluate",
    "reference_loss": "inference._evaluate",
    "text_loss": "inference._evaluate",
    "ExportDtype": "base._merge",
    "load_exported": "base._merge",
    "merge": "base._merge",
    "write_modelfile": "export._modelfile",
    "ChatModel": "inference._stream",
    "Piece": "inference._stream",
    "Prompt": "inference._stream",
    "TooLongError": "inference._stream",
    "open_chat": "inference._stream",
    "Segment": "train._train",
    "TrainReport": "train._train",
    "Trainer": "train._train",
    "set_threads": "train._engine",
    "train_full": "train._train",
    "trainer": "train._train",
    "ExtensionReport": "base._vocabulary",
    "extend_vocabulary": "base._vocabulary",
}

__all__ = [
    "DEVICES",
    "DIMENSIONS",
    "LEXICAL",
    "MINILM",
    "POCKET",
    "PRESETS",
    "TEMPLATES",
    "Answer",
    "ChatModel",
    "Decoding",
    "Device",
    "Embedder",
    "Encoded",
    "ExportDtype",
    "ExtensionReport",
    "GgufFile",
    "GgufKind",
    "GgufModel",
    "Influence",
    "InfluenceSettings",
    "ItemLoss",
    "Launch",
    "Piece",
    "Prompt",
    "Quantized",
    "Recipe",
    "Segment",
    "Shape",
    "TokenTable",
    "TooLongError",
    "TrainReport",
    "Trainer",
    "TrainingEstimate",
    "answer",
    "base_digest",
    "base_name",
    "boolean_questions",
    "chat_template",
    "embedder",
    "embedder_id",
    "encode",
    "encode_prompts",
    "end_mark",
    "estimate_training",
    "extend_vocabulary",
    "find_shape",
    "hidden_means",
    "load_exported",
    "load_model",
    "load_tokenizer",
    "merge",
    "model_folder",
    "name_base",
    "open_chat",
    "pick_device",
    "preset",
    "quantize_gptq",
    "quantize_gptqmodel",
    "read_recipe",
    "read_shape",
    "reference_loss",
    "render",
    "resolve_base",
    "rewarder",
    "set_threads",
    "smallest_machine",
    "stop_ids",
    "text_loss",
    "this_gpu",
    "tokenizer_agreement",
    "train_full",
    "trainer",
    "training_memory",
    "vllm_answer",
    "vllm_python",
    "write_gguf",
    "write_modelfile",
    "write_tokens",
]


def __getattr__(name: str) -> Any:
    """Load a torch-dependent name at its first use."""
    if name in _LAZY:
        return getattr(import_module(f"assay.model.{_LAZY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
