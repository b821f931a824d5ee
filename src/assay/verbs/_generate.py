"""The verb that generates samples with a chat model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from assay.verbs import _progress as progress
from assay.verbs._chat import ChatOptions, Flat

if TYPE_CHECKING:
    from assay.generation import FilterRules, GenerateReport
    from assay.llm import ChatConfig


@dataclass(frozen=True, kw_only=True)
class WriterOptions(ChatOptions):
    """The chat model that writes; its budget holds over all runs into the same file.

    Parameters
    ----------
    model
        A chat model by its name in inspect-ai: `openai/…`, `anthropic/…`, `ollama/…`, `vllm/…`, `hf/…`, or
        `openai-api/<service>/<model>` with `--base-url` for any server that speaks OpenAI's protocol.
    temperature
        Of the tasks' replies; 1 as in BELLE by default.
    max_tokens
        Longest reply with tasks.
    """

    model: str
    temperature: float | None = None
    max_tokens: int | None = None

    def chat(self) -> ChatConfig:
        """Return how to reach the model."""
        return self.reach(self.model, temperature=self.temperature, max_tokens=self.max_tokens)


@dataclass(frozen=True)
class FilterOptions:
    """What is not kept.

    Parameters
    ----------
    keyword
        Words that no instruction or input may have, besides the built-in ones.
    builtin_keywords
        Drop what asks for pictures, sound, links or files, or names the model.
    shortest
        Fewest words (Han: characters) of an instruction.
    longest
        Most of them, without an input.
    longest_with_input
        Most of them, with an input.
    novelty
        ROUGE-L with an instruction kept before from which on a task goes; above 1: off.
    bm25
        Instead of that: the BM25 score with one kept before above which it goes (BELLE: 18).
    near
        Jaccard similarity of 5-token shingles of the whole task from which on it goes; above 1: off.
    same_language
        Drop tasks in another language than asked for.
    refusals
        Keep answers that refuse.
    """

    keyword: tuple[str, ...] = ()
    builtin_keywords: bool = True
    shortest: int = 3
    longest: int = 150
    longest_with_input: int = 100
    novelty: float = 0.7
    bm25: float | None = None
    near: float = 0.8
    same_language: bool = True
    refusals: bool = False

    def rules(self) -> FilterRules:
        """Return the rules."""
        from assay.generation import FilterRules

        return FilterRules(
            self.keyword, self.builtin_keywords, self.shortest, self.longest, self.longest_with_input,
            None if self.novelty > 1 else self.novelty, self.bm25, None if self.near > 1 else self.near,
            language=self.same_language, refusal=not self.refusals,
        )  # fmt: skip


def generate(
    *,
    out: Path,
    n: int | None = None,
    language: str = "en",
    types: list[str] | None = None,
    from_result: Path | None = None,
    seeds: list[str] | None = None,
    prompts: Path | None = None,
    against: list[str] | None = None,
    evaluation: list[str] | None = None,
    per_request: int = 10,
    window: int = 32,
    evolve: int = 0,
    answers: Literal["given", "missing", "all"] = "missing",
    seed: int = 0,
    source: str = "generated",
    work: Path | None = None,
    writer: Annotated[WriterOptions, Flat],
    filters: Annotated[FilterOptions, Flat] = FilterOptions(),
) -> GenerateReport:
    """Generate samples by self-instruct, in any language, until there are enough or the budget is spent.

    Example: `assay generate --out new.jsonl --n 1000 --language zh --model openai-api/local/qwen --base-url
    http://127.0.0.1:8000/v1 --budget "2M tokens" --against pool.jsonl --evaluation eval.jsonl`

    Interrupted or killed, the same command goes on; with a greater n or budget it goes further. Receipts of
    all that was rejected go beside the file, in OUT.receipts.jsonl.

    Parameters
    ----------
    out
        The file of samples (JSONL).
    n
        How many; with --types it is their sum.
    language
        Language of the tasks: a tag as en, zh, de. The package has seed tasks in English and Chinese; for
        other languages the English ones are localised first, by the same model.
    types
        Quotas, as math=200; more is asked for of a type the more of it is missing.
    from_result
        A study's result.json: n is shared by the types whose curves still rise.
    seeds
        Seed tasks of your own; those in another language are localised.
    prompts
        A folder of prompt templates of your own (self_instruct.txt and others).
    against
        Data that new tasks must not repeat.
    evaluation
        Evaluation sets whose prompts they must not hold.
    per_request
        Tasks asked for in one request.
    window
        Requests at most in a round; tasks of a round are shown to the model from the next on.
    evolve
        Rounds of Evol-Instruct: harder versions of the tasks kept.
    answers
        Which outputs are asked for in requests of their own: none (given), those missing, or all.
    seed
        Fixes which tasks are shown.
    source
        Name of the data set, in every sample.
    work
        Folder of the journal; OUT.work by default.
    writer
        See below.
    filters
        See below.
    """
    from assay.core import AssayError
    from assay.generation import GenerateConfig
    from assay.jobs._generate import GenerateFiles, generate_file, quotas_of

    quotas = quotas_of(types, n, from_result)
    if quotas is None and n is None:
        raise AssayError(
            "how many tasks are wanted is not said", place="--n", expected="a number, or --types"
        )
    config = GenerateConfig(
        n or 0, language, per_request, window=window, seed=seed, quotas=quotas, evolve=evolve,
        answers=answers, source=source, filters=filters.rules(),
    )  # fmt: skip
    files = GenerateFiles(seeds or (), prompts, against or (), evaluation or ())
    return generate_file(
        out, config, writer.chat(), files, calls=writer.calls, work=work, quiet=progress.quiet
    )
