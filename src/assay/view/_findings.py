"""Findings beyond the verdicts as tables of words: what 1,000 buy, best sizes, double descent, meetings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from assay.core import (
    BalancePoint,
    BestSize,
    CurveResult,
    DoubleDescent,
    HeldOut,
    Reading,
    StudyResult,
    Worth,
)
from assay.view._format import DASH, MINUS, integer, number, probability
from assay.view._words import Words


@dataclass(frozen=True, slots=True)
class Block:
    """One table: heading, one sentence on how to read it, column heads and rows of text."""

    key: str
    heading: str
    intro: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def findings(found: StudyResult | Reading, metric: str, w: Words) -> list[Block]:
    """Return the tables that have rows, for one metric, in reading order."""
    curves = [c for c in found.curves if c.metric == metric and c.best is not None]
    arms = len({c.arm for c in curves}) > 1
    blocks = [
        _worth([x for x in found.worth if x.metric == metric], w, arms=arms),
        _best(curves, w, arms=arms),
        _descents([x for x in found.descents if x.metric == metric], w, arms=arms),
        _balances([x for x in found.balances if x.metric == metric], w),
        _held_out([x for x in found.held_out if x.metric == metric], w, arms=arms),
    ]
    return [block for block in blocks if block.rows]


def _block(key: str, columns: Sequence[str], rows: Sequence[tuple[str, ...]], w: Words) -> Block:
    head = tuple(w(f"col.{name}") for name in columns)
    if len(rows) > 1 and len({row[1:] for row in rows}) == 1:
        rows = [(w("findings.all"), *rows[0][1:])]
    return Block(key, w(f"{key}.heading"), w(f"{key}.intro"), head, tuple(rows))


def _name(kind: str, arm: str, w: Words, *, arms: bool) -> tuple[str, ...]:
    return (w.type(kind), w.arm(arm)) if arms else (w.type(kind),)


def _columns(*names: str, arms: bool) -> tuple[str, ...]:
    return ("type", "arm", *names) if arms else ("type", *names)


def _worth(rows: Sequence[Worth], w: Words, *, arms: bool) -> Block:
    money = any(row.per_money is not None for row in rows)
    hours = any(row.per_hour is not None for row in rows)
    columns = ["thousand", "interval", *(["per_money"] if money else []), *(["per_hour"] if hours else [])]
    cells = []
    for row in rows:
        gain = row.gain
        reach = f"[{_rate(gain.low)}, {_rate(gain.high)}]"
        cell = [*_name(row.type, row.arm, w, arms=arms), _rate(gain.gain), reach]
        cell += [_rate(row.per_money)] if money else []
        cell += [_rate(row.per_hour)] if hours else []
        cells.append(tuple(cell))
    return _block("worth", _columns(*columns, arms=arms), cells, w)


def _rate(value: float | None) -> str:
    """Return a gain with two significant digits: 1,000 samples beside a million buy little."""
    if value is None:
        return DASH
    return f"{value:+.2g}".replace("-", MINUS) if value else "0"


def _best(curves: Sequence[CurveResult], w: Words, *, arms: bool) -> Block:
    rows = [
        (*_name(c.type, c.arm, w, arms=arms), *_best_cells(c.best, w)) for c in curves if c.best is not None
    ]
    return _block("best", _columns("best", "best_range", "optimum", arms=arms), rows, w)


def _best_cells(best: BestSize, w: Words) -> tuple[str, str, str]:
    enough = DASH if best.n is None else integer(best.n)
    chance = probability(best.p_interior)
    return enough, f"{integer(best.low)} – {integer(best.high)}", f"{w.verdict(best.word)} ({chance})"


def _descents(rows: Sequence[DoubleDescent], w: Words, *, arms: bool) -> Block:
    cells = [(*_name(r.type, r.arm, w, arms=arms), *_descent_cells(r, w)) for r in rows]
    return _block("descent", _columns("verdict", "rise", "p_value", "visible", "next", arms=arms), cells, w)


def _descent_cells(row: DoubleDescent, w: Words) -> tuple[str, ...]:
    word = w.verdict(row.word)
    if row.reason is not None:
        word = w("descent.because", word=word, reason=w(f"descent.{row.reason}"))
    rise = DASH
    if row.valley is not None and row.peak is not None and row.rise is not None:
        rise = w("descent.rise", rise=number(row.rise), valley=integer(row.valley), peak=integer(row.peak))
    wanted = row.fresh_seeds and row.word in ("nominated", "cannot tell") and row.valley is not None
    runs = w("descent.next", seeds=row.fresh_seeds) if wanted else DASH
    p = row.p if row.p_fresh is None else row.p_fresh
    visible = DASH if row.visible_rise is None else number(row.visible_rise)
    return word, rise, DASH if p is None else probability(p), visible, runs


def _balances(rows: Sequence[BalancePoint], w: Words) -> Block:
    cells = []
    for row in rows:
        pair = w("arms.pair", a=w.arm(row.a), b=w.arm(row.b))
        word = w.verdict("undecided") if row.word == "undecided" else w(f"balance.{row.word}", a=w.arm(row.a))
        reach = DASH if row.low is None else f"≥ {integer(row.low)}"
        if row.low is not None and row.high is not None:
            reach = f"{integer(row.low)} – {integer(row.high)}"
        trap = w("balance.constructed") if row.by_construction else DASH
        cells.append((w.type(row.type), pair, word, DASH if row.n is None else integer(row.n), reach, trap))
    return _block("balance", ("type", "pair", "verdict", "meet", "interval", "note"), cells, w)


def _held_out(rows: Sequence[HeldOut], w: Words, *, arms: bool) -> Block:
    cells = [
        (
            *_name(r.type, r.arm, w, arms=arms),
            integer(r.n_train),
            number(r.value),
            f"[{number(r.low)}, {number(r.high)}]",
            w("held_out.inside" if r.inside else "held_out.outside"),
        )
        for r in rows
    ]
    return _block("held_out", _columns("n", "value", "interval", "verdict", arms=arms), cells, w)
