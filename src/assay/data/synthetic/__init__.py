"""The testbed: tasks in English and Chinese whose right answers are known, with defects planted on request.

It is the embedded default of a study and the calibration of the instrument: the truth is known, so it can be
asked whether cleaning finds the planted defects and whether verdicts are right.
"""

from assay.data.synthetic._check import check, checker
from assay.data.synthetic._defects import DEFECTS
from assay.data.synthetic._generate import Planted, Split, generate
from assay.data.synthetic._tasks import learning_size

__all__ = ["DEFECTS", "Planted", "Split", "check", "checker", "generate", "learning_size"]
