"""Studies: config, step graph, run and plan.  ``assay.study.run("study.yaml")`` is the main job."""

from assay.study._chat import chat_in_terminal, open_place, serve_models
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
from assay.study._estimate import estimate_base
from assay.study._explain import Explanation, explain_sample
from assay.study._export import Exported, ExportSettings, export, show_exports
from assay.study._find import (
    ModelPlace,
    StudyModel,
    StudyModels,
    find_model,
    read_models,
    study_folders,
)
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
from assay.study._rule import RuleCheck, RuleDesign, RuleReport, RuleRuns
from assay.study._rule import check as rule_check
from assay.study._rule import design as rule_design
from assay.study._rule import fit as rule_fit
from assay.study._rule import trained as rule_run
from assay.study._run import StudyPlan, load, plan, run
from assay.study._search import SearchReport, search
from assay.study._vocabulary import Extended, extend_vocabulary

__all__ = [
    "Answered",
    "ArmConfig",
    "CleanReport",
    "Explanation",
    "ExportSettings",
    "Exported",
    "Extended",
    "LadderConfig",
    "MeasureConfig",
    "ModelPlace",
    "PoolFiles",
    "QuestionConfig",
    "RuleCheck",
    "RuleDesign",
    "RuleReport",
    "RuleRuns",
    "SearchReport",
    "SelectReport",
    "ShownSample",
    "StudyConfig",
    "StudyModel",
    "StudyModels",
    "StudyPlan",
    "TestbedConfig",
    "WhereConfig",
    "Written",
    "answer_once",
    "chat_in_terminal",
    "clean_pool",
    "curves_of_table",
    "estimate_base",
    "explain_sample",
    "export",
    "extend_vocabulary",
    "find_model",
    "load",
    "open_place",
    "parse_config",
    "plan",
    "read_config",
    "read_models",
    "read_points",
    "rule_check",
    "rule_design",
    "rule_fit",
    "rule_run",
    "run",
    "score_pool",
    "search",
    "select_pool",
    "serve_models",
    "show_exports",
    "show_tokens",
    "study_folders",
    "train_once",
    "write_testbed",
]
