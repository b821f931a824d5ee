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
    change,
    doublings,
    fit_effects,
)
from assay.mixtures._page import MixPage
from assay.mixtures._purchase import Bought, Offer, Plain, Purchase, offers_of, plain, purchase, valued
from assay.mixtures._shrink import Z

__all__ = [
    "FOUND",
    "WAYS",
    "Against",
    "Allocation",
    "Bought",
    "Curvature",
    "Effect",
    "Failed",
    "MixDesign",
    "MixEffects",
    "MixPage",
    "MixPower",
    "MixRuns",
    "Offer",
    "Plain",
    "Purchase",
    "Way",
    "Z",
    "allocate",
    "centre_of",
    "change",
    "doublings",
    "fit_effects",
    "mix_design",
    "mix_power",
    "offers_of",
    "plain",
    "purchase",
    "valued",
    "weights_of",
    "worth",
]
