"""Fit a quality rule on your own fine-tuning runs, and try it: design, run, fit, check."""

from assay.study._rule import RuleCheck, RuleDesign, RuleReport, RuleRuns, check, design, fit, run

__all__ = ["RuleCheck", "RuleDesign", "RuleReport", "RuleRuns", "check", "design", "fit", "run"]
