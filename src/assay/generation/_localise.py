"""Seed localisation: seed tasks carried over into another language and culture, as BELLE did by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from assay.core import Message
from assay.generation._filters import Filters, Rejection
from assay.generation._journal import Asked
from assay.generation._parse import parse
from assay.generation._prompts import Prompts
from assay.generation._tasks import Task
from assay.llm import Chat, Failure, Reply, Request, Sampling

_SAMPLING = Sampling(temperature=0.7, top_p=1.0, max_tokens=2048)


@dataclass(frozen=True)
class Localised:
    """The seeds in the language wanted, in their order; those lost with the reason; what was asked."""

    seeds: tuple[Task, ...]
    lost: tuple[tuple[Task, Rejection], ...]
    asked: tuple[Asked, ...]


def localise(
    chat: Chat,
    seeds: Sequence[Task],
    language: str,
    filters: Filters,
    prompts: Prompts,
    *,
    sampling: Sampling = _SAMPLING,
    watch: Callable[[int, int], None] = lambda done, total: None,
) -> Localised:
    """Translate and adapt each seed in a request of its own; those in ``language`` stay as they are.

    A seed is lost where there is no reply, its reply holds no whole task, or the task breaks a rule of
    ``filters``, its language among them.
    """
    foreign = [i for i, task in enumerate(seeds) if task.language != language]
    requests = [Request((Message("user", prompts.localise(seeds[i], language)),), sampling) for i in foreign]
    outcomes: dict[int, Reply | Failure] = {}
    for index, outcome in chat.ask(requests):
        outcomes[foreign[index]] = outcome
        watch(len(outcomes), len(requests))
    found: list[Task] = []
    lost: list[tuple[Task, Rejection]] = []
    for number, seed in enumerate(seeds):
        task = _read(seed, outcomes[number], language, filters) if number in outcomes else seed
        if isinstance(task, Rejection):
            lost.append((seed, task))
        else:
            found.append(task)
    return Localised(tuple(found), tuple(lost), tuple(_asked(n, outcomes[n]) for n in sorted(outcomes)))


def _read(seed: Task, outcome: Reply | Failure, language: str, filters: Filters) -> Task | Rejection:
    if isinstance(outcome, Failure):
        return Rejection("failed", f"{outcome.kind}: {outcome.problem}")
    parsed = parse(outcome.text, cut=outcome.ended in ("length", "filter"), language=language)
    if not parsed.tasks:
        return Rejection(parsed.unread[0].rule, parsed.unread[0].reason)
    task = replace(parsed.tasks[0], type=seed.type, name=f"{seed.name}@{language}")
    if task.identity == seed.identity:
        return Rejection("language", "it was not translated")
    return filters.check(task) or task


def _asked(number: int, outcome: Reply | Failure) -> Asked:
    if isinstance(outcome, Failure):
        problem = f"{outcome.kind}: {outcome.problem}"
        return Asked(number, "localise", "localise", None, 0, "", None, None, None, problem)
    return Asked(
        number, "localise", "localise", None, 1, outcome.ended, outcome.tokens_in, outcome.tokens_out,
        outcome.cost,
    )  # fmt: skip
