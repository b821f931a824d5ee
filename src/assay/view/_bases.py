"""A study over several base models: one page with all side by side; each base has a report of its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

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
    Upgrade,
    UpgradeCost,
)
from assay.view import _format
from assay.view._charts import whisker
from assay.view._findings import Block
from assay.view._format import DASH, duration, integer, interval, number, probability, short, signed
from assay.view._html import GLYPHS, environment, part, policy
from assay.view._index import METRICS, Index, ladder, ordered
from assay.view._markdown import escape, table
from assay.view._panel import Panel, domain, draw, symbols
from assay.view._says import study_notes
from assay.view._svg import Svg
from assay.view._words import Words, words

if TYPE_CHECKING:
    from rich.console import Console

_OWN_GLYPHS = {"data": "2×", "model": "▲", "either": "=", "neither": DASH}
_UNITS = ("", "k", "M", "G", "T", "P", "E", "Z", "Y")


@dataclass(frozen=True)
class _Side:
    """One arm on all bases; the index has bases where others have arms, so that charts draw bases."""

    arm: str
    found: Index
    w: Words

    def draw(self, kind: str, metric: str, width: float, height: float) -> Svg:
        """Return the panel of one type and metric with all bases on the same axes."""
        types = self.found.types if metric == "score" else (kind,)
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
    found = headline_rows(result)
    return [(_answer(rows[0], w), _details(rows, w)) for rows in found] or [(w("bases.says.nothing"), "")]


def _answer(row: Upgrade, w: Words) -> str:
    return w(
        f"bases.says.{row.absolute.word}",
        n=integer(row.n_train),
        twice=integer(2 * row.n_train),
        small=row.small,
        large=row.large,
        metric=w.metric(row.metric),
        data=_gain(row.data),
        model=_gain(row.model),
    )


def _details(rows: Sequence[Upgrade], w: Words) -> str:
    first, *others = rows
    parts = [cost_text(first.cost, first.large, w)]
    if first.per_cost is not None:
        parts.append(w(f"bases.per_cost.{first.per_cost.word}", small=first.small, large=first.large))
    for row in others:
        per_cost = w.verdict(row.per_cost.word) if row.per_cost else DASH
        word = w.verdict(row.absolute.word)
        parts.append(w("bases.checked", n=integer(row.n_train), word=word, per_cost=per_cost))
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
    return w("bases.next", runs=" + ".join(parts), chance=probability(row.next_runs.chance))


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


def _upgrade_blocks(result: BasesResult, arm: str, metric: str, w: Words) -> Iterable[Block]:
    names = ("type", "answer", "data", "larger", "contrast", "per_cost", "next")
    head = tuple(w(f"col.{name}") for name in names)
    for (_, large, _), rows in pairs(result, arm, metric).items():
        cells = tuple(
            (
                w.type(row.type),
                w.verdict(row.absolute.word),
                _gain(row.data),
                _gain(row.model),
                _contrast(row.absolute),
                DASH if row.per_cost is None else w.verdict(row.per_cost.word),
                next_text(row, w),
            )
            for row in rows
        )
        yield Block("upgrade", pair_text(rows[0], w), cost_text(rows[0].cost, large, w), head, cells)


def _short(block: Block) -> Block:
    """Return a table of answers without the columns that do not fit a terminal."""
    return replace(block, head=block.head[:4], rows=tuple(row[:4] for row in block.rows))


def _verdict_block(result: BasesResult, side: _Side, metric: str, w: Words) -> Block:
    rows = []
    for kind in side.found.types:
        cells = [w.type(kind)]
        for base in result.bases:
            curve = side.found.curves.get((kind, base.name, metric))
            reached = ladder(side.found.points.get((kind, metric), ()), base.name)
            verdict = curve.verdict if curve else None
            word = w.verdict(verdict.word if verdict else "refused")
            gain = f" {signed(verdict.gain)}" if verdict else ""
            cells.append(f"{number(reached[-1][1])} {word}{gain}" if reached else DASH)
        rows.append(tuple(cells))
    head = (w("col.type"), *(base.name for base in result.bases))
    heading = w("bases.verdicts.caption", metric=w.metric(metric), arm=w.arm(side.arm))
    return Block("verdicts", heading, w("bases.verdicts.intro"), head, tuple(rows))


def _bases_block(result: BasesResult, w: Words) -> Block:
    head = tuple(w(f"col.{c}") for c in ("base", "family", "parameters", "models", "tokens", "flops", "time"))
    return Block(
        "bases", w("bases.heading"), w("bases.intro"), head, tuple(_base_cells(b, w) for b in result.bases)
    )


def _base_cells(base: BaseResult, w: Words) -> tuple[str, ...]:
    cost = base.result.cost
    return (
        base.name,
        f"{base.model} ({base.family})",
        short(base.parameters),
        integer(len(base.result.runs)),
        integer(cost.tokens),
        flops(base.flops),
        duration(cost.train_seconds, w),
    )


def notes(result: BasesResult, w: Words) -> list[str]:
    """Return what has to be known to read the page."""
    general = [w(f"bases.notes.{key}") for key in ("same", "cost", "posterior", "corrected")]
    general.append(w("bases.notes.scored", base=result.scored_by))
    if "loss" not in result.comparable and any(p.metric == "loss" for p in result.bases[0].result.points):
        general.append(w("bases.notes.loss"))
    said = {base.name: study_notes(base.result, w) for base in result.bases}
    common = [note for note in said[result.bases[0].name] if all(note in own for own in said.values())]
    own = [f"{name}: {note}" for name, found in said.items() for note in found if note not in common]
    return [*common, *own, *general]


def render_bases_markdown(result: BasesResult) -> str:
    """Return the page as GitHub-flavoured Markdown, in the result's language."""
    w = words(result.language)
    lines = [f"# {escape(result.name)}", ""]
    for answer, details in answer_parts(result, w):
        lines += [f"**{escape(answer)}**", "", escape(details), ""]
    blocks = [_bases_block(result, w)]
    for side in sides(result):
        for metric in side.found.metrics:
            blocks += [*_upgrade_blocks(result, side.arm, metric, w), _verdict_block(result, side, metric, w)]
    for block in blocks:
        rows = [[escape(cell) for cell in row] for row in block.rows]
        lines += [f"## {escape(block.heading)}", "", escape(block.intro), ""]
        lines += table([escape(cell) for cell in block.head], rows)
    lines += [f"## {w('bases.reports')}", ""]
    lines += [f"- [{escape(base.name)}]({quote(base.name)}/report.md)" for base in result.bases]
    lines += ["", f"## {w('notes.heading')}", "", *(f"- {escape(note)}" for note in notes(result, w)), ""]
    return "\n".join([*lines, w("page.footer", version=escape(result.assay_version))]).rstrip() + "\n"


def render_bases_html(result: BasesResult) -> str:
    """Return the page as one HTML file; all text from data is escaped, as in the report of one base."""
    css, js = part("report.css") + part("bases.css"), part("report.js")
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
        "glyphs": {**GLYPHS, **_OWN_GLYPHS},
        "symbols": symbols(),
        "answers": answer_parts(result, w),
        "facts": {
            "fact.pool": w("fact.samples", n=integer(first.pool.samples)),
            "fact.evaluation": integer(first.evaluation.samples),
            "fact.models": integer(sum(len(base.result.runs) for base in result.bases)),
            "fact.largest": w("fact.samples", n=integer(max(n for arm in first.arms for n in arm.rungs))),
        },
        "bases": _bases_block(result, w),
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


def print_bases(result: BasesResult, console: Console, folder: Path | None = None) -> None:
    """Print the answer for each pair of bases, the headline tables, and where the report is."""
    from rich import box
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    from assay.view._files import HTML

    w = words(result.language)
    console.print()
    for answer, details in answer_parts(result, w):
        console.print(Padding(Text(answer, style="bold"), (0, 1)))
        console.print(Padding(Text(details), (0, 1, 1, 1)))
    side = sides(result)[0]
    metric = side.found.headline
    blocks = [*map(_short, _upgrade_blocks(result, side.arm, metric, w))]
    for block in (*blocks, _verdict_block(result, side, metric, w), _bases_block(result, w)):
        shown = Table(*block.head, box=box.SIMPLE_HEAD, title=block.heading, title_justify="left",
                      title_style="", pad_edge=False, padding=(0, 1, 0, 0))  # fmt: skip
        for row in block.rows:
            shown.add_row(*(Text(cell) for cell in row))
        console.print(shown)
    page = (folder or Path("runs") / result.name) / HTML
    if folder is not None or page.is_file():
        console.print(Padding(Text(w("summary.report", path=page)), (0, 1)))
