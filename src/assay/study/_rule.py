"""A quality rule from one's own fine-tuning runs: design, run, fit, check."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from assay import core, data, indicators, model, regression, view
from assay import plan as planning
from assay.core import (
    ArmComparison,
    AssayError,
    RulePage,
    RuleSlope,
    Say,
    Shown,
    Text,
    digest,
    page,
    read_json,
    say,
    to_json,
    trial_table,
)
from assay.plan import Store
from assay.study._claim import claim
from assay.study._config import SEED_RUNS, ArmConfig, RuleConfig, StudyConfig
from assay.study._graph import Ladder, RunSteps, input_steps, model_place
from assay.study._measured import prepared
from assay.study._noise import by_size, noise_at
from assay.study._rule_fit import Subsets, fit_subsets, formula
from assay.study._run import Study, load, report_folder, rule_file
from assay.study._spend import prices, spending
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

_BENT = 2.0
_LOSSES, _PAGE = "losses.json", "page.json"


@dataclass(frozen=True)
class RuleDesign(Shown):
    """Subsets that will be trained, and what they can see; ``folder`` holds them."""

    folder: str
    way: str
    runs: int
    n: int
    usable: int
    pool: int
    whitened: bool
    passes: int
    power: tuple[regression.Power, ...]
    sd: float | None
    takes: planning.Forecast
    language: str = "en"

    def as_page(self) -> core.Page:
        """Return what will be trained, and what each indicator's slope must be to be seen."""
        columns = (
            core.Column(say("rule.col.indicator"), "@pool.indicator"), core.Column(say("rule.spread"), ".2f"),
            core.Column(say("rule.seen_from" if self.sd else "rule.seen_from.sd"), ".4f"),
        )  # fmt: skip
        head = say(
            "rule.design.whitened" if self.whitened else "rule.design", runs=self.runs, n=self.n,
            way=self.way,
            usable=self.usable, pool=self.pool, passes=self.passes,
        )  # fmt: skip
        rows = tuple((row.name, row.spread, row.detectable) for row in self.power)
        return page(
            core.Paragraph(head), core.Paragraph(self.takes.said()), core.Table(columns, rows),
            core.files(folder=self.folder),
            core.next_command("assay rule run"),
            language=self.language,
        )  # fmt: skip


@dataclass(frozen=True)
class RuleRuns(Shown):
    """What was trained: log losses by subset are in ``path``; ``noise`` is their sd between seeds of one."""

    path: str
    subsets: int
    runs: int
    hours: float
    spread: float
    noise: float | None
    language: str = "en"

    def as_page(self) -> core.Page:
        """Return how much the subsets differ beside what seeds alone do."""
        head = say("rule.runs", runs=self.runs, subsets=self.subsets, hours=self.hours, spread=self.spread)
        noise = None if self.noise is None else core.Paragraph(say("rule.lead.noise", noise=self.noise))
        files = core.files(losses=self.path)
        return page(core.Paragraph(head), noise, files, core.next_command("assay rule fit"),
                    language=self.language)  # fmt: skip


@dataclass(frozen=True)
class RuleReport(Shown):
    """What was fitted, how it holds, and where the rule is."""

    path: str
    runs: int
    noise: float | None
    """Standard deviation of log loss between seeds of one subset; None where none was repeated."""
    ridge: regression.RidgeFit
    published: regression.LinearFit
    stepwise: regression.LinearFit
    slopes: tuple[regression.Slopes, ...]
    """Between sources and within them."""
    linearity: regression.Linearity | None
    bends: tuple[regression.Bend, ...]
    """Squares of indicators, tested by subsets at twice the tilt; the rule has those that show."""
    length: regression.LinearFit
    """Least squares on the length of the answer alone: the rule has to beat it."""
    warnings: tuple[Text, ...]
    page: str
    fitted: RulePage
    language: str = "en"

    def as_page(self) -> core.Page:
        """Return the page of the rule, what step-wise regression keeps, and where the rule is."""
        kept = say("rule.stepwise", names=self.stepwise.names)
        files = core.files(rule=self.path, page=self.page)
        return page(*self.fitted.as_page().blocks, core.Paragraph(kept), files,
                    core.next_command("assay rule check"),
                    language=self.language)  # fmt: skip


@dataclass(frozen=True)
class RuleCheck(Shown):
    """The selection trial of a rule: it ships with "beats random by ..." or without; ``fitted``: the rule."""

    path: str
    verdict: str
    comparisons: tuple[ArmComparison, ...]
    page: str
    fitted: RulePage
    language: str = "en"

    def as_page(self) -> core.Page:
        """Return the verdict and the comparisons with random."""
        files = core.files(rule=self.path, page=self.page)
        lead = core.Paragraph(say("rule.trial.lead"), "quiet")
        return page(core.Paragraph(self.verdict, "strong"), lead, trial_table(self.comparisons), files,
                    language=self.language)  # fmt: skip


def settings(config: StudyConfig) -> RuleConfig:
    """Return the part of a study's file that is about the rule."""
    if config.rule is None:
        raise AssayError(
            "the study file has no rule",
            place="rule",
            expected="rule: {indicators: [len_out, knn, ...], evaluation: fit.jsonl, n: 1000, runs: 32}",
        )
    return config.rule


def _folder(config: StudyConfig) -> Path:
    return rule_file(config).parent


def _on_its_set(config: StudyConfig) -> StudyConfig:
    """Return the study with models measured on the set that the rule is fitted on."""
    return replace(config, measured=settings(config).evaluation)


def _prepare(config: Study, changes: Sequence[str]) -> tuple[StudyConfig, RuleConfig, Path]:
    """Return the study on the rule's set, the rule's settings and its folder."""
    loaded = load(config, changes)
    return _on_its_set(loaded), settings(loaded), _folder(loaded)


def _identity(config: StudyConfig) -> str:
    """Return a digest of all that the losses of the subsets depend on."""
    wanted = dataclasses.asdict(replace(settings(config), name=None, trial=()))
    evaluation, pool = input_steps(config)
    base = model.base_digest(model.resolve_base(str(model_place(config.base, Path(config.folder)))))
    return digest([wanted, evaluation.key, pool.key, base, dataclasses.asdict(config.recipe)])


def design(config: Study, *, set: Sequence[str] = (), cap: str | None = None) -> RuleDesign:
    """Choose the subsets to fit a rule on, and show which slopes they detect; trains nothing.

    The subsets (ids, means of the indicators) are written into `runs/NAME/rule`.

    Example: `assay rule design study.yaml`, where the study file says

        rule: {indicators: [len_out, knn, ifd], evaluation: fit.jsonl, n: 1000, runs: 32}

    Parameters
    ----------
    config
        Study file (YAML) with a `rule` section.
    set
        Override a setting of the study file, `key.path=value`; may be repeated.
    cap
        Stop before this command takes more than this: "2 hours", "20 USD", "2M tokens", "50 GB", or several
        with `and`; by default `where.cap` of the study file. What is finished is kept.

    Raises
    ------
    AssayError
        Where the file has no rule, or the pool holds too few samples for its subsets.
    """
    config, wanted, folder = _prepare(config, set)
    with spending(config, report_folder(config), cap) as meter:
        found = _designed(config, wanted, folder)
        meter.per["row"] = found.pool
    return found


def _designed(config: StudyConfig, wanted: RuleConfig, folder: Path) -> RuleDesign:
    ladder, store = prepared(config)
    claim(config, ladder.pool, report_folder(config))
    dataset = data.Dataset(store.path(ladder.pool.key) / "dataset")
    values = pool_values(ladder, store, wanted.indicators)
    sources = [source or "unnamed" for source in dataset.column("source").to_pylist()]
    if wanted.way == "mixtures":
        made = regression.mixtures(
            values, wanted.indicators, wanted.n, sources=sources, runs=wanted.runs, seed=wanted.seed
        )
    else:
        types = dataset.column("type").to_pylist()
        lengths = pool_lengths(ladder, store).tolist()
        made = regression.tilted(
            values, wanted.indicators, wanted.n,
            strata=[f"{s}/{t}" for s, t in zip(sources, types, strict=True)], lengths=lengths,
            runs=wanted.runs, tilt=wanted.tilt, doubled=wanted.doubled, seed=wanted.seed,
        )  # fmt: skip
    usable = values[np.isfinite(values).all(axis=1)]
    _write_design(folder, made, wanted, dataset.column("id").to_pylist(), sources, usable)
    once, seeds = _planned(config, wanted, folder, ladder)
    sd = _sd(wanted, seeds, ladder, store)
    workers = planning.parse_pool(config.where.pool).size
    takes = planning.plan([run.answer for run in (*once, *seeds)], store, workers, prices(config)).forecast
    return RuleDesign(
        str(folder), wanted.way, len(made.rows), wanted.n, len(usable), len(dataset), made.whitened,
        (len(once) + SEED_RUNS - 1) * wanted.n * config.recipe.epochs, regression.power(made, sd or 1.0),
        sd, takes, config.language,
    )  # fmt: skip


def _sd(wanted: RuleConfig, repeated: Sequence[RunSteps], ladder: Ladder, store: Store) -> float | None:
    """Return the standard deviation of a run's log loss: as given, or of the seeds of a subset; else None."""
    if wanted.sd is not None:
        return wanted.sd
    known = {one.metric: one for one in noise_at(store, ladder.evaluation, by_size(repeated), wanted.n)}
    sd = known["loss"].sd if "loss" in known else {}
    return sd.get(core.OVERALL) or next(iter(sd.values()), None)


def _planned(
    config: StudyConfig, wanted: RuleConfig, folder: Path, ladder: Ladder
) -> tuple[list[RunSteps], list[RunSteps]]:
    """Return the runs of all subsets, and those of the first with its seeds, as they will be trained."""
    rows, arms = _arms_of(folder, wanted)
    whole = replace(config, control=False, measure=replace(config.measure, loss=True, answers=False))

    def of(own: Mapping[str, ArmConfig], seeds: int) -> list[RunSteps]:
        seeded = replace(whole, ladder=replace(whole.ladder, seeds=seeds))
        runs = Ladder(seeded, ladder.evaluation, ladder.pool, ladder.summary, own).runs()
        return [run for run in runs if run.branch is not None]

    return of(arms, 1), of({rows[0].stem: arms[rows[0].stem]}, SEED_RUNS)


def _write_design(
    folder: Path,
    made: regression.Design,
    wanted: RuleConfig,
    ids: list[str],
    sources: list[str],
    usable: Array,
) -> None:
    """Write the ids of each subset, and what the fit needs to know of them."""
    write_subsets(folder, made.rows, ids)
    kinds = sorted(set(sources))
    places = np.searchsorted(kinds, sources)
    spread = usable.std(axis=0)
    facts = {
        "names": made.names, "n": wanted.n, "way": wanted.way, "levels": made.levels.tolist(),
        "means": made.means.tolist(), "squares": made.squares.tolist(), "sources": kinds,
        "shares": [(np.bincount(places[r], minlength=len(kinds)) / len(r)).tolist() for r in made.rows],
        "low": usable.min(axis=0).tolist(), "high": usable.max(axis=0).tolist(),
        "centre": usable.mean(axis=0).tolist(), "spread": np.where(spread > 0, spread, 1).tolist(),
    }  # fmt: skip
    data.write_json(folder / "design.json", facts)


def run(config: Study, *, set: Sequence[str] = (), cap: str | None = None) -> RuleRuns:
    """Train on the subsets that a rule is fitted on; finished runs are reused.

    The first subset is trained with three seeds to measure noise: the standard deviation of log loss
    (nats per token) between seeds. Losses are written to `runs/NAME/rule/losses.json`.

    Example: `assay rule run study.yaml`

    Parameters
    ----------
    config
        Study file (YAML) with a `rule` section.
    set
        Override a setting of the study file, `key.path=value`; may be repeated.
    cap
        Stop before this command takes more than this: "2 hours", "20 USD", "2M tokens", "50 GB", or several
        with `and`; by default `where.cap` of the study file. What is finished is kept.

    Raises
    ------
    AssayError
        Where the file has no rule; a run that fails is named, and those before it are kept.
    """
    config, wanted, folder = _prepare(config, set)
    with spending(config, report_folder(config), cap) as meter:
        found = _run(config, wanted, folder)
        meter.per |= {"run": found.runs}
    return found


def _run(config: StudyConfig, wanted: RuleConfig, folder: Path) -> RuleRuns:
    # Made again from what the store holds, so that it is never that of other settings.
    _designed(config, wanted, folder)
    by_row, found = subset_losses(config, folder, wanted.n, f"{config.name}-rule")
    data.write_json(folder / _LOSSES, {"identity": _identity(config), "log_loss": by_row})
    every = [float(np.mean(values)) for values in by_row.values()]
    hours = sum(measured.hours for measured in found.values())
    return RuleRuns(
        str(folder / _LOSSES), len(by_row), len(found), hours, float(np.std(every, ddof=1)),
        noise_of(by_row), config.language,
    )  # fmt: skip


def _arms_of(folder: Path, wanted: RuleConfig) -> tuple[list[Path], dict[str, ArmConfig]]:
    """Return the files of the subsets, and the arms that train on them."""
    rows = sorted(folder.glob("row*.ids"))
    return rows, {path.stem: ArmConfig("file", file=str(path.resolve()), rungs=(wanted.n,)) for path in rows}


def _log_losses(config: StudyConfig) -> dict[str, list[float]]:
    path = _folder(config) / _LOSSES
    written = read_json(path) if path.exists() else {}
    if written.get("identity") != _identity(config):
        raise AssayError(
            "the runs of the subsets are of other settings" if written else "the subsets are not trained",
            place=str(path), hint="run `assay rule run` with the same file first; it resumes by itself",
        )  # fmt: skip
    found: dict[str, list[float]] = written["log_loss"]
    return found


def fit(config: Study, *, set: Sequence[str] = ()) -> RuleReport:
    """Fit the rule to the measured losses: coefficients, goodness of fit, and caveats.

    Ridge regression of log loss on the subsets' means, least squares as published beside it (INSTRUCTMINING,
    arXiv:2307.06290). The rule is `runs/NAME/rule/rule.json`, its page `rule.html`.

    Example: `assay rule fit study.yaml`, then `assay select pool.jsonl --by runs/NAME/rule/rule.json ...`

    Parameters
    ----------
    config
        Study file (YAML) with a `rule` section.
    set
        Override a setting of the study file, `key.path=value`; may be repeated.

    Raises
    ------
    AssayError
        Where the subsets are not trained, or with other settings than the file's.
    """
    config, wanted, folder = _prepare(config, set)
    by_row = _log_losses(config)
    facts = read_json(folder / "design.json")
    order = [ROW.format(number) for number in range(len(facts["means"]))]
    subsets = Subsets.of(facts, np.array([np.mean(by_row[row]) for row in order]))
    fits, names = fit_subsets(subsets), subsets.names
    target = subsets.losses[fits.rows]
    length = _length_alone(config, subsets.means[fits.rows], names, target)
    noise = noise_of(by_row)
    warnings = _warnings(fits.ridge, fits.slopes, length, noise, target)
    straight = fits.linearity
    if straight is not None and straight.ratio > _BENT and not fits.shown:
        warnings.append(say("rule.warning.bent", ratio=straight.ratio))
    used = indicators.used_by(names, prepared(config)[0].models())
    text = {
        "name": wanted.name or config.name,
        "predicts": "log loss",
        "direction": -1,
        **formula(subsets, fits),
        "source": f"ridge on {len(target)} subsets of {wanted.n:,} ({facts['way']}), base {config.base}",
        "models": {setting: dataclasses.asdict(one) for setting, one in used.items()},
        "fit": dataclasses.asdict(fits.ridge),
        "linearity": None if straight is None else dataclasses.asdict(straight),
        "bends": [dataclasses.asdict(bend) for bend in fits.bends],
        "losses": by_row,
        "warnings": to_json(warnings),
        "check": None,
    }
    path = folder / "rule.json"
    data.write_json(path, text)
    predicted = fits.ridge.intercept + fits.terms @ np.array(fits.ridge.coefficients)
    fitted = RulePage(
        wanted.name or config.name, config.base, wanted.n,
        _rule_slopes(fits.ridge, fits.published, fits.slopes), fits.ridge.rank, fits.ridge.error, noise,
        fits.published.r2, length.r2, tuple(predicted.tolist()), tuple(subsets.losses.tolist()),
        tuple(subsets.doubled.tolist()), tuple(warnings),
    )  # fmt: skip
    data.write_json(folder / _PAGE, to_json(fitted))
    shown = view.write_page(fitted.as_page(), folder / "rule.html", config.language)
    return RuleReport(
        str(path), len(target), noise, fits.ridge, fits.published, fits.stepwise, fits.slopes, straight,
        fits.bends, length, tuple(warnings), str(shown),
        fitted, config.language,
    )  # fmt: skip


def _rule_slopes(
    ridge: regression.RidgeFit, published: regression.LinearFit, slopes: Sequence[regression.Slopes]
) -> tuple[RuleSlope, ...]:
    """Return what is known of each indicator; slopes between and within sources where there are several."""
    apart = {s.name: (s.between, s.within) for s in slopes}
    rows = zip(
        ridge.names, ridge.coefficients, ridge.low, ridge.high, ridge.signs, published.coefficients,
        published.p, published.inflation, strict=True,
    )  # fmt: skip
    ends = ((low, high) if math.isfinite(high - low) else (None, None)
            for low, high in zip(published.low, published.high, strict=True))  # fmt: skip
    return tuple(
        RuleSlope(*row, *apart.get(row[0], (None, None)), *bounds)
        for row, bounds in zip(rows, ends, strict=True)
    )


def _length_alone(
    config: StudyConfig, means: Array, names: tuple[str, ...], target: Array
) -> regression.LinearFit:
    own = next((name for name in ("len_out", "tokens_out") if name in names), None)
    if own is not None:
        column = means[:, names.index(own)]
    else:
        ladder, store = prepared(config)
        values = pool_values(ladder, store, ("len_out",))[:, 0]
        dataset = data.Dataset(store.path(ladder.pool.key) / "dataset")
        known = dict(zip(dataset.column("id").to_pylist(), values.tolist(), strict=True))
        rows = sorted(_folder(config).glob("row*.ids"))[: len(target)]
        column = np.array([np.mean([known[i] for i in p.read_text("utf-8").split()]) for p in rows])
    return regression.least_squares(column[:, None], target, (own or "len_out",))


def _warnings(
    ridge: regression.RidgeFit,
    slopes: tuple[regression.Slopes, ...],
    length: regression.LinearFit,
    noise: float | None,
    target: Array,
) -> list[Say]:
    """Return the reasons not to use the rule on single samples."""
    found: list[Say] = []
    if ridge.rank < 0.3:
        found.append(say("rule.warning.rank", rank=ridge.rank))
    unsure = [n for n, s in zip(ridge.names, ridge.signs, strict=True) if s < 0.9]
    if unsure:
        found.append(say("rule.warning.sign", names=unsure))
    found += [say("rule.warning.slopes", name=s.name) for s in slopes if not s.agree]
    spread = float(target.std())
    if noise is not None and noise > 0.7 * spread:
        found.append(say("rule.warning.noise", noise=noise, spread=spread))
    explained = 1 - ridge.error**2 / float(target.var() or 1)
    if length.r2 > max(explained, 0):
        found.append(say("rule.warning.length", r2=length.r2))
    return found


def check(config: Study, *, set: Sequence[str] = (), cap: str | None = None) -> RuleCheck:
    """Test the rule against random samples on the study's own set, not used for fitting.

    Compares top, top of each length, and bottom at equal size with at least three seeds; the verdict is
    stored in the rule, which is fitted first where it was not.

    Example: `assay rule check study.yaml`

    Parameters
    ----------
    config
        Study file (YAML) with a `rule` section.
    set
        Override a setting of the study file, `key.path=value`; may be repeated.
    cap
        Stop before this command takes more than this: "2 hours", "20 USD", "2M tokens", "50 GB", or several
        with `and`; by default `where.cap` of the study file. What is finished is kept.

    Raises
    ------
    AssayError
        Where the file has no rule, or its subsets are not trained.
    """
    config = load(config, set)
    with spending(config, report_folder(config), cap) as meter:
        found = _check(config)
        meter.per |= {"verdict": len(found.comparisons)}
    return found


def _check(config: StudyConfig) -> RuleCheck:
    wanted, folder = settings(config), _folder(config)
    path = folder / "rule.json"
    if not path.exists():
        fit(config)
    rows = trial(
        config, str(path.resolve()), wanted.trial or (wanted.n,), folder / "check", f"{config.name}-check"
    )
    verdict = trial_verdict(rows)
    text = read_json(path)
    compared = [dataclasses.asdict(c) for c in rows]
    text["check"] = {
        "kind": verdict.key.removeprefix("rule."),
        "verdict": view.said(verdict),
        "said": to_json(verdict),
        "comparisons": compared,
    }
    data.write_json(path, text)
    fitted = view.restore(RulePage, read_json(folder / _PAGE))
    fitted = replace(fitted, verdict=verdict, trial=rows)
    view.write_page(fitted.as_page(), folder / "rule.html", config.language)
    said = view.said(verdict, config.language)
    report = str(folder / "check" / "report.html")
    return RuleCheck(str(path), said, rows, report, fitted, config.language)
