"""The steps of a study in the order of the figure.

Each is a function of a step context and writes into ``context.out``.

Data (:func:`read_pool`, :func:`read_evaluation`, :func:`tokenize`, :func:`score_pool`) → ladder
(:func:`order_pool`) → training (:func:`train`) → answers and losses (:func:`answer`) → scores
(:func:`judge_answers`, :func:`judge_by_model`, :func:`measure_metrics`) → curves and verdicts
(:func:`result`).
"""

from assay.study.steps._judge import (
    LOG,
    chat_judge,
    judge_answers,
    judge_by_model,
    judge_step,
    measure_metrics,
    write_judgements,
)
from assay.study.steps._measure import answer
from assay.study.steps._order import order_pool
from assay.study.steps._read import REJECTED, SUMMARY, Tally, iterate, read_evaluation, read_pool
from assay.study.steps._result import MeasuredRun, result
from assay.study.steps._score import models_of, score_pool
from assay.study.steps._tokenize import tokenize
from assay.study.steps._train import train

__all__ = [
    "LOG",
    "REJECTED",
    "SUMMARY",
    "MeasuredRun",
    "Tally",
    "answer",
    "chat_judge",
    "iterate",
    "judge_answers",
    "judge_by_model",
    "judge_step",
    "measure_metrics",
    "models_of",
    "order_pool",
    "read_evaluation",
    "read_pool",
    "result",
    "score_pool",
    "tokenize",
    "train",
    "write_judgements",
]
