"""Single jobs of judging: answers in a file, labels of people, two models, two finalists."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from scipy.stats import t as student

from assay import data, judging, llm
from assay.core import OVERALL, AssayError, Sample
from assay.jobs._judging_files import judgement_row, read_answers, read_judgements, read_labels
from assay.plan import progress_bar

_LEVEL = 0.9


@dataclass(frozen=True, slots=True)
class JudgedType:
    """The mean score of one type with its 90 % interval over items; ``missing`` items have no score."""

    type: str
    mean: float | None
    low: float | None
    high: float | None
    n: int
    missing: int


@dataclass(frozen=True, slots=True)
class JudgeReport:
    """Judgements written to ``out``: means by type, what could not be read, and what it cost.

    Scores are in the judge's units until they are held against people (``assay judge calibrate``).  Of the
    ``failed`` replies the ``lost`` ones had no budget or no server: the same command goes on with them.
    """

    out: str
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
    alarm: str | None
    notes: tuple[str, ...]
    calls: int
    cached: int
    tokens: int
    money: float | None
    currency: str
    repeats: judging.RepeatChoice | None
    types: tuple[JudgedType, ...]


@dataclass(frozen=True, slots=True)
class CalibrationReport:
    """Judge against people, one row a type."""

    judgements: str
    labels: str
    units: str
    unscored: int
    types: tuple[judging.TypeCalibration, ...]


@dataclass(frozen=True, slots=True)
class ComparisonReport:
    """Two models on the same items: a − b by type, in the judge's units and, with labels, in people's."""

    a: str
    b: str
    units: str
    judges: tuple[str, ...]
    types: tuple[judging.PairedDifference, ...]
    people: tuple[judging.PeopleDifference, ...]


@dataclass(frozen=True, slots=True)
class PairReport:
    """Two models' answers set beside each other, in both orders."""

    out: str
    judged_by: str
    items: int
    left_out: int
    money: float | None
    types: tuple[judging.PairSummary, ...]


def judge_file(
    places: Sequence[str],
    answers: Path,
    out: Path,
    config: judging.JudgeConfig,
    chat: llm.ChatConfig,
    *,
    adapt: bool = False,
    cost_ratio: float = 1.0,
    calls: Path = Path(".assay/calls"),
    log: Path | None = None,
    quiet: bool = False,
) -> JudgeReport:
    """Judge the answers of a file to the items of ``places`` and write a judgement a line to ``out``.

    With ``adapt``, how often each answer is asked about is chosen from 100 items asked about three times.
    Replies are kept in ``calls``: the same command goes on where it was stopped.  Raises :class:`AssayError`
    for answers that fit no item.
    """
    items, rejected = _items(places)
    texts = read_answers(answers, items)
    with llm.open_chat(chat, calls=calls) as door:
        choice = None
        if adapt and config.mode != "logprobs":
            with progress_bar("pilot", quiet=quiet) as advance:
                choice = _adapted(door, items, texts, config, cost_ratio, advance)
            config = dataclasses.replace(config, repeats=choice.repeats)
        with progress_bar("judge", quiet=quiet) as advance:
            found = judging.ask_all(door, items, texts, config, advance)
        spent = door.spent
    data.write_lines(map(judgement_row, items, texts, found.judgements), out)
    path = None
    if log is not None:
        path = judging.write_log(items, texts, found.judgements, log, config=config, answered_by=answers.stem)
    notes = Counter(row.note for row in found.judgements if row.note)
    share = found.unparsed / max(found.replies - found.failed, 1)
    return JudgeReport(
        out=str(out),
        log=None if path is None else str(path),
        judged_by=found.version,
        units="judge",
        items=len(items),
        rejected=rejected,
        replies=found.replies,
        retried=found.retried,
        unparsed=found.unparsed,
        failed=found.failed,
        lost=found.lost,
        alarm=f"{share:.1%} of the judge's replies could not be read" if found.alarm else None,
        notes=tuple(f"{count} items: {note}" for note, count in notes.items()),
        calls=spent.calls,
        cached=spent.cached,
        tokens=spent.tokens_in + spent.tokens_out,
        money=spent.money,
        currency=door.budget.currency,
        repeats=choice,
        types=tuple(_types(found.judgements)),
    )


def estimate_file(
    places: Sequence[str],
    answers: Path,
    config: judging.JudgeConfig,
    chat: llm.ChatConfig,
    *,
    calls: Path = Path(".assay/calls"),
) -> llm.Estimate:
    """Return what :func:`judge_file` can cost at most; nothing is asked."""
    items, _ = _items(places)
    with llm.open_chat(chat, calls=calls) as door:
        return judging.estimate(door, items, read_answers(answers, items), config)


def _items(places: Sequence[str]) -> tuple[list[Sample], int]:
    rows = [row for place in places for row in data.read(place)]
    items = [row for row in rows if isinstance(row, Sample)]
    if not items:
        raise AssayError("no usable item", place=", ".join(places), hint="`assay data inspect` shows why")
    return items, len(rows) - len(items)


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
    found = judging.ask_all(door, [items[i] for i in order], [answers[i] for i in order], pilot, advance)
    noise = judging.judge_noise([row.scores for row in found.judgements])
    return judging.choose_repeats(noise.sd, judging.paired_sd(noise.item_sd), cost_ratio=cost_ratio)


def _types(judgements: Sequence[judging.Judgement]) -> Iterator[JudgedType]:
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
    return None if se is None or freedom < 1 else float(student.ppf(0.5 + _LEVEL / 2, freedom)) * se


def _row(kind: str, mean: float, reach: float | None, n: int, missing: int) -> JudgedType:
    if reach is None:
        return JudgedType(kind, mean, None, None, n, missing)
    return JudgedType(kind, mean, max(0.0, mean - reach), min(1.0, mean + reach), n, missing)


def calibrate_files(judgements: Path, labels: Path) -> CalibrationReport:
    """Hold the judgements of a file against labels of people."""
    judged = read_judgements(judgements)
    given = read_labels(labels, judged)
    types = judging.calibrate(judged.rows, given.labels, judged.lengths or None)
    units = {row.units for row in types}
    return CalibrationReport(
        judgements=str(judgements),
        labels=str(labels),
        units=units.pop() if len(units) == 1 else "people and judge, by type",
        unscored=given.unscored,
        types=tuple(types),
    )


def compare_files(
    a: Path, b: Path, *, effect: float, labels: tuple[Path, Path] | None = None
) -> ComparisonReport:
    """Compare two models' judgements of the same items; both must come from one judge.

    ``labels`` are people's scores of either model's answers, for differences in their units.
    """
    files = read_judgements(a), read_judgements(b)
    first, second = (file.rows for file in files)
    methods = {row.item: row.method for row in first}
    other = [row for row in second if methods.get(row.item, row.method) != row.method]
    if other:
        raise AssayError(
            "two judges: their scores are not on one scale",
            place=str(b),
            value=other[0].method,
            expected=methods[other[0].item],
            hint="judge both files with the same model, rubrics and settings",
        )
    people = []
    if labels is not None:
        given = [read_labels(place, file).labels for place, file in zip(labels, files, strict=True)]
        people = judging.people_differences(first, second, *given)
    return ComparisonReport(
        a=str(a),
        b=str(b),
        units="judge; people where labels suffice" if any(row.estimate for row in people) else "judge",
        judges=tuple(sorted({row.method for row in (*first, *second)})),
        types=tuple(judging.compare_judgements(first, second, effect=effect)),
        people=tuple(people),
    )


def pair_files(
    places: Sequence[str],
    a: Path,
    b: Path,
    out: Path,
    config: judging.JudgeConfig,
    chat: llm.ChatConfig,
    *,
    calls: Path = Path(".assay/calls"),
    quiet: bool = False,
) -> PairReport:
    """Set two models' answers beside each other in both orders, and write a preference a line."""
    items, _ = _items(places)
    answered = zip(items, read_answers(a, items), read_answers(b, items), strict=True)
    rows = [(item, x, y) for item, x, y in answered if x is not None and y is not None]
    if not rows:
        raise AssayError("no item has two answers", place=f"{a}, {b}")
    with llm.open_chat(chat, calls=calls) as door, progress_bar("pairs", quiet=quiet) as advance:
        columns = [row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows]
        found = judging.compare_all(door, *columns, config, advance)
        money = door.spent.money
    data.write_lines(map(dataclasses.asdict, found), out)
    return PairReport(
        out=str(out),
        judged_by=judging.version(config),
        items=len(rows),
        left_out=len(items) - len(rows),
        money=money,
        types=tuple(judging.summarise_pairs(found)),
    )
