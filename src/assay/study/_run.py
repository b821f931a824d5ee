"""Run, plan and watch studies."""

from __future__ import annotations

import json
import shlex
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from assay import core, data, llm, model, view
from assay import plan as planning
from assay.core import (
    AssayError,
    BasesResult,
    DataSummary,
    File,
    OnCommand,
    Shown,
    StudyResult,
    Text,
    page,
    say,
)
from assay.plan import Plan, Pool, Step, Store, open_store
from assay.study._bases import BasePart, StudyGraph, study_graph, study_ladders
from assay.study._check import check_notes, check_to_come, checked
from assay.study._claim import claim, identity, of_first_version, others
from assay.study._config import (
    OWN_RULE,
    ArmConfig,
    StudyConfig,
    TestbedConfig,
    laid_over,
    parse_config,
    read_config,
)
from assay.study._decide import decided, looked_higher
from assay.study._estimate import estimate_ladder
from assay.study._find import write_models
from assay.study._graph import Ladder, input_steps
from assay.study._recipes import Beside, equal_tokens, trained, variants, variants_note
from assay.study._spend import prices, spending
from assay.study.steps import LOG, Tally, item_counts, iterate, sample_counts, summary_of


@dataclass(frozen=True, slots=True)
class StudyPlan(Shown):
    """What a study would do: its steps, and sample passes beside those of independent runs."""

    name: str
    plan: Plan
    pool_samples: int
    models: int
    trained_samples: int
    independent_samples: int
    notes: tuple[Text, ...] = ()
    largest: tuple[model.TrainingEstimate, ...] = ()
    pool_read: bool = True
    language: str = "en"

    def as_page(self) -> core.Page:
        """Return a table of the steps, with what the ladder saves."""
        columns = (
            core.Column(say("plan.step"), "@"), core.Column(say("plan.cached"), ","),
            core.Column(say("plan.to_do"), ","),
            core.Column(say("plan.minutes"), ",.1f"), core.Column(say("plan.tokens"), ",.0f"),
            core.Column("MB", ",.1f"), core.Column(say("plan.money")),
        )  # fmt: skip
        rows = tuple(
            (
                row.name, row.cached, row.to_do, _scaled(row.seconds, 60), row.tokens,
                _scaled(row.bytes, 1e6), _money(row),
            )
            for row in (*self.plan.rows, self.plan.total)
        )  # fmt: skip
        share = self.trained_samples / self.independent_samples if self.independent_samples else None
        head = say(
            "plan.head", name=self.name, models=self.models, pool=self.pool_samples,
            trained=self.trained_samples, independent=self.independent_samples, share=share,
        )  # fmt: skip
        notes: list[Text] = [self.plan.forecast.said()] if self.plan.forecast.steps else []
        notes += [_past(self.plan.past)] if self.plan.past else []
        notes += [] if self.pool_read else [say("plan.unread")]
        notes += [*self.notes, *(say("plan.largest", estimate=found.said()) for found in self.largest)]
        last = (len(rows) - 2,) if self.plan.rows else ()
        return page(
            core.Paragraph(head),
            core.Table(columns, rows, breaks=last),
            core.Items(tuple(notes)),
            language=self.language,
        )


def _money(row: planning.PlanRow) -> Text | None:
    """Return amounts by currency, "price unknown" where a price is missing; None where nothing is paid."""
    if row.unpriced:
        return say("plan.unpriced")
    return " + ".join(f"{amount:,.2f} {name}" for name, amount in sorted(row.money.items())) or None


def _past(ratios: Sequence[float]) -> Text:
    """Return how far the forecasts of this store were off."""
    within = sum(0.8 <= ratio <= 1.2 for ratio in ratios)
    return say("plan.past", runs=len(ratios), low=min(ratios), high=max(ratios), within=within)


def _scaled(value: float | None, unit: float) -> float | None:
    return None if value is None else value / unit


Study: TypeAlias = Annotated[Path | str | Mapping[str, Any] | StudyConfig, OnCommand(Path)]
"""A study's file, what stands in one, or its configuration."""


def load(config: Study, changes: Sequence[str] = (), pool: str | None = None) -> StudyConfig:
    """Return the study's configuration, with ``key.path=value`` settings laid over it."""
    if isinstance(config, StudyConfig):
        if changes:
            raise AssayError("settings are laid over files and mappings", place="set", value=list(changes),
                             hint="change the StudyConfig itself: dataclasses.replace")  # fmt: skip
        loaded = config
    elif isinstance(config, Mapping):
        loaded = parse_config(laid_over(config, changes))
    else:
        loaded = read_config(Path(config), changes)
    loaded = loaded if pool is None else replace(loaded, where=replace(loaded.where, pool=pool))
    return replace(loaded, arms=by_own_rule(loaded))


def by_own_rule(config: StudyConfig) -> dict[str, ArmConfig]:
    """Return the arms, those by the study's own rule (``by: rule``) with its file, fitted or not."""
    place = str(rule_file(config).absolute())
    own = [name for name, arm in config.arms.items() if arm.by == OWN_RULE]
    if own and config.rule is None:
        raise AssayError("the study file has no rule", place=f"arms.{own[0]}.by", value=OWN_RULE,
                         expected="a `rule` section, or an indicator, or a rule's file")  # fmt: skip
    return {name: replace(arm, by=place) if name in own else arm for name, arm in config.arms.items()}


def rule_file(config: StudyConfig) -> Path:
    """Return where the rule of a study is written."""
    return report_folder(config) / "rule" / "rule.json"


def run(
    config: Study, *, set: Sequence[str] = (), pool: str | None = None, out: File | None = None,
    cap: str | None = None,
) -> StudyResult | BasesResult:  # fmt: skip
    """Run a study: data, ladder, fine-tuning, answers, scores, curves, report.

    Finished steps are stored: stop it at any time and rerun the same command to continue. The report is in
    `runs/NAME`; with several base models, each has a subfolder.

    Example: `assay study run study.yaml --set ladder.seeds=5 --pool processes:4`

    A study file:

        name: alpaca-pocket
        base: pocket                      # or a Hugging Face id, a folder, or {small: ..., large: ...}
        pool: [data/alpaca.jsonl.gz]
        evaluation: eval.jsonl
        ladder: {rungs: [500, 1000, 2000, 4000], seeds: 3}
        recipe: pocket                    # or belle; any field can be changed

    In Python the same as a mapping does:

        >>> tiny = {"name": "tiny", "pool": {"testbed": {"samples": 64}},
        ...         "evaluation": {"testbed": {"samples": 24, "seed": 1}},
        ...         "ladder": {"rungs": [16], "seeds": 1}, "measure": {"answers": False}}
        >>> found = assay.study.run(tiny, pool="inline")
        >>> found.curves["overall"].refused is not None     # one size is no curve
        True

    Parameters
    ----------
    config
        Study file (YAML).
    set
        Override a setting of the study file, `key.path=value`; may be repeated.
    pool
        Where steps run: `inline` or `processes:N`.
    out
        Folder for the report; `runs/NAME` by default.
    cap
        Stop before this command takes more than this: "2 hours", "20 USD", "2M tokens", "50 GB", or several
        with `and`; by default `where.cap` of the study file. What is finished is kept.
    """
    study = load(config, set, pool)
    if not rule_file(study).exists() and (waiting := _by_rule(study)):
        raise AssayError(
            "the rule of this study is not fitted yet", place=f"arms.{next(iter(waiting))}.by",
            hint="`assay study whole` fits and tries it first; or run `assay rule run`, `fit` and `check`",
        )  # fmt: skip
    changes = (*set, f"where.out={out}") if out else tuple(set)
    return run_study(study, Path(out or report_folder(study)), study_file(config, changes), cap)


def run_study(
    study: StudyConfig, target: Path, file: str, cap: str | None = None
) -> StudyResult | BasesResult:
    """Run all steps of a study, write its report into ``target``, and return its result."""
    with spending(study, target, cap) as meter:
        _run_graph(study, target, file)
        result = view.load_study(target / "result.json")
        meter.per |= _counted(result)
    return replace(result, report=str(target))


def study_file(config: Study, changes: Sequence[str] = ()) -> str:
    """Return how a study is named on the command line: its file and settings; "" where it has no file."""
    if not isinstance(config, Path | str):
        return ""
    return shlex.join([str(config), *(word for change in changes for word in ("--set", change))])


def _run_graph(study: StudyConfig, target: Path, file: str) -> None:
    """Run all steps of a study and copy its report to ``target``."""
    store = open_store(study.where.store)
    workers = planning.parse_pool(study.where.pool)
    evaluation, samples = input_steps(study)
    owner = claim(study, samples, target)
    view.keep_command(target, file)
    with planning.listing(target, store, prices(study)) as listed, workers:
        planning.run([evaluation, samples], store, workers)
        summary = read_summary(store, samples)
        ladders = study_ladders(study, evaluation, samples, summary)
        _announce(study, evaluation, ladders, store, workers)
        checks = {name: checked(ladder, store, workers) for name, ladder in ladders.items()}
        beside = {
            name: trained([*variants(one), *equal_tokens(one, store, workers)], store, workers)
            for name, one in ladders.items()
        }
        graph = study_graph(study, evaluation, ladders, checks, beside)
        for name, part in graph.parts.items():
            if not llm.is_hosted(part.ladder.config.base):
                write_models(target / name, store, part.ladder, part.runs, of_several=bool(name))
        listed.add([graph.final], whole=True)
        store.register(study.name, [graph.final], owner)
        graph.run(store, workers)

        def build(more: Mapping[str, Beside] = beside) -> StudyGraph:
            return study_graph(study, evaluation, ladders, checks, more)

        graph = looked_higher(graph, checks, build, store, workers)
        graph = decided(graph, build, store, workers)
        store.register(study.name, [graph.final], owner)
    for name, part in graph.parts.items():
        _publish_part(part, store, target / name)
    if study.bases:
        _publish(store.path(graph.final.key) / "report", target)


def _announce(
    study: StudyConfig, evaluation: Step, ladders: Mapping[str, Ladder], store: Store, workers: Pool
) -> None:
    """Say what a study takes in all where its recipe check, which is done first, is still to come."""
    coming = {name: check_to_come(ladder, store) for name, ladder in ladders.items()}
    if any(check is not None and not store.has(check.key) for check in coming.values()):
        planning.announce([study_graph(study, evaluation, ladders, coming).final], store, workers)


def _counted(result: StudyResult | BasesResult) -> dict[str, int]:
    """Return for how many rows, runs and verdicts a study was."""
    studies = [result] if isinstance(result, StudyResult) else [base.result for base in result.bases]
    runs = sum(len({(p.arm, p.seed, p.n_train) for p in one.points if p.n_train}) for one in studies)
    verdicts = sum(curve.verdict is not None for one in studies for curve in one.curves)
    return {"row": studies[0].pool.samples, "run": runs, "verdict": verdicts}


def demo(
    out: File = Path("runs/demo"), *, pool: str = "processes:2", cap: str | None = None
) -> StudyResult | BasesResult:
    """Run a small real study on synthetic data and the pocket model, without network or API keys.

    Example: `assay demo`, then open runs/demo/report.html.

    Parameters
    ----------
    out
        Folder for the report.
    pool
        Where steps run: `inline` or `processes:N`.
    cap
        Stop before this command takes more than this: "2 hours", "20 USD", "2M tokens", "50 GB", or several
        with `and`; what is finished is kept, and the same command goes on.
    """
    own, target = Path(str(files("assay.study") / "demo.yaml")), Path(out)
    file = target / "study.yaml"
    if not file.exists():  # so that the commands which its report shows can be run
        target.mkdir(parents=True, exist_ok=True)
        text = own.read_text(encoding="utf-8")
        file.write_text(f"{text}where: {{out: {json.dumps(str(target))}}}\n", encoding="utf-8")
    return run_study(load(own, pool=pool), target, study_file(file), cap)


def report(result: File, *, out: File | None = None) -> list[Path]:
    """Rebuild the report of a study that has run.

    Example: `assay study report study.yaml`, or `assay study report runs/demo/result.json --out elsewhere`

        >>> sorted(path.name for path in assay.study.report("result.json", out="again"))[:2]
        ['points.csv', 'points.parquet']

    Parameters
    ----------
    result
        The study's result.json, or its study file.
    out
        Folder for the report; by default that of `result`.
    """
    if Path(result).suffix.lower() in (".yaml", ".yml"):
        result = report_folder(load(Path(result), ())) / "result.json"
    folder = Path(result).parent
    view.keep_command(Path(out or folder), view.study_command(folder) or "")
    return view.write_report(view.load_study(Path(result)), Path(out or folder), view.load_book(folder))


def report_folder(study: StudyConfig) -> Path:
    """Return the folder of a study's report."""
    return Path(study.where.out or f"runs/{study.name}")


def run_one(config: StudyConfig) -> StudyResult:
    """Run a study on its first base alone."""
    found = run(replace(config, bases={}))
    assert isinstance(found, StudyResult)  # noqa: S101 - one base gives one result
    return found


def _publish_part(part: BasePart, store: Store, target: Path) -> None:
    """Copy the report of one base, with the exports that lie beside it, and what its judge said."""
    _publish(store.path(part.result.key) / "report", target)
    view.show_exports(target)
    for one in part.runs:
        if part.ladder.config.judge is not None and one.judged is not None:
            name = f"{one.arm}-{one.n_train}-seed{one.seed}.eval"
            (log,) = (store.path(one.judged.key) / LOG).glob("*.eval")
            _copy(log, target / "judgements" / name)


def read_summary(store: Store, pool: Step) -> DataSummary:
    """Return what the reading of the pool counted."""
    return summary_of(store.path(pool.key))


def _publish(made: Path, target: Path) -> None:
    """Copy the report's files, each by a rename, so that a reader never sees half a file."""
    for source in sorted(made.iterdir()):
        _copy(source, target / source.name)
    view.name_command(target)


def _copy(source: Path, target: Path) -> None:
    with data.replacing(target) as partial:
        shutil.copyfile(source, partial)


def plan(config: Study, *, set: Sequence[str] = ()) -> StudyPlan:
    """Preview a study without running it: cached and pending steps, tokens, minutes, disk space.

    Example: `assay study plan study.yaml`

        >>> places = {"pool": "pool.jsonl", "evaluation": "eval.jsonl"}
        >>> assay.study.plan({"name": "small", "ladder": {"rungs": [8, 16]}, **places}).models
        6

    Parameters
    ----------
    config
        Study file (YAML).
    set
        Override a setting of the study file, `key.path=value`; may be repeated.
    """
    study = load(config, set)
    store = open_store(study.where.store, create=False)
    evaluation, samples = input_steps(study)
    notes: list[Text] = []
    read = store.has(samples.key)
    place = report_folder(study)
    differs = None if of_first_version(study.name, place) else others(identity(study, samples), place)
    if differs is not None:
        notes.append(say("plan.other_report", folder=str(place), differs=differs))
    summary = read_summary(store, samples) if read else _count(study, samples)
    notes += view.read_notes("pool", summary)
    study, unfitted = _with_stand_ins(study)
    ladders = study_ladders(study, evaluation, samples, summary)
    checks = {name: check_to_come(ladder, store) for name, ladder in ladders.items()}
    graph = study_graph(study, evaluation, ladders, checks)
    passes: dict[str, int] = {}
    alone = 0
    trainings = [one for part in graph.parts.values() for one in part.trainings()]
    for ladder, runs in trainings:
        steps = [step for r in runs for step in (*r.trunk, r.branch) if step is not None]
        passes = {step.key: ladder.samples_of(step) for step in steps} | passes
        alone += ladder.recipe_settings["epochs"] * sum(run.n_train for run in runs)
    for part in graph.parts.values():
        notes += _notes(part, store)
    seconds = {
        step.key: step.estimate.seconds or 0.0
        for _, runs in trainings for run in runs for step in (*run.trunk, run.branch) if step is not None
    }  # fmt: skip
    notes += [*unfitted, *_asked_beside(study, sum(seconds.values()) / max(1, sum(passes.values())))]
    estimates = (estimate_ladder(part.ladder) for part in graph.parts.values())
    return StudyPlan(
        name=study.name,
        plan=planning.plan([graph.final], store, _workers(study), prices(study)),
        pool_samples=summary.samples,
        models=len({run.answer.key for _, runs in trainings for run in runs if run.branch is not None}),
        trained_samples=sum(passes.values()),
        independent_samples=alone,
        notes=tuple(dict.fromkeys(notes)),
        largest=tuple(found for found in estimates if found is not None),
        pool_read=read,
        language=study.language,
    )


def _with_stand_ins(study: StudyConfig) -> tuple[StudyConfig, list[Text]]:
    """Return the study with random samples in place of a selection by a rule of its own to come; a note."""
    waiting = {} if rule_file(study).exists() else _by_rule(study)
    arms = {**study.arms, **{name: replace(arm, rule="random", by=None) for name, arm in waiting.items()}}
    return replace(study, arms=arms), [say("plan.unfitted", arms=sorted(waiting))] if waiting else []


def _by_rule(study: StudyConfig) -> dict[str, ArmConfig]:
    """Return the arms that select by the study's own rule."""
    own = str(rule_file(study).absolute())
    return {name: arm for name, arm in study.arms.items() if arm.by == own}


def _asked_beside(study: StudyConfig, seconds: float) -> list[Text]:
    """Return what the file asks for besides the study, with its cost at ``seconds`` of training a sample."""
    found: list[Text] = []
    epochs, rule, search = study.recipe.epochs, study.rule, study.search
    if rule is not None:
        samples = rule.samples(study.ladder.seeds) * epochs
        found.append(say("plan.rule", models=rule.models, samples=samples, minutes=samples * seconds / 60))
    if search is not None:
        runs = (search.runs or 0) * len(search.method)
        samples = runs * search.high * epochs
        found.append(say("plan.search", runs=runs, samples=samples, minutes=samples * seconds / 60))
    return found


def _workers(study: StudyConfig) -> int:
    return planning.parse_pool(study.where.pool).size


def _notes(part: BasePart, store: Store) -> list[Text]:
    """Return what a ladder noted, and what length takes away, as far as that is known already."""
    counted, base = part.ladder.counted, part.runs[0].answer.key
    counts = sample_counts(store.path(counted.key)) if counted and store.has(counted.key) else {}
    counts |= item_counts(store.path(base)) if store.has(base) else {}
    unknown: list[Text] = [] if counts or counted is None else [say("plan.uncounted")]
    unknown += [*_control_note(part), *check_notes(part.ladder)]
    unknown += variants_note(part.ladder, part.beside.variants)
    return [*part.ladder.notes, *view.count_notes(counts), *unknown]


def _control_note(part: BasePart) -> list[Text]:
    """Return what a plan says of the control slice and what measuring it takes."""
    samples = part.ladder.control_samples
    seconds = sum(one.held.estimate.seconds or 0 for one in part.runs if one.held is not None)
    return [say("control.plan", samples=samples, minutes=seconds / 60)] if samples else []


def _count(study: StudyConfig, pool: Step) -> DataSummary:
    """Count the pool by reading it, without writing anything."""
    if isinstance(study.pool, TestbedConfig):
        counts = Counter({"testbed": study.pool.samples})
        quantiles = {"p50": 20.0}
        return DataSummary((), study.pool.samples, {}, {}, dict(counts), quantiles)
    tally = Tally()
    for _, sample in iterate(pool.config, pool.where, tally, lambda row: None):
        if sample.answer and sample.id not in tally.seen:
            tally.seen.add(sample.id)
            tally.keep(sample)
    return tally.summary()
