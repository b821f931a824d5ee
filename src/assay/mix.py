"""Which type of data helps or hurts which: design mixtures, train them, fit their effects, divide a total."""

from assay.study._mix import MixPlan, MixReport, MixTrained, design, fit, run
from assay.study._mix_allocate import MixAllocation, allocate

__all__ = ["MixAllocation", "MixPlan", "MixReport", "MixTrained", "allocate", "design", "fit", "run"]
