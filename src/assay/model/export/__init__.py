"""Models in the formats of other programs: GPTQ, GGUF, Ollama."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assay.model._lazy import lazy

if TYPE_CHECKING:
    from assay.model.export._gguf import GgufFile, GgufKind, write_gguf
    from assay.model.export._gptq import Quantized, quantize_gptq, quantize_gptqmodel
    from assay.model.export._modelfile import write_modelfile

__all__ = [
    "GgufFile",
    "GgufKind",
    "Quantized",
    "quantize_gptq",
    "quantize_gptqmodel",
    "write_gguf",
    "write_modelfile",
]

if not TYPE_CHECKING:
    __getattr__ = lazy(
        __name__,
        _gguf="GgufFile GgufKind write_gguf",
        _gptq="Quantized quantize_gptq quantize_gptqmodel",
        _modelfile="write_modelfile",
    )
