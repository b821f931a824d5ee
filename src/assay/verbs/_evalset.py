"""Verbs that build an evaluation set: split it off a pool, type its items, sample it to a size."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from assay.verbs import _progress as progress
from assay.verbs._chat import ChatOptions, Flat

if TYPE_CHECKING:
    from assay.jobs._typing import ClassifyReport
    from assay.jobs.evalset import SampleReport, SplitReport
    from assay.llm import ChatConfig


@dataclass(frozen=True, kw_only=True)
class TypingChat(ChatOptions):
    """A chat model that names types, instead of a local classifier.

    Parameters
    ----------
    model
        A chat model by its name in inspect-ai: `openai/…`, `anthropic/…`, `ollama/…`, `vllm/…`, `hf/…`, or
        `openai-api/<service>/<model>` with `--base-url` for any server that speaks OpenAI's protocol.
    max_tokens
        Longest reply; 64 by default, more for models that think aloud.
    prompts
        Folder with a `classify.txt` of your own.
    """

    model: str | None = None
    max_tokens: int | None = None
    prompts: Path | None = None

    def config(self) -> ChatConfig | None:
        """Return how to reach the model, None where none is named."""
        return None if self.model is None else self.reach(self.model, max_tokens=self.max_tokens)


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
    from assay import indicators
    from assay.jobs import evalset as jobs

    return jobs.split_pool(
        places, out, train, n, spread=spread, most=most, keep=keep or (), contained=contained,
        alike=None if alike > 1 else alike, models=indicators.Models(embedder=embedder), seed=seed,
        quiet=progress.quiet,
    )  # fmt: skip


def evalset_classify(
    places: list[str],
    *,
    out: Path,
    labels: list[str] | None = None,
    classifier: Path | None = None,
    save: Path | None = None,
    sure: float = 0.9,
    again: bool = False,
    check: int = 200,
    chat: Annotated[TypingChat, Flat] = TypingChat(),
) -> ClassifyReport:
    """Give items one of the twelve types of use, by a local classifier or a chat model; unsure stays untyped.

    Example: `assay evalset classify eval.jsonl --out typed.jsonl --labels typed-by-hand.jsonl`

    Without --labels, --classifier or --model the small classifier of the package is taken (English and
    Chinese; trained on texts written for this project).

    Parameters
    ----------
    places
        The items.
    out
        File of all items (JSONL), those of a new type with who gave it.
    labels
        Typed samples to train a classifier on; any types.
    classifier
        A classifier that was trained before (.safetensors).
    save
        Where a trained classifier is kept; beside OUT by default.
    sure
        Share of types that is to be right, as measured on prompts left out of the training: 0 (type
        everything), 0.7, 0.8, 0.9 or 0.95. Not for chat models.
    again
        Type items anew that have a type.
    check
        How many items that have a type are classified as well, so that accuracy on this file is known.
    chat
        See below.
    """
    from assay.jobs import _typing as jobs

    return jobs.classify_items(
        places, out, labels=labels or (), classifier=classifier, chat=chat.config(), sure=sure, again=again,
        check=check, save=save, prompts=chat.prompts, calls=chat.calls, quiet=progress.quiet,
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
    from assay.jobs import evalset as jobs

    return jobs.sample_items(
        places, out, wanted, sds=sd or (), judge_sd=judge_sd, repeats=repeats, power=power, holm=holm,
        most=most, seed=seed,
    )  # fmt: skip
