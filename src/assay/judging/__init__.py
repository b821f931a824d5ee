"""Items and answers to judgements: exact checkers, reference metrics, chat models; and what these are worth.

``ask_all`` scores answers with a chat model by the rubric of their type; ``compare_all`` sets two answers
beside each other.  ``agreement``, ``length_bias``, ``position_bias`` and ``ppi_mean`` hold a judge against
people; ``judge_noise``, ``choose_repeats`` and ``items_wanted`` say what to ask for.
"""

from assay.judging._agree import (
    Agreement,
    Interval,
    LengthBias,
    PositionBias,
    agreement,
    cohen_kappa,
    length_bias,
    partial_spearman,
    position_bias,
)
from assay.judging._alpha import Alpha, Level, krippendorff_alpha
from assay.judging._ask import (
    ALARM,
    JudgeConfig,
    Judged,
    Mode,
    ask_all,
    estimate,
    read,
    requests,
    rubric_for,
    version,
)
from assay.judging._benchmarks import VERSION as BENCHMARKS
from assay.judging._benchmarks import Question, read_benchmark
from assay.judging._better import Better, parse_better
from assay.judging._calibrate import Label, PeopleDifference, TypeCalibration, calibrate, people_differences
from assay.judging._dialogues import (
    TEMPERATURES,
    WITHOUT_REFERENCES,
    Dialogue,
    check_answers,
    named,
    read_dialogues,
    read_turns,
    turn_items,
)
from assay.judging._dialogues import VERSION as DIALOGUES
from assay.judging._expected import Expected, expected_score
from assay.judging._inspect import judge_task, write_log
from assay.judging._judge import CHECKER, METRICS, Judgement, Summary, default_method, judge, summarise
from assay.judging._metrics import chrf, exact_match, rouge_l
from assay.judging._paired import PairedDifference, compare_judgements
from assay.judging._pairs import (
    PairSummary,
    Preference,
    compare_all,
    compare_estimate,
    pair_requests,
    read_pair,
    summarise_pairs,
)
from assay.judging._parse import parse_pair, parse_score
from assay.judging._plugins import PLUGINS, Judge, method_settings
from assay.judging._power import (
    PILOT_ITEMS,
    PILOT_REPEATS,
    JudgeNoise,
    RepeatChoice,
    choose_repeats,
    items_wanted,
    judge_noise,
    paired_sd,
    visible_effect,
)
from assay.judging._ppi import LABELS_WANTED, PpiMean, ppi_mean
from assay.judging._rubric import GENERAL, Anchor, Rubric, Rubrics, language_for, question, rubrics, single
from assay.judging._scale import Scale, Unparsed

__all__ = [
    "ALARM",
    "BENCHMARKS",
    "CHECKER",
    "DIALOGUES",
    "GENERAL",
    "LABELS_WANTED",
    "METRICS",
    "PILOT_ITEMS",
    "PILOT_REPEATS",
    "PLUGINS",
    "TEMPERATURES",
    "WITHOUT_REFERENCES",
    "Agreement",
    "Alpha",
    "Anchor",
    "Better",
    "Dialogue",
    "Expected",
    "Interval",
    "Judge",
    "JudgeConfig",
    "JudgeNoise",
    "Judged",
    "Judgement",
    "Label",
    "LengthBias",
    "Level",
    "Mode",
    "PairSummary",
    "PairedDifference",
    "PeopleDifference",
    "PositionBias",
    "PpiMean",
    "Preference",
    "Question",
    "RepeatChoice",
    "Rubric",
    "Rubrics",
    "Scale",
    "Summary",
    "TypeCalibration",
    "Unparsed",
    "agreement",
    "ask_all",
    "calibrate",
    "check_answers",
    "choose_repeats",
    "chrf",
    "cohen_kappa",
    "compare_all",
    "compare_estimate",
    "compare_judgements",
    "default_method",
    "estimate",
    "exact_match",
    "expected_score",
    "items_wanted",
    "judge",
    "judge_noise",
    "judge_task",
    "krippendorff_alpha",
    "language_for",
    "length_bias",
    "method_settings",
    "named",
    "pair_requests",
    "paired_sd",
    "parse_better",
    "parse_pair",
    "parse_score",
    "partial_spearman",
    "people_differences",
    "position_bias",
    "ppi_mean",
    "question",
    "read",
    "read_benchmark",
    "read_dialogues",
    "read_pair",
    "read_turns",
    "requests",
    "rouge_l",
    "rubric_for",
    "rubrics",
    "single",
    "summarise",
    "summarise_pairs",
    "turn_items",
    "version",
    "visible_effect",
    "write_log",
]
