"""The first page of a report: what changes the reading, the score now, the next samples and command."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from html import escape
from itertools import chain

from assay.core import (
    BASE_ARM,
    OVERALL,
    Answer,
    CurveResult,
    DataSummary,
    StudyResult,
    Text,
    Verdict,
    say,
)
from assay.view._format import MINUS, about, clean, integer, number, percent, together
from assay.view._index import Index, ladder
from assay.view._says import count_notes, rate_is_open, rate_to_try
from assay.view._svg import Svg
from assay.view._words import Words

STUDY = "study.yaml"
"""The study file in commands, until the file's own name is known."""
_NAMED = 4
"""Types named in one sentence; more are counted."""


@dataclass(frozen=True, slots=True)
class Buys:
    """What more samples of the recommended arm buy in one type, oriented so that a gain is positive."""

    type: str
    gain: float
    low: float
    high: float
    word: str
    """``rising`` where the interval is above zero, ``falling`` below, else ``undecided``."""
    per_money: float | None

    @property
    def shown(self) -> tuple[str, ...]:
        """Gain, low and high in figures, with the same decimals."""
        return together(self.gain, self.low, self.high)


@dataclass(frozen=True, slots=True)
class Now:
    """A metric as it is at the largest size of the recommended arm; an end is None where no curve has one."""

    metric: str
    value: float
    low: float | None
    high: float | None
    base: float | None
    """The same before training; None where that was not measured."""


def alerts(result: StudyResult, w: Words) -> list[str]:
    """Return what changes the reading of everything below, the gravest first."""
    judge = result.judge
    found: list[Text] = []
    if judge is not None and judge.alarm:
        found.append(say("judge.alarm", share=percent(judge.unparsed, judge.replies - judge.failed)))
    found += chain(_curve_alerts(result), count_notes(result.counts), _rejected("pool", result.pool))
    found += _rejected("evaluation", result.evaluation)
    return list(dict.fromkeys(w.text(text) for text in found))


def _curve_alerts(result: StudyResult) -> Iterator[Text]:
    """Yield failed runs, and what a reader must know first of the curves of scores, each with its types."""
    runs: dict[tuple[str, int, int], list[str]] = {}
    notes: dict[tuple[str, str], list[str]] = {}
    for curve in result.curves:
        for run in curve.failed:
            runs.setdefault((curve.arm, run.n_train, run.seed), []).append(curve.type)
        if curve.metric == "score" and curve.notes:
            notes.setdefault((curve.arm, curve.notes[0]), []).append(curve.type)
    for (arm, n, seed), kinds in runs.items():
        yield say("first.failed", arm=arm, n=n, seed=seed, types=_few(kinds))
    for (arm, note), kinds in notes.items():
        yield say("first.note", arm=arm, note=say(f"curves.note.{note}"), types=_few(kinds))


def _few(kinds: Sequence[str]) -> Text:
    """Return a few types by name, many by their number."""
    own = tuple(dict.fromkeys(kinds))
    return say("first.types", types=own) if len(own) <= _NAMED else say("first.types.many", n=len(own))


def _rejected(what: str, summary: DataSummary) -> Iterator[Text]:
    rows, rejected = (sum(getattr(s, name) for s in summary.sources) for name in ("rows", "rejected"))
    if rejected:
        yield say(f"first.rejected.{what}", n=rejected, of=rows, share=rejected / rows)


def now(result: StudyResult, found: Index) -> tuple[Now, ...]:
    """Return what each metric is at the size of the answer, overall or of the only type."""
    answer = result.answer
    if answer is None:
        return ()
    rows = []
    for metric in found.metrics:
        kind = found.leading(metric) or ""
        means = dict(ladder(found.points.get((kind, metric), ()), answer.arm))
        if answer.n in means:
            low, high = _ends(found.curves.get((kind, answer.arm, metric)), answer.n)
            rows.append(Now(metric, means[answer.n], low, high, means.get(0)))
    return tuple(rows)


def _ends(curve: CurveResult | None, n: int) -> tuple[float | None, float | None]:
    band = curve.band if curve else None
    if band is None or float(n) not in band.n:
        return None, None
    place = band.n.index(float(n))
    return band.low[place], band.high[place]


def buys(result: StudyResult, found: Index) -> tuple[str, tuple[Buys, ...]]:
    """Return what is bought (``thousand`` samples or the ``doubling``), and by type what that gains."""
    answer = result.answer
    if answer is None:
        return "thousand", ()
    own = [x for x in result.worth if (x.arm, x.metric) == (answer.arm, found.headline) and x.type != OVERALL]
    if own:
        rows = [_bought(x.type, x.gain.gain, x.gain.low, x.gain.high, x.per_money) for x in own]
        return "thousand", _largest_first(rows)
    verdicts = [
        (kind, curve.verdict)
        for kind in found.types
        if kind != OVERALL and (curve := found.curves.get((kind, answer.arm, found.headline))) is not None
    ]
    rows = [_bought(k, v.gain, v.gain_low, v.gain_high, None) for k, v in verdicts if v is not None]
    return "doubling", _largest_first(rows)


def _bought(kind: str, gain: float, low: float, high: float, per_money: float | None) -> Buys:
    found = Buys(kind, gain, low, high, "undecided", per_money)
    # What is shown as zero is not said to be above it.
    _, least, most = (_word(text) for text in found.shown)
    return replace(found, word=least) if least == most else found


def _word(shown: str) -> str:
    return "rising" if shown.startswith("+") else "falling" if shown.startswith(MINUS) else "undecided"


def _largest_first(rows: Sequence[Buys]) -> tuple[Buys, ...]:
    """Return what can be told ahead, and in it the largest gain first."""
    return tuple(sorted(rows, key=lambda row: (row.word == "undecided", -row.gain)))


def satisfied_text(curve: CurveResult, w: Words) -> str:
    """Return from which size on a curve satisfies: "about 800 (500–1,300)"; "" where none does."""
    if curve.satisfied_at is None:
        return ""
    if curve.satisfied_from is None:
        return w("size.about", n=about(curve.satisfied_at))
    low, middle = curve.satisfied_from
    return size_text(middle, low, curve.satisfied_at, w)


def size_text(n: float, low: float, high: float, w: Words) -> str:
    """Return a size that is not known exactly, to the digits that its range allows."""
    ends = about(low), about(high)
    key = "size.about" if len(set(ends)) == 1 else "size.range"
    return w(key, n=about(n, low, high), low=ends[0], high=ends[1])


def value_text(found: Now, w: Words) -> str:
    """Return a value with its interval: "0.623 (0.601–0.640)"."""
    if found.low is None or found.high is None:
        return number(found.value)
    return w("value.range", value=number(found.value), low=number(found.low), high=number(found.high))


def curve_title(kind: str, metric: str, w: Words) -> str:
    """Return what the first page's curve shows: overall, or the only type."""
    key = "first.curve" if kind == OVERALL else "first.curve.of"
    return w(key, metric=w.metric(metric), type=w.type(kind))


def moved_since(found: Now, w: Words) -> str:
    """Return where a metric was before training, "" where that is not known."""
    return "" if found.base is None else w("first.base", value=number(found.base))


def commands(result: StudyResult, w: Words) -> list[tuple[str, str]]:
    """Return what to do next and the command that does it, the first first; nothing for imported runs."""
    answer = result.answer
    if answer is None or result.imported or answer.overall is None:
        return []
    model = shlex.quote(f"{result.name}:{answer.arm}/{answer.n}")
    talk = w("first.do.chat"), f"assay chat {shlex.quote(result.name + ':' + BASE_ARM)} {model}"
    if (rate := rate_to_try(result)) is not None:
        name = shlex.quote(
            f"{result.name}-{rate}"
        )  # another recipe is another study, with a report of its own
        return [
            (
                w("first.do.rate"),
                f"assay study run {STUDY} --set name={name} --set recipe.learning_rate={rate}",
            )
        ]
    check = [(w("first.do.check"), f"assay recipe check {STUDY}")] if rate_is_open(result) else []
    if answer.overall.word == "plateau":
        return [*check, (w("first.do.export"), f"assay export {model}"), talk]
    if answer.overall.word == "falling":
        return [*check, talk]
    return [*check, *_more(result, answer, answer.overall, w), talk]


def command_html(command: str) -> Svg:
    """Return a command as markup, in which the study's own file may be named later."""
    return Svg(escape(command).replace(STUDY, f"{_MARK}{STUDY}</span>", 1))


def naming(page: str, file: str | None) -> str:
    """Return a page whose commands name the study as it was named on the command line."""
    return page if file is None else page.replace(f"{_MARK}{STUDY}<", f"{_MARK}{escape(clean(file))}<")


_MARK = '<span class="study-file">'


def _more(result: StudyResult, answer: Answer, verdict: Verdict, w: Words) -> Iterator[tuple[str, str]]:
    """Yield the runs that settle the verdict, or the next doubling."""
    arm = next((row for row in result.arms if row.name == answer.arm), None)
    if arm is None or not arm.rungs:
        return
    runs, largest = verdict.next_runs, max(arm.rungs)
    n = 2 * largest if runs is None else runs.n_train
    have = len(arm.seeds)
    lacking = max(0, n - result.pool.samples) if runs is None else runs.wanted or 0
    if lacking:
        size = _up(lacking)
        yield w("first.do.data", n=integer(size)), f"assay study next {STUDY} '{size} samples'"
    if n <= largest:
        yield (
            w("first.do.seeds"),
            f"assay study run {STUDY} --set ladder.seeds={have + (runs.seeds if runs else 1)}",
        )
        return
    rungs = ", ".join(map(str, (*arm.rungs, n)))
    yield w("first.do.rung"), f"assay study run {STUDY} --set 'ladder.rungs=[{rungs}]'"


def _up(n: int) -> int:
    """Return a size of two digits that is not below ``n``."""
    unit = int("1" + "0" * max(0, len(str(n)) - 2))
    return -(-n // unit) * unit
