"""An export in words and figures, for its page, the report, the terminal and cards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from assay.core import OVERALL, ExportDrop, ExportedFile, ExportPage
from assay.view import _format
from assay.view._words import Words

_FINE = 0.0095
_GLYPHS = {"worse": "▾", "better": "▴", "as good": "=", "undecided": "?"}


@dataclass(frozen=True, slots=True)
class ExportView:
    """An export as its tables show it: ``kinds`` are the types with the overall row first."""

    page: ExportPage
    sentences: tuple[str, ...]
    metrics: tuple[str, ...]
    kinds: tuple[str, ...]

    def drop(self, file: ExportedFile, metric: str, kind: str) -> ExportDrop | None:
        """Return what a file costs in one type."""
        return drop_of(file, metric, kind)


def export_view(page: ExportPage, w: Words) -> ExportView:
    """Return what templates show of an export."""
    drops = [drop for file in page.files for drop in file.drops]
    kinds = dict.fromkeys(drop.type for drop in drops)
    ordered = [kind for kind in kinds if kind == OVERALL] + [kind for kind in kinds if kind != OVERALL]
    metrics = tuple(dict.fromkeys(drop.metric for drop in drops))
    return ExportView(page, tuple(sentences(page, w)), metrics, tuple(ordered))


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


def size(n_bytes: float) -> str:
    """Return bytes in the unit that suits them, by thousands."""
    for limit, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if n_bytes >= limit:
            return f"{n_bytes / limit:.3g} {unit}"
    return f"{n_bytes:.0f} B"


def speed(value: float | None) -> str:
    """Return tokens a second."""
    return _format.DASH if value is None else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def share(value: float | None) -> str:
    """Return a share as a percentage."""
    return _format.DASH if value is None else f"{100 * value:.1f} %"


def export_names(w: Words) -> dict[str, Any]:
    """Return the functions that the tables of an export call."""
    return {
        "export_view": lambda page: export_view(page, w),
        "export_headline": lambda page: headline(page, w),
        "cost_text": cost_text,
        "drop_of": drop_of,
        "cost_glyphs": _GLYPHS,
        "file_size": size,
        "speed": speed,
        "share": share,
    }
