"""How many weights a model folder holds and their bytes, from the headers of its files: nothing is loaded."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_LONGEST_HEADER = 100_000_000
_BYTES = {"float64": 8, "float32": 4, "bfloat16": 2, "float16": 2, "int8": 1, "uint8": 1}


def count_weights(folder: Path) -> tuple[int, int] | None:
    """Return how many weights a folder's files hold, and their bytes; None where it has no such files.

    Of safetensors by their headers, each tensor as it is stored.  Of older files by their size and the type
    that ``config.json`` names: ``dtype``, or ``torch_dtype`` as it was called before.
    """
    tensors = [tensor for path in sorted(folder.glob("*.safetensors")) for tensor in _tensors(path)]
    if tensors:
        return (
            sum(math.prod(one["shape"]) for one in tensors),
            sum(one["data_offsets"][1] - one["data_offsets"][0] for one in tensors),
        )
    size = sum(path.stat().st_size for path in folder.glob("pytorch_model*.bin"))
    return (size // _BYTES.get(stored_type(folder), 4), size) if size else None


def stored_type(folder: Path) -> str:
    """Return the type of weights that ``config.json`` names, fp32 where it names none."""
    try:
        config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return "float32"
    return str(config.get("dtype") or config.get("torch_dtype") or "float32").removeprefix("torch.")


def _tensors(path: Path) -> Iterator[dict[str, Any]]:
    """Yield what the header of a safetensors file says of each tensor; nothing for a file that has none."""
    with path.open("rb") as file:
        start = file.read(8)
        size = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 0 < size < _LONGEST_HEADER:
            return
        try:
            header: dict[str, dict[str, Any]] = json.loads(file.read(size))
        except ValueError:
            return
    yield from (tensor for name, tensor in header.items() if name != "__metadata__")
