"""One typed function for each verb of the command line, with the same name and arguments.

Rooms are imported where they are used, so that ``assay --help`` answers at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from assay.core import SelectionRule

if TYPE_CHECKING:
    from assay.core import CurvePower, Reading, StudyResult
    from assay.data import Inspection
    from assay.model import TrainReport
    from assay.plan import GarbageReport, StoreStatus
    from assay.score import Models, Scored
    from assay.study import (
        CleanReport,
        Explanation,
        RuleCheck,
        RuleDesign,
        RuleReport,
        SearchReport,
        SelectReport,
        StudyPlan,
    )

quiet = False
"""Whether progress is off; set by the command line."""


def demo(out: Path = Path("runs/demo"), *, pool: str = "processes:2") -> StudyResult:
    """Run a real study on the embedded testbed and pocket model, in minutes, without network or keys.

    Example: `assay demo`, then open runs/demo/report.html.
    """
    from importlib.resources import files

    from assay import study

    config = Path(str(files("assay.study") / "demo.yaml"))
    return study.run(config, pool=pool, out=out, quiet=quiet)


def study_run(
    config: Path,
    *,
    set: list[str] | None = None,
    pool: str | None = None,
    out: Path | None = None,
) -> StudyResult:
    """Run a study: data, ladder, fine-tuning, answers, scores, curves, report. Resumes by itself.

    Example: `assay study run study.yaml --set ladder.seeds=5 --pool processes:4`

    A study file:

        name: alpaca-pocket
        base: pocket                      # or a Hugging Face id, or a folder
        pool: [data/alpaca.jsonl.gz]
        evaluation: eval.jsonl
        ladder: {rungs: [500, 1000, 2000, 4000], seeds: 3}
        recipe: pocket                    # or belle; any field can be changed

    Parameters
    ----------
    config
        The study file (YAML).
    set
        A setting laid over the file, `key.path=value`; may be repeated.
    pool
        Where steps run: `inline` or `processes:N`.
    out
        Folder of the report; `runs/NAME` by default.
    """
    from assay import study

    return study.run(config, changes=set or (), pool=pool, out=out, quiet=quiet)


def study_plan(config: Path, *, set: list[str] | None = None) -> StudyPlan:
    """Show what a study would do: steps cached and to do, tokens, minutes, bytes. Nothing is run.

    Example: `assay study plan study.yaml`

    Parameters
    ----------
    config
        The study file (YAML).
    set
        A setting laid over the file, `key.path=value`; may be repeated.
    """
    from assay import study

    return study.plan(config, changes=set or ())


def study_report(result: Path, *, out: Path | None = None) -> list[Path]:
    """Write the report again from a study's result.json.

    Example: `assay study report runs/demo/result.json --out elsewhere`
    """
    from assay import report

    return report.write_report(report.load_result(result), out or result.parent)


def status(*, store: Path = Path(".assay")) -> StoreStatus:
    """Show the studies of a store, how far each has come, and what they take on disk.

    Example: `assay status`
    """
    from assay import plan

    return plan.status(plan.Store(store, create=False))


def gc(
    *, store: Path = Path(".assay"), delete: bool = False, forget: list[str] | None = None
) -> GarbageReport:
    """Show (or delete) stored objects that no registered study needs.

    Example: `assay gc --forget old-study --delete`

    Parameters
    ----------
    store
        The store's folder.
    delete
        Delete instead of showing.
    forget
        Studies whose objects are no longer wanted.
    """
    from assay import plan

    return plan.collect_garbage(plan.Store(store, create=False), forget=forget or (), dry_run=not delete)


def data_inspect(places: list[str], *, rejected: Path | None = None) -> Inspection:
    """Count a data set by type, language and length; show duplicates and each rejected row's reason.

    Example: `assay data inspect alpaca.json "shards/*.jsonl.zst" --rejected rejected.jsonl`

    Parameters
    ----------
    places
        Files, folders of shards, globs, or `hf:owner/name`.
    rejected
        Write all rejected rows, with place and reason, to this JSONL file.
    """
    from assay import data

    return data.inspect(places, rejected=rejected)


def data_convert(
    places: list[str],
    *,
    out: Path,
    format: Literal["messages", "alpaca", "sharegpt", "samples"] = "messages",
    rejected: Path | None = None,
) -> Any:
    """Convert data sets to one format, with entries for LLaMA-Factory and axolotl beside the file.

    Example: `assay data convert belle.json alpaca.jsonl --out train.jsonl --format sharegpt`

    Parameters
    ----------
    places
        What to read.
    out
        The file to write.
    format
        How to write it.
    rejected
        Write rejected rows to this JSONL file.
    """
    from assay import data

    return data.convert(places, out, format=format, rejected=rejected)


def data_show(place: str, *, base: str = "pocket", row: int = 0, max_tokens: int = 1024) -> Any:
    """Show one sample as the model sees it: tokens, and which of them the loss counts.

    Example: `assay data show alpaca.jsonl --row 7 --base bigscience/bloomz-560m`

    Parameters
    ----------
    place
        A file, folder or id of samples.
    base
        The model whose tokenizer and chat template are used.
    row
        Which usable row, from 0.
    max_tokens
        Longer samples are cut here.
    """
    from assay import study

    return study.show_tokens(place, base=base, row=row, max_tokens=max_tokens)


def data_testbed(
    n: int,
    out: Path,
    *,
    seed: int = 0,
    split: Literal["train", "eval"] = "train",
    defects: float = 0.0,
) -> Any:
    """Write samples of the testbed; planted defects and their places go beside them.

    Example: `assay data testbed 10000 testbed.jsonl --defects 0.2`

    Parameters
    ----------
    n
        How many samples.
    out
        The file to write (Assay's own JSONL, with type, language and checker).
    seed
        The same seed gives the same samples.
    split
        Training or evaluation prompts; they do not overlap.
    defects
        Share of samples with a planted defect, all kinds alike.
    """
    from assay import study

    return study.write_testbed(n, out, seed=seed, split=split, defects=defects)


def train(
    place: str,
    out: Path,
    *,
    base: str = "pocket",
    recipe: str | None = None,
    seed: int = 0,
    device: str = "auto",
) -> TrainReport:
    """Fine-tune a base model on all samples of a data set, once. Resumes by itself.

    Example: `assay train alpaca.jsonl tuned --base pocket --recipe pocket`

    Parameters
    ----------
    place
        A file, folder or id of samples.
    out
        Folder of the run; the model is in `out/model`.
    base
        `pocket`, a folder, or a Hugging Face id.
    recipe
        A preset: pocket or belle (the default is the one that fits the base).
    seed
        Fixes order and dropout.
    device
        auto, cpu or cuda.
    """
    from assay import study

    report: TrainReport = study.train_once(
        place, out, base=base, recipe=recipe, seed=seed, device=device, quiet=quiet
    )
    return report


def answer(
    model: str, place: str, out: Path, *, max_new_tokens: int = 128, temperature: float = 0.0, seed: int = 0
) -> Any:
    """Let a model answer the prompts of an evaluation set; losses and scores where references allow.

    Example: `assay answer tuned/model eval.jsonl answers.jsonl`

    Parameters
    ----------
    model
        `pocket`, a folder, or a Hugging Face id.
    place
        The evaluation set.
    out
        JSONL file of answers, losses and scores.
    max_new_tokens
        Answers are cut here.
    temperature
        0 is greedy.
    seed
        Fixes sampling.
    """
    from assay import study

    return study.answer_once(
        model, place, out, max_new_tokens=max_new_tokens, temperature=temperature, seed=seed, quiet=quiet
    )


def curve(
    table: Path,
    *,
    satisfied_at: float | None = None,
    smallest_gain: float = 0.01,
    smallest_relative_gain: float = 0.005,
    reach: float = 2.0,
    form: str | None = None,
    price: float | None = None,
    plot: Path | None = None,
) -> Reading:
    """Read curves from any table: verdicts, next runs, best sizes, double descent, balance points.

    Example: `assay curve results.csv --satisfied-at 0.8 --plot curves.html`

    Parameters
    ----------
    table
        CSV, TSV or Parquet with columns n_train and score or loss; type, seed, arm, n_eval and se if known.
    satisfied_at
        The score that satisfies.
    smallest_gain
        The smallest gain from a doubling that matters, in score.
    smallest_relative_gain
        The same for losses, as a share of the last loss.
    reach
        How far to predict, in largest sizes: 2, at most 4; beyond 2 is speculative.
    form
        Use one curve form (bnsl, power, or a plugin's) instead of the posterior over families.
    price
        What 1,000 samples cost, for the gain per unit of money.
    plot
        Write a chart here: .html, .svg, .png or .json.
    """
    from assay import study

    return study.curves_of_table(
        table,
        satisfied_at=satisfied_at,
        smallest_gain=smallest_gain,
        smallest_relative_gain=smallest_relative_gain,
        reach=reach,
        form=form,
        price=price,
        plot=plot,
    )


def curve_power(
    rungs: list[int],
    *,
    seeds: int = 3,
    n_eval: int = 100,
    run_sd: float = 0.01,
    item_sd: float = 0.3,
    wanted: float = 0.02,
    smallest_gain: float = 0.01,
    types: int = 12,
) -> CurvePower:
    """Say before any run what a ladder can show: detectable effects, items and seeds wanted.

    Example: `assay curve power 1000 2000 4000 8000 --seeds 3 --n-eval 200 --wanted 0.02`

    Parameters
    ----------
    rungs
        Sizes of the ladder.
    seeds
        Seeds at each size.
    n_eval
        Evaluation items per type.
    run_sd
        Standard deviation of a type's score between seeds.
    item_sd
        Standard deviation of the scores of a type's items; 0.5 for right or wrong at one half.
    wanted
        The effect to be seen, in score.
    smallest_gain
        The smallest gain from a doubling that matters, for the chances of a verdict.
    types
        How many types share the headline.
    """
    from assay.curve import curve_power as power

    return power(
        rungs,
        seeds=seeds,
        n_eval=n_eval,
        run_sd=run_sd,
        item_sd=item_sd,
        wanted=wanted,
        smallest_gain=smallest_gain,
        types=types,
    )


@dataclass(frozen=True)
class ModelOptions:
    """Models and samples that indicators and selections may need.

    Parameters
    ----------
    base
        Causal model for ppl, ifd, miwv, rds, less: `pocket`, a folder, or a Hugging Face id.
    second
        Another causal model, for loss_gap.
    embedder
        `minilm` (English), `lexical` (any script, no model), or a sentence-transformers or Model2Vec model.
    reward
        Reward model: `deberta`, `oasst`, or any sequence classification with one output.
    dialog
        UniEval (`unieval`, or a T5 of that kind), for naturalness, coherence, understandability.
    target
        Samples like those the model is to be good at, for rds, less and the target selection.
    reference
        Samples that knn_reference measures the distance to.
    neighbour
        Which neighbour knn takes.
    cache
        Folder where values of models are kept, so that nothing is computed twice.
    """

    base: str = "pocket"
    second: str | None = None
    embedder: str = "minilm"
    reward: str | None = None
    dialog: str | None = None
    target: list[str] = field(default_factory=list)
    reference: list[str] = field(default_factory=list)
    neighbour: int = 6
    cache: Path = Path(".assay/scores")

    def load(self) -> Models:
        """Return the models with their samples read."""
        from assay import score, study

        return score.Models(
            self.base, self.second, self.embedder, self.reward, self.dialog,
            tuple(study.PoolFiles(self.target)), tuple(study.PoolFiles(self.reference)), self.neighbour,
            cache=self.cache,
        )  # fmt: skip


Flat = Parameter(name="*")


def score(
    places: list[str],
    *,
    out: Path,
    indicators: list[str] | None = None,
    pool: str = "processes:2",
    language: Literal["en", "zh"] = "en",
    models: Annotated[ModelOptions, Flat] = ModelOptions(),
) -> Scored:
    """Measure quality indicators of every sample, into a Parquet table with a reason for each missing value.

    Example: `assay score alpaca.json --out scores.parquet --indicators mtld --indicators ifd`

    A page with distributions and the samples at both ends is written beside the table.

    Parameters
    ----------
    places
        What to read.
    out
        The table to write (.parquet).
    indicators
        Which: names, published rules (instructmining-v1, instructmining-v2), or a rule's JSON file; all that
        need no model by default.
    pool
        inline or processes:N; never changes a value. Models run in this process.
    language
        Language of the page.
    models
        See below.
    """
    from assay import study
    from assay.plan import parse_pool

    return study.score_pool(
        places, out, indicators or (), models=models.load(), workers=parse_pool(pool).size, language=language,
        quiet=quiet,
    )  # fmt: skip


def clean(
    places: list[str],
    *,
    out: Path,
    evaluation: list[str] | None = None,
    near: float = 0.8,
    novelty: float | None = None,
    semantic: float | None = None,
    alike: float | None = None,
    to: int | None = None,
    by: str | None = None,
    alarm: float = 0.1,
    pool: str = "processes:2",
    language: Literal["en", "zh"] = "en",
    models: Annotated[ModelOptions, Flat] = ModelOptions(),
) -> CleanReport:
    """Clean a pool of broken rows, duplicates and evaluation prompts; a receipt for every removal.

    Example: `assay clean alpaca.json --out clean.jsonl --evaluation eval.jsonl --novelty 0.7`

    Parameters
    ----------
    places
        What to read.
    out
        File of the samples kept (JSONL); receipts go beside it, in OUT.removed.jsonl, and a page.
    evaluation
        Evaluation sets whose prompts must not be in the pool.
    near
        Jaccard similarity of 5-token shingles from which on a sample is a near-duplicate; above 1: off.
    novelty
        ROUGE-L with a kept instruction from which on a sample goes; 0.7 is the rule of self-instruct.
    semantic
        Cosine of embeddings above which a sample is a semantic duplicate; 0.95 is a careful value for minilm.
    alike
        Cosine of its prompt's embedding with an evaluation prompt from which on a sample is contaminated.
    to
        Keep at most so many.
    by
        An indicator by which the best of a cluster, and of what is left, stays; else the longest answer.
    alarm
        Share that a source, language or type may lose before it is named.
    pool
        inline or processes:N; never changes what is kept.
    language
        Language of the page.
    models
        See below.
    """
    from assay import study
    from assay.plan import parse_pool
    from assay.select import CleanRules

    rules = CleanRules(
        None if near > 1 else near, novelty, semantic=semantic, alike=alike, to=to, alarm=alarm
    )
    return study.clean_pool(
        places, out, rules, evaluation=evaluation or (), by=by, models=models.load(),
        workers=parse_pool(pool).size, language=language, quiet=quiet,
    )  # fmt: skip


def select(
    places: list[str],
    *,
    out: Path,
    n: int,
    rule: SelectionRule = "top",
    by: str | None = None,
    scores: Path | None = None,
    groups: Literal["source", "type", "language", "length"] = "source",
    seed: int = 0,
    language: Literal["en", "zh"] = "en",
    models: Annotated[ModelOptions, Flat] = ModelOptions(),
) -> SelectReport:
    """Select samples, with random, source-balanced and longest baselines of the same size beside them.

    Example: `assay select clean.jsonl --out best.jsonl --n 1000 --by mtld`

    Parameters
    ----------
    places
        What to read.
    out
        File of the selection, in its order, so that every prefix is a selection; baselines and a page go
        beside it.
    n
        How many.
    rule
        top or bottom of a score; random; balanced (groups in turn at random); quota (groups in turn, the best
        of each); clusters (of embeddings, in turn); deita (the best that are not alike); k_center; facility
        (location: coverage of the pool); qdit (coverage and score); target (like target samples, in turn);
        tags (new keywords first).
    by
        The score: an indicator, a published rule, or a rule's JSON file.
    scores
        A table of `assay score` to take it from.
    groups
        What is taken in turn; length gives the best of each length.
    seed
        Fixes random order and ties.
    language
        Language of the page.
    models
        See below.
    """
    from assay import study

    return study.select_pool(
        places, out, n, rule=rule, by=by, scores=scores, models=models.load(), groups=groups, seed=seed,
        language=language,
    )  # fmt: skip


def explain(
    sample: str,
    places: list[str],
    *,
    scores: Path | None = None,
    removed: Path | None = None,
    selected: list[str] | None = None,
    models: Annotated[ModelOptions, Flat] = ModelOptions(embedder="lexical"),
) -> Explanation:
    """Explain one sample: its scores and their percentiles, its neighbours, why it was kept or dropped.

    Example: `assay explain 3f1a2b pool.jsonl --scores scores.parquet --removed clean.jsonl.removed.jsonl`

    Parameters
    ----------
    sample
        Its id (or the first six digits or more), or file:line.
    places
        The pool.
    scores
        A table of `assay score`.
    removed
        The receipts of `assay clean`.
    selected
        Files of `assay select`.
    models
        See below; the embedder finds the neighbours.
    """
    from assay import study

    return study.explain_sample(
        sample, places, scores=scores, removed=removed, selected=selected or (), models=models.load()
    )


def rule_design(config: Path, *, set: list[str] | None = None) -> RuleDesign:
    """Choose the subsets that a quality rule is fitted on, and show what they can see; nothing is trained.

    Example: `assay rule design study.yaml`, where the study file says

        rule: {indicators: [len_out, knn, ifd], n: 1000, runs: 32, check: trial.jsonl}

    Parameters
    ----------
    config
        A study file with a rule.
    set
        Changes: key.path=value.
    """
    from assay import study

    return study.rule_design(study.load(config, set or ()), quiet=quiet)


def rule_run(config: Path, *, set: list[str] | None = None) -> RuleReport:
    """Train the subsets (what is in the store is not trained again) and fit the rule.

    Example: `assay rule run study.yaml`

    Parameters
    ----------
    config
        A study file with a rule.
    set
        Changes: key.path=value.
    """
    from assay import study

    return study.rule_fit(study.load(config, set or ()), quiet=quiet)


def rule_check(config: Path, *, set: list[str] | None = None) -> RuleCheck:
    """Try the rule against random on a set that served neither to fit nor to search.

    The verdict goes into the rule.

    Example: `assay rule check study.yaml`

    Parameters
    ----------
    config
        A study file with a rule and `rule.check`.
    set
        Changes: key.path=value.
    """
    from assay import study

    return study.rule_check(study.load(config, set or ()), quiet=quiet)


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

    return study.search(study.load(config, set or ()), quiet=quiet)


VERBS: Mapping[str, Callable[..., Any]] = {
    "demo": demo,
    "study run": study_run,
    "study plan": study_plan,
    "study report": study_report,
    "status": status,
    "gc": gc,
    "data inspect": data_inspect,
    "data convert": data_convert,
    "data show": data_show,
    "data testbed": data_testbed,
    "score": score,
    "clean": clean,
    "select": select,
    "explain": explain,
    "rule design": rule_design,
    "rule run": rule_run,
    "rule check": rule_check,
    "search": search,
    "train": train,
    "answer": answer,
    "curve": curve,
    "curve power": curve_power,
}
"""Command to function; ``study run`` is :func:`study_run`."""
