"""All that a study's file asks for, from raw files to the last page, in one command."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from assay import core, view
from assay.core import BasesResult, Shown, StudyResult, page, say
from assay.study import _rule
from assay.study._config import StudyConfig
from assay.study._rule import RuleCheck
from assay.study._run import Study, load, report_folder, run_study, study_file
from assay.study._search import SearchReport, search
from assay.study._spend import spending

_PAGE = "whole.html"


@dataclass(frozen=True)
class WholeStudy(Shown):
    """A study with what its file asks for beside it: the rule with its trial, the search; None without."""

    study: StudyResult | BasesResult
    rule: RuleCheck | None
    search: SearchReport | None
    page: str
    name: str
    language: str = "en"

    def as_page(self) -> core.Page:
        """Return the study's summary, then the rule with its verdict, then the best size."""
        rule = None if self.rule is None else self.rule.fitted
        parts = (("whole.study", self.study), ("rule.eyebrow", rule), ("search.eyebrow", self.search))
        blocks = [block for key, found in parts if found is not None for block in _part(say(key), found)]
        title = say("whole.title", name=self.name)
        shown = page(*blocks, core.files(page=self.page)).blocks
        return core.Page(shown, self.language, title, say("whole.eyebrow"), self.name)


def _part(head: core.Say, found: object) -> tuple[core.Block, ...]:
    return core.Heading(head), *view.described(found).blocks


def whole(
    config: Study, *, set: Sequence[str] = (), pool: str | None = None, cap: str | None = None
) -> WholeStudy:
    """Run all that a study file asks for: its rule (design, subsets, fit, trial), the study, its search.

    As `assay rule design`, `run`, `fit` and `check`, `assay study run` and `assay search` in turn, through
    one store. An arm `{rule: top, by: rule}` selects by the rule that is fitted here. One page with
    everything is `runs/NAME/whole.html`. Finished steps are stored: the same command continues.

    Example: `assay study whole study.yaml`, with a `rule` and a `search` section

    Parameters
    ----------
    config
        Study file (YAML).
    set
        Override a setting of the study file, `key.path=value`; may be repeated.
    pool
        Where steps run: `inline` or `processes:N`.
    cap
        Stop before this command takes more than this: "2 hours", "20 USD", "2M tokens", "50 GB", or several
        with `and`; by default `where.cap` of the study file. What is finished is kept.
    """
    study = load(config, set, pool)
    folder = report_folder(study)
    with spending(study, folder, cap):
        rule = _ruled(study) if study.rule is not None else None
        result = run_study(study, folder, study_file(config, set))
        sized = search(study) if study.search is not None else None
        target = folder / _PAGE
        found = WholeStudy(result, rule, sized, str(target), study.name, study.language)
        view.write_page(found.as_page(), target)
    return found


def _ruled(study: StudyConfig) -> RuleCheck:
    """Return the file's rule with its trial, fitted anew from what is trained."""
    _rule.run(study)  # designs the subsets too
    _rule.fit(study)
    return _rule.check(study)
