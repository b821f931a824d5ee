"""Base models: found by name, loaded whole or with an adapter, merged, given a longer vocabulary."""

from __future__ import annotations

from assay.model.base._load import (
    FROZEN,
    Frozen,
    load_exported,
    load_frozen,
    load_model,
    load_tokenizer,
    load_whole,
    need_package,
    pick_device,
    quiet,
)
from assay.model.base._merge import SHARD, ExportDtype, dress, merge, save
from assay.model.base._resolve import (
    ADAPTER,
    POCKET,
    base_digest,
    base_files,
    base_name,
    fetch,
    model_folder,
    name_base,
    reading_digest,
    resolve_base,
    template_name,
    tokenizer_digest,
    tokenizer_folder,
)
from assay.model.base._vocabulary import ExtensionReport, extend_vocabulary
from assay.model.base._weights import count_weights

__all__ = [
    "ADAPTER",
    "FROZEN",
    "POCKET",
    "SHARD",
    "ExportDtype",
    "ExtensionReport",
    "Frozen",
    "base_digest",
    "base_files",
    "base_name",
    "count_weights",
    "dress",
    "extend_vocabulary",
    "fetch",
    "load_exported",
    "load_frozen",
    "load_model",
    "load_tokenizer",
    "load_whole",
    "merge",
    "model_folder",
    "name_base",
    "need_package",
    "pick_device",
    "quiet",
    "reading_digest",
    "resolve_base",
    "save",
    "template_name",
    "tokenizer_digest",
    "tokenizer_folder",
]
