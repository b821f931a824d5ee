"""Which type of data helps or hurts which: design mixtures, train them, fit their effects, divide a total."""

from assay.study._mix import MixPlan, MixReport, MixTrained, design, fit, run
from assay.study._mix_allocate import MixAllocation, allocate
from assay.study._mix_confirm import MixConfirmed, confirm

__all__ = [
    "MixAllocation",
    "MixConfirmed",
    "MixPlan",
    "MixReport",
    "MixTrained",
    "allocate",
    "confirm",
    "design",
    "fit",
    "run",
]
