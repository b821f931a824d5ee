"""Memory and time of a training before it starts, from the shape of the model."""

from __future__ import annotations

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

__all__ = [
    "DEVICES",
    "Device",
    "Shape",
    "TrainingEstimate",
    "estimate_training",
    "find_shape",
    "read_shape",
    "smallest_machine",
    "this_gpu",
    "training_memory",
]
