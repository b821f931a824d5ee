"""Filters that compare: duplicates, novelty, evaluation sets, quotas; they remember every task kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

from assay.core import Sample
from assay.data import hashed, words
from assay.generation._filters import FilterRules, Rejection, runs_of
from assay.generation._tasks import Task, task_of
from assay.selection import Bm25Index, NearIndex, NoveltyIndex, holding, prompt_of

_CHUNK = 20_000
# An evolved task keeps words of the one it came from: only as like as this it is the same.
_SAME = 0.9


class Screen:
    """All tasks held so far (seeds, given pools, tasks kept), against which each new one is checked."""

    def __init__(
        self,
        rules: FilterRules,
        *,
        evaluation: Sequence[Sample] = (),
        quotas: Mapping[str, int] | None = None,
    ) -> None:
        """Begin with nothing held; ``quotas`` are the most kept tasks of each type, None for any."""
        self.rules, self.quotas = rules, quotas
        self.kept: Counter[str] = Counter()
        self._evaluation = list(evaluation)
        self._runs: dict[bytes, list[int]] = {}
        for number, item in enumerate(self._evaluation):
            for run in runs_of(prompt_of(item)):
                self._runs.setdefault(run, []).append(number)
        self._exact: dict[str, int] = {}
        self._names: list[str] = []
        self._near = None if rules.near > 1 else NearIndex(rules.near)
        self._bm25 = None if rules.bm25 is None else Bm25Index(rules.bm25)
        use = rules.novelty <= 1 and rules.bm25 is None
        self._novelty = NoveltyIndex(rules.novelty) if use else None

    def hold(self, tasks: Iterable[Task]) -> None:
        """Remember tasks without a check: seeds, other pools, tasks of an earlier run."""
        stream = iter(tasks)
        while part := list(islice(stream, _CHUNK)):
            for task in part:
                self._exact.setdefault(task.identity, len(self._names))
                self._names.append(task.name)
                if self._bm25 is not None:
                    self._bm25.keep(_words(task))
            if self._near is not None:
                self._near.keep(hashed(map(_whole, part)))
            if self._novelty is not None:
                self._novelty.keep(hashed(task.instruction for task in part))

    def hold_samples(self, samples: Iterable[Sample]) -> None:
        """Remember the samples of a pool; their instruction is what stands before the first blank line."""
        self.hold(map(task_of, samples))

    def admit(self, task: Task, parent: Task | None = None) -> Rejection | None:
        """Hold the task and return None, or return why not.

        ``parent``: the task that this one was evolved from; it may be like that one, up to a ROUGE-L of 0.9.
        """
        found = self._compare(task, parent)
        if found is None:
            self.hold([task])
            if task.type is not None:
                self.kept[task.type] += 1
        return found

    def withdraw(self, task: Task) -> None:
        """Count a task as not kept after all; it stays among those that others are compared with."""
        if task.type is not None:
            self.kept[task.type] -= 1

    def _compare(self, task: Task, parent: Task | None) -> Rejection | None:
        return (
            self._quota(task)
            or self._exactly(task)
            or self._evaluated(task)
            or self._nearly(task, parent)
            or self._novel(task, parent)
        )

    def _quota(self, task: Task) -> Rejection | None:
        if self.quotas is None:
            return None
        if task.type is None:
            return Rejection("quota", "its type is not said")
        if task.type not in self.quotas:
            return Rejection("quota", f"the type {task.type} is not asked for")
        if self.kept[task.type] >= self.quotas[task.type]:
            return Rejection("quota", f"there are enough of {task.type}")
        return None

    def _exactly(self, task: Task) -> Rejection | None:
        row = self._exact.get(task.identity)
        return None if row is None else Rejection("exact", "", self._names[row], 1.0)

    def _evaluated(self, task: Task) -> Rejection | None:
        found = {i for run in runs_of(task.prompt) for i in self._runs.get(run, ())}
        if not found:
            return None
        items = [self._evaluation[i] for i in sorted(found)]
        for match in holding(hashed([task.prompt]), items, self.rules.contained).values():
            item = items[match.item]
            return Rejection("evaluation", match.detail, item.origin or item.id, round(match.score, 4))
        return None

    def _nearly(self, task: Task, parent: Task | None) -> Rejection | None:
        if self._near is None:
            return None
        partner, score = self._near.check(hashed([_whole(task)]))
        return self._like("near", int(partner[0]), float(score[0]), parent)

    def _novel(self, task: Task, parent: Task | None) -> Rejection | None:
        if self._bm25 is not None:
            row, value = self._bm25.check(_words(task))
            return self._like("bm25", row, value, parent)
        if self._novelty is None:
            return None
        partner, score = self._novelty.check(hashed([task.instruction]))
        return self._like("novelty", int(partner[0]), float(score[0]), parent)

    def _like(self, rule: str, row: int, score: float, parent: Task | None) -> Rejection | None:
        if row < 0:
            return None
        own = parent is not None and parent.name == self._names[row]
        if own and (rule == "bm25" or score < _SAME):
            return None
        return Rejection(rule, "", self._names[row], round(score, 4))


def _whole(task: Task) -> str:
    return f"{task.prompt}\n{task.output}"


def _words(task: Task) -> list[str]:
    return [word.lower() for word in words(task.instruction)]
