"""Findings beyond the verdicts: the next 1,000 samples, best sizes, double descent, balance points."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from assay import core
from assay.core import (
    BalancePoint,
    BestSize,
    CurveResult,
    DoubleDescent,
    HeldOut,
    Reading,
    StudyResult,
    Worth,
    say,
)

_FORMS = {
    "type": "@type", "arm": "@arm", "verdict": "@word", "n": ",", "value": "value", "thousand": "small",
    "per_money": "small", "best": "about", "best_range": "about", "p_value": "p",
    "p_adjusted": "p",    "visible": "value",
    "meet": "about",
}  # fmt: skip

Row = tuple[core.Cell, ...]


def findings(found: StudyResult | Reading, metric: str, level: int = 2) -> list[core.Block]:
    """Return the tables that have rows, for one metric, in reading order, each with its heading."""
    curves = [c for c in found.curves if c.metric == metric and c.best is not None]
    tables = (
        _worth([x for x in found.worth if x.metric == metric]),
        _best([(c, c.best) for c in curves if c.best is not None]),
        _descents([x for x in found.descents if x.metric == metric]),
        _balances([x for x in found.balances if x.metric == metric]),
        _held_out([x for x in found.held_out if x.metric == metric]),
    )
    return [block for key, columns, rows in tables if rows for block in _blocks(key, columns, rows, level)]


def forgetting_blocks(result: StudyResult, level: int = 2) -> list[core.Block]:
    """Return how far the loss on plain text rose along every ladder, and what the next doubling would add."""
    found = result.forgetting
    if found is None or not found.rises:
        return []
    asked = found.largest_loss is not None
    arms = len({r.arm for r in found.rises}) > 1
    names = ["text", *(["arm"] if arms else []), "n", "loss_rise", "interval", *(["within"] if asked else [])]
    forms = {**_FORMS, "text": "@text", "loss_rise": "gain", "interval": "gain", "within": "p"}
    rows = tuple(
        (
            r.text, *([r.arm] if arms else []), r.n_train, r.rise, (r.low, r.high),
            *([r.p_within] if asked else []),
        )
        for r in found.rises
    )  # fmt: skip
    columns = tuple(core.Column(say(f"col.{name}"), forms.get(name, "")) for name in names)
    doublings = tuple(
        say("forgetting.next", text=c.type, arm=c.arm, gain=-v.gain, interval=(-v.gain_high, -v.gain_low))
        for c in found.curves if (v := c.verdict) is not None
    )  # fmt: skip
    errors = say(f"forgetting.errors.{'runs' if any(r.seeds > 1 for r in found.rises) else 'none'}")
    return [
        core.Heading(say("forgetting.heading"), level),
        core.Paragraph(say("forgetting.intro", errors=errors), "quiet"),
        core.Table(columns, rows),
        *([core.Items(doublings)] if doublings else []),
    ]


def ability_blocks(result: StudyResult, level: int = 2) -> list[core.Block]:
    """Return how far the scores of watched tasks moved along every ladder, and would at the next doubling."""
    found = result.abilities
    if found is None or not found.shifts:
        return []
    arms = len({r.arm for r in found.shifts}) > 1
    before = {p.type: p.value for p in found.points if p.arm == core.BASE_ARM}
    names = ["task", *(["arm"] if arms else []), "n", "before", "change", "interval"]
    forms = {**_FORMS, "before": "value", "change": "gain", "interval": "gain"}
    rows = tuple(
        (r.text, *([r.arm] if arms else []), r.n_train, before.get(r.text), r.rise, (r.low, r.high))
        for r in found.shifts
    )  # fmt: skip
    columns = tuple(core.Column(say(f"col.{name}"), forms.get(name, "")) for name in names)
    doublings = tuple(
        say("abilities.next", task=c.type, arm=c.arm, gain=v.gain, interval=(v.gain_low, v.gain_high))
        for c in found.curves if (v := c.verdict) is not None
    )  # fmt: skip
    errors = say(f"abilities.errors.{'runs' if any(r.seeds > 1 for r in found.shifts) else 'none'}")
    table = core.Table(columns, rows)
    return [
        core.Heading(say("abilities.heading"), level),
        core.Paragraph(say("abilities.intro", errors=errors), "quiet"),
        core.Fold(say("findings.rows", n=len(rows)), (table,)) if len(rows) > _MOST else table,
        *([core.Items(doublings)] if doublings else []),
    ]


def _blocks(key: str, names: Sequence[str], rows: list[Row], level: int) -> Iterator[core.Block]:
    """Yield heading, how to read it, and the table; the column of arms only where there are several."""
    if "arm" in names and len({row[1] for row in rows}) == 1:
        names, rows = [n for n in names if n != "arm"], [(row[0], *row[2:]) for row in rows]
    if len(rows) > 1 and all(row[1:] == rows[0][1:] for row in rows):
        rows = [(say("findings.all"), *rows[0][1:])]
    forms = {**_FORMS, "interval": {"worth": "small", "held_out": "value", "balance": "about"}.get(key, ",")}
    columns = tuple(core.Column(say(f"col.{name}"), forms.get(name, "")) for name in names)
    yield core.Heading(say(f"{key}.heading"), level)
    yield core.Paragraph(say(f"{key}.intro"), "quiet")
    told = [row for row in rows if not _untold(row)]
    untold = [row for row in rows if _untold(row)]
    if told or len(untold) == 1:
        table = core.Table(columns, tuple(told or untold))
        yield core.Fold(say("findings.rows", n=len(told)), (table,)) if len(told) > _MOST else table
    if untold and (told or len(untold) > 1):
        title = say("findings.untold", n=len(untold), of=len(rows))
        yield core.Fold(title, (core.Table(columns, tuple(untold)),))


_MOST = 20
"""Rows that stand open; more are folded."""
_OPEN = frozenset(("cannot tell", "undecided"))


def _untold(row: Row) -> bool:
    """Say whether a row finds nothing: its word is that of an open question."""
    words = (dict(cell.values).get("word") if isinstance(cell, core.Say) else cell for cell in row[1:])
    return any(word in _OPEN for word in words if isinstance(word, str))


def _worth(found: Sequence[Worth]) -> tuple[str, list[str], list[Row]]:
    names = ["type", "arm", "thousand", "interval"]
    rows: list[Row] = [(r.type, r.arm, r.gain.gain, (r.gain.low, r.gain.high)) for r in found]
    priced: dict[str, list[core.Cell]] = {
        "per_money": [r.per_money for r in found],
        "training_time": [None if r.hours is None else say("cell.time", time=3600 * r.hours) for r in found],
    }
    for name, values in priced.items():
        if any(value is not None for value in values):
            names.append(name)
            rows = [(*row, value) for row, value in zip(rows, values, strict=True)]
    return "worth", names, rows


def _best(found: Sequence[tuple[CurveResult, BestSize]]) -> tuple[str, list[str], list[Row]]:
    rows: list[Row] = [
        (
            c.type,
            c.arm,
            best.n,
            (best.low, best.high),
            say("best.optimum", word=best.word, chance=best.p_interior),
        )
        for c, best in found
    ]
    return "best", ["type", "arm", "best", "best_range", "optimum"], rows


def _descents(found: Sequence[DoubleDescent]) -> tuple[str, list[str], list[Row]]:
    rows: list[Row] = [(r.type, r.arm, *_descent(r)) for r in found]
    return (
        "descent",
        ["type", "arm", "verdict", "worsening", "p_value", "p_adjusted", "visible", "next"],
        rows,
    )


def _descent(row: DoubleDescent) -> Row:
    word: core.Cell = row.word
    if row.reason is not None:
        word = say("descent.because", word=row.word, reason=say(f"descent.{row.reason}"))
    seen = None not in (row.valley, row.peak, row.rise)
    rise = say("descent.rise", rise=row.rise, valley=row.valley, peak=row.peak) if seen else None
    wanted = row.fresh_seeds and row.word in ("nominated", "cannot tell") and row.valley is not None
    runs = say("descent.next", seeds=row.fresh_seeds) if wanted else None
    fresh = row.p_fresh is not None
    p, adjusted = (row.p_fresh, None) if fresh else (row.p, row.p_adjusted)
    return word, rise, p, adjusted, row.visible_rise, runs


def _balances(found: Sequence[BalancePoint]) -> tuple[str, list[str], list[Row]]:
    rows: list[Row] = []
    for row in found:
        word = "undecided" if row.word == "undecided" else say(f"balance.{row.word}", a=row.a)
        reach: core.Cell = None if row.low is None else say("balance.beyond", low=row.low)
        if row.low is not None and row.high is not None:
            reach = (row.low, row.high)
        trap = say("balance.constructed") if row.by_construction else None
        rows.append((row.type, say("arms.pair", a=row.a, b=row.b), word, row.n, reach, trap))
    return "balance", ["type", "pair", "verdict", "meet", "interval", "note"], rows


def _held_out(found: Sequence[HeldOut]) -> tuple[str, list[str], list[Row]]:
    rows: list[Row] = [
        (
            r.type,
            r.arm,
            r.n_train,
            r.value,
            (r.low, r.high),
            say("held_out.inside" if r.inside else "held_out.outside"),
        )
        for r in found
    ]
    return "held_out", ["type", "arm", "n", "value", "interval", "verdict"], rows
