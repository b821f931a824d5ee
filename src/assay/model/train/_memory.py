"""Memory of training: what "out of memory" looks like, and activations kept on the CPU until needed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

# Smaller tensors cost more to move than they hold.
_WORTH_BYTES = 2**16


def out_of_memory(error: BaseException) -> bool:
    """Say whether an error is a failed allocation, of a GPU's memory or of the machine's."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)


@contextmanager
def offloaded() -> Iterator[None]:
    """Within, keep what the backward pass needs in the machine's memory; parameters stay where they are."""

    def pack(tensor: Tensor) -> tuple[torch.device | None, Tensor]:
        whole: Any = tensor._base if tensor._is_view() else tensor
        if isinstance(whole, nn.Parameter) or tensor.nbytes < _WORTH_BYTES:
            return None, tensor
        host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=tensor.is_cuda)
        return tensor.device, host.copy_(tensor, non_blocking=tensor.is_cuda)

    def unpack(packed: tuple[torch.device | None, Tensor]) -> Tensor:
        device, tensor = packed
        return tensor if device is None else tensor.to(device, non_blocking=True)

    with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
        yield
