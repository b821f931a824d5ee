"""Build an evaluation set: split it off a pool, give its items types, sample it to a size."""

from assay.jobs._evalset import SampleReport, SplitReport, sample, split
from assay.jobs._typing import ClassifyReport, classify

__all__ = ["ClassifyReport", "SampleReport", "SplitReport", "classify", "sample", "split"]
