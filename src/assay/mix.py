"""Which type of data helps or hurts which: design mixtures, train them, fit their effects."""

from assay.study._mix import MixPlan, MixReport, MixTrained, design, fit, run

__all__ = ["MixPlan", "MixReport", "MixTrained", "design", "fit", "run"]
