"""What the report says: in both languages, in Markdown and in the terminal, escaped everywhere."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import assay
from assay.core import (
    TASK_TYPES,
    AssayError,
    BestRate,
    CurvePower,
    DoubleDescent,
    JudgeSummary,
    Reading,
    RecipeCheck,
    StudyResult,
)
from assay.view import (
    page_markdown,
    print_page,
    print_value,
    render_html,
    report,
    sparkline,
    summary,
    value_markdown,
)
from assay.view._first import commands
from assay.view._says import answer_text
from assay.view._words import CATALOGUES, words


def render_markdown(result: StudyResult) -> str:
    return page_markdown(report(result))


def printed(value: object, width: int = 80) -> str:
    out = io.StringIO()
    print_value(value, Console(file=out, width=width))
    return out.getvalue()


class Page(HTMLParser):
    """Collects tags, ids, links and text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.outside: list[str] = []
        self.handlers: list[str] = []
        self.scripts = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {k: v or "" for k, v in attrs}
        self.scripts += tag == "script" and values.get("type") != "application/json"
        self.handlers += [k for k in values if k.startswith("on") or k == "style"]
        self.ids += [values["id"]] if "id" in values else []
        for key in ("href", "src", "xlink:href", "action"):
            if key in values:
                (self.links if values[key].startswith("#") else self.outside).append(values[key])


def page_data(html: str) -> Any:
    """Return what the page's script reads."""
    return json.loads(re.search(r'id="page-data">(.*?)</script>', html, re.DOTALL)[1])  # type: ignore[index]


def test_every_type_has_a_name_in_both_languages() -> None:
    for catalogue in CATALOGUES.values():
        assert {f"type.{kind}" for kind in TASK_TYPES} <= set(catalogue)


@pytest.mark.parametrize("name", ["result", "chinese", "nasty"])
def test_the_page_is_self_contained_and_its_links_lead_somewhere(
    name: str, request: pytest.FixtureRequest
) -> None:
    html = render_html(request.getfixturevalue(name))
    page = Page(html)
    assert page.outside == [] and page.handlers == [] and page.scripts == 2
    assert len(page.ids) == len(set(page.ids))
    assert {link[1:] for link in page.links} <= set(page.ids)
    assert "Content-Security-Policy" in html and "default-src &#39;none&#39;" in html


def test_markup_in_data_stays_text(nasty: StudyResult) -> None:
    html = render_html(nasty)
    assert "<script>alert" not in html and "&lt;script&gt;alert" in html
    assert "{{7*7}}" in html and ">49<" not in html
    markdown = render_markdown(nasty)
    assert "<script" not in markdown
    assert "<script>" in printed(nasty)


def test_every_number_of_the_page_leads_to_its_run(result: StudyResult) -> None:
    html = render_html(result)
    for run in result.runs:
        assert run.key[:12] in html
    shown = page_data(html)
    assert len(shown["runs"]) == len(result.runs) + 1
    points = [tuple(row) for metric in shown["points"].values() for row in metric]
    assert len(points) == len(result.points)
    for point in result.points:
        place = shown["types"].index([point.type, CATALOGUES["en"][f"type.{point.type}"]])
        arm = [name for name, _ in shown["arms"]].index(point.arm)
        run = [row[3] for row in shown["runs"]].index(point.run)
        value, se = (None if v is None else float(f"{v:.6g}") for v in (point.value, point.se))
        assert (place, arm, point.n_train, point.seed, value, se, point.n_eval, run) in points


def test_the_answer_comes_first(result: StudyResult, chinese: StudyResult) -> None:
    english = render_html(result)
    start = english.index("<h1>")
    assert english[start : english.index("</h1>")].startswith("<h1>Keep adding data: doubling to 60,000")
    assert "Random choice is as good as any arm tried." in english
    assert "<h1>继续增加数据：翻倍到 60,000 条" in render_html(chinese)
    assert render_markdown(result).splitlines()[2].startswith("**Keep adding data")


def test_data_that_helps_some_and_hurts_others_is_said_to(result: StudyResult) -> None:
    assert result.answer is not None and result.answer.overall is not None
    overall = replace(result.answer.overall, word="falling")
    mixed = replace(result.answer, overall=overall, rising=("math", "code"), falling=("open_qa",))
    text = render_markdown(replace(result, answer=mixed))
    assert "Under this recipe more of this data helps math, code and hurts open QA: doubling" in text


def test_a_study_without_curves_says_so(result: StudyResult) -> None:
    bare = replace(result, curves=(), comparisons=(), answer=None, answers=(), runs=(), points=())
    for text in (render_html(bare), render_markdown(bare), printed(bare)):
        assert "at least three rungs" in text


@pytest.mark.parametrize("width", [80, 120])
def test_the_summary_fits_the_terminal(result: StudyResult, chinese: StudyResult, width: int) -> None:
    from rich.cells import cell_len

    for value in (result, chinese):
        text = printed(value, width)
        assert max(cell_len(line) for line in text.splitlines()) <= width
        assert "…" not in text


def test_the_summary_names_the_report(result: StudyResult, tmp_path: Path) -> None:
    out = io.StringIO()
    print_page(summary(result, tmp_path), Console(file=out, width=300))
    assert str(tmp_path / "report.html") in out.getvalue()


def test_next_runs_and_reasons_are_worded(result: StudyResult, chinese: StudyResult) -> None:
    assert "3 more seeds at 30,000 (72 % chance to settle it)" in render_html(result)
    assert "3 seeds at 60,000" in render_html(result)
    assert "在 30,000 条处再加 3 个种子（得出结论的概率 72 %）" in render_html(chinese)


def test_curves_of_a_table_are_printed_with_verdicts(result: StudyResult) -> None:
    text = printed(Reading(tuple(c for c in result.curves if c.metric == "score"), (), (), (), (), ()), 140)
    assert "rising" in text and "fewer than three rungs" in text and "+0." in text


def test_a_table_is_answered_first_and_gains_are_headed_by_their_sizes() -> None:
    """In the reader's language; another step than the next doubling has no answer of its own."""
    rows = [
        {"n_train": 500 * 2**k, "seed": s, "score": 0.2 + 0.1 * k + 0.002 * s}
        for k in range(5)
        for s in range(3)
    ]
    first = value_markdown(assay.curve(rows)).strip().split("\n")[0]
    assert "Keep adding data: doubling to 16,000 samples" in first
    assert "继续增加数据" in value_markdown(assay.curve(rows), "zh")
    inner = value_markdown(assay.curve(rows, between=(1000, 2000)))
    assert "1,000 to 2,000" in inner and "Keep adding" not in inner and "Next doubling" not in inner


def test_sparklines_rise_with_their_values() -> None:
    assert sparkline([0, 0.5, 1]) == "▁▅█"
    assert sparkline([2.0, 2.0]) == "▁▁"
    assert sparkline([]) == ""


@pytest.mark.parametrize("name", ["result", "chinese"])
def test_findings_are_in_every_form_and_language(name: str, request: pytest.FixtureRequest) -> None:
    result = request.getfixturevalue(name)
    words = CATALOGUES[result.language]
    page, text = render_html(result), render_markdown(result)
    for key in ("worth", "best", "descent", "balance", "held_out"):
        assert words[f"{key}.heading"] in page and words[f"{key}.heading"] in text
    assert words["descent.weak"] in page and words["balance.constructed"] in page


def test_rows_that_say_the_same_of_all_types_become_one(result: StudyResult) -> None:
    same = tuple(DoubleDescent(kind, "random", "score", "cannot tell", "few_rungs") for kind in TASK_TYPES)
    text = render_markdown(replace(result, descents=same))
    assert text.count("fewer than four rungs") == 1 and "all types" in text


def test_a_reading_is_printed_in_full_at_80_columns(result: StudyResult) -> None:
    score = tuple(c for c in result.curves if c.metric == "score" and c.arm == "random")
    reading = Reading(score, result.worth, result.descents, result.balances, (), result.held_out)
    out = printed(reading)
    assert all(len(line) <= 80 for line in out.splitlines())
    for word in ("Double descent", "Balance points", "3 × 30k", "math: points left out: 1"):
        assert word in out, word
    assert "…" not in out.split("What 1,000")[0]


def test_power_is_printed_in_sentences() -> None:
    out = printed(CurvePower(0.05, 0.07, 1200, None, None, 0.8, 0.995), width=120)
    assert "never" in out and "> 0.99" in out and "1,200" in out


def test_a_value_shows_itself_in_a_notebook_in_its_own_language(
    result: StudyResult, chinese: StudyResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    for value, said in ((result, "Keep adding data"), (chinese, "继续增加数据")):
        shown = value._repr_html_()
        assert shown is not None and said in shown and "<table>" in shown and "<script" not in shown
    power = CurvePower(0.05, 0.07, 1200, None, None, 0.8, 0.995)
    assert "items per type" in str(power._repr_html_())
    monkeypatch.setenv("ASSAY_LANGUAGE", "zh")
    assert "所需的每类评测题数" in str(power._repr_html_()) and "评测题数" in printed(power)
    assert "Keep adding data" in printed(result), "a study keeps its own"
    monkeypatch.setenv("ASSAY_LANGUAGE", "fr")
    with pytest.raises(AssayError, match="no interface text"):
        printed(power)


def test_records_without_a_page_show_their_fields_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    found = JudgeSummary("v1", 20, 1, 0, 0, 20, 12_345, None, "USD", alarm=False)
    english = printed([found, found])
    assert "12,345" in english and "unparsed" in english
    monkeypatch.setenv("ASSAY_LANGUAGE", "zh")
    assert "无法解析" in printed(found) and "–" in printed(found)


def test_records_in_the_rows_of_a_table_are_tables_of_their_own() -> None:
    @dataclass
    class Inner:
        kappa: float
        pearson: float | None

    @dataclass
    class Row:
        type: str
        n: int
        agreement: Inner | None
        lists: tuple[Inner, ...] = ()
        counts: Mapping[str, int] = field(default_factory=dict)

    shown = printed(
        [Row("math", 3, Inner(0.125, None), (Inner(0.375, 1),) * 2), Row("code", 4, None, (), {"x": 77})]
    )
    for value in ("0.125", "0.375", "77", "math", "agreement", "lists"):
        assert value in shown, f"{value} is not in\n{shown}"


def test_the_first_step_is_the_better_rate_where_the_sentence_asks_for_it(result: StudyResult) -> None:
    w, best = words("en"), (BestRate(20_000, 4.5e-3, 2e-3, 9e-3),)
    check = RecipeCheck(
        5e-4, "control", (), best, "unknown", 0.5, 0.99, True, 300, 0.1, regret_interval=(0.4, 0.6)
    )
    found = replace(result, recipe_check=check, causes=())
    ((said, command),) = commands(found, w)
    assert said == w("first.do.rate") and command.endswith("--set recipe.learning_rate=0.0045")
    assert f"--set name={result.name}-0.0045" in command
    assert not any("learning_rate" in line for _, line in commands(replace(found, recipe_check=None), w))


def test_a_higher_rate_at_a_small_size_alone_is_no_better_rate(result: StudyResult) -> None:
    """With 5.8e-3 for 1.5e-3 the pocket model learned twice as much from 500 samples, no more from 4,000."""
    w, check = words("en"), RecipeCheck(
        5e-4, "control", (), (BestRate(300, 4.5e-3, 2e-3, 9e-3),), "unknown", 0.5, 0.99, True, 300, 0.1,
        regret_interval=(0.4, 0.6),
    )  # fmt: skip
    found = replace(result, recipe_check=check, causes=())
    first, rest = answer_text(found, w)
    assert "whether it still does at 30,000 was not tried" in first and "too low" not in first
    assert "Run the study again" not in rest and "`assay recipe check`" in rest
    assert commands(found, w)[0][1].startswith("assay recipe check ")
    far = replace(check, best=(BestRate(300, 0.5, 0.3, 0.9),))  # more than the sizes can account for
    assert "too low" in answer_text(replace(found, recipe_check=far), w)[0]
    worse = replace(found.answer, overall=replace(found.answer.overall, word="falling"))
    offered = [command for _, command in commands(replace(found, answer=worse), w)]
    assert not any(command.startswith("assay study run") for command in offered), "more data that do harm"
