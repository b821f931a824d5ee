"""Verbs of quality rules and searches."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from assay.verbs import _progress as progress

if TYPE_CHECKING:
    from assay.study import RuleCheck, RuleDesign, RuleReport, RuleRuns, SearchReport


def rule_design(config: Path, *, set: list[str] | None = None) -> RuleDesign:
    """Choose the subsets that a quality rule is fitted on, and show what they can see; nothing is trained.

    Example: `assay rule design study.yaml`, where the study file says

        rule: {indicators: [len_out, knn, ifd], evaluation: fit.jsonl, n: 1000, runs: 32}

    Parameters
    ----------
    config
        A study file with a rule.
    set
        Changes: key.path=value.
    """
    from assay import study

    return study.rule_design(study.load(config, set or ()), quiet=progress.quiet)


def rule_run(config: Path, *, set: list[str] | None = None) -> RuleRuns:
    """Train the subsets that a rule is fitted on; what is in the store is not trained again.

    Example: `assay rule run study.yaml`

    Parameters
    ----------
    config
        A study file with a rule.
    set
        Changes: key.path=value.
    """
    from assay import study

    return study.rule_run(study.load(config, set or ()), quiet=progress.quiet)


def rule_fit(config: Path, *, set: list[str] | None = None) -> RuleReport:
    """Fit the rule on the trained subsets: coefficients, how they hold, and what speaks against the rule.

    Example: `assay rule fit study.yaml`, then `assay select pool.jsonl --by runs/NAME/rule/rule.json ...`

    Parameters
    ----------
    config
        A study file with a rule.
    set
        Changes: key.path=value.
    """
    from assay import study

    return study.rule_fit(study.load(config, set or ()), quiet=progress.quiet)


def rule_check(config: Path, *, set: list[str] | None = None) -> RuleCheck:
    """Try the rule against random on the study's own set, which served neither to fit nor to search.

    The verdict goes into the rule.

    Example: `assay rule check study.yaml`

    Parameters
    ----------
    config
        A study file with a rule.
    set
        Changes: key.path=value.
    """
    from assay import study

    return study.rule_check(study.load(config, set or ()), quiet=progress.quiet)


def search(config: Path, *, set: list[str] | None = None) -> SearchReport:
    """Search the best size of an arm on one evaluation set, and report it on the study's own.

    Example: `assay search study.yaml`, where the study file says

        search: {arm: ifd, evaluation: search.jsonl, low: 500, high: 20000, runs: 10}

    Parameters
    ----------
    config
        A study file with a search.
    set
        Changes: key.path=value.
    """
    from assay import study

    return study.search(study.load(config, set or ()), quiet=progress.quiet)
