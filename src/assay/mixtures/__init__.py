"""Mixtures: which part of the data helps or hurts which type, per doubling.  Pure mathematics."""

from assay.mixtures._allocate import Against, Allocation, allocate, compared, weights_of, worth
from assay.mixtures._confirm import (
    Confirmation,
    Confirmed,
    ConfirmWord,
    confirm_effects,
    confirm_levels,
    largest,
)
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
from assay.mixtures._noise import MixNoise, at_most, noise_seen, run_noise
from assay.mixtures._page import MixPage, confirmed_blocks
from assay.mixtures._purchase import Bought, Offer, Plain, Purchase, offers_of, plain, purchase, valued
from assay.mixtures._shrink import Z

__all__ = [
    "FOUND",
    "WAYS",
    "Against",
    "Allocation",
    "Bought",
    "ConfirmWord",
    "Confirmation",
    "Confirmed",
    "Curvature",
    "Effect",
    "Failed",
    "MixDesign",
    "MixEffects",
    "MixNoise",
    "MixPage",
    "MixPower",
    "MixRuns",
    "Offer",
    "Plain",
    "Purchase",
    "Way",
    "Z",
    "allocate",
    "at_most",
    "centre_of",
    "change",
    "compared",
    "confirm_effects",
    "confirm_levels",
    "confirmed_blocks",
    "doublings",
    "fit_effects",
    "largest",
    "mix_design",
    "mix_power",
    "noise_seen",
    "offers_of",
    "plain",
    "purchase",
    "run_noise",
    "valued",
    "weights_of",
    "worth",
]
