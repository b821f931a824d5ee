"""Single jobs of judging: answers in a file, labels of people, two models, two finalists."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, TypeAlias

from assay import data, judging, llm
from assay import plan as planning
from assay.core import OVERALL, AssayError, File, OnCommand, Sample, Shown, Text, Without, say
from assay.jobs._asked import asking
from assay.jobs._judging_files import JudgementFile, judgement_row, read_answers, read_judgements, read_labels
from assay.jobs._pool import Data, Pool, held
from assay.plan import progress_bar

_LEVEL = 0.9
Answers: TypeAlias = Annotated[str | Path | Sequence[str | None], OnCommand(Path)]
"""A file of answers, or an answer for each item."""


@dataclass(frozen=True, slots=True)
class JudgedType:
    """The mean score of one type with its 90 % interval over items; ``missing`` items have no score."""

    type: str
    mean: float | None
    low: float | None
    high: float | None
    n: int
    missing: int


@dataclass(frozen=True)
class JudgeReport(Shown):
    """Judgements, written to ``out``: means by type, what could not be read, and what it cost.

    Scores are in the judge's units until they are held against people (``assay judge calibrate``).  Of the
    ``failed`` replies the ``lost`` ones had no budget or no server: the same command goes on with them.
    """

    out: str | None
    log: str | None
    judged_by: str
    units: str
    items: int
    rejected: int
    replies: int
    retried: int
    unparsed: int
    failed: int
    lost: int
    alarm: Text | None
    notes: tuple[Text, ...]
    calls: int
    cached: int
    tokens: int
    money: float | None
    currency: str
    repeats: judging.RepeatChoice | None
    types: tuple[JudgedType, ...]
    turns: tuple[JudgedType, ...] = ()
    """Of dialogues: the means of the first turns, the second ones ..."""

    @cached_property
    def judgements(self) -> tuple[judging.Judgement, ...]:
        """The judgement of each item's answer, in the order of the items."""
        return read_judgements(Path(self.out or "")).rows


@dataclass(frozen=True, slots=True)
class CalibrationReport(Shown):
    """Judge against people, one row a type."""

    judgements: str
    labels: str
    units: str
    unscored: int
    types: tuple[judging.TypeCalibration, ...]


@dataclass(frozen=True, slots=True)
class ComparisonReport(Shown):
    """Two models on the same items: a − b by type, in the judge's units and, with labels, in people's."""

    a: str
    b: str
    units: str
    judges: tuple[str, ...]
    types: tuple[judging.PairedDifference, ...]
    people: tuple[judging.PeopleDifference, ...]


@dataclass(frozen=True, slots=True)
class PairReport(Shown):
    """Two models' answers set beside each other, in both orders."""

    out: str
    judged_by: str
    items: int
    left_out: int
    money: float | None
    types: tuple[judging.PairSummary, ...]


def judge(
    items: Data,
    *,
    answers: Answers,
    by: judging.JudgeConfig,
    out: File | None = None,
    adapt: bool = False,
    cost_ratio: float = 1.0,
    log: File | None = None,
    cap: str | None = None,
) -> JudgeReport:
    """Score answers in [0, 1] with a chat model, by the rubric of their type and any reference.

    Example: `assay judge eval.jsonl --answers answers.jsonl --out judged.jsonl --model openai/gpt-4o-mini`

        >>> by = assay.JudgeConfig("openai/gpt-4o-mini", budget="1 USD")
        >>> assay.judge("eval.jsonl", answers="answers.jsonl", by=by)  # doctest: +SKIP

    Replies that cannot be parsed are requested once more, then counted as unparsed; they never become a
    score.

    Parameters
    ----------
    items
        Evaluation sets: files, folders, globs, or hf:owner/name.
    answers
        Answers (JSONL) as written by `assay answer`: with an `item` id, or in the order of the items; in
        Python also a text for each item, None where there is none.
    out
        File for the judgements (JSONL).
    by
        The chat model that judges, and how.
    adapt
        Choose the number of repeats from 100 items judged three times.
    cost_ratio
        Cost of one more item relative to one reply, for `--adapt`.
    log
        Folder for a log that `inspect view` can open.
    cap
        Stop before this command takes more than this: "2 hours", "20 USD", "2M tokens", "50 GB", or several
        with `and`; replies are kept, and the same command goes on.
    """
    with planning.metered(cap):
        rows, rejected = _items(items)
        texts = _answers(answers, rows)
        said = Path(answers).stem if isinstance(answers, str | Path) else "answers"
        return judged(
            rows, texts, by, out, answered_by=said, rejected=rejected, adapt=adapt, cost_ratio=cost_ratio,
            log=log,
        )  # fmt: skip


def judged(
    rows: Sequence[Sample], texts: Sequence[str | None], by: judging.JudgeConfig, out: File | None, *,
    answered_by: str, rejected: int = 0, adapt: bool = False, cost_ratio: float = 1.0,
    log: File | None = None, names: Sequence[str] | None = None,
) -> JudgeReport:  # fmt: skip
    """Judge answers and report it; under the items' ``names`` where they have any beside their ids."""
    with llm.open_chat(by) as door:
        choice = None
        if adapt and by.mode != "logprobs":
            with progress_bar("pilot") as advance:
                choice = _adapted(door, rows, texts, by, cost_ratio, advance)
            by = dataclasses.replace(by, repeats=choice.repeats)
        most = judging.estimate(door, rows, texts, by)
        with asking(door, most, "item", len(rows)), progress_bar("judge") as advance:
            found = judging.ask_all(door, rows, texts, by, advance)
        spent = door.spent
    verdicts = list(found.judgements) if names is None else judging.named(names, found.judgements)
    if out is not None:
        data.write_lines(map(judgement_row, rows, texts, verdicts), Path(out))
    path = None
    if log is not None:
        path = judging.write_log(rows, texts, found.judgements, Path(log), config=by, answered_by=answered_by)
    notes = Counter(row.note for row in found.judgements if row.note)
    share = found.unparsed / max(found.replies - found.failed, 1)
    report = JudgeReport(
        out=None if out is None else str(out),
        log=None if path is None else str(path),
        judged_by=found.version,
        units="judge",
        items=len(rows),
        rejected=rejected,
        replies=found.replies,
        retried=found.retried,
        unparsed=found.unparsed,
        failed=found.failed,
        lost=found.lost,
        alarm=say("note.judge.unread", share=share) if found.alarm else None,
        notes=tuple(say("note.judge.items", n=count, note=note) for note, count in notes.items()),
        calls=spent.calls,
        cached=spent.cached,
        tokens=spent.tokens_in + spent.tokens_out,
        money=spent.money,
        currency=door.budget.currency,
        repeats=choice,
        types=tuple(by_type(verdicts)),
    )
    return held(report, judgements=tuple(verdicts))


def judge_estimate(items: Data, *, answers: Answers, by: judging.JudgeConfig) -> llm.Estimate:
    """Estimate the maximum cost of judging, and how much is cached already; nothing is sent.

    Example: `assay judge estimate eval.jsonl --answers answers.jsonl --model openai/gpt-4o-mini`

        >>> by = assay.JudgeConfig("openai/gpt-4o-mini")
        >>> assay.judge_estimate("eval.jsonl", answers="answers.jsonl", by=by)  # doctest: +SKIP

    Parameters
    ----------
    items
        Evaluation sets: files, folders, globs, or hf:owner/name.
    answers
        Answers to judge (JSONL).
    by
        The chat model that judges, and how.
    """
    rows, _ = _items(items)
    with llm.open_chat(by) as door:
        return judging.estimate(door, rows, _answers(answers, rows), by)


def _items(given: Data) -> tuple[list[Sample], int]:
    lost: list[data.Rejected] = []
    pool = Pool(given, lost.append)
    items = list(pool)
    if not items:
        raise AssayError("no usable item", place=pool.name, hint="`assay data inspect` shows why")
    return items, len(lost)


def _answers(given: str | Path | Sequence[str | None], items: Sequence[Sample]) -> list[str | None]:
    """Return the answer to each item from a file or from memory."""
    if isinstance(given, str | Path):
        return read_answers(Path(given), items)
    if len(given) != len(items):
        raise AssayError(
            "not one answer per item", place="answers", value=f"{len(given)} answers, {len(items)} items",
            expected="a text for each item, None where there is none",
        )  # fmt: skip
    return list(given)


def _adapted(
    door: llm.Chat,
    items: Sequence[Sample],
    answers: Sequence[str | None],
    config: judging.JudgeConfig,
    cost_ratio: float,
    advance: llm.Advance,
) -> judging.RepeatChoice:
    """Choose the repeats from a pilot; its replies are part of what follows and are not paid again."""
    order = sorted(
        (i for i, answer in enumerate(answers) if answer and (items[i].checker is None or not config.exact)),
        key=lambda i: items[i].id,
    )[: judging.PILOT_ITEMS]
    pilot = dataclasses.replace(config, repeats=judging.PILOT_REPEATS)
    rows, texts = [items[i] for i in order], [answers[i] for i in order]
    with asking(door, judging.estimate(door, rows, texts, pilot), "item", len(rows)):
        found = judging.ask_all(door, rows, texts, pilot, advance)
    noise = judging.judge_noise([row.scores for row in found.judgements])
    return judging.choose_repeats(noise.sd, judging.paired_sd(noise.item_sd), cost_ratio=cost_ratio)


def by_type(judgements: Sequence[judging.Judgement]) -> Iterator[JudgedType]:
    """Yield a row a type, then the unweighted mean of the types."""
    summaries = {row.type: row for row in judging.summarise(judgements)}
    clusters: dict[str, set[str]] = {}
    for row in judgements:
        if row.score is not None:
            clusters.setdefault(row.type, set()).add(row.group or row.item)
    for kind, count in Counter(row.type for row in judgements).items():
        found = summaries.get(kind)
        if found is None:
            yield JudgedType(kind, None, None, None, 0, count)
            continue
        reach = _reach(found.se, len(clusters[kind]) - 1)
        yield _row(kind, found.mean, reach, found.n, found.missing)
    if len(summaries) > 1:
        yield _whole(list(summaries.values()), sum(map(len, clusters.values())) - len(clusters))


def _whole(rows: Sequence[judging.Summary], freedom: int) -> JudgedType:
    errors = [row.se for row in rows if row.se is not None]
    se = math.sqrt(math.fsum(e * e for e in errors)) / len(rows) if len(errors) == len(rows) else None
    mean = math.fsum(row.mean for row in rows) / len(rows)
    return _row(OVERALL, mean, _reach(se, freedom), sum(r.n for r in rows), sum(r.missing for r in rows))


def _reach(se: float | None, freedom: int) -> float | None:
    if se is None or freedom < 1:
        return None
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 0.5 + _LEVEL / 2)) * se


def _row(kind: str, mean: float, reach: float | None, n: int, missing: int) -> JudgedType:
    if reach is None:
        return JudgedType(kind, mean, None, None, n, missing)
    return JudgedType(kind, mean, max(0.0, mean - reach), min(1.0, mean + reach), n, missing)


def judge_calibrate(judgements: File, *, labels: File) -> CalibrationReport:
    """Calibrate a judge against human labels: agreement, length bias, and means on the human scale (PPI++).

    Example: `assay judge calibrate judged.jsonl --labels people.jsonl`

        >>> assay.judge_calibrate("judged.jsonl", labels="people.jsonl").types[0].labels
        40

    A type with fewer than 50 labels stays on the judge's scale, and the table says so.

    Parameters
    ----------
    judgements
        Judgements from `assay judge`.
    labels
        Human labels (JSONL): `item`, `score` in [0, 1], and `annotator` if known.
    """
    judged = read_judgements(Path(judgements))
    given = read_labels(Path(labels), judged)
    types = judging.calibrate(judged.rows, given.labels, judged.lengths or None)
    units = {row.units for row in types}
    return CalibrationReport(
        judgements=str(judgements),
        labels=str(labels),
        units=units.pop() if len(units) == 1 else "people and judge, by type",
        unscored=given.unscored,
        types=tuple(types),
    )


def _check_judges(a: JudgementFile, b: JudgementFile) -> None:
    """Refuse scores of two judges, which lie on two scales."""
    methods = {row.item: row.method for row in a.rows}
    other = next((row for row in b.rows if methods.get(row.item, row.method) != row.method), None)
    if other is not None:
        raise AssayError(
            "the files come from two judges, whose scores are not comparable",
            place=b.place, value=other.method, expected=methods[other.item],
            hint="judge both files with the same model, rubrics and settings; --drift shows how far a "
            "judge's scale has moved, from one file of answers judged twice",
        )  # fmt: skip


def _check_answers(a: JudgementFile, b: JudgementFile) -> None:
    """Refuse answers that differ: then models differ, and not only their judge."""
    other = next((item for item, answer in b.answers.items() if a.answers.get(item, answer) != answer), None)
    if other is not None:
        raise AssayError(
            "with --drift both files have to judge the same answers", place=b.place, value=f"item {other}",
            expected=f"the answer that {a.place} has", hint="judge one file of answers with both judges",
        )  # fmt: skip


def judge_compare(
    a: File,
    b: File,
    *,
    effect: float = 0.03,
    labels_a: File | None = None,
    labels_b: File | None = None,
    drift: bool = False,
) -> ComparisonReport:
    """Compare two models on the same items by type: paired, clustered, corrected by Holm.

    Example: `assay judge compare at-100k.jsonl at-10k.jsonl`

        >>> assay.judge_compare("judged.jsonl", "judged.jsonl").types[0].difference
        0.0

    Parameters
    ----------
    a
        Judgements of one model's answers.
    b
        Judgements of the other model's answers, by the same judge; positive differences favour a.
    effect
        Effect to detect; the number of items needed is reported.
    labels_a
        Human scores of a's answers, for differences on the human scale (with --labels-b).
    labels_b
        Human scores of b's answers.
    drift
        a and b are the same answers under two judges, or two versions of one: how far its scale has moved.
    """
    if (labels_a is None) != (labels_b is None):
        raise AssayError("labels of one model only", place="--labels-a, --labels-b", expected="both or none")
    files = read_judgements(Path(a)), read_judgements(Path(b))
    first, second = (file.rows for file in files)
    (_check_answers if drift else _check_judges)(*files)
    people = []
    if labels_a is not None and labels_b is not None:
        places = (Path(labels_a), Path(labels_b))
        given = [read_labels(place, file).labels for place, file in zip(places, files, strict=True)]
        people = judging.people_differences(first, second, *given)
    return ComparisonReport(
        a=str(a),
        b=str(b),
        units="judge; people where labels suffice" if any(row.estimate for row in people) else "judge",
        judges=tuple(sorted({row.method for row in (*first, *second)})),
        types=tuple(judging.compare_judgements(first, second, effect=effect)),
        people=tuple(people),
    )


def judge_pairs(
    items: Data,
    *,
    a: Answers,
    b: Answers,
    out: File,
    by: Annotated[judging.JudgeConfig, Without("repeats", "exact")],
    cap: str | None = None,
) -> PairReport:
    """Ask a chat model which of two answers is better, in both orders; a win in one order only is a tie.

    Example: `assay judge pairs eval.jsonl --a new.jsonl --b old.jsonl --out p.jsonl --model openai/gpt-4o`

        >>> by = assay.JudgeConfig("openai/gpt-4o")
        >>> assay.judge_pairs("eval.jsonl", a="new.jsonl", b="old.jsonl", out="p.jsonl",
        ...                   by=by)  # doctest: +SKIP

    Parameters
    ----------
    items
        Evaluation sets: files, folders, globs, or hf:owner/name.
    a
        Answers of one model (JSONL).
    b
        Answers of the other model (JSONL).
    out
        File for the preferences (JSONL).
    by
        The chat model that judges, and how.
    cap
        Stop before this command takes more than this: "2 hours", "20 USD", "2M tokens", "50 GB", or several
        with `and`; replies are kept, and the same command goes on.
    """
    every, _ = _items(items)
    config = dataclasses.replace(by, repeats=1)
    answered = zip(every, _answers(a, every), _answers(b, every), strict=True)
    rows = [(item, x, y) for item, x, y in answered if x is not None and y is not None]
    if not rows:
        raise AssayError("no item has two answers", place="a, b")
    columns = [row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows]
    with planning.metered(cap), llm.open_chat(config) as door:
        most = judging.compare_estimate(door, *columns, config)
        with asking(door, most, "item", len(rows)), progress_bar("pairs") as advance:
            found = judging.compare_all(door, *columns, config, advance)
        money = door.spent.money
    data.write_lines(map(dataclasses.asdict, found), Path(out))
    return PairReport(
        out=str(out),
        judged_by=judging.version(config),
        items=len(rows),
        left_out=len(every) - len(rows),
        money=money,
        types=tuple(judging.summarise_pairs(found)),
    )
