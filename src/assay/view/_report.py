"""The report as one HTML file that needs nothing else: no network, no fonts, no outside scripts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from assay.core import AnswerBook, ArmComparison, CurveResult, RunRow, StudyResult
from assay.view import _first, _format
from assay.view._book import book_of, fitting
from assay.view._charts import bar, cost_bars, traces, whisker
from assay.view._control import check_blocks, control_blocks
from assay.view._export import export_blocks
from assay.view._findings import ability_blocks, findings, forgetting_blocks
from assay.view._html import block_html, environment, part, policy, style
from assay.view._index import Index, index, pairs
from assay.view._page_data import page_data
from assay.view._panel import Domain, Panel, domain, draw, symbols
from assay.view._recipes import recipe_blocks, recipe_charts, steps_blocks
from assay.view._says import answer_text, next_text, reason_text, study_notes
from assay.view._svg import Svg
from assay.view._words import CATALOGUES, Words, words


def render_html(result: StudyResult, book: AnswerBook | None = None) -> str:
    """Return the report as one HTML file, in the result's language; ``book`` are all answers, where kept.

    All text from data is escaped, and the page's Content-Security-Policy allows only its own style sheet
    and scripts, by their digests, and images that the page draws itself.
    """
    view = _View(result, book)
    css, scripts = style(), [part("report.js"), part("explore.js")]
    template = environment().get_template("report.html.jinja")
    js = [Svg(script) for script in scripts]
    return _format.clean(template.render(view.names(), css=Svg(css), js=js, policy=policy(css, *scripts)))


_STUDY = ("answers", "loss", "cost", "data")
"""Sections on what only a study of one's own knows."""


def sections(result: StudyResult, book: AnswerBook) -> tuple[str, ...]:
    """Return the sections of the report, by their anchors, in order."""
    all_ = ("types", "curves", "findings", "arms", *_STUDY, "numbers", "notes")
    absent = (*(_STUDY if result.imported else ()), *(() if book.items else ("answers",)))
    return tuple(name for name in all_ if name not in absent)


class _View:
    """What the templates may name: the result, its arrangement, interface text and drawing functions."""

    def __init__(self, result: StudyResult, book: AnswerBook | None) -> None:
        self.result = result
        self.whole = book or book_of(result)
        self.book = fitting(self.whole)
        self.w: Words = words(result.language)
        self.found: Index = index(result)
        self.shared = domain(self.found, "score", self.found.types)
        self.axes: dict[str, str] = {}

    def names(self) -> dict[str, Any]:
        """Return everything by the name that the templates use."""
        result, answer = self.result, self.result.answer
        what, bought = _first.buys(result, self.found)
        return {
            "result": result,
            "w": self.w,
            "found": self.found,
            "f": _format,
            "labels": CATALOGUES[result.language],
            "dash_text": _format.DASH,
            "check": [block_html(b, self.w) for b in check_blocks(result)],
            "findings": [
                block_html(b, self.w)
                for b in (
                    *recipe_blocks(result, 3),
                    *control_blocks(result, 3),
                    *steps_blocks(result, 3),
                    *findings(result, self.found.headline, 3),
                    *forgetting_blocks(result, 3),
                    *ability_blocks(result, 3),
                )
            ],
            "recipe_charts": recipe_charts(result, self.w),
            "answer": answer_text(result, self.w, price=False),
            "alerts": _first.alerts(result, self.w),
            "now": _first.now(result, self.found),
            "bought": bought,
            "what": what,
            "bought_reach": max((abs(v) for b in bought for v in (b.low, b.high)), default=1.0) or 1.0,
            "rises": ()
            if result.forgetting is None or answer is None
            else result.forgetting.at(answer.arm, answer.n),
            "commands": _first.commands(result, self.w),
            "first": _first,
            "own_notes": study_notes(result, self.w),
            "data": page_data(result, self.found, self.book, self.w, len(self.whole.items)),
            "book": self.book,
            "largest": max((p.n_train for p in result.points), default=0),
            "sections": sections(result, self.book),
            "asked": result.question.get("satisfied_at") is not None,
            "symbols": symbols(),
            "trace_charts": self.trace_charts(),
            "cost_bars": cost_bars(result.cost.trained_samples, result.cost.independent_samples, self.w),
            **{f.__name__: f for f in (bar, whisker, pairs, keys, difference_reach)},
            **{f.__name__: f for f in (self.draw, self.panel_exists, self.reach, self.unsatisfied)},
            "export_html": lambda page: [block_html(b, self.w) for b in export_blocks(page, self.w)],
            "point_count": self.point_count,
            "reason": self.reason,
            "next_runs": self.next_runs,
        }

    def draw(self, kind: str, metric: str, width: float, height: float, *, own: bool = False) -> Svg:
        """Return the panel of one type and metric; with ``own`` axes that are no other panel's."""
        verdicts = []
        for arm in self.found.arms:
            curve = self.found.curves.get((kind, arm, metric))
            if curve:
                word = curve.verdict.word if curve.verdict else "refused"
                shown = self.w.verdict(word)
                verdicts.append(self.w("curves.aria.verdict", arm=self.w.arm(arm), word=shown))
        label = self.w(
            "curves.aria", metric=self.w.metric(metric), type=self.w.type(kind), verdicts=" ".join(verdicts)
        )
        place = self.found.types.index(kind), self.found.metrics.index(metric)
        panel = Panel(kind, metric, width, height, place)
        span = domain(self.found, metric, (kind,)) if own else self._domain(kind, metric)
        return draw(panel, span, self.found, self.w, label, self.axes)

    def _domain(self, kind: str, metric: str) -> Domain:
        """Return the axes: scores share theirs, so that types can be compared; losses do not."""
        return self.shared if metric == "score" else domain(self.found, metric, (kind,))

    def panel_exists(self, kind: str, metric: str) -> bool:
        """Say whether anything was measured or fitted."""
        return bool(self.found.points.get((kind, metric))) or any(
            (kind, arm, metric) in self.found.curves for arm in self.found.arms
        )

    def reach(self, arm: str) -> float:
        """Return the largest absolute gain of an arm's verdicts, for the edge of their whiskers."""
        curves = (c for (_, a, m), c in self.found.curves.items() if a == arm and m == self.found.headline)
        ends = (abs(v) for c in curves if c.verdict for v in (c.verdict.gain_low, c.verdict.gain_high))
        return max(ends, default=1.0) or 1.0

    def unsatisfied(self, curve: CurveResult) -> str:
        """Return why a curve has no size at which it is satisfied."""
        if curve.refused is not None:
            return self.w("missing.refused", reason=self.w.refusal(curve.refused))
        return self.w("missing.satisfied_never" if curve.metric == "score" else "missing.satisfied_metric")

    def reason(self, curve: CurveResult) -> str:
        """Return why a verdict was given, or why there is none."""
        return reason_text(curve, curve.verdict, self.w) if curve.verdict else self.w.refusal(curve.refused)

    def next_runs(self, curve: CurveResult) -> str:
        """Return what would settle an undecided verdict, or "" where nothing is open."""
        if curve.verdict is None or curve.band is None:
            return ""
        if curve.verdict.next_runs is None:
            return self.w("next.none") if curve.verdict.word == "undecided" else ""
        return next_text(curve.verdict.next_runs, curve.band.extrapolated_from, self.w)

    def point_count(self, metric: str) -> int:
        """Return how many values were measured in a metric."""
        return sum(len(rows) for (_, m), rows in self.found.points.items() if m == metric)

    def trace_charts(self) -> dict[str, Svg]:
        """Return one chart of loss traces per arm that has any."""
        by_arm: dict[str, list[RunRow]] = {}
        for run in self.result.runs:
            if run.loss_trace:
                by_arm.setdefault(run.arm, []).append(run)
        return {arm: traces(runs, self.found, self.w) for arm, runs in by_arm.items()}


def keys(first: Mapping[str, Any], second: Mapping[str, Any] | None) -> list[str]:
    """Return the keys of both mappings in order of appearance."""
    return list(dict.fromkeys([*first, *(second or ())]))


def difference_reach(comparisons: Iterable[ArmComparison]) -> float:
    """Return the largest absolute end of the intervals, for the edge of their whiskers."""
    return max((abs(v) for c in comparisons for v in (c.low, c.high)), default=1.0) or 1.0
