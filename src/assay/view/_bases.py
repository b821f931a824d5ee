"""A study over several base models: one page with all side by side; each base has a report of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from assay import core
from assay.core import (
    BASE_ARM,
    OVERALL,
    TASK_TYPES,
    BaseResult,
    BasesResult,
    Contrast,
    CurveResult,
    Gain,
    Point,
    StudyResult,
    Upgrade,
    UpgradeCost,
    say,
)
from assay.view import _format
from assay.view._charts import whisker
from assay.view._format import DASH, chance, integer, interval, signed
from assay.view._html import block_html, environment, part, policy, style
from assay.view._index import METRICS, Index, ladder, ordered
from assay.view._markdown import escape, page_markdown
from assay.view._panel import Panel, domain, draw, symbols
from assay.view._says import changed, moved, rate_is_open, rate_text, study_notes
from assay.view._study import columns, report_place
from assay.view._svg import Svg
from assay.view._words import Words, words

_ALIKE = 1.02
"""Bases whose samples differ in length by less than this factor count as alike."""
_UNITS = ("", "k", "M", "G", "T", "P", "E", "Z", "Y")


@dataclass(frozen=True)
class _Side:
    """One arm on all bases; the index has bases where others have arms, so that charts draw bases."""

    arm: str
    found: Index
    w: Words

    def draw(self, kind: str, metric: str, width: float, height: float, *, own: bool = False) -> Svg:
        """Return the panel of one type and metric with all bases on the same axes, ``own`` or shared."""
        types = (kind,) if own or metric != "score" else self.found.types
        label = self.w("bases.aria", metric=self.w.metric(metric), type=self.w.type(kind))
        panel = Panel(kind, metric, width, height)
        return draw(panel, domain(self.found, metric, types), self.found, self.w, label)


def sides(result: BasesResult) -> list[_Side]:
    """Return the arms, in the study's order, each with what was measured on every base."""
    w = words(result.language)
    arms = dict.fromkeys(arm.name for base in result.bases for arm in base.result.arms)
    return [_Side(arm, _beside(result, arm), w) for arm in arms if arm != BASE_ARM]


def _beside(result: BasesResult, arm: str) -> Index:
    points: dict[tuple[str, str], list[Point]] = {}
    curves: dict[tuple[str, str, str], CurveResult] = {}
    for base in result.bases:
        for point in base.result.points:
            if point.arm in (arm, BASE_ARM) and point.metric in result.comparable:
                own = points.setdefault((point.type, point.metric), [])
                own.append(replace(point, arm=base.name))
        for curve in base.result.curves:
            if curve.arm == arm and curve.metric in result.comparable:
                curves[curve.type, base.name, curve.metric] = curve
    return Index(
        metrics=ordered(result.comparable, METRICS),
        arms=tuple(base.name for base in result.bases),
        types=ordered((kind for kind, _ in points), (OVERALL, *TASK_TYPES)),
        curves=curves,
        points={key: tuple(group) for key, group in points.items()},
        run_rows={},
    )


def headline_rows(result: BasesResult) -> list[list[Upgrade]]:
    """Return, for each pair of bases, the rows of the headline metric over all types, largest size first."""
    metric = next((m for m in METRICS if m in result.comparable), None)
    kinds = {row.type for row in result.upgrades}
    found: dict[tuple[str, str], list[Upgrade]] = {}
    for row in result.upgrades:
        if row.metric == metric and (row.type == OVERALL or len(kinds) == 1):
            own = found.setdefault((row.small, row.large), [])
            if not own or own[0].arm == row.arm:
                own.append(row)
    return [sorted(rows, key=lambda row: -row.n_train) for rows in found.values()]


def answer_parts(result: BasesResult, w: Words) -> list[tuple[str, str]]:
    """Return for each pair of bases what to double, then what it costs and what is not known yet."""
    found = [(_answer(rows[0], w), _details(rows, w)) for rows in headline_rows(result)]
    *others, (answer, details) = found or [(w("bases.says.nothing"), "")]
    rates = {base.name: base.result for base in result.bases}
    doubted = w("says.space").join([details, *_rates(w, [n for n in rates if rate_is_open(rates[n])], rates)])
    off = [name for name in rates if not rate_is_open(rates[name]) and rate_text(rates[name], w)]
    said = w("says.space").join([*_rates(w, off, rates), w("bases.rate.then")])
    first = [(w("bases.rate.head", bases=off), said)] if off else []
    return [*first, *others, (answer, doubted.strip())]


def _rates(w: Words, names: Sequence[str], results: Mapping[str, StudyResult]) -> list[str]:
    """Return what the recipe check found of each base that is named."""
    return [w("bases.rate", base=name, said=rate_text(results[name], w)) for name in names]


def _answer(row: Upgrade, w: Words) -> str:
    return w(
        f"bases.says.{row.absolute.word}",
        n=integer(row.n_train),
        twice=integer(2 * row.n_train),
        small=row.small,
        large=row.large,
        metric=w.metric(row.metric),
        data=_moved(row.data, row.metric, w),
        model=_moved(row.model, row.metric, w),
    )


def _details(rows: Sequence[Upgrade], w: Words) -> str:
    first, *others = rows
    key = f"bases.per_cost.{first.per_cost.word if first.per_cost is not None else 'none'}"
    parts = [cost_text(first.cost, first.large, w), w(key, small=first.small, large=first.large)]
    for row in others:
        per_cost = w.verdict(row.per_cost.word) if row.per_cost else DASH
        word = w.verdict(row.absolute.word)
        curve = _gain(row.curve) if row.curve else DASH
        known = {"data": _gain(row.data), "curve": curve, "word": word, "per_cost": per_cost}
        parts.append(w("bases.checked", n=integer(row.n_train), **known))
    if first.next_runs:
        parts.append(w("bases.run", next=next_text(first, w)))
    return w("says.space").join(parts)


def cost_text(cost: UpgradeCost, large: str, w: Words) -> str:
    """Return what both ways up cost, beyond what both start from."""
    priced = cost.data_money is not None
    return w(
        "bases.cost.money" if priced else "bases.cost",
        data=flops(cost.data_flops - cost.flops),
        model=flops(cost.model_flops - cost.flops),
        large=large,
        ratio=f"{cost.inference_ratio:.3g}",
        money=f"{cost.data_money:,.2f}" if priced else "",
    )


def flops(value: float) -> str:
    """Return floating-point operations in the unit that suits them: ``1.06 PFLOP``."""
    size = abs(value)
    power = next((k for k in range(len(_UNITS)) if size < 1000 ** (k + 1)), len(_UNITS) - 1)
    return f"{value / 1000**power:.3g} {_UNITS[power]}FLOP".replace("-", _format.MINUS)


def next_text(row: Upgrade, w: Words) -> str:
    """Return the runs and items that should settle a row, or a dash."""
    if row.next_runs is None:
        return DASH
    parts = [
        w("bases.next.runs", seeds=run.seeds, base=run.base, n=integer(run.n_train))
        for run in row.next_runs.runs
    ]
    if row.next_runs.items > 1:
        parts.append(w("bases.next.items", items=row.next_runs.items))
    return w("bases.next", runs=" + ".join(parts), chance=chance(row.next_runs.chance))


def _moved(gain: Gain, metric: str, w: Words) -> str:
    """Return how far a metric should move; where it may not move at all, its change."""
    sure = gain.low > 0 or gain.high < 0
    return (moved if sure else changed)((gain.gain, gain.low, gain.high), metric, "base", w)


def _gain(gain: Gain) -> str:
    return f"{signed(gain.gain)} {interval(gain.low, gain.high)}"


def _contrast(contrast: Contrast | None) -> str:
    return DASH if contrast is None else f"{signed(contrast.value)} {interval(contrast.low, contrast.high)}"


def pairs(result: BasesResult, arm: str, metric: str) -> dict[tuple[str, str, int], list[Upgrade]]:
    """Return the rows of one arm and metric by pair of bases and size, largest first, types in order."""
    found: dict[tuple[str, str, int], list[Upgrade]] = {}
    for row in sorted(result.upgrades, key=lambda row: -row.n_train):
        if (row.arm, row.metric) == (arm, metric):
            found.setdefault((row.small, row.large, row.n_train), []).append(row)
    kinds = ordered((row.type for row in result.upgrades), (OVERALL, *TASK_TYPES))
    places = [(base.name, n) for base in result.bases for n in sorted({k[2] for k in found}, reverse=True)]
    return {
        key: sorted(found[key], key=lambda row: kinds.index(row.type))
        for key in sorted(found, key=lambda key: places.index((key[0], key[2])))
    }


def pair_text(row: Upgrade, w: Words) -> str:
    """Return what a table of rows like this one is about."""
    key = "bases.pair.measured" if row.measured else "bases.pair"
    n, metric = integer(row.n_train), w.metric(row.metric)
    return w(key, small=row.small, large=row.large, n=n, metric=metric, arm=w.arm(row.arm))


def _upgrade_blocks(
    result: BasesResult, arm: str, metric: str, w: Words, *, brief: bool
) -> Iterator[core.Block]:
    """Yield, for each pair of bases, what both ways cost and one row per type; ``brief`` fits a terminal."""
    more = () if brief else ("contrast", "p_adjusted", "per_cost", "next")
    forms = {"data": "@", "by_curve": "@", "larger": "@", "contrast": "@", "per_cost": "@word"}
    for (_, large, _), rows in pairs(result, arm, metric).items():
        names = ("type", "answer", "data", *(("by_curve",) if rows[0].measured else ()), "larger", *more)
        heads = columns(*names, answer="@word", p_adjusted="p", **forms)
        cells = tuple(tuple(_cell(row, name, w) for name in names) for row in rows)
        yield core.Heading(pair_text(rows[0], w))
        yield core.Paragraph(cost_text(rows[0].cost, large, w))
        yield core.Table(heads, cells)


def _cell(row: Upgrade, name: str, w: Words) -> core.Cell:
    """Return what a row has in one column."""
    cells: dict[str, Callable[[], core.Cell]] = {
        "type": lambda: row.type,
        "answer": lambda: row.absolute.word,
        "data": lambda: _gain(row.data),
        "by_curve": lambda: None if row.curve is None else _gain(row.curve),
        "larger": lambda: _gain(row.model),
        "contrast": lambda: _contrast(row.absolute),
        "p_adjusted": lambda: row.absolute.p_adjusted,
        "per_cost": lambda: None if row.per_cost is None else row.per_cost.word,
        "next": lambda: next_text(row, w),
    }
    return cells[name]()


def _verdict_blocks(result: BasesResult, side: _Side, metric: str) -> Iterator[core.Block]:
    rows = []
    for kind in side.found.types:
        cells: list[core.Cell] = [kind]
        for base in result.bases:
            curve = side.found.curves.get((kind, base.name, metric))
            reached = ladder(side.found.points.get((kind, metric), ()), base.name)
            verdict = curve.verdict if curve else None
            word = verdict.word if verdict else "refused"
            gain = f" {signed(verdict.gain)}" if verdict else ""
            cells.append(
                say("bases.reached", value=reached[-1][1], word=word, gain=gain) if reached else None
            )
        rows.append(tuple(cells))
    yield core.Heading(say("bases.verdicts.caption", metric=metric, arm=side.arm))
    yield core.Paragraph(say("bases.verdicts.intro"), "quiet")
    yield core.Table(
        (core.Column(say("col.type"), "@type"), *(core.Column(base.name) for base in result.bases)),
        tuple(rows),
    )


def _bases_blocks(result: BasesResult) -> Iterator[core.Block]:
    names = ("base", "family", "parameters", "models", "tokens", "flops", "time")
    yield core.Heading(say("bases.heading"))
    yield core.Paragraph(say("bases.intro"), "quiet")
    forms = {"base": "@", "parameters": "short", "models": ",", "flops": "@", "time": "time"}
    yield core.Table(columns(*names, **forms), tuple(_base_cells(base) for base in result.bases))


def _base_cells(base: BaseResult) -> tuple[core.Cell, ...]:
    cost, model = base.result.cost, f"{base.model} ({base.family})"
    runs, work = len(base.result.runs), flops(base.flops)
    return base.name, model, base.parameters, runs, cost.tokens, work, cost.train_seconds


def notes(result: BasesResult, w: Words) -> list[str]:
    """Return what has to be known to read the page."""
    general = [w(f"bases.notes.{key}") for key in ("same", "cost", "posterior", "corrected")]
    general.append(w("bases.notes.scored", base=result.scored_by))
    rendered = _rendered(result, w)
    if "loss" not in result.comparable and any(p.metric == "loss" for p in result.bases[0].result.points):
        general.append(w("bases.notes.loss"))
    said = {base.name: study_notes(base.result, w) for base in result.bases}
    common = [note for note in said[result.bases[0].name] if all(note in own for own in said.values())]
    own = [f"{name}: {note}" for name, found in said.items() for note in found if note not in common]
    return [*rendered, *common, *own, *general]


def _rendered(result: BasesResult, w: Words) -> list[str]:
    """Return what says that one sample is not the same text or length to all bases, where it is not."""
    tokens = [base.tokens_per_sample for base in result.bases]
    alike = len({base.template for base in result.bases}) == 1 and max(tokens) <= _ALIKE * min(tokens)
    parts = [
        w("bases.rendered", base=base.name, template=base.template, tokens=f"{base.tokens_per_sample:,.0f}")
        for base in result.bases
    ]
    return [] if alike else [w("bases.notes.rendered", bases=w("says.semicolon").join(parts))]


def bases_report(result: BasesResult) -> core.Page:
    """Return the whole page, without charts."""
    w = words(result.language)
    blocks: list[core.Block] = [core.Heading(result.name, 1)]
    for answer, details in answer_parts(result, w):
        blocks += [core.Paragraph(answer, "strong"), core.Paragraph(details)]
    blocks += _bases_blocks(result)
    for side in sides(result):
        for metric in side.found.metrics:
            blocks += _upgrade_blocks(result, side.arm, metric, w, brief=False)
            blocks += _verdict_blocks(result, side, metric)
    footer = say("page.footer", version=result.assay_version)
    blocks += [
        core.Heading(say("notes.heading")),
        core.Items(tuple(notes(result, w))),
        core.Paragraph(footer),
    ]
    return core.Page(tuple(blocks), result.language, name=result.name)


def bases_summary(result: BasesResult, folder: Path | None = None) -> core.Page:
    """Return the answer for each pair of bases, the headline tables, and where the report is."""
    w = words(result.language)
    blocks: list[core.Block] = []
    for answer, details in answer_parts(result, w):
        blocks += [core.Paragraph(answer, "strong"), core.Paragraph(details)]
    side = sides(result)[0]
    metric = side.found.headline
    blocks += _upgrade_blocks(result, side.arm, metric, w, brief=True)
    blocks += [*_verdict_blocks(result, side, metric), *_bases_blocks(result)]
    return core.Page((*blocks, *report_place(result.name, folder)), result.language, name=result.name)


def render_bases_markdown(result: BasesResult) -> str:
    """Return the page as GitHub-flavoured Markdown, in the result's language, with links to each base."""
    w = words(result.language)
    links = [f"- [{escape(base.name)}]({quote(base.name)}/report.md)" for base in result.bases]
    shown = page_markdown(bases_report(result))
    return "\n".join([shown, f"## {w('bases.reports')}", "", *links]) + "\n"


def render_bases_html(result: BasesResult) -> str:
    """Return the page as one HTML file; all text from data is escaped, as in the report of one base."""
    css, js = style("bases.css"), part("report.js")
    template = environment().get_template("bases.html.jinja")
    return _format.clean(template.render(_names(result), css=Svg(css), js=Svg(js), policy=policy(css, js)))


def _names(result: BasesResult) -> dict[str, Any]:
    """Return everything by the name that the template uses."""
    w = words(result.language)
    beside, first = sides(result), result.bases[0].result
    return {
        "result": result,
        "w": w,
        "f": _format,
        "found": beside[0].found,
        "sides": beside,
        "symbols": symbols(),
        "answers": answer_parts(result, w),
        "facts": {
            "fact.pool": w("fact.samples", n=integer(first.pool.samples)),
            "fact.evaluation": integer(first.evaluation.samples),
            "fact.models": integer(sum(len(base.result.runs) for base in result.bases)),
            "fact.largest": w("fact.samples", n=integer(max(n for arm in first.arms for n in arm.rungs))),
        },
        "bases": [block_html(block, w) for block in [*_bases_blocks(result)][2:]],
        "notes": notes(result, w),
        "whisker": whisker,
        "quote": quote,
        "pairs": lambda arm, metric: pairs(result, arm, metric),
        "reach": lambda rows: max(abs(v) for r in rows for v in (r.absolute.low, r.absolute.high)),
        "ladder": ladder,
        **{f.__name__: f for f in (pair_text, next_text, cost_text)},
        "gain": _gain,
        "contrast": _contrast,
    }
