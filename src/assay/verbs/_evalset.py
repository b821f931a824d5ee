"""Verbs that build an evaluation set: split it off a pool, type its items, sample it to a size."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from assay.verbs import _progress as progress

if TYPE_CHECKING:
    from assay.study._evalset import SampleReport, SplitReport


def evalset_split(
    places: list[str],
    *,
    out: Path,
    train: Path,
    n: int,
    spread: Literal["equal", "proportional"] = "equal",
    most: float = 0.5,
    keep: list[str] | None = None,
    contained: float = 0.6,
    alike: float = 0.95,
    embedder: str = "lexical",
    seed: int = 0,
) -> SplitReport:
    """Split evaluation items off a pool; the training rest holds none of them, with a receipt for each loss.

    Example: `assay evalset split pool.jsonl --out eval.jsonl --train rest.jsonl --n 2400`

    Items are drawn by a digest of what they say, so that adding rows to the pool changes few of them.

    Parameters
    ----------
    places
        The pool.
    out
        File of the evaluation items (JSONL).
    train
        File of the training samples (JSONL); receipts go beside it, in TRAIN.removed.jsonl.
    n
        How many items.
    spread
        equal: as many of each type; proportional: as the pool has them. Within a type, sources and languages
        always have their shares.
    most
        Share of a type that may become items.
    keep
        Earlier evaluation sets: their items stay items, whatever is added to the pool, and count towards n.
    contained
        Share of an item's runs of 8 tokens in a prompt from which on a sample is removed from training.
    alike
        Cosine of its prompt's embedding with an item's from which on a sample is removed; above 1: off.
    embedder
        `lexical` (any script, no model), `minilm` (English), or a sentence-transformers or Model2Vec model.
    seed
        Fixes the draw.
    """
    from assay import score
    from assay.study import _evalset as jobs

    return jobs.split_pool(
        places, out, train, n, spread=spread, most=most, keep=keep or (), contained=contained,
        alike=None if alike > 1 else alike, models=score.Models(embedder=embedder), seed=seed,
        quiet=progress.quiet,
    )  # fmt: skip


def evalset_sample(
    places: list[str],
    *,
    out: Path,
    wanted: float = 0.03,
    sd: list[str] | None = None,
    judge_sd: float = 0.0,
    repeats: int = 1,
    power: float = 0.8,
    holm: bool = False,
    most: int | None = None,
    seed: int = 0,
) -> SampleReport:
    """Sample as many items of each type as a wanted effect asks for; where there are fewer, what they show.

    Example: `assay evalset sample typed.jsonl --out eval.jsonl --wanted 0.03`

    Then send them to people: `assay annotate eval.jsonl`.

    Parameters
    ----------
    places
        Typed items.
    out
        File of the items taken (JSONL).
    wanted
        The difference of mean scores in [0, 1] between two models that is to be seen in each type.
    sd
        Standard deviation of an item's difference of scores between two models: `0.2` for all types,
        `math=0.45` for one; by default 0.45 for math, code and cot (right or wrong) and 0.18 for the others.
    judge_sd
        That of one judgement of one answer, where `sd` does not hold it already.
    repeats
        Judgements of an answer that are averaged.
    power
        Chance that the difference is seen.
    holm
        Take as many as the worst case of Holm's procedure over all types asks for.
    most
        Take no more of a type.
    seed
        Fixes the draw.
    """
    from assay.study import _evalset as jobs

    return jobs.sample_items(
        places, out, wanted, sds=sd or (), judge_sd=judge_sd, repeats=repeats, power=power, holm=holm,
        most=most, seed=seed,
    )  # fmt: skip
