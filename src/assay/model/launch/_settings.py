"""How many processes share a training, and how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from assay.core import AssayError


@dataclass(frozen=True, slots=True)
class Launch:
    """How many processes share a training, and how; never part of a training's identity.

    Parameters
    ----------
    processes
        Number of processes over all machines, one per GPU; the model is the same up to rounding.
    strategy
        Sharding strategy: fsdp (PyTorch FSDP2), or DeepSpeed's zero2 (optimizer state and gradients) or
        zero3 (weights too).
    offload
        Keep sharded state in host memory.
    machines
        Number of machines; the command for the others is printed.
    address
        Address of the first machine, as seen by the others.
    port
        Its port.
    through
        Who starts the processes: the launcher of accelerate, or ray.
    cluster
        Address of the ray cluster; a local one is started by default.
    """

    processes: int = 1
    strategy: Literal["fsdp", "zero2", "zero3"] = "fsdp"
    offload: bool = False
    machines: int = 1
    address: str | None = None
    port: int = 29500
    through: Literal["accelerate", "ray"] = "accelerate"
    cluster: str | None = None

    def __post_init__(self) -> None:
        """Refuse numbers that cannot be started."""
        if self.processes < 1 or self.machines < 1 or self.processes % self.machines:
            raise AssayError(
                "the processes cannot be spread evenly over the machines",
                place="where.launch",
                value=f"{self.processes} processes on {self.machines} machines",
                expected="the same number of processes on each machine, at least one",
            )
        if self.machines > 1 and self.through == "accelerate" and self.address is None:
            raise AssayError(
                "the other machines need the address of the first",
                place="where.launch.address",
                expected="its name or address in their network",
            )
