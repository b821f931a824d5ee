"""The data of a report's page, as its script reads it: runs, values, bands and answers, each once."""

from __future__ import annotations

import json
from typing import Any

from assay.core import BASE_ARM, AnswerBook, ArmComparison, CurveResult, RunRow, StudyResult
from assay.view._format import clean
from assay.view._index import Index
from assay.view._panel import thin
from assay.view._svg import Svg
from assay.view._words import CATALOGUES, Words

_SPACE = "script."
_DIGITS = 6


def page_data(result: StudyResult, found: Index, book: AnswerBook, w: Words, items: int) -> Svg:
    """Return the data as JSON that may stand in a script element; ``items`` are those that were answered.

    Points are ``[type, arm, n, seed, value, se, items, run]`` by metric, bands ``[from, [n], [mean], [low],
    [high]]`` by ``type arm metric``; types, arms and runs are places in their lists.
    """
    arms = [*found.arms, BASE_ARM]
    answers = _book(book, arms, found, w) | {"all": items}
    data = {
        "words": _words(w),
        "types": [[name, w.type(name)] for name in found.types],
        "arms": [[name, w.arm(name)] for name in arms],
        "metrics": [[name, w.metric(name), w.metric_note(name)] for name in found.metrics],
        "runs": _runs(result, found, arms),
        "points": {metric: _points(result, found, arms, metric) for metric in found.metrics},
        "bands": _bands(found),
        "pairs": [_pair(c, found, w) for c in result.comparisons if c.type in found.types],
        "book": answers,
        "traces": {found.run_rows[r.key]: _trace(r) for r in result.runs if r.loss_trace},
        "study": result.name,
        "imported": bool(result.imported),
    }
    return Svg(embedded(data))


def embedded(data: Any) -> str:
    """Return JSON that no parser of HTML takes for anything else; no value is NaN or infinite."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return clean(text).replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _words(w: Words) -> dict[str, str]:
    own = CATALOGUES[w.language]
    return {key.removeprefix(_SPACE): text for key, text in own.items() if key.startswith(_SPACE)}


def _figure(value: float | None) -> float | None:
    """Return a figure with as many digits as anybody reads; one that is not finite is null."""
    if value is None or value != value or value in (float("inf"), float("-inf")):
        return None
    return float(f"{value:.{_DIGITS}g}")


def _runs(result: StudyResult, found: Index, arms: list[str]) -> list[list[Any]]:
    rows: dict[str, list[Any]] = {}
    for point in result.points:
        if point.run in found.run_rows:
            rows.setdefault(point.run, [arms.index(point.arm), point.n_train, point.seed, point.run])
    for run in result.runs:
        own = [arms.index(run.arm), run.n_train, run.seed, run.key]
        rows[run.key] = [*own, run.trained_samples, run.independent_samples, run.tokens, _figure(run.seconds)]
    return [rows[key] for key in found.run_rows]


def _trace(run: RunRow) -> list[tuple[int, float]]:
    return [(x, value) for x, loss in run.loss_trace if (value := _figure(loss)) is not None]


def _points(result: StudyResult, found: Index, arms: list[str], metric: str) -> list[list[Any]]:
    return [
        [
            place, arms.index(p.arm), p.n_train, p.seed, _figure(p.value), _figure(p.se), p.n_eval,
            found.run_rows.get(p.run),
        ]
        for place, name in enumerate(found.types)
        for p in found.points.get((name, metric), ())
    ]  # fmt: skip


def _pair(c: ArmComparison, found: Index, w: Words) -> list[Any]:
    a, b = (found.arms.index(name) if name in found.arms else -1 for name in (c.a, c.b))
    place, figures = found.types.index(c.type), map(_figure, (c.difference, c.low, c.high))
    return [found.metrics.index(c.metric), a, b, place, c.n_train, w.verdict(c.word), *figures, c.seeds]


def _bands(found: Index) -> dict[str, list[Any]]:
    places = {name: place for place, name in enumerate(found.types)}
    return {
        f"{places[kind]} {found.arms.index(arm)} {found.metrics.index(metric)}": _band(curve)
        for (kind, arm, metric), curve in found.curves.items()
        if curve.band is not None
    }


def _band(curve: CurveResult) -> list[Any]:
    band = curve.band
    if band is None:
        return []
    columns = zip(*thin(band), strict=True)
    return [band.extrapolated_from, *([_figure(v) for v in column] for column in columns)]


def _book(book: AnswerBook, arms: list[str], found: Index, w: Words) -> dict[str, Any]:
    kinds = dict.fromkeys(item.type for item in book.items)
    tongues = dict.fromkeys(item.language for item in book.items)
    places = {name: place for place, name in enumerate(kinds)}
    spoken = {name: place for place, name in enumerate(tongues)}
    runs = [[_place(arms, r.arm), r.n_train, r.seed, found.run_rows.get(r.key), r.key] for r in book.runs]
    items = [
        [i.id, places[i.type], spoken[i.language], i.prompt, i.reference, i.answers,
         [_figure(score) for score in i.scores], i.said if any(s is not None for s in i.said) else None]
        for i in book.items
    ]  # fmt: skip
    return {
        "runs": runs,
        "items": items,
        "texts": book.texts,
        "types": [[name, w.type(name)] for name in kinds],
        "languages": [[name, _language(name, w)] for name in tongues],
    }


def _place(arms: list[str], name: str) -> int:
    if name not in arms:
        arms.append(name)
    return arms.index(name)


def _language(name: str, w: Words) -> str:
    return w.name("text", name) if name else w("first.no_language")
