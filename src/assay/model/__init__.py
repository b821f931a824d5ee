"""The only package that imports torch: tokens, base models, fine-tuning, loss, answers, embeddings, exports.

Names that need torch are loaded at first use, so that plans and help stay quick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from assay.model._lazy import lazy

if TYPE_CHECKING:
    from assay.model.base import (
        POCKET,
        ExportDtype,
        ExtensionReport,
        base_digest,
        base_name,
        count_weights,
        extend_vocabulary,
        load_exported,
        load_model,
        load_tokenizer,
        merge,
        model_folder,
        name_base,
        pick_device,
        reading_digest,
        resolve_base,
        template_name,
        tokenizer_digest,
        tokenizer_folder,
    )
    from assay.model.estimate import (
        DEVICES,
        Device,
        Shape,
        TrainingEstimate,
        estimate_training,
        find_shape,
        read_shape,
        smallest_machine,
        this_gpu,
        training_memory,
    )
    from assay.model.export import (
        GgufFile,
        GgufKind,
        Quantized,
        quantize_gptq,
        quantize_gptqmodel,
        write_gguf,
        write_modelfile,
    )
    from assay.model.external import (
        EXTERNAL,
        ExternalRun,
        HandedBase,
        Tool,
        external_tool,
        look,
        read_run,
        receive,
        write_run,
    )
    from assay.model.indicators import (
        DIMENSIONS,
        LEXICAL,
        MINILM,
        Embedder,
        Grade,
        Gradients,
        Influence,
        InfluenceSettings,
        boolean_questions,
        critic_digest,
        critic_folder,
        embedder,
        embedder_id,
        hidden_means,
        loss_gradients,
        rewarder,
    )
    from assay.model.inference import (
        Answer,
        ChatModel,
        Decoding,
        GgufModel,
        ItemLoss,
        Odds,
        Piece,
        Prompt,
        TooLongError,
        answer,
        answer_confidence,
        answer_loss,
        open_chat,
        reference_loss,
        tokenizer_agreement,
        vllm_answer,
        vllm_python,
    )
    from assay.model.launch import Launch, shared_steps, trainer, trainer_identity
    from assay.model.tokens import (
        TEMPLATES,
        Encoded,
        Given,
        TokenTable,
        chat_template,
        encode,
        encode_answers,
        encode_prompts,
        end_mark,
        partition,
        refusals,
        render,
        stop_ids,
        write_tokens,
    )
    from assay.model.train import (
        PRESETS,
        TRAINERS,
        Recipe,
        Segment,
        Trainer,
        TrainReport,
        preset,
        read_recipe,
        set_threads,
        train_full,
    )

__all__ = [
    "DEVICES",
    "DIMENSIONS",
    "EXTERNAL",
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
    "ExternalRun",
    "GgufFile",
    "GgufKind",
    "GgufModel",
    "Given",
    "Grade",
    "Gradients",
    "HandedBase",
    "Influence",
    "InfluenceSettings",
    "ItemLoss",
    "Launch",
    "Odds",
    "Piece",
    "Prompt",
    "Quantized",
    "Recipe",
    "Segment",
    "Shape",
    "TokenTable",
    "TooLongError",
    "Tool",
    "TrainReport",
    "Trainer",
    "TrainingEstimate",
    "answer",
    "answer_confidence",
    "answer_loss",
    "base_digest",
    "base_name",
    "boolean_questions",
    "chat_template",
    "count_weights",
    "critic_digest",
    "critic_folder",
    "embedder",
    "embedder_id",
    "encode",
    "encode_answers",
    "encode_prompts",
    "end_mark",
    "estimate_training",
    "extend_vocabulary",
    "external_tool",
    "find_shape",
    "hidden_means",
    "load_exported",
    "load_model",
    "load_tokenizer",
    "look",
    "loss_gradients",
    "merge",
    "model_folder",
    "name_base",
    "open_chat",
    "partition",
    "pick_device",
    "preset",
    "quantize_gptq",
    "quantize_gptqmodel",
    "read_recipe",
    "read_run",
    "read_shape",
    "reading_digest",
    "receive",
    "reference_loss",
    "refusals",
    "render",
    "resolve_base",
    "rewarder",
    "set_threads",
    "shared_steps",
    "smallest_machine",
    "stop_ids",
    "template_name",
    "this_gpu",
    "tokenizer_agreement",
    "tokenizer_digest",
    "tokenizer_folder",
    "train_full",
    "trainer",
    "trainer_identity",
    "training_memory",
    "vllm_answer",
    "vllm_python",
    "write_gguf",
    "write_modelfile",
    "write_run",
    "write_tokens",
]

if not TYPE_CHECKING:
    __getattr__ = lazy(
        __name__,
        base=(
            "ExportDtype ExtensionReport POCKET base_digest base_name count_weights extend_vocabulary "
            "load_exported load_model load_tokenizer merge model_folder name_base pick_device "
            "reading_digest resolve_base template_name tokenizer_digest tokenizer_folder"
        ),
        estimate=(
            "DEVICES Device Shape TrainingEstimate estimate_training find_shape read_shape "
            "smallest_machine this_gpu training_memory"
        ),
        export=("GgufFile GgufKind Quantized quantize_gptq quantize_gptqmodel write_gguf write_modelfile"),
        indicators=(
            "DIMENSIONS Embedder Grade Gradients Influence InfluenceSettings LEXICAL MINILM "
            "boolean_questions critic_digest critic_folder embedder embedder_id hidden_means "
            "loss_gradients rewarder"
        ),
        inference=(
            "Answer ChatModel Decoding GgufModel ItemLoss Odds Piece Prompt TooLongError answer "
            "answer_confidence answer_loss open_chat reference_loss tokenizer_agreement "
            "vllm_answer vllm_python"
        ),
        external=("EXTERNAL ExternalRun HandedBase Tool external_tool look read_run receive write_run"),
        launch="Launch shared_steps trainer trainer_identity",
        tokens=(
            "Encoded Given TEMPLATES TokenTable chat_template encode encode_answers encode_prompts end_mark "
            "partition refusals render stop_ids write_tokens"
        ),
        train=(
            "PRESETS Recipe Segment TRAINERS TrainReport Trainer preset read_recipe set_threads train_full"
        ),
    )
