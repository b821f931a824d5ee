"""Self-instruct and Evol-Instruct in rounds: ask, read, filter, answer, write down.

Wang et al. 2023 (2212.10560), section 2; BELLE (2303.14742), section 2; Xu et al. 2023 (2304.12244),
section 3.  What a request shows depends on the tasks kept before its round, and replies are taken in the
order of their requests, so that the result depends on the replies alone: not on the order in which they come,
on how many are under way, or on where a run was killed.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from assay.core import AssayError, Message, Sample, digest
from assay.generation._filters import Filters, Rejection
from assay.generation._journal import Asked, Entry, Journal, Round, read_rounds
from assay.generation._parse import parse
from assay.generation._prompts import Prompts
from assay.generation._screen import Screen
from assay.generation._settings import GenerateConfig
from assay.generation._tasks import Task
from assay.llm import Chat, Failure, Reply, Request, Sampling

SELF = "self_instruct"
_VERSION = 1
_TYPES_SHOWN = 4
# Kept tasks a request that are expected before there are figures: a share of what is asked for.
_EXPECTED = 0.6
_FIGURES = 8

Watch = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Plan:
    """One request to be made."""

    number: int
    how: str
    parent: int | None
    request: Request


class Generation:
    """A generation in a folder, to be run until there are enough tasks, or the budget is spent."""

    def __init__(
        self,
        chat: Chat,
        config: GenerateConfig,
        *,
        seeds: Sequence[Task],
        prompts: Prompts,
        work: Path,
        pools: Iterable[Sample] = (),
        evaluation: Sequence[Sample] = (),
        pools_identity: str = "",
    ) -> None:
        """Restore what the folder ``work`` holds.

        New tasks are compared with the ``seeds``, the samples of ``pools`` (``pools_identity`` tells these
        from others), and the ``evaluation`` samples.  Raises :class:`AssayError` where there is no seed, or
        the folder belongs to another generation run.
        """
        if not seeds:
            raise AssayError("no seed task", place="seeds", expected="some tasks to be shown to the model")
        self.chat, self.config, self.seeds, self.prompts = chat, config, tuple(seeds), prompts
        self.filters = Filters(config.filters, config.language, prompts)
        self.screen = Screen(config.filters, evaluation=evaluation, quotas=config.quotas)
        self.screen.hold(self.seeds)
        self.screen.hold_samples(pools)
        self.held: list[Entry] = []
        self.requests = self.kept = 0
        self._own: list[int] = []
        self._open: dict[int, None] = {}
        self._self_asked = self._self_kept = 0
        self.journal = Journal(work, self._identity(evaluation, pools_identity))
        self._restore()

    def _identity(self, evaluation: Sequence[Sample], pools: str) -> str:
        config = replace(self.config, n=1, quotas=None)
        return digest([
            "generate", _VERSION, self.chat.identity, config, self.config.quotas, self.prompts.identity,
            [[task.prompt, task.output, task.type] for task in self.seeds],
            [item.id for item in evaluation], pools,
        ])  # fmt: skip

    def _restore(self) -> None:
        rounds = self.journal.rounds
        if rounds and rounds[-1][1] and (rounds[-1][1] != "enough" or sum(k for k, _ in rounds) < self._n):
            # Its replies are stored: asked again it costs nothing, and goes on where it stopped.
            self.journal.reopen()
        for done in read_rounds(self.journal.folder):
            self._note(done)
            self.screen.hold(entry.task for entry in done.entries if entry.held)
            self.screen.kept.update(
                entry.task.type for entry in done.entries if entry.kept and entry.task.type
            )

    def _note(self, done: Round) -> None:
        """Take over what a round brought."""
        for one in done.asked:
            if one.step == "generate":
                self.requests += 1
                self._self_asked += one.how == SELF
                if one.parent is not None:
                    self._open.pop(one.parent, None)
        for entry in done.entries:
            if entry.kept:
                self.kept += 1
                self._self_kept += entry.how == SELF
                self._own.append(len(self.held))
                if entry.generation < self.config.evolve:
                    self._open[len(self.held)] = None
            if entry.held:
                self.held.append(entry)

    @property
    def _n(self) -> int:
        return self.config.n

    def run(self, watch: Watch = lambda kept, wanted, note: None) -> str:
        """Go on until it stops; return why: enough, budget, failed (no request got a reply), or dry.

        ``watch`` is told after each round, and after each reply, how many are kept, how many wanted, and what
        was spent.
        """
        while True:
            rounds = self.journal.rounds
            if self.kept >= self._n:
                return "enough"
            if rounds and rounds[-1][1]:
                return rounds[-1][1]
            last = rounds[-self.config.patience :]
            if len(last) == self.config.patience and not any(kept for kept, _ in last):
                return "dry"
            done = _Step(self, watch).run()
            self.journal.close_round(done)
            self._note(done)
            watch(self.kept, self._n, self.money())

    def money(self) -> str:
        """Return what this run has spent, in words."""
        spent = self.chat.spent
        tokens = f"{spent.tokens_in + spent.tokens_out:,} tokens"
        return tokens if not spent.money else f"{spent.money:.4g} {self.chat.budget.currency}, {tokens}"

    def plan(self) -> list[Plan]:
        """Return the requests of the next round; they depend on what is kept, and on nothing else."""
        config = self.config
        base = math.ceil(self._n / (1 + config.evolve))
        if self._open and self.kept >= base:
            parents = list(islice(self._open, self._size(self._n - self.kept, _EXPECTED)))
            return [self._evolve(self.requests + i, parent) for i, parent in enumerate(parents)]
        expected = _EXPECTED * config.per_request
        if self._self_asked >= _FIGURES:
            expected = max(self._self_kept / self._self_asked, 0.5)
        missing = (base if self.kept < base else self._n) - self.kept
        return [self._self_instruct(self.requests + i) for i in range(self._size(missing, expected))]

    def _size(self, missing: int, expected: float) -> int:
        """Return how many requests are likely to bring what is missing, at most the window."""
        return max(1, min(self.config.window, math.ceil(missing / expected)))

    def _request(self, text: str, sampling: Sampling, number: int) -> Request:
        seed = self.config.seed if sampling.seed is None else sampling.seed
        return Request((Message("user", text),), replace(sampling, seed=seed), repeat=number)

    def _self_instruct(self, number: int) -> Plan:
        rng = random.Random(f"assay-generate-{_VERSION}:{self.config.seed}:{number}")
        types = self._wanted(rng)
        text = self.prompts.self_instruct(
            self._examples(rng, types),
            count=self.config.per_request,
            language=self.config.language,
            types=types,
        )
        return Plan(number, SELF, None, self._request(text, self.config.sampling, number))

    def _wanted(self, rng: random.Random) -> list[str]:
        """Draw types that are short, by how many are missing; none where there are no quotas."""
        if self.config.quotas is None:
            return []
        missing = {
            k: q - self.screen.kept[k] for k, q in self.config.quotas.items() if q > self.screen.kept[k]
        }
        drawn: list[str] = []
        while missing and len(drawn) < _TYPES_SHOWN:
            (kind,) = rng.choices(list(missing), list(missing.values()))
            drawn.append(kind)
            del missing[kind]
        return drawn

    def _examples(self, rng: random.Random, types: Sequence[str]) -> list[Task]:
        """Draw seeds and kept tasks; of the seeds half are of the wanted types, where there are such."""
        own = rng.sample(self._own, min(self.config.own_shots, len(self._own)))
        shown = [self.held[number].task for number in own]
        seeds = min(self.config.seed_shots + self.config.own_shots - len(shown), len(self.seeds))
        fitting = [i for i, task in enumerate(self.seeds) if task.type in types]
        drawn = rng.sample(fitting, min(len(fitting), seeds // 2))
        rest = [i for i in range(len(self.seeds)) if i not in drawn]
        drawn += rng.sample(rest, seeds - len(drawn))
        shown += [self.seeds[i] for i in drawn]
        rng.shuffle(shown)
        return shown

    def _evolve(self, number: int, parent: int) -> Plan:
        rng = random.Random(f"assay-evolve-{_VERSION}:{self.config.seed}:{number}")
        how = rng.choice(self.config.evolutions)
        text = self.prompts.evolve(how, self.held[parent].task, self.config.language)
        return Plan(number, how, parent, self._request(text, self.config.sampling, number))


class _Step:
    """One round."""

    def __init__(self, of: Generation, watch: Watch) -> None:
        self.of, self.watch = of, watch
        self.asked: list[Asked] = []
        self.entries: list[Entry] = []
        self.stopped = ""
        self.kept = of.kept

    def run(self) -> Round:
        of = self.of
        plans = of.plan()
        outcomes = self._ask([plan.request for plan in plans])
        for plan, outcome in zip(plans, outcomes, strict=True):
            self._read(plan, outcome)
        self._answer()
        if all(isinstance(outcome, Failure) for outcome in outcomes) and not self.stopped:
            self.stopped = "failed"
        if not self.stopped and of.kept + sum(entry.kept for entry in self.entries) >= of.config.n:
            self.stopped = "enough"
        return Round(tuple(self.asked), tuple(self.entries), self.stopped)

    def _ask(self, requests: Sequence[Request]) -> list[Reply | Failure]:
        """Return all outcomes, in the order of the requests."""
        found: dict[int, Reply | Failure] = {}
        for index, outcome in self.of.chat.ask(requests):
            found[index] = outcome
            self.watch(self.kept, self.of.config.n, self.of.money())
            if isinstance(outcome, Failure) and outcome.kind == "budget":
                self.stopped = "budget"
        return [found[index] for index in range(len(requests))]

    def _read(self, plan: Plan, outcome: Reply | Failure) -> None:
        of = self.of
        if isinstance(outcome, Failure):
            self.asked.append(_asked(plan.number, "generate", plan.how, plan.parent, 0, outcome))
            return
        parsed = parse(
            outcome.text,
            cut=outcome.ended in ("length", "filter"),
            language=of.config.language,
            answered=of.config.answers == "given",
        )
        tasks = parsed.tasks[:1] if plan.parent is not None else parsed.tasks
        self.asked.append(_asked(plan.number, "generate", plan.how, plan.parent, len(tasks), outcome))
        for place, task in enumerate(tasks):
            self._admit(plan, place, task)
        for place, one in enumerate(parsed.unread, start=len(tasks)):
            rejection = Rejection(one.rule, one.reason)
            self.entries.append(self._entry(plan, place, Task("", "", one.text), rejection, held=False))

    def _admit(self, plan: Plan, place: int, task: Task) -> None:
        of = self.of
        parent = None if plan.parent is None else of.held[plan.parent].task
        number = len(of.held) + sum(entry.held for entry in self.entries)
        if plan.parent is not None and parent is not None:
            task = replace(task, type=parent.type, output="")
        if of.config.answers == "all":
            task = replace(task, output="")
        task = replace(task, name=f"new:{number}")
        rejection = None
        if self.kept >= of.config.n:
            rejection = Rejection("surplus", f"beyond the {of.config.n:,} asked for")
        rejection = rejection or of.filters.check(task, parent) or of.screen.admit(task, parent)
        self.kept += rejection is None
        if rejection is not None:
            task = replace(task, name="")
        self.entries.append(self._entry(plan, place, task, rejection, held=rejection is None))

    def _entry(self, plan: Plan, place: int, task: Task, rejection: Rejection | None, *, held: bool) -> Entry:
        generation = 0 if plan.parent is None else self.of.held[plan.parent].generation + 1
        return Entry(plan.number, place, task, held, rejection, plan.how, plan.parent, generation)

    def _answer(self) -> None:
        """Ask for the answers that are missing; a task whose answer is none is withdrawn."""
        of = self.of
        open_rows = [i for i, entry in enumerate(self.entries) if entry.kept and not entry.task.output]
        requests = [
            of._request(of.prompts.answer(self.entries[i].task, of.config.language), of.config.answering, 0)
            for i in open_rows
        ]
        for i, outcome in zip(open_rows, self._ask(requests) if requests else (), strict=True):
            entry = self.entries[i]
            self.asked.append(_asked(entry.request, "answer", entry.how, entry.parent, 1, outcome))
            task, rejection = self._answered(entry.task, outcome)
            if rejection is not None:
                of.screen.withdraw(task)
                self.kept -= 1
            self.entries[i] = replace(entry, task=task, rejection=rejection)

    def _answered(self, task: Task, outcome: Reply | Failure) -> tuple[Task, Rejection | None]:
        if isinstance(outcome, Failure):
            return task, Rejection("answer", f"no answer: {outcome.kind}")
        task = replace(task, output=outcome.text.strip())
        if outcome.ended in ("length", "filter"):
            return task, Rejection("cut", "the answer was cut off")
        if not task.output:
            return task, Rejection("answer", "the answer is empty")
        return task, self.of.filters.check(task)


def _asked(
    number: int, step: str, how: str, parent: int | None, tasks: int, outcome: Reply | Failure
) -> Asked:
    if isinstance(outcome, Failure):
        failure = f"{outcome.kind}: {outcome.problem}"
        return Asked(number, step, how, parent, 0, "", None, None, None, failure)
    return Asked(
        number, step, how, parent, tasks, outcome.ended, outcome.tokens_in, outcome.tokens_out, outcome.cost
    )
