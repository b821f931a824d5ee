"""Conversations to tokens: chat templates, loss masks, token tables, micro-batches."""

from __future__ import annotations

from assay.model.tokens._batches import MicroBatch, bucketed, micro_batches, packed, pad_right, partition
from assay.model.tokens._encode import (
    Encoded,
    Given,
    TokenTable,
    encode,
    encode_answers,
    encode_prompts,
    refusals,
    write_tokens,
)
from assay.model.tokens._templates import AUTO, TEMPLATES, chat_template, end_mark, render, stop_ids

__all__ = [
    "AUTO",
    "TEMPLATES",
    "Encoded",
    "Given",
    "MicroBatch",
    "TokenTable",
    "bucketed",
    "chat_template",
    "encode",
    "encode_answers",
    "encode_prompts",
    "end_mark",
    "micro_batches",
    "packed",
    "pad_right",
    "partition",
    "refusals",
    "render",
    "stop_ids",
    "write_tokens",
]
