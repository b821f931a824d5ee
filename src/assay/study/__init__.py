"""Studies: config, step graph, run and plan.  ``assay.study.run("study.yaml")`` is the main job."""

from assay.study._config import (
    ArmConfig,
    LadderConfig,
    MeasureConfig,
    QuestionConfig,
    StudyConfig,
    TestbedConfig,
    WhereConfig,
    parse_config,
    read_config,
)
from assay.study._explain import Explanation, explain_sample
from assay.study._once import (
    Answered,
    ShownSample,
    Written,
    answer_once,
    curves_of_table,
    read_points,
    show_tokens,
    train_once,
    write_testbed,
)
from assay.study._pools import CleanReport, PoolFiles, SelectReport, clean_pool, score_pool, select_pool
from assay.study._run import StudyPlan, plan, run

__all__ = [
    "Answered",
    "ArmConfig",
    "CleanReport",
    "Explanation",
    "LadderConfig",
    "MeasureConfig",
    "PoolFiles",
    "QuestionConfig",
    "SelectReport",
    "ShownSample",
    "StudyConfig",
    "StudyPlan",
    "TestbedConfig",
    "WhereConfig",
    "Written",
    "answer_once",
    "clean_pool",
    "curves_of_table",
    "explain_sample",
    "parse_config",
    "plan",
    "read_config",
    "read_points",
    "run",
    "score_pool",
    "select_pool",
    "show_tokens",
    "train_once",
    "write_testbed",
]
