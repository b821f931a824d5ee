"""An export in words and figures: for its page, the report, the terminal and cards."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from assay import core
from assay.core import OVERALL, ExportDrop, ExportedFile, ExportPage, Say, Text, say
from assay.view import _format
from assay.view._words import Words, words

_FINE = 0.0095
_GLYPHS = {"worse": "▾ ", "better": "▴ ", "as good": "= ", "undecided": "? "}


def export_page(page: ExportPage) -> core.Page:
    """Return the page of an export: what each file costs, and all figures."""
    w = words(page.language)
    lead = [say("export.unmeasured")]
    if page.items:
        lead = [say("export.lead", items=page.items, device=page.device, threads=page.threads)]
        lead += [say("export.scored", method=page.scored_by)] if page.scored_by else []
    lead += [say("export.calibrated", n=page.calibration)] if page.calibration else []
    general = [say(f"export.note.{key}") for key in ("weights", "speed", "one_model")]
    blocks = (
        core.Heading(headline(page, w), 1),
        core.Paragraph(w("says.space").join(map(w.text, lead))),
        core.Items(tuple(sentences(page, w))),
        core.Heading(say("export.each")),
        *export_tables(page),
        *([core.Fold(say("export.details"), (_details(page),))] if page.items else []),
        core.Heading(say("export.notes")),
        core.Items((*general, *file_notes(page))),
    )
    title = say("export.title", name=page.model)
    return core.Page(blocks, page.language, title, say("export.eyebrow"), page.model)


def export_blocks(page: ExportPage, w: Words) -> list[core.Block]:
    """Return what a report shows of an export: the headline, the files, and the costs in words."""
    return [core.Paragraph(headline(page, w)), core.Items(tuple(sentences(page, w))), *export_tables(page)]


def export_summary(page: ExportPage) -> list[core.Block]:
    """Return what the terminal shows of an export."""
    w = words(page.language)
    rows = tuple(_brief(*row) for row in _rows(page, ("score", "loss"), cost_text))
    texts: list[Text] = [say("export.reach"), *file_notes(page)]
    notes = [core.Paragraph(text, "quiet") for text in texts]
    heads = _columns("format", "size", "speed", "same", "score", "loss")
    files = core.Table(heads, rows, breaks=(0,))
    return [core.Paragraph(headline(page, w), "strong"), files, core.Items(tuple(sentences(page, w))), *notes]


def file_notes(page: ExportPage) -> list[Say]:
    """Return what was noted of each file."""
    return [say("note.of", of=file.format, note=note) for file in page.files for note in file.notes]


def _columns(*names: str) -> tuple[core.Column, ...]:
    forms = {
        "size": "size",
        "share": "percent",
        "speed": "speed",
        "same": ".1%",
        "score": "@",
        "loss": "@",
        "format": "@",
    }
    return tuple(core.Column(say(f"export.col.{name}"), forms.get(name, "")) for name in names)


def export_tables(page: ExportPage) -> Iterator[core.Block]:
    """Yield the files, and for each metric the costs by type."""
    drops = [drop for file in page.files for drop in file.drops]
    metrics = tuple(dict.fromkeys(drop.metric for drop in drops))
    heads = _columns("format", "size", "share", "backend", "speed", "same", *metrics)
    yield core.Table(heads, tuple(_rows(page, metrics, _cost)), say("export.files"), breaks=(0,))
    if metrics:
        yield core.Paragraph(say("export.reach"), "quiet")
        yield core.Paragraph(say("export.marks"), "quiet")
    found = dict.fromkeys(drop.type for drop in drops)
    kinds = sorted(found, key=lambda kind: kind != OVERALL)
    for metric in metrics:
        heads = (
            core.Column(say("col.type"), "@type"),
            *(core.Column(file.format, "@") for file in page.files),
        )
        costs = tuple((kind, *(_cost(drop_of(file, metric, kind)) for file in page.files)) for kind in kinds)
        yield core.Table(
            heads, costs, say(f"export.by_type.{metric}"), breaks=(0,) if OVERALL in kinds else ()
        )


def _rows(
    page: ExportPage, metrics: tuple[str, ...], cost: Callable[[ExportDrop | None], core.Cell]
) -> Iterator[tuple[core.Cell, ...]]:
    """Yield the model before and each file: format, size, share, backend, speed, same answers, costs."""
    blank = ("",) * len(metrics)
    yield say("export.before"), page.bytes, 1.0, "transformers", page.tokens_per_second, "", *blank
    for file in page.files:
        costs = (cost(drop_of(file, metric)) for metric in metrics)
        share = file.bytes / page.bytes if page.bytes else None
        speed = file.tokens_per_second
        yield file.format, file.bytes, share, file.backend, speed, file.same_answers, *costs


def _brief(
    name: core.Cell, size: core.Cell, share: core.Cell, backend: core.Cell, *others: core.Cell
) -> tuple[core.Cell, ...]:
    """Return a row that fits a terminal."""
    both = say("export.size", size=size, share=share)
    return name, say("export.size.whole", size=size) if share == 1 else both, *others


def _cost(drop: ExportDrop | None) -> core.Cell:
    if drop is None or drop.cost is None:
        return None
    return core.Judged(_GLYPHS[drop.word] + cost_text(drop), drop.word)


def _details(page: ExportPage) -> core.Table:
    heads: tuple[Text, ...] = (
        say("export.col.format"), say("col.metric"), say("col.type"), say("export.col.was"),
             say("export.col.is"), say("export.col.cost"), "90 %", "p", say("export.col.items"),
             say("export.col.left_out"))  # fmt: skip
    forms = ("@", "@metric", "@type", ".4f", ".4f", ".4f", ".4f", ".3f", ",", ",")
    rows = tuple(
        (
            file.format,
            d.metric,
            d.type,
            d.before,
            d.after,
            d.cost,
            (d.low, d.high),
            d.p_adjusted,
            d.n,
            d.left_out,
        )
        for file in page.files
        for d in file.drops
    )
    return core.Table(tuple(map(core.Column, heads, forms)), rows)


def drop_of(file: ExportedFile, metric: str, kind: str = OVERALL) -> ExportDrop | None:
    """Return what a file costs in one type, or in the only type there is."""
    own = [drop for drop in file.drops if drop.metric == metric]
    if kind == OVERALL and len(own) == 1:
        return own[0]
    return next((drop for drop in own if drop.type == kind), None)


def _metric(page: ExportPage) -> str:
    """Return what an export is judged by: the score, or the loss where nothing was scored."""
    return "score" if any(d.metric == "score" for f in page.files for d in f.drops) else "loss"


def headline(page: ExportPage, w: Words) -> str:
    """Return the smallest file that is shown to cost nothing that matters."""
    metric = _metric(page)
    found = [(file, drop_of(file, metric)) for file in page.files]
    free = [file for file, drop in found if drop is not None and drop.word in ("as good", "better")]
    if not free:
        return w("export.headline.none" if any(drop for _, drop in found) else "export.headline.unmeasured")
    best = min(free, key=lambda file: file.bytes)
    return w("export.headline", format=best.format, share=_format.percent(best.bytes, page.bytes))


def sentences(page: ExportPage, w: Words) -> list[str]:
    """Return, for each file, what it costs overall and the types in which it is shown to cost something."""
    metric = _metric(page)
    found = []
    for file in page.files:
        whole = drop_of(file, metric)
        worse = [d for d in file.drops if d.metric == metric and d.word == "worse" and d is not whole]
        found += [sentence(file, drop, w) for drop in (whole, *worse) if drop is not None]
    return found


def sentence(file: ExportedFile, drop: ExportDrop, w: Words) -> str:
    """Return one cost in words: “gptq4 costs 0.012 ± 0.004 in math”."""
    place = w("export.overall") if drop.type == OVERALL else w("export.in", type=w.type(drop.type))
    if drop.cost is None:
        return w("export.unknown", format=file.format, place=place)
    if drop.low == drop.high == 0:
        return w(f"export.same.{drop.metric}", format=file.format, place=place)
    if drop.low is not None and drop.high is not None and drop.low <= 0 <= drop.high:
        return w(f"export.unsure.{drop.metric}", format=file.format, cost=cost_text(drop), place=place)
    key = "gains" if drop.cost < 0 else "costs"
    return w(f"export.{key}.{drop.metric}", format=file.format, cost=cost_text(drop, sign=False), place=place)


def cost_text(drop: ExportDrop | None, *, sign: bool = True) -> str:
    """Return a cost with half of its 90 % interval: ``0.012 ± 0.004``."""
    if drop is None or drop.cost is None:
        return _format.DASH
    digits = 3 if max(abs(drop.cost), drop.reach or 0.0) >= _FINE else 4
    value = f"{drop.cost if sign else abs(drop.cost):z.{digits}f}".replace("-", _format.MINUS)
    if drop.low == drop.high == 0:
        return "0"
    return value if drop.reach is None else f"{value} ± {drop.reach:.{digits}f}"
