"""Studies: config, steps, ladder, run and plan.  ``assay.study.run("study.yaml")`` is the main job."""

from assay.study._config import (
    ArmConfig,
    HarnessConfig,
    LadderConfig,
    MapConfig,
    MeasureConfig,
    QuestionConfig,
    StudyConfig,
    TestbedConfig,
    WhereConfig,
    parse_config,
    read_config,
    recipe_of,
)
from assay.study._estimate import estimate_here, machine_for
from assay.study._find import (
    MODELS,
    ModelPlace,
    StudyModel,
    StudyModels,
    find_model,
    find_study_model,
    read_models,
    study_folders,
    study_name,
)
from assay.study._forming import Formed, Forming
from assay.study._handoff import Collected, HandedRun, Handoff, collect, handoff
from assay.study._kept import Kept, kept
from assay.study._next import NextData, next  # noqa: A004 - `assay study next`
from assay.study._rule import RuleCheck, RuleDesign, RuleReport, RuleRuns
from assay.study._run import StudyPlan, demo, load, plan, read_summary, report, run
from assay.study._search import SearchReport, search
from assay.study._sizes import answering_cost, padded_tokens, training_cost
from assay.study._whole import WholeStudy, whole
from assay.study.steps import expand, place_digest

__all__ = [
    "MODELS",
    "ArmConfig",
    "Collected",
    "Formed",
    "Forming",
    "HandedRun",
    "Handoff",
    "HarnessConfig",
    "Kept",
    "LadderConfig",
    "MapConfig",
    "MeasureConfig",
    "ModelPlace",
    "NextData",
    "QuestionConfig",
    "RuleCheck",
    "RuleDesign",
    "RuleReport",
    "RuleRuns",
    "SearchReport",
    "StudyConfig",
    "StudyModel",
    "StudyModels",
    "StudyPlan",
    "TestbedConfig",
    "WhereConfig",
    "WholeStudy",
    "answering_cost",
    "collect",
    "demo",
    "estimate_here",
    "expand",
    "find_model",
    "find_study_model",
    "handoff",
    "kept",
    "load",
    "machine_for",
    "next",
    "padded_tokens",
    "parse_config",
    "place_digest",
    "plan",
    "read_config",
    "read_models",
    "read_summary",
    "recipe_of",
    "report",
    "run",
    "search",
    "study_folders",
    "study_name",
    "training_cost",
    "whole",
]
