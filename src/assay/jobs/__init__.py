"""Single jobs on a person's files: read, do one thing, write with receipts.

What trains, answers or measures goes through the steps and the store of :mod:`assay.study`.
"""

from assay.jobs._answer import Answered, answer_once
from assay.jobs._chat import chat_in_terminal, open_place, serve_models
from assay.jobs._curve import curves_of_table, read_points
from assay.jobs._data import ShownSample, Written, samples, show_tokens, write_testbed
from assay.jobs._estimate import estimate_base
from assay.jobs._explain import Explanation, explain_sample
from assay.jobs._generate import GenerateFiles, generate_file, quotas_of
from assay.jobs._pools import CleanReport, PoolFiles, SelectReport, clean_pool, score_pool, select_pool
from assay.jobs._train import Trained, train_once
from assay.jobs.vocabulary import Extended, extend_vocabulary

__all__ = [
    "Answered",
    "CleanReport",
    "Explanation",
    "Extended",
    "GenerateFiles",
    "PoolFiles",
    "SelectReport",
    "ShownSample",
    "Trained",
    "Written",
    "answer_once",
    "chat_in_terminal",
    "clean_pool",
    "curves_of_table",
    "estimate_base",
    "explain_sample",
    "extend_vocabulary",
    "generate_file",
    "open_place",
    "quotas_of",
    "read_points",
    "samples",
    "score_pool",
    "select_pool",
    "serve_models",
    "show_tokens",
    "train_once",
    "write_testbed",
]
