"""Curves while they form, and those of several studies over one another: panels for a page of a server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from assay.core import BASE_ARM, OVERALL, TASK_TYPES, CurveResult, Point
from assay.view._format import isolated
from assay.view._index import Index, headline_metric, ordered
from assay.view._panel import COLOURS, Panel, domain, draw, symbols
from assay.view._svg import Svg, element, join
from assay.view._words import words

Measures = tuple[Sequence[Point], Sequence[CurveResult]]


def forming(points: Sequence[Point], curves: Sequence[CurveResult], language: str) -> str:
    """Return a panel for each type measured so far, in the metric of the answer; "" where there is none."""
    return _panels(_index(points, curves), language)


def overlaid(studies: Mapping[str, Measures], language: str, kinds: Sequence[str] = ()) -> str:
    """Return the curves of several studies over one another: an arm of a study is told by both names.

    Only types that all of them measured, their mean where they measured the same; ``kinds`` chooses.
    """
    points = [replace(p, arm=_arm(s, p.arm)) for s, (own, _) in studies.items() for p in own]
    curves = [replace(c, arm=_arm(s, c.arm)) for s, (_, own) in studies.items() for c in own]
    shared = set.intersection(*({p.type for p in own} for own, _ in studies.values())) if studies else set()
    wanted = shared & set(kinds) if kinds else shared
    if any({p.type for p in own} != shared for own, _ in studies.values()):
        wanted = wanted - {OVERALL}  # a mean over other types is another measure
    return _panels(
        _index([p for p in points if p.type in wanted], [c for c in curves if c.type in wanted]), language
    )


def _arm(study: str, arm: str) -> str:
    return f"{isolated(study)}: {arm}" if arm != BASE_ARM else arm


def _index(points: Sequence[Point], curves: Sequence[CurveResult]) -> Index:
    shown = headline_metric(p.metric for p in points)
    own = [p for p in points if p.metric == shown]
    groups: dict[tuple[str, str], list[Point]] = {}
    for point in own:
        groups.setdefault((point.type, point.metric), []).append(point)
    return Index(
        metrics=() if shown is None else (shown,),
        arms=tuple(dict.fromkeys(p.arm for p in own if p.arm != BASE_ARM)),
        types=ordered((p.type for p in own), (OVERALL, *TASK_TYPES)),
        curves={(c.type, c.arm, c.metric): c for c in curves if c.metric == shown},
        points={key: tuple(group) for key, group in groups.items()},
        run_rows={},
    )


def _panels(found: Index, language: str) -> str:
    if not found.arms:
        return ""
    w, metric = words(language), found.headline
    legend = element(
        "ul", *(_named(arm, place, w.arm(arm)) for place, arm in enumerate(found.arms)), class_="legend"
    )
    figures = []
    for kind in found.types:
        label = w("curves.aria", metric=w.metric(metric), type=w.type(kind), verdicts="")
        shown = draw(Panel(kind, metric), domain(found, metric, (kind,)), found, w, label)
        head = element("figcaption", element("h3", element("bdi", w.type(kind))))
        figures.append(element("figure", head, shown, class_="panel"))
    return join([symbols(), legend, element("div", *figures, class_="panels")])


def _named(arm: str, place: int, shown: str) -> Svg:
    mark = element("use", href=f"#m{place % COLOURS}")
    own = element("svg", mark, class_=f"mark a{place % COLOURS}", aria_hidden="true")
    return element("li", own, Svg(" "), element("bdi", shown))
