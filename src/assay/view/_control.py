"""Recipe or data, described: the control curves, the cause, and the check of the learning rate."""

from __future__ import annotations

from collections.abc import Iterator

from assay import core
from assay.core import BestRate, Cause, Control, ControlMean, Elsewhere, RecipeCheck, StudyResult, say
from assay.view._format import number, rate


def control_blocks(result: StudyResult, level: int = 2) -> Iterator[core.Block]:
    """Yield the control curves of a study, and what the cause rests on; nothing without a slice."""
    found = result.control
    if found is None:
        return
    yield core.Heading(say("control.heading"), level)
    yield core.Paragraph(say("control.intro", samples=found.samples, matched=found.matched), "quiet")
    for cause in result.causes:
        yield core.Paragraph(_named(cause))
        yield _shifts(cause)
        if cause.elsewhere:
            yield core.Items(tuple(map(_elsewhere, cause.elsewhere)))
    yield _means(found)
    if len(found.by_type) > 1:
        yield core.Paragraph(say("control.types", counts=found.by_type), "quiet")


def _named(cause: Cause) -> core.Text:
    key = "control.cause.open" if cause.word == "open" else "control.cause"
    return say(key, word=cause.likeliest, p=cause.probability)


def _elsewhere(found: Elsewhere) -> core.Text:
    s = found.shift
    return say(
        "control.elsewhere", recipe=found.recipe, start=s.n_from, n=s.n_to, gain=s.gain, low=s.low,
        high=s.high, p=found.p_harmless, learned=found.learned,
    )  # fmt: skip


def _shifts(cause: Cause) -> core.Table:
    columns = (
        core.Column(say("col.curve"), "@control.curve"), core.Column(say("col.metric"), "@metric"),
        core.Column(say("col.sizes")), core.Column(say("col.gain.paired"), "@"),
        core.Column(say("col.worse"), "p"),
    )  # fmt: skip
    rows = tuple(
        (s.curve, s.metric, say("control.sizes", start=s.n_from, n=s.n_to),
         say("cell.gain", gain=s.gain, interval=(s.low, s.high)), s.p_worse)
        for s in cause.shifts
    )  # fmt: skip
    return core.Table(columns, rows, say("control.shifts", arm=cause.arm))


def _means(found: Control) -> core.Table:
    """Return the mean loss over seeds at each rung, one row per arm and curve, the untrained model first."""
    rungs: dict[tuple[str, str], dict[int, list[ControlMean]]] = {}
    for mean in found.means:
        rungs.setdefault((mean.arm, mean.part), {}).setdefault(mean.n_train, []).append(mean)
    rows = tuple(
        (arm, part, ", ".join(f"{n:,}: {number(_average(own[n]))}" for n in sorted(own)))
        for (arm, part), own in sorted(rungs.items())
    )
    columns = (core.Column(say("col.arm"), "@arm"), core.Column(say("col.curve"), "@control.curve"),
               core.Column(say("col.by_rung")))  # fmt: skip
    return core.Table(columns, rows)


def _average(means: list[ControlMean]) -> float:
    return sum(mean.loss for mean in means) / len(means)


def check_page(check: RecipeCheck) -> core.Page:
    """Return the check of a recipe as its command shows it."""
    return core.Page(tuple(_check(check)), check.language)


def check_blocks(result: StudyResult, level: int = 2) -> Iterator[core.Block]:
    """Yield the recipe check of a study under its heading; nothing where none ran."""
    if result.recipe_check is not None:
        yield core.Heading(say("recipe.heading"), level)
        yield from _check(result.recipe_check)


def _check(check: RecipeCheck) -> Iterator[core.Block]:
    yield core.Paragraph(check_head(check), "strong")
    yield core.Items(tuple(_said(check)))
    yield _rates(check)
    yield core.Paragraph(
        say("recipe.cost", samples=check.samples, share=check.share, on=check.measured_on), "quiet"
    )


def check_head(check: RecipeCheck) -> core.Say:
    """Return what the check found, in one sentence."""
    best = check.chosen
    if best is None:
        return say("recipe.head.none")
    parts = {
        "best": rate(best.learning_rate), "reach": _reach(best), "own": rate(check.own), "n": best.n_train,
    }  # fmt: skip
    if check.regret is None:
        return say("recipe.head.diverged", **parts)
    if check.disagrees is not None:
        own, theirs = check.disagrees
        return say("recipe.head.disagrees", own_loss=own, best_loss=theirs, **parts)
    if check.short and best.learning_rate >= check.own and not check.outside:
        return say("recipe.head.short", **parts)
    if check.outside:
        return say("recipe.head.outside", regret=check.regret, p=check.p, **parts)
    return say("recipe.head.inside", **parts)


def _reach(best: BestRate) -> core.Say:
    """Return the interval of a best rate; at the edge of those tried none is known."""
    if best.edge is not None:
        return say(f"rate.edge.{best.edge}")
    return say("recipe.reach", low=rate(best.low), high=rate(best.high))


def _said(check: RecipeCheck) -> Iterator[core.Text]:
    if check.short:
        yield say("recipe.short", n=max(row.n_train for row in check.rates))
    for best in check.best[-1:]:
        if best.edge is not None and not (check.short and best.edge == "high"):
            yield say(f"recipe.edge.{best.edge}")
    if len(check.best) > 1:
        yield say(f"recipe.moves.{check.moves}", small=check.best[0].n_train, large=check.best[-1].n_train)


def _rates(check: RecipeCheck) -> core.Table:
    sizes = sorted({row.n_train for row in check.rates})
    rows = []
    for value in sorted({row.learning_rate for row in check.rates}):
        own = {row.n_train: row for row in check.rates if row.learning_rate == value}
        cells: list[core.Cell] = []
        for n in sizes:
            row = own.get(n)
            cells.append(None if row is None else say(f"recipe.loss.{row.word}", loss=row.loss))
        mark = say("recipe.own") if abs(value / check.own - 1) < 1e-9 else None
        rows.append((rate(value), *cells, mark or ""))
    best: list[core.Cell] = [
        say("recipe.best", best=rate(b.learning_rate), reach=_reach(b)) for b in check.best
    ]
    if len(best) == len(sizes):
        rows.append((say("recipe.best.row"), *best, ""))
    columns = (
        core.Column(say("col.rate")), *(core.Column(say("recipe.loss.at", n=n), "@") for n in sizes),
        core.Column(""),
    )  # fmt: skip
    return core.Table(columns, tuple(rows), breaks=(len(rows) - 2,) if len(best) == len(sizes) else ())
