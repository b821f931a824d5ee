"""The recipe as a factor, and steps or samples: verdicts side by side, the envelope, equal steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from assay import core
from assay.core import (
    Band,
    CurveResult,
    Envelope,
    PassWorth,
    Point,
    Recipes,
    Robustness,
    StepsOrSamples,
    StudyResult,
    say,
)
from assay.view._format import number
from assay.view._index import Index, index, ladder
from assay.view._panel import COLOURS, Panel, domain, draw
from assay.view._spark import sparkline
from assay.view._svg import Svg
from assay.view._words import Words

ENVELOPE = "envelope"
"""The curve of the best recipe per size, beside the recipes'."""


def curves_of(result: StudyResult, found: Recipes) -> dict[str, Sequence[CurveResult]]:
    """Return the curves of every recipe, the study's own first."""
    return {found.own: result.curves, **{one.name: one.curves for one in found.ladders}}


def recipe_blocks(result: StudyResult, level: int = 2) -> Iterator[core.Block]:
    """Yield verdicts and means under each recipe side by side, and the envelope; nothing if not asked."""
    found = result.recipes
    if found is None:
        return
    arranged = index(result)
    yield core.Heading(say("recipes.heading"), level)
    yield core.Paragraph(say("recipes.intro", own=found.own), "quiet")
    yield _verdicts(result, found, arranged)
    yield _means(result, found, arranged)
    if found.envelopes:
        yield core.Paragraph(say("recipes.envelope"), "quiet")
        yield _envelopes(found, arranged)
    lost = [say("recipes.diverged", name=o.name, runs=len(o.diverged)) for o in found.ladders if o.diverged]
    if lost:
        yield core.Items(tuple(lost), "warning")


def _keys(result: StudyResult, found: Recipes, arranged: Index) -> Iterator[tuple[str, str, str]]:
    """Yield (type, arm, metric) of the headline metric that have a curve under some recipe."""
    known = {(c.type, c.arm, c.metric) for own in curves_of(result, found).values() for c in own}
    for arm in arranged.answered:
        yield from (
            (t, arm, arranged.headline) for t in arranged.types if (t, arm, arranged.headline) in known
        )


def _named(arranged: Index) -> list[core.Column]:
    arms = [core.Column(say("col.arm"), "@arm")] if len(arranged.answered) > 1 else []
    return [core.Column(say("col.type"), "@type"), *arms]


def _key(key: tuple[str, str, str], arranged: Index) -> tuple[str, ...]:
    return key[:2] if len(arranged.answered) > 1 else key[:1]


def _verdicts(result: StudyResult, found: Recipes, arranged: Index) -> core.Table:
    recipes = {
        name: {(c.type, c.arm, c.metric): c for c in own} for name, own in curves_of(result, found).items()
    }
    rows = tuple(
        (*_key(key, arranged), _word(found.of(*key)), *(_cell(own.get(key)) for own in recipes.values()))
        for key in _keys(result, found, arranged)
    )
    columns = (
        *_named(arranged), core.Column(say("recipes.col.word"), "@"),
        *(core.Column(name) for name in recipes),
    )  # fmt: skip
    return core.Table(columns, rows, say("recipes.verdicts"))


def _word(found: Robustness | None) -> core.Cell:
    if found is None:
        return None
    shown = say(f"recipes.word.{found.word}")
    colour = {"robust": found.verdict or "undecided", "depends": "falling"}.get(found.word, "undecided")
    return core.Judged(shown, colour)


def _cell(curve: CurveResult | None) -> core.Cell:
    if curve is None or curve.verdict is None:
        return None if curve is None else core.Judged(say("word.refused"), "refused")
    v = curve.verdict
    gain = say("cell.gain", gain=v.gain, interval=(v.gain_low, v.gain_high))
    return core.Judged(say("recipes.cell", word=v.word, gain=gain), v.word)


def _means(result: StudyResult, found: Recipes, arranged: Index) -> core.Table:
    """Return the means over seeds along the ladder, one row per type and recipe, and the envelope's."""
    points = {found.own: result.points, **{one.name: one.points for one in found.ladders}}
    rows: list[tuple[core.Cell, ...]] = []
    for key in _keys(result, found, arranged):
        kind, arm, metric = key
        for name, own in points.items():
            steps = ladder([p for p in own if (p.type, p.metric) == (kind, metric)], arm)
            text = ", ".join(f"{n:,}: {number(value)}" for n, value in steps)
            rows.append((*_key(key, arranged), name, text, sparkline([value for _, value in steps])))
        if (best := found.envelope(*key)) is not None:
            rows.append((*_key(key, arranged), say("recipes.best"), *_best(best)))
    columns = (
        *_named(arranged), core.Column(say("recipes.col.recipe")), core.Column(say("col.by_rung.value")),
        core.Column(""),
    )  # fmt: skip
    return core.Table(columns, tuple(rows))


def _best(found: Envelope) -> tuple[str, str]:
    text = ", ".join(f"{p.n:,}: {number(p.value)}" for p in found.rungs)
    return text, sparkline([point.value for point in found.rungs])


def _envelopes(found: Recipes, arranged: Index) -> core.Table:
    rows: list[tuple[core.Cell, ...]] = []
    for key in _envelope_keys(found, arranged):
        best = found.envelope(*key)
        assert best is not None  # noqa: S101 - of the keys that have one
        rows += [
            (
                *_key(key, arranged),
                p.n,
                p.recipe,
                p.p,
                say("recipes.value", value=p.value, low=p.low, high=p.high),
            )
            for p in best.rungs
        ]
        v = best.verdict
        gain = say("cell.gain", gain=v.gain, interval=(v.gain_low, v.gain_high))
        rows.append(
            (*_key(key, arranged), say("control.sizes", start=best.n_from, n=best.n_to),
             core.Judged(say("recipes.cell", word=v.word, gain=gain), v.word), v.probability, None)
        )  # fmt: skip
    columns = (
        *_named(arranged), core.Column(say("col.n"), ","), core.Column(say("recipes.col.best")),
        core.Column(say("recipes.col.p"), "p"), core.Column(say("recipes.col.value")),
    )  # fmt: skip
    return core.Table(columns, tuple(rows))


def _envelope_keys(found: Recipes, arranged: Index) -> list[tuple[str, str, str]]:
    """Return what the envelope is shown of: the first type of each arm (overall), in the headline metric."""
    keys = [(t, arm, arranged.headline) for arm in arranged.answered for t in arranged.types]
    first: dict[str, tuple[str, str, str]] = {}
    for key in keys:
        if found.envelope(*key) is not None:
            first.setdefault(key[1], key)
    return list(first.values())


def recipe_charts(result: StudyResult, w: Words) -> dict[str, tuple[tuple[tuple[str, int], ...], Svg]]:
    """Return, by arm, the names of the recipes with their colours, and their curves in one panel."""
    found = result.recipes
    if found is None:
        return {}
    arranged = index(result)
    return {key[1]: _chart(result, found, key, w) for key in _envelope_keys(found, arranged)}


def _chart(
    result: StudyResult, found: Recipes, key: tuple[str, str, str], w: Words
) -> tuple[tuple[tuple[str, int], ...], Svg]:
    kind, _, metric = key
    best = found.envelope(*key)
    assert best is not None  # noqa: S101 - only such keys are drawn
    names = [*curves_of(result, found), w("recipes.best")]
    curves = {
        (kind, name, metric): c
        for name, own in curves_of(result, found).items()
        for c in own
        if (c.type, c.arm, c.metric) == key
    }
    curves[kind, names[-1], metric] = CurveResult(kind, names[-1], metric, _band(best), best.verdict, {})
    tables = {found.own: result.points, **{one.name: one.points for one in found.ladders}}
    points: list[Point] = [
        replace(p, arm=name, run="") for name, own in tables.items() for p in own
        if (p.type, p.arm, p.metric) == key
    ]  # fmt: skip
    panel = Index((metric,), tuple(names), (kind,), curves, {(kind, metric): tuple(points)}, {})
    label = w("recipes.chart", type=w.type(kind), metric=w.metric(metric))
    drawn = draw(Panel(kind, metric, 760, 300), domain(panel, metric, (kind,)), panel, w, label)
    return tuple((name, number % COLOURS) for number, name in enumerate(names)), drawn


def _band(found: Envelope) -> Band:
    columns = zip(*((float(p.n), p.value, p.low, p.high) for p in found.rungs), strict=True)
    n, mean, low, high = (tuple(column) for column in columns)
    return Band(n, mean, low, high, n[-1])


def steps_blocks(result: StudyResult, level: int = 2) -> Iterator[core.Block]:
    """Yield what samples buy and what steps buy; nothing where the study did not ask."""
    found = result.steps_or_samples
    if found is None:
        return
    yield core.Heading(say("steps.heading"), level)
    if found.rows:
        yield core.Paragraph(say("steps.intro", arm=found.arm), "quiet")
        yield _steps(found)
        yield core.Items(tuple(_worths(found.worth)))
    if found.tokens:
        yield core.Paragraph(say("steps.tokens", arm=found.arm), "quiet")
        yield _selections(found)
    if found.diverged:
        yield core.Paragraph(say("steps.diverged", runs=len(found.diverged)), "warning")


def _steps(found: StepsOrSamples) -> core.Table:
    columns = (
        core.Column(say("col.type"), "@type"), core.Column(say("col.metric"), "@metric"),
        core.Column(say("steps.col.rung"), ","), core.Column(say("steps.col.few")),
        core.Column(say("steps.col.tokens"), "percent"), core.Column(say("steps.col.steps")),
        core.Column(say("steps.col.samples")),
    )  # fmt: skip
    rows = tuple(
        (r.type, r.metric, r.n_train, say("steps.few", n=r.samples, passes=r.passes), r.tokens,
         None if r.by_steps is None else _gain(r.by_steps), _gain(r.by_samples))
        for r in found.rows
    )  # fmt: skip
    return core.Table(columns, rows)


def _selections(found: StepsOrSamples) -> core.Table:
    columns = (
        core.Column(say("col.arm"), "@arm"), core.Column(say("col.type"), "@type"),
        core.Column(say("col.metric"), "@metric"), core.Column(say("steps.col.rung"), ","),
        core.Column(say("steps.col.random"), ","), core.Column(say("steps.col.tokens_of"), "percent"),
        core.Column(say("steps.col.equal_samples")), core.Column(say("steps.col.equal_tokens")),
    )  # fmt: skip
    rows = tuple(
        (
            r.arm,
            r.type,
            r.metric,
            r.n_train,
            r.samples,
            r.tokens,
            _gain(r.equal_samples),
            _gain(r.equal_tokens),
        )
        for r in found.tokens
    )
    return core.Table(columns, rows)


def _gain(shift: core.Shift) -> core.Say:
    return say("cell.gain", gain=shift.gain, interval=(shift.low, shift.high))


def _worths(found: Mapping[str, PassWorth]) -> Iterator[core.Text]:
    for name, worth in found.items():
        kind, _, metric = name.rpartition(" ")
        key = "steps.worth" if worth.high - worth.low < 0.7 else "steps.worth.open"
        yield say(
            key, type=kind, metric=metric, share=worth.share, low=worth.low, high=worth.high,
            r=f"{worth.r_star:.2g}", r_low=f"{worth.r_low:.2g}", r_high=f"{worth.r_high:.2g}",
        )  # fmt: skip
    if not found:
        yield say("steps.worth.none")
