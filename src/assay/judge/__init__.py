"""Items and answers to judgements: exact checkers and reference metrics; chat-model judges come later."""

from assay.judge._judge import CHECKER, METRICS, Judgement, Summary, default_method, judge, summarise
from assay.judge._metrics import chrf, exact_match, rouge_l

__all__ = [
    "CHECKER",
    "METRICS",
    "Judgement",
    "Summary",
    "chrf",
    "default_method",
    "exact_match",
    "judge",
    "rouge_l",
    "summarise",
]
