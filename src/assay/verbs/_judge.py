"""Verbs of judging: score answers by a chat model, hold the judge against people, compare models."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from assay.verbs import _progress as progress
from assay.verbs._chat import ChatOptions, Flat

if TYPE_CHECKING:
    from assay.jobs._judging import CalibrationReport, ComparisonReport, JudgeReport, PairReport
    from assay.judging import JudgeConfig
    from assay.llm import ChatConfig, Estimate


@dataclass(frozen=True, kw_only=True)
class JudgeOptions(ChatOptions):
    """The chat model that judges, and how.

    Parameters
    ----------
    model
        A chat model by its name in inspect-ai: `openai/…`, `anthropic/…`, `ollama/…`, `vllm/…`, `hf/…`, or
        `openai-api/<service>/<model>` with `--base-url` for any server that speaks OpenAI's protocol.
    mode
        json: structured output; text: for servers without it, any form of score is read; logprobs: the
        expected score from the probabilities of the scale's numbers.
    rubric_language
        Language of the rubrics; auto takes the item's own.
    rubrics
        A TOML file with rubrics of your own, by type.
    temperature
        Of the judge's replies.
    max_tokens
        Longest reply.
    """

    model: str
    mode: Literal["json", "text", "logprobs"] = "json"
    rubric_language: Literal["auto", "en", "zh"] = "auto"
    rubrics: Path | None = None
    temperature: float = 1.0
    max_tokens: int = 1024

    def config(self, repeats: int = 1) -> JudgeConfig:
        """Return how to judge."""
        from assay.judging import JudgeConfig

        return JudgeConfig(
            self.model, repeats, self.mode, self.rubric_language, self.temperature,
            max_tokens=self.max_tokens, rubrics=None if self.rubrics is None else str(self.rubrics),
            revision=self.revision,
        )  # fmt: skip

    def chat(self) -> ChatConfig:
        """Return how to reach the model."""
        return self.reach(self.model)


def judge(
    items: list[str],
    *,
    answers: Path,
    out: Path,
    options: Annotated[JudgeOptions, Flat],
    repeats: int = 3,
    adapt: bool = False,
    cost_ratio: float = 1.0,
    log: Path | None = None,
) -> JudgeReport:
    """Let a chat model score answers in [0, 1] by the rubric of their type, against the reference if any.

    Example: `assay judge eval.jsonl --answers answers.jsonl --out judged.jsonl --model openai/gpt-4o-mini`

    Replies that cannot be read are asked for once more, counted as unparsed, and never become a number.

    Parameters
    ----------
    items
        Evaluation sets.
    answers
        JSON lines with `answer`, and `item` or in the order of the items; what `assay answer` writes.
    out
        File of the judgements (JSONL).
    options
        See below.
    repeats
        Replies per answer; their mean is the score.
    adapt
        Choose the repeats from 100 items asked about three times.
    cost_ratio
        Cost of one more item over that of one reply, for --adapt.
    log
        Folder for a log that `inspect view` opens.
    """
    from assay.jobs import _judging

    return _judging.judge_file(
        items, answers, out, options.config(repeats), options.chat(), adapt=adapt, cost_ratio=cost_ratio,
        calls=options.calls, log=log, quiet=progress.quiet,
    )  # fmt: skip


def judge_estimate(
    items: list[str], *, answers: Path, options: Annotated[JudgeOptions, Flat], repeats: int = 3
) -> Estimate:
    """Say what judging can cost at most, and how much of it is known already; nothing is asked.

    Example: `assay judge estimate eval.jsonl --answers answers.jsonl --model openai/gpt-4o-mini`

    Parameters
    ----------
    items
        Evaluation sets.
    answers
        The answers to judge (JSONL).
    options
        See below.
    repeats
        Replies per answer.
    """
    from assay.jobs import _judging

    return _judging.estimate_file(
        items, answers, options.config(repeats), options.chat(), calls=options.calls
    )


def judge_calibrate(judgements: Path, *, labels: Path) -> CalibrationReport:
    """Hold a judge against people: agreement, bias by length, and means in people's units (PPI++).

    Example: `assay judge calibrate judged.jsonl --labels people.jsonl`

    A type with fewer than 50 labels stays in the judge's units, and says so.

    Parameters
    ----------
    judgements
        What `assay judge` wrote.
    labels
        JSON lines with `item`, `score` in [0, 1], and `annotator` if known.
    """
    from assay.jobs import _judging

    return _judging.calibrate_files(judgements, labels)


def judge_compare(
    a: Path,
    b: Path,
    *,
    effect: float = 0.03,
    labels_a: Path | None = None,
    labels_b: Path | None = None,
) -> ComparisonReport:
    """Compare two models on the same items by type: paired, clustered, corrected by Holm.

    Example: `assay judge compare at-100k.jsonl at-10k.jsonl`

    Parameters
    ----------
    a
        Judgements of one model's answers.
    b
        Judgements of the other's, by the same judge; positive differences are in favour of a.
    effect
        A difference worth seeing: how many items show it is said.
    labels_a
        People's scores of a's answers, for differences in people's units (with --labels-b).
    labels_b
        People's scores of b's answers.
    """
    from assay.core import AssayError
    from assay.jobs import _judging

    if (labels_a is None) != (labels_b is None):
        raise AssayError("labels of one model only", place="--labels-a, --labels-b", expected="both or none")
    labels = None if labels_a is None or labels_b is None else (labels_a, labels_b)
    return _judging.compare_files(a, b, effect=effect, labels=labels)


def judge_pairs(
    items: list[str], *, a: Path, b: Path, out: Path, options: Annotated[JudgeOptions, Flat]
) -> PairReport:
    """Let a chat model say which of two answers is better, in both orders: who wins in one only, ties.

    Example: `assay judge pairs eval.jsonl --a new.jsonl --b old.jsonl --out p.jsonl --model openai/gpt-4o`

    Parameters
    ----------
    items
        Evaluation sets.
    a
        Answers of one model (JSONL).
    b
        Answers of the other.
    out
        File of the preferences (JSONL).
    options
        See below.
    """
    from assay.jobs import _judging

    return _judging.pair_files(
        items, a, b, out, options.config(), options.chat(), calls=options.calls, quiet=progress.quiet
    )
