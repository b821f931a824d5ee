"""The steps of a study in the order of the figure, each beside what builds it.

A step's function takes a step context and writes into ``context.out``; its builder says what it is made from.
Studies, rules, searches, single jobs and exports build the same steps, so that each thing is done in one way
and what one of them has done is not done again.

Data (:func:`read_step`, :func:`control_step`, :func:`tokens_step`, :func:`score_pool`) → ladder
(:func:`order_step`) → training (:func:`train_step`) → answers and losses (:func:`answer_step`) → scores
(:func:`check_step`, :func:`judge_step`, :func:`metrics_step`) → curves and verdicts (:func:`result`).
"""

from assay.study.steps._abilities import ability_steps
from assay.study.steps._agree import Agreement, AgreeSettings, agreement_step, read_agreement
from assay.study.steps._base import Base
from assay.study.steps._control import MOST, SEEN, SHARE, control_step, held_step, listed_ids
from assay.study.steps._dialogues import DIALOGUES, dialogue_steps, talk_step
from assay.study.steps._hosted import Hosted, hosted_answer_step, message_row, tune_step
from assay.study.steps._judge import LOG, check_step, judge_step, judgements_of, metrics_step
from assay.study.steps._measure import ITEMS, SPEED, answer_step, item_counts
from assay.study.steps._measured import MeasuredRun, run_parts
from assay.study.steps._open import Opened, Opener, Runtime, runtime, runtime_of
from assay.study.steps._order import needs_of, order_step
from assay.study.steps._rates import check_of, rates_step
from assay.study.steps._read import (
    REJECTED,
    Tally,
    expand,
    file_settings,
    iterate,
    place_digest,
    read_step,
    summary_of,
)
from assay.study.steps._replay import joined_tokens_step, plain_tokens_step, replay_order_step
from assay.study.steps._result import result
from assay.study.steps._score import models_of, score_pool
from assay.study.steps._text import TEXT, text_places, text_step
from assay.study.steps._tinker import tinker_answer_step, tinker_step
from assay.study.steps._tokenize import COUNTS, sample_counts, tokens_step
from assay.study.steps._train import REPORT, received_step, train_step

__all__ = [
    "COUNTS",
    "DIALOGUES",
    "ITEMS",
    "LOG",
    "MOST",
    "REJECTED",
    "REPORT",
    "SEEN",
    "SHARE",
    "SPEED",
    "TEXT",
    "AgreeSettings",
    "Agreement",
    "Base",
    "Hosted",
    "MeasuredRun",
    "Opened",
    "Opener",
    "Runtime",
    "Tally",
    "ability_steps",
    "agreement_step",
    "answer_step",
    "check_of",
    "check_step",
    "control_step",
    "dialogue_steps",
    "expand",
    "file_settings",
    "held_step",
    "hosted_answer_step",
    "item_counts",
    "iterate",
    "joined_tokens_step",
    "judge_step",
    "judgements_of",
    "listed_ids",
    "message_row",
    "metrics_step",
    "models_of",
    "needs_of",
    "order_step",
    "place_digest",
    "plain_tokens_step",
    "rates_step",
    "read_agreement",
    "read_step",
    "received_step",
    "replay_order_step",
    "result",
    "run_parts",
    "runtime",
    "runtime_of",
    "sample_counts",
    "score_pool",
    "summary_of",
    "talk_step",
    "text_places",
    "text_step",
    "tinker_answer_step",
    "tinker_step",
    "tokens_step",
    "train_step",
    "tune_step",
]
