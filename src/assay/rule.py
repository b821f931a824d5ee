"""Fit a quality rule on your own fine-tuning runs, and try it: design, run, fit, check, transfer."""

from assay.study._rule import RuleCheck, RuleDesign, RuleReport, RuleRuns, check, design, fit, run
from assay.study._transfer import TransferReport, transfer

__all__ = [
    "RuleCheck",
    "RuleDesign",
    "RuleReport",
    "RuleRuns",
    "TransferReport",
    "check",
    "design",
    "fit",
    "run",
    "transfer",
]
