"""Generate samples with a chat model, from seeds and prompts, into a file with receipts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from assay import data, generation
from assay import plan as planning
from assay.core import AssayError, File, Sample, Say, digest, file_digest, say
from assay.data import Rejected
from assay.generation import Entry, GenerateConfig, GenerateReport, Task
from assay.jobs._asked import asking
from assay.jobs._pool import Data, Dataset, Pool
from assay.llm import Chat, ChatConfig, Estimate, open_chat
from assay.plan import progress_bar
from assay.view import load_result

RECEIPTS = ".receipts.jsonl"
WORK = ".work"
_EXPECTED = 0.6
_FILTERS = generation.FilterRules()


def generate(
    *,
    out: File,
    writer: ChatConfig,
    n: int | None = None,
    language: str = "en",
    types: Sequence[str] = (),
    from_result: File | None = None,
    seeds: Sequence[str] = (),
    prompts: File | None = None,
    against: Data = (),
    evaluation: Data = (),
    per_request: int = 10,
    window: int = 32,
    evolve: int = 0,
    answers: Literal["given", "missing", "all"] = "missing",
    seed: int = 0,
    source: str = "generated",
    work: File | None = None,
    cap: str | None = None,
    filters: generation.FilterRules = _FILTERS,
) -> GenerateReport:
    """Generate samples by self-instruct, in any language, until the number or the budget is reached.

    Example: `assay generate --out new.jsonl --n 1000 --language zh --model openai-api/local/qwen --base-url
    http://127.0.0.1:8000/v1 --budget "2M tokens" --against pool.jsonl --evaluation eval.jsonl`

        >>> writer = assay.ChatConfig("openai/gpt-4o-mini", budget="2 USD")
        >>> assay.generate(out="new.jsonl", n=100, writer=writer)  # doctest: +SKIP

    Rerun the same command to continue after an interruption, or with a larger n or budget to generate more.
    Rejected tasks and reasons are in OUT.receipts.jsonl.

    Parameters
    ----------
    out
        File for the samples (JSONL).
    n
        Number of samples; with --types, their sum.
    language
        Language of the tasks, such as en, zh or de. Seed tasks are included in English and Chinese; for
        other languages the same model first localises the English ones.
    types
        Quota per type, such as math=200; types that are further from their quota are requested more often.
    from_result
        A study's result.json: n is divided among the types whose curves still rise.
    seeds
        Your own seed tasks; those in another language are localised.
    prompts
        Folder of your own prompt templates (self_instruct.txt and others).
    against
        Existing data that new tasks must not repeat.
    evaluation
        Evaluation sets whose prompts must not appear in new tasks.
    per_request
        Tasks per request.
    window
        Maximum number of requests per round; tasks of a round serve as examples from the next round on.
    evolve
        Rounds of Evol-Instruct, which rewrites the kept tasks into harder ones.
    answers
        Which outputs get a separate request: none (given), those missing, or all.
    seed
        Random seed for the example tasks.
    source
        Name of the data set, written into every sample.
    work
        Folder for intermediate files; OUT.work by default.
    cap
        Stop before this command takes more than this: "2 hours", "20 USD", "2M tokens", "50 GB", or several
        with `and`; replies are kept, and the same command goes on.
    writer
        The chat model that writes; its budget holds over all runs into the same file.
    filters
        What is not kept.
    """
    quotas = quotas_of(types, n, from_result)
    if quotas is None and n is None:
        raise AssayError("the number of tasks is missing", place="--n", expected="a number, or --types")
    config = GenerateConfig(
        n or 0, language, per_request, window=window, seed=seed, quotas=quotas, evolve=evolve,
        answers=answers, source=source, filters=filters,
    )  # fmt: skip
    files = GenerateFiles(seeds, None if prompts is None else Path(prompts), against, evaluation)
    with planning.metered(cap):
        return generate_file(Path(out), config, writer, files, work=None if work is None else Path(work))


@dataclass(frozen=True)
class GenerateFiles:
    """What a generation reads.

    ``seeds``: seed tasks (those of the package by default; localised where they are in another language);
    ``prompts``: a folder of own templates; ``pools``: data that new tasks must not repeat; ``evaluation``:
    sets whose prompts they must not hold.
    """

    seeds: Sequence[str] = ()
    prompts: Path | None = None
    pools: Data = ()
    evaluation: Data = ()


def generate_file(
    out: Path,
    config: GenerateConfig,
    chat: ChatConfig,
    files: GenerateFiles | None = None,
    *,
    work: Path | None = None,
) -> GenerateReport:
    """Generate samples into ``out`` (JSONL), with receipts of all that was rejected in OUT.receipts.jsonl.

    ``work`` (OUT.work by default) holds the journal: the same call goes on where an earlier one stopped, and
    with a greater ``n`` or budget goes further.  The budget holds over all runs into ``out``.
    """
    files = files or GenerateFiles()
    folder = work or out.with_name(out.name + WORK)
    prompts = generation.Prompts("zh" if config.language == "zh" else "en", files.prompts)
    refused = _Refused()
    evaluation, pools = list(Pool(files.evaluation, refused)), Pool(files.pools, refused)
    config = replace(config, sampling=chat.sampling(config.sampling))
    with open_chat(chat, run=_run_name(out)) as door:
        seeds = _seeds(door, files.seeds, config, prompts)
        job = generation.Generation(
            door, config, seeds=seeds.seeds, prompts=prompts, work=folder, evaluation=evaluation,
            pools=pools, pools_identity=_pools_identity(pools.source),
        )  # fmt: skip
        try:
            with (
                asking(door, _likely(job), "sample", max(config.n - job.kept, 1)),
                progress_bar("generate") as advance,
            ):
                stopped = job.run(advance)
        except KeyboardInterrupt:
            _write(out, folder, config, seeds)
            raise
    lines = _write(out, folder, config, seeds)
    tally, rejected, types, kept = generation.summarise(
        generation.read_rounds(folder), seeds.seeds, seeds.asked
    )
    tasks = [entry.task for entry in kept]
    return GenerateReport(
        out=str(out), receipts=str(out.with_name(out.name + RECEIPTS)), language=config.language,
        model=door.identity, wanted=config.n, kept=lines, stopped=stopped,
        requests=tally.requests, failed=tally.failed, replies=tally.replies, unparsed=tally.unparsed,
        tasks=tally.tasks, rejected=dict(rejected.most_common()), types=dict(types.most_common()),
        evolved=tally.evolved, seeds=len(seeds.seeds), seeds_lost=len(seeds.lost),
        tokens_in=tally.tokens_in, tokens_out=tally.tokens_out, counted=tally.counted,
        money=None if tally.unpriced else tally.money, currency=door.currency,
        diversity=generation.diversity(tasks, seeds.seeds, config.language),
        notes=_notes(config, prompts, refused),
    )  # fmt: skip


def quotas_of(
    types: Sequence[str], n: int | None, result: File | None, *, metric: str = "score"
) -> dict[str, int] | None:
    """Return quotas from ``type=number`` texts, or from a study's result.json; None where there are none."""
    if types and result is not None:
        raise AssayError("quotas given twice", place="types", expected="--types or --from-result")
    if result is not None:
        if n is None:
            raise AssayError("the number of tasks is missing", place="n", expected="--n")
        return generation.quota_from(load_result(Path(result)), n, metric=metric)
    if not types:
        return None
    quotas: dict[str, int] = {}
    for text in types:
        name, sign, number = text.partition("=")
        if not sign or not number.strip().isdecimal():
            raise AssayError("not a quota", place="types", value=text, expected="type=number, as math=200")
        quotas[name.strip()] = int(number)
    return quotas


class _Refused:
    """Counts rows of pools and evaluation sets that cannot be read."""

    def __init__(self) -> None:
        self.rows: dict[str, int] = {}

    def __call__(self, row: Rejected) -> None:
        self.rows[row.place] = self.rows.get(row.place, 0) + 1


def _run_name(out: Path) -> str:
    return "generate-" + digest(str(out.resolve()))[:16]


def _pools_identity(source: Dataset | tuple[str, ...]) -> str:
    if isinstance(source, Dataset):
        return digest([sample.id for sample in source])
    return digest([_content(place) for place in source])


def _content(place: str) -> list[str]:
    if place.startswith("hf:"):
        return [place, data.hub_revision(place)]
    return [file_digest(path) for path in data.find_files(place)]


def _seeds(
    chat: Chat, places: Sequence[str], config: GenerateConfig, prompts: generation.Prompts
) -> generation.Localised:
    """Return the seeds in the language wanted; those in another are localised."""
    language = config.language
    if places:
        found = [
            task if task.language else replace(task, language=data.language_of(task.prompt))
            for task in generation.read_seeds(places)
        ]
    else:
        found = list(generation.own_seeds(language if language in generation.SEED_LANGUAGES else "en"))
    if all(task.language in (language, None) for task in found):
        return generation.Localised(tuple(found), (), ())
    # A seed may be shorter than what is asked for, or speak of what is not.
    rules = replace(config.filters, keywords=(), builtin=False, shortest=0)
    filters = generation.Filters(rules, language, prompts)
    with progress_bar("seeds") as advance:
        localised = generation.localise(
            chat, found, language, filters, prompts,
            watch=lambda done, total: advance(done, total, "seeds"),
        )  # fmt: skip
    if not localised.seeds:
        why = localised.lost[0][1]
        raise AssayError(
            "no seed task could be localized",
            place="seeds",
            value=f"{why.rule}: {why.detail}",
            expected=f"seed tasks in {language}, or a model that can write them",
        )
    return localised


def _likely(job: generation.Generation) -> Estimate:
    """Return what the tasks that are missing are likely to cost: a round's requests, for as many as it takes.

    Of ten tasks of a reply six are kept, as far as is known before anything was sent.
    """
    missing = max(job.config.n - job.kept, 0)
    plans = job.plan() if missing else []
    most = job.chat.estimate([plan.request for plan in plans])
    requests = -(-missing // max(1, round(_EXPECTED * job.config.per_request)))
    share = requests / max(most.requests - most.cached, 1)
    return replace(
        most, requests=requests, cached=0, tokens_in=round(most.tokens_in * share),
        tokens_out=round(most.tokens_out * share), money=_times(most.money, share),
        likely=None if most.likely is None else round(most.likely * share),
        likely_money=_times(most.likely_money, share),
    )  # fmt: skip


def _times(value: float | None, share: float) -> float | None:
    return None if value is None else value * share


def _write(out: Path, folder: Path, config: GenerateConfig, seeds: generation.Localised) -> int:
    """Write the samples kept and the receipts; return how many samples."""
    names: dict[str, str] = {}

    def kept() -> Iterator[Sample]:
        held = line = 0
        for entry in _entries(folder):
            if entry.kept:
                line += 1
                yield entry.task.sample(config.source)
            if entry.held:
                names[f"new:{held}"] = f"{out.name}:{line}" if entry.kept else f"withdrawn:{held}"
                held += 1

    written = data.write(kept(), out, "samples")
    receipts = out.with_name(out.name + RECEIPTS)
    data.write_lines(_receipts(folder, seeds, names), receipts)
    return written


def _entries(folder: Path) -> Iterator[Entry]:
    return (entry for done in generation.read_rounds(folder) for entry in done.entries)


def _receipts(
    folder: Path, seeds: generation.Localised, names: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    """Yield a row for each task that was not kept, and for each request that got no reply."""
    for task, rejection in seeds.lost:
        yield {"step": "localise", **asdict(rejection), **_shown(task), "seed": task.name}
    for done in generation.read_rounds(folder):
        for one in done.asked:
            if one.failure is not None:
                yield {"step": one.step, "rule": "failed", "detail": one.failure, "request": one.number}
        for entry in done.entries:
            if entry.rejection is not None:
                row = asdict(entry.rejection)
                row["partner"] = names.get(row["partner"] or "", row["partner"])
                yield {
                    "step": entry.how, **row, "request": entry.request, "place": entry.place,
                    **_shown(entry.task),
                }  # fmt: skip


def _shown(task: Task) -> dict[str, str | None]:
    return {"type": task.type, "instruction": task.instruction, "input": task.input, "output": task.output}


def _notes(config: GenerateConfig, prompts: generation.Prompts, refused: _Refused) -> tuple[Say, ...]:
    notes = [say("note.generate.rows", n=count, place=place) for place, count in refused.rows.items()]
    if (
        config.filters.same_language
        and not generation.Filters(config.filters, config.language, prompts).tells_language
    ):
        notes.append(say("note.generate.language", language=config.language))
    return tuple(notes)
