"""Mixtures: which part of the data helps or hurts which type, per doubling.  Pure mathematics."""

from assay.mixtures._allocate import Against, Allocation, allocate, weights_of, worth
from assay.mixtures._design import FOUND, WAYS, MixDesign, MixPower, Way, mix_design, mix_power
from assay.mixtures._fit import (
    Curvature,
    Effect,
    Failed,
    MixEffects,
    MixRuns,
    centre_of,
    doublings,
    fit_effects,
)
from assay.mixtures._page import MixPage

__all__ = [
    "FOUND",
    "WAYS",
    "Against",
    "Allocation",
    "Curvature",
    "Effect",
    "Failed",
    "MixDesign",
    "MixEffects",
    "MixPage",
    "MixPower",
    "MixRuns",
    "Way",
    "allocate",
    "centre_of",
    "doublings",
    "fit_effects",
    "mix_design",
    "mix_power",
    "weights_of",
    "worth",
]
