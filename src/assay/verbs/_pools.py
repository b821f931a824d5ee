"""Verbs of pools: measure, clean, select, explain."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from assay.verbs import _progress as progress
from assay.verbs._chat import Flat

if TYPE_CHECKING:
    from assay.indicators import Models, Scored
    from assay.jobs import CleanReport, Explanation, SelectReport


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
        from assay import indicators, jobs

        return indicators.Models(
            self.base, self.second, self.embedder, self.reward, self.dialog,
            tuple(jobs.PoolFiles(self.target)), tuple(jobs.PoolFiles(self.reference)), self.neighbour,
            cache=self.cache,
        )  # fmt: skip


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
    from assay import jobs
    from assay.plan import parse_pool

    return jobs.score_pool(
        places, out, indicators or (), models=models.load(), workers=parse_pool(pool).size, language=language,
        quiet=progress.quiet,
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
    from assay import jobs
    from assay.plan import parse_pool
    from assay.selection import CleanRules

    rules = CleanRules(
        None if near > 1 else near, novelty, semantic=semantic, alike=alike, to=to, alarm=alarm
    )
    return jobs.clean_pool(
        places, out, rules, evaluation=evaluation or (), by=by, models=models.load(),
        workers=parse_pool(pool).size, language=language, quiet=progress.quiet,
    )  # fmt: skip


def select(
    places: list[str],
    *,
    out: Path,
    n: int,
    rule: str = "top",
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
        tags (new keywords first); or the selection of a plug-in.
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
    from assay import jobs

    return jobs.select_pool(
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
    from assay import jobs

    return jobs.explain_sample(
        sample, places, scores=scores, removed=removed, selected=selected or (), models=models.load()
    )
