"""The only room that imports torch: tokens and loss masks, fine-tuning, loss, answers, embeddings, critics.

Names that need torch are loaded at first use, so that plans and help stay quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from assay.model._base import (
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
from assay.model._embed import LEXICAL, MINILM, Embedder, embedder, embedder_id
from assay.model._estimate import (
    DEVICES,
    Device,
    TrainingEstimate,
    estimate_training,
    smallest_machine,
    this_gpu,
    training_memory,
)
from assay.model._launch import Launch
from assay.model._recipe import PRESETS, Recipe, preset, read_recipe
from assay.model._shape import Shape, find_shape, read_shape
from assay.model._templates import TEMPLATES, chat_template, end_mark, render, stop_ids
from assay.model._tokens import Encoded, TokenTable, encode, encode_prompts, write_tokens
from assay.model._vllm import vllm_answer, vllm_python

if TYPE_CHECKING:
    from assay.model._critics import DIMENSIONS, boolean_questions, rewarder
    from assay.model._engine import set_threads
    from assay.model._evaluate import Answer, Decoding, ItemLoss, answer, reference_loss, text_loss
    from assay.model._gguf import GgufFile, GgufKind, write_gguf
    from assay.model._gptq import Quantized, quantize_gptq, quantize_gptqmodel
    from assay.model._hidden import hidden_means
    from assay.model._influence import Influence, InfluenceSettings
    from assay.model._llama_cpp import GgufModel, tokenizer_agreement
    from assay.model._merge import ExportDtype, load_exported, merge
    from assay.model._modelfile import write_modelfile
    from assay.model._stream import ChatModel, Piece, Prompt, TooLongError, open_chat
    from assay.model._train import (
        TRAINERS,
        Segment,
        Trainer,
        TrainReport,
        train_full,
        trainer,
        trainer_identity,
    )
    from assay.model._vocabulary import ExtensionReport, extend_vocabulary

_LAZY = {
    "DIMENSIONS": "_critics",
    "boolean_questions": "_critics",
    "rewarder": "_critics",
    "GgufFile": "_gguf",
    "GgufKind": "_gguf",
    "write_gguf": "_gguf",
    "GgufModel": "_llama_cpp",
    "tokenizer_agreement": "_llama_cpp",
    "Quantized": "_gptq",
    "quantize_gptq": "_gptq",
    "quantize_gptqmodel": "_gptq",
    "hidden_means": "_hidden",
    "Influence": "_influence",
    "InfluenceSettings": "_influence",
    "Answer": "_evaluate",
    "Decoding": "_evaluate",
    "ItemLoss": "_evaluate",
    "answer": "_evaluate",
    "reference_loss": "_evaluate",
    "text_loss": "_evaluate",
    "ExportDtype": "_merge",
    "load_exported": "_merge",
    "merge": "_merge",
    "write_modelfile": "_modelfile",
    "ChatModel": "_stream",
    "Piece": "_stream",
    "Prompt": "_stream",
    "TooLongError": "_stream",
    "open_chat": "_stream",
    "Segment": "_train",
    "TRAINERS": "_train",
    "TrainReport": "_train",
    "Trainer": "_train",
    "set_threads": "_engine",
    "train_full": "_train",
    "trainer": "_train",
    "trainer_identity": "_train",
    "ExtensionReport": "_vocabulary",
    "extend_vocabulary": "_vocabulary",
}

__all__ = [
    "DEVICES",
    "DIMENSIONS",
    "LEXICAL",
    "MINILM",
    "POCKET",
    "PRESETS",
    "TEMPLATES",
    "TRAINERS",
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
    "trainer_identity",
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
