"""Whether a rule carries over to other bases, languages and data: ranks of subsets there, and a trial."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from assay import core, data, indicators, regression, view
from assay.core import ArmComparison, AssayError, File, OnCommand, Say, Shown, Text, page, say, to_json
from assay.plan import Store
from assay.study._claim import claim
from assay.study._config import StudyConfig
from assay.study._graph import Ladder
from assay.study._measured import prepared
from assay.study._run import Study, load, report_folder
from assay.study._spend import spending
from assay.study._trial import (
    ROW,
    noise_of,
    pool_lengths,
    pool_values,
    subset_losses,
    trial,
    trial_verdict,
    write_subsets,
)

Array = NDArray[np.float64]
Word: TypeAlias = Literal["carries", "fails", "undecided"]
Studies: TypeAlias = Annotated[Study | Sequence[Study], OnCommand(tuple[Path, ...])]
"""Study files, what stands in them, or their configurations; one or several."""

LITTLE = 0.3
"""A rank correlation that is surely below this is of no use; a rule that is fitted warns below it too."""
_FEWEST = 8
_BEATS, _WORSE, _EQUAL = "rule.verdict.beats", "rule.verdict.worse", "rule.verdict.equal"


@dataclass(frozen=True)
class Transferred:
    """A rule tried on one study.

    ``rank``: of predicted with measured log loss over subsets of the study's own pool, oriented so that
    above zero the rule is right, None where the subsets do not differ; ``predicted`` and ``measured`` [m] are
    by subset; ``noise``: sd of log loss between seeds of one subset; ``trial``: selections against random
    samples, ``verdict`` what it says at equal size and tokens; ``notes``: what has to be said of the rule.
    """

    name: str
    base: str
    languages: dict[str, int]
    n: int
    word: Word
    rank: regression.Rank | None
    predicted: tuple[float, ...]
    measured: tuple[float, ...]
    noise: float | None
    verdict: Say
    trial: tuple[ArmComparison, ...]
    notes: tuple[Text, ...]
    folder: str


@dataclass(frozen=True)
class TransferReport(Shown):
    """A rule on one study or several; ``path`` and ``page`` hold what is shown."""

    rule: str
    studies: tuple[Transferred, ...]
    path: str
    page: str
    language: str = "en"

    def as_page(self) -> core.Page:
        """Return the verdict, one row per study, and for each its subsets and its trial."""
        lead = core.Paragraph(say("transfer.lead", little=LITTLE), "quiet")
        parts = [block for one in self.studies for block in self._study(one)]
        files = core.files(out=self.path, page=self.page)
        blocks = page(core.Heading(self._headline(), 1), lead, self._table(), *parts, files).blocks
        title = say("transfer.title", rule=self.rule)
        return core.Page(blocks, self.language, title, say("rule.eyebrow"), self.rule)

    def _headline(self) -> Say:
        if len(self.studies) == 1:
            (one,) = self.studies
            return say(f"transfer.headline.{one.word}", rule=self.rule, name=one.name)
        words = Counter(one.word for one in self.studies)
        return say(
            "transfer.headline.several", rule=self.rule, all=len(self.studies), carries=words["carries"],
            fails=words["fails"], undecided=words["undecided"],
        )  # fmt: skip

    def _table(self) -> core.Table:
        columns = (
            core.Column(say("transfer.col.study"), "@"), core.Column(say("col.base"), "@"),
            core.Column(say("transfer.col.languages"), "@language"),
            core.Column(say("transfer.col.subsets"), "d"), core.Column(say("transfer.col.rank"), "+.2f"),
            core.Column("90 %", "+.2f"), core.Column(say("transfer.col.trial")),
            core.Column(say("col.verdict")),
        )  # fmt: skip
        rows = tuple(
            (
                s.name, s.base, s.languages, len(s.measured),
                s.rank.value if s.rank else None,
                (s.rank.low, s.rank.high) if s.rank else None, s.verdict,
                core.Judged(say(f"transfer.word.{s.word}"), _COLOUR[s.word]),
            )
            for s in self.studies
        )  # fmt: skip
        return core.Table(columns, rows)

    def _study(self, one: Transferred) -> list[core.Block]:
        blocks: list[core.Block] = []
        if len(self.studies) > 1:
            blocks.append(core.Heading(one.name))
        if one.notes:
            blocks.append(core.Items(one.notes, "warning"))
        spread = float(np.std(one.measured, ddof=1))
        if one.noise is not None:
            blocks.append(core.Paragraph(say("transfer.noise", spread=spread, noise=one.noise)))
        axes = say("transfer.axis.predicted"), say("transfer.axis.measured")
        marks = (False,) * len(one.measured)
        blocks.append(core.Scatter(_ranks(one.predicted), _ranks(one.measured), marks, *axes))
        return [*blocks, core.Paragraph(say("rule.trial.lead"), "quiet"), core.trial_table(one.trial)]


_COLOUR = {"carries": "better", "fails": "worse", "undecided": "undecided"}


def _ranks(values: Sequence[float]) -> tuple[float, ...]:
    """Return places from 1 on: predictions of another base are on a scale of their own."""
    order = np.argsort(np.argsort(values, kind="stable"), kind="stable")
    return tuple((order + 1).astype(float).tolist())


def transfer(
    rule: str,
    *,
    study: Studies,
    n: int = 1000,
    runs: int = 12,
    trial: Sequence[int] = (),
    out: File | None = None,
    set: Sequence[str] = (),
    cap: str | None = None,
) -> TransferReport:
    """Test whether a rule fitted elsewhere carries over to a study's base model, language and pool.

    Trains on a few subsets of the study's own pool, which differ in the rule's indicators and not in sources,
    types, size or tokens, and compares the order that the rule predicts with the losses. Then trains on the
    best, the best of each length, the worst and random samples, three seeds or more. All losses are on the
    study's evaluation set. Finished runs are stored: rerun the same command to continue.

    Example: `assay rule transfer runs/english/rule/rule.json --study chinese.yaml`. With several `--study`,
    or a study of several base models, the result is a matrix.

    Parameters
    ----------
    rule
        A rule's file, a published rule, or an indicator.
    study
        Study file (YAML) to try it on; needs no `rule` section. May be repeated.
    n
        Samples per subset.
    runs
        Subsets, in pairs that mirror each other.
    trial
        Sizes of the trial against random samples; n by default.
    out
        Folder for the page; `runs/transfer-RULE` by default.
    set
        Override a setting of all study files, `key.path=value`; may be repeated.
    cap
        Stop before this command takes more than this: "2 hours", "20 USD", "2M tokens", "50 GB", or several
        with `and`; by default `where.cap` of the first study file. What is finished is kept.

    Raises
    ------
    AssayError
        Where the rule was fitted with other models than the study has (`--set models.other_models=true`
        applies it all the same, and the result says so), or a pool is too small.
    """
    if runs < _FEWEST:
        raise AssayError(
            "too few subsets to tell ranks apart", place="runs", value=runs, expected=f"at least {_FEWEST}",
            hint="12 tell a correlation of 0 from 0.7",
        )  # fmt: skip
    if n < 1:
        raise AssayError("a subset needs samples", place="n", value=n, expected="at least 1")
    given = [study] if isinstance(study, Path | str | StudyConfig | Mapping) else list(study)
    configs = [base for one in given for base in _bases(load(one, set))]
    if not configs:
        raise AssayError("no study to try the rule on", place="study", expected="a study file")
    name = indicators.find(rule).name
    folder = Path(out or f"runs/{_folder(name)}")
    with spending(configs[0], folder, cap) as meter:
        folder.mkdir(parents=True, exist_ok=True)
        tried = tuple(_tried(rule, config, n, runs, trial) for config in configs)
        meter.per |= {"run": sum(len(one.measured) for one in tried), "verdict": len(tried)}
    path, shown = folder / "transfer.json", folder / "transfer.html"
    report = TransferReport(name, tried, str(path), str(shown), configs[0].language)
    view.write_page(report.as_page(), shown)
    data.write_json(path, to_json(report))
    return report


def _folder(rule: str) -> str:
    return "transfer-" + re.sub(r"[^\w.-]+", "-", rule)


def _bases(config: StudyConfig) -> list[StudyConfig]:
    """Return a study on each of its bases."""
    if not config.bases:
        return [config]
    out = report_folder(config)
    return [
        replace(
            config, name=f"{config.name}-{name}", base=base.model, recipe=base.recipe, bases={},
            where=replace(config.where, out=str(out / name)),
        )
        for name, base in config.bases.items()
    ]  # fmt: skip


def _tried(rule: str, config: StudyConfig, n: int, runs: int, sizes: Sequence[int]) -> Transferred:
    found = indicators.find(rule)
    by = str(Path(rule).resolve()) if rule.endswith(".json") else rule
    ladder, store = prepared(config)
    claim(config, ladder.pool, report_folder(config))
    folder = report_folder(config) / _folder(found.name)
    names = (found.name,) if isinstance(found, indicators.Indicator) else tuple(found.coefficients)
    predicted = _predicted(ladder, store, by)
    values = predicted[:, None] if names == (found.name,) else pool_values(ladder, store, names)
    design = _design(ladder, store, names, values, n, runs)
    ids = data.Dataset(store.path(ladder.pool.key) / "dataset").column("id").to_pylist()
    write_subsets(folder, design.rows, ids)
    root = f"{config.name}-{_folder(found.name)}"
    by_row, _ = subset_losses(config, folder, n, root)
    measured = np.array([np.mean(by_row[ROW.format(number)]) for number in range(len(design.rows))])
    means = np.array([predicted[rows].mean() for rows in design.rows])
    rank = regression.rank_correlation(-indicators.direction(by) * means, measured)
    compared = trial(config, by, tuple(sizes) or (n,), folder / "trial", f"{root}-trial")
    verdict = trial_verdict(compared)
    scored = store.path(ladder.scores(by).key) / "scores.parquet"
    notes = tuple(dict.fromkeys((*ladder.notes, *indicators.applied_notes(scored))))
    return Transferred(
        config.name, config.base, dict(ladder.summary.by_language), n, transfer_word(rank, verdict.key), rank,
        tuple(means.tolist()), tuple(measured.tolist()), noise_of(by_row), verdict, compared, notes,
        str(folder),
    )  # fmt: skip


def _predicted(ladder: Ladder, store: Store, by: str) -> Array:
    """Return what the rule says of each sample of the pool [samples], NaN where it says nothing."""
    column: Array = pool_values(ladder, store, (by,))[:, 0]
    return column


def _design(
    ladder: Ladder, store: Store, names: Sequence[str], values: Array, n: int, runs: int
) -> regression.Design:
    dataset = data.Dataset(store.path(ladder.pool.key) / "dataset")
    sources, types = (dataset.column(name).to_pylist() for name in ("source", "type"))
    strata = [f"{source or 'unnamed'}/{kind}" for source, kind in zip(sources, types, strict=True)]
    return regression.tilted(
        values, names, n, strata=strata, lengths=pool_lengths(ladder, store).tolist(), runs=runs, paired=True
    )


def transfer_word(rank: regression.Rank | None, verdict: str) -> Word:
    """Return whether a rule carries over: it ranks subsets, and what it selects beats random samples.

    It does not where the selection is worse than random samples or only as good, or where the rank
    correlation is surely below 0.3 while the selection is not shown to be better.
    """
    ranks = rank is not None and rank.low > 0
    if verdict in (_WORSE, _EQUAL):
        return "fails"
    if verdict == _BEATS:
        return "carries" if ranks else "undecided"
    return "fails" if rank is not None and rank.high < LITTLE else "undecided"
