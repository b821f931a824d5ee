"""What a generation brought: yield, what was rejected and why, diversity, cost."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np

from assay.core import Cell, Facts, Items, Page, Say, Shown, Text, page, say
from assay.data import hashed, words
from assay.generation._journal import Asked, Entry, Round
from assay.generation._tasks import Task
from assay.selection import NoveltyIndex

Quantiles = tuple[float, float, float]

_LOOKED = 5_000
_COMPARED = 200
_SHOWN = 10
_SKIPPED = frozenset(
    "please can could you would i we me my the a an to now then and given in for with using "
    "请 请你 帮 帮我 我 你 能 能否 可以 把 将 用 根据 按照 给 对 为 的 一个 一 以下 下面".split()
)


@dataclass(frozen=True, slots=True)
class Diversity:
    """How varied the kept instructions are, over at most 5,000 of them drawn at random.

    ``distinct_1`` and ``distinct_2``: distinct words and pairs of words over all (Li et al. 2016), Han text
    segmented into words; they fall as a set grows, so compare sets of one size.  ``novelty``: 1 - ROUGE-L
    with the closest of the seeds and of the tasks kept before, its 10th, 50th and 90th percentile over at
    most 200 tasks.  ``lengths``: the same percentiles of words of instruction, input (of those with one) and
    output.  ``verbs``: the commonest first verbs of instructions (first words, where verbs are not told).
    """

    tasks: int
    distinct_1: float
    distinct_2: float
    vocabulary: int
    novelty: Quantiles
    lengths: Mapping[str, Quantiles]
    verbs: Mapping[str, int]
    n_verbs: int


@dataclass(frozen=True, slots=True)
class GenerateReport(Shown):
    """What a generation brought, over all of its runs.

    ``kept`` of ``wanted``; ``stopped``: enough, budget, failed, or dry.  ``tasks`` were in the ``replies`` to
    ``requests``; ``unparsed`` replies held none; ``failed`` requests got no reply.  ``rejected``: how many
    each rule took, parts of replies that could not be read (cut, unread) among them.  Tokens and ``money``
    are those of the replies that were used, seed localisation and answers too; ``counted`` of the replies
    came with their tokens, and ``money`` is None where a price is not known.
    """

    out: str
    receipts: str
    language: str
    model: str
    wanted: int
    kept: int
    stopped: str
    requests: int
    failed: int
    replies: int
    unparsed: int
    tasks: int
    rejected: Mapping[str, int]
    types: Mapping[str, int]
    evolved: int
    seeds: int
    seeds_lost: int
    tokens_in: int
    tokens_out: int
    counted: int
    money: float | None
    currency: str
    diversity: Diversity | None
    notes: tuple[Text, ...] = ()

    @property
    def kept_per_request(self) -> float:
        """Tasks kept for each request for tasks."""
        return self.kept / self.requests if self.requests else 0.0

    @property
    def kept_per_task(self) -> float:
        """Share of the tasks in replies that were kept."""
        return self.kept / self.tasks if self.tasks else 0.0

    @property
    def tokens_per_kept(self) -> float | None:
        """Prompt and reply tokens for each task kept."""
        return (self.tokens_in + self.tokens_out) / self.kept if self.kept and self.counted else None

    @property
    def money_per_kept(self) -> float | None:
        """Money for each task kept; None where no price is known."""
        return None if self.money is None or not self.kept else self.money / self.kept

    def as_page(self) -> Page:
        """Return counts, yield, rejections, cost and diversity."""
        cost: Say = say("generate.cost.unknown")
        if self.tokens_per_kept is not None:
            cost = say("generate.cost.tokens", tokens=self.tokens_per_kept)
        if self.money_per_kept is not None:
            key = "generate.cost" if self.tokens_per_kept is not None else "generate.cost.money"
            cost = say(key, tokens=self.tokens_per_kept, money=self.money_per_kept, currency=self.currency)
        rows: list[tuple[str, Cell]] = [
            ("kept", say("generate.kept.of", kept=self.kept, wanted=self.wanted, why=self.stopped)),
            ("file", self.out),
            ("receipts", self.receipts),
            ("yield", say(
                "generate.yield.of", per_request=self.kept_per_request, share=self.kept_per_task,
                tasks=self.tasks, replies=self.replies, unparsed=self.unparsed, failed=self.failed,
            )),
            ("rejected", self.rejected or say("generate.none")),
            ("types", say("generate.counts", counts=self.types)),
            ("cost", cost),
        ]  # fmt: skip
        if self.evolved:
            rows.append(("evolved", say("generate.evolved.of", n=self.evolved)))
        if self.seeds_lost:
            rows.append(("seeds", say("generate.seeds.lost", n=self.seeds, lost=self.seeds_lost)))
        if self.diversity is not None:
            rows += _varied(self.diversity)
        facts = Facts(tuple((say(f"generate.{name}"), value) for name, value in rows))
        return page(facts, Items(self.notes, "warning"))


def _varied(found: Diversity) -> list[tuple[str, Cell]]:
    low, middle, high = found.novelty
    lengths = tuple(
        say("generate.length", name=say(f"generate.part.{name}"), low=a, mid=b, high=c)
        for name, (a, b, c) in found.lengths.items()
    )
    return [
        (
            "diversity",
            say(
                "generate.diversity.of", one=found.distinct_1, two=found.distinct_2, words=found.vocabulary,
                tasks=found.tasks,
            ),
        ),
        ("novelty", say("generate.novelty.of", low=low, mid=middle, high=high)),
        ("lengths", lengths),
        ("verbs", say("generate.verbs.of", n=found.n_verbs, counts=found.verbs)),
    ]  # fmt: skip


@dataclass
class Tally:
    """Counts over rounds."""

    requests: int = 0
    failed: int = 0
    replies: int = 0
    unparsed: int = 0
    tasks: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    counted: int = 0
    money: float = 0.0
    unpriced: int = 0
    evolved: int = 0

    def asked(self, asked: Iterable[Asked]) -> None:
        """Count requests."""
        for one in asked:
            if one.step == "generate":
                self.requests += 1
                self.failed += one.failure is not None
                self.replies += one.failure is None
                self.unparsed += one.failure is None and not one.tasks
                self.tasks += one.tasks
            if one.failure is None:
                self.counted += one.tokens_out is not None
                self.tokens_in += one.tokens_in or 0
                self.tokens_out += one.tokens_out or 0
                self.money += one.cost or 0.0
                self.unpriced += one.cost is None


def summarise(
    rounds: Iterable[Round], seeds: Sequence[Task], asked: Iterable[Asked] = ()
) -> tuple[Tally, Counter[str], Counter[str], list[Entry]]:
    """Return the counts over all rounds and ``asked`` too, rejections by rule, types, and what is kept."""
    tally, rejected, types, kept = Tally(), Counter[str](), Counter[str](), list[Entry]()
    tally.asked(asked)
    for done in rounds:
        tally.asked(done.asked)
        for entry in done.entries:
            if entry.rejection is not None:
                rejected[entry.rejection.rule] += 1
            else:
                kept.append(entry)
                types[entry.task.type or "untyped"] += 1
                tally.evolved += entry.parent is not None
    return tally, rejected, types, kept


def diversity(tasks: Sequence[Task], seeds: Sequence[Task], language: str) -> Diversity | None:
    """Measure the diversity of kept tasks, in the order in which they were kept; None where there is none."""
    if not tasks:
        return None
    rng = random.Random(0)
    looked = [tasks[i] for i in sorted(rng.sample(range(len(tasks)), min(_LOOKED, len(tasks))))]
    texts = [[word.lower() for word in words(task.instruction)] for task in looked]
    single = Counter(word for text in texts for word in text)
    pairs = Counter(pair for text in texts for pair in pairwise(text))
    verbs = Counter(verb for task in looked if (verb := _verb(task.instruction, language)))
    return Diversity(
        tasks=len(looked),
        distinct_1=len(single) / max(single.total(), 1),
        distinct_2=len(pairs) / max(pairs.total(), 1),
        vocabulary=len(single),
        novelty=_novelty(tasks, seeds, rng),
        lengths={
            "instruction": _quantiles([len(text) for text in texts]),
            "input": _quantiles([len(words(task.input)) for task in looked if task.input]),
            "output": _quantiles([len(words(task.output)) for task in looked]),
        },
        verbs=dict(verbs.most_common(_SHOWN)),
        n_verbs=len(verbs),
    )


def _novelty(tasks: Sequence[Task], seeds: Sequence[Task], rng: random.Random) -> Quantiles:
    index = NoveltyIndex()
    index.keep(hashed(task.instruction for task in (*seeds, *tasks)))
    drawn = rng.sample(range(len(tasks)), min(_COMPARED, len(tasks)))
    found = [
        1 - float(index.closest(hashed([tasks[i].instruction]), before=len(seeds) + i)[1][0]) for i in drawn
    ]
    return _quantiles(found)


def _quantiles(values: Sequence[float]) -> Quantiles:
    if not values:
        return 0.0, 0.0, 0.0
    low, middle, high = np.quantile(values, (0.1, 0.5, 0.9)).tolist()
    return round(low, 3), round(middle, 3), round(high, 3)


@cache
def _tagger() -> Any:
    import jieba.posseg

    # The same dictionary that segments words; loading it says nothing.
    words("好")
    return jieba.posseg


def _verb(instruction: str, language: str) -> str | None:
    """Return the first verb of a Chinese instruction, the first word of others, without words of courtesy."""
    if language == "zh":
        for word, flag in _tagger().lcut(instruction[:60]):
            if flag.startswith("v") and word not in _SKIPPED:
                return str(word)
        return None
    return next((word for text in words(instruction)[:8] if (word := text.lower()) not in _SKIPPED), None)
