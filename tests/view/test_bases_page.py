"""The page of several bases: both languages, hostile names, both schemes in a browser, the terminal."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hostile import NASTY
from rich.console import Console

from assay.core import (
    OVERALL,
    TASK_TYPES,
    BaseResult,
    BaseRuns,
    BasesResult,
    BestRate,
    Contrast,
    Gain,
    NextUpgrade,
    RecipeCheck,
    StudyResult,
    Upgrade,
    UpgradeCost,
    UpgradeWord,
)
from assay.view import (
    load_study,
    print_value,
    render_bases_html,
    render_bases_markdown,
    render_html,
    write_report,
)
from assay.view._bases import flops

ARMS = ("random", "balanced")
RUNGS = (100, 300, 1000, 3000, 10000, 30000)
WORDS: tuple[UpgradeWord, ...] = ("undecided", "model", "data", "either", "neither")


def rows(names: tuple[str, ...], metrics: tuple[str, ...] = ("score", "bits_per_byte")) -> Iterator[Upgrade]:
    for small, large in pairwise(names):
        for arm in ARMS:
            for metric in metrics:
                for k, kind in enumerate((OVERALL, *TASK_TYPES)):
                    word = WORDS[k % len(WORDS)]
                    other = WORDS[(k + 1) % len(WORDS)]
                    runs = (BaseRuns(small, 2 * RUNGS[-1], 6), BaseRuns(large, 3000, 1))
                    yield Upgrade(
                        small, large, arm, kind, metric, RUNGS[-1], 3, measured=False,
                        data=Gain(RUNGS[-1], 2 * RUNGS[-1], 0.021, 0.004, 0.043),
                        model=Gain(RUNGS[-1], RUNGS[-1], 0.112, 0.061, 0.16),
                        absolute=Contrast(0.09, 0.02, 0.16, 0.03, 0.06, "bh", word),
                        per_cost=None if k == 3 else Contrast(-0.01, -0.03, 0.01, 0.4, 0.6, "bh", other),
                        cost=UpgradeCost(2.1e17, 4.2e17, 6.3e17, 3.0, 375.0),
                        threshold=0.01,
                        next_runs=NextUpgrade(runs, 4, 0.72) if word == "undecided" else None,
                    )  # fmt: skip


def side_by_side(result: StudyResult, names: tuple[str, ...] = ("0.6B", "1.7B")) -> BasesResult:
    bases = tuple(
        BaseResult(
            name,
            f"hub/{name}",
            "qwen3",
            10**9 * (k + 1),
            6e9 * (k + 1),
            f"{name}/report.html",
            result,
            80.0,
            "chatml",
        )
        for k, name in enumerate(names, 1)
    )
    return BasesResult(
        "bases", "0.1", result.language, {"smallest_gain": 0.01}, bases, tuple(rows(names)),
        ("score", "bits_per_byte"), names[0],
    )  # fmt: skip


def printed(result: BasesResult, width: int = 100) -> str:
    out = io.StringIO()
    print_value(result, Console(file=out, width=width, color_system=None))
    return out.getvalue()


def test_the_answer_comes_first_with_cost_and_what_to_run(result: StudyResult, chinese: StudyResult) -> None:
    for value, said, per in ((result, "Undecided between 0.6B and 1.7B", "Per training compute"),
                             (chinese, "0.6B 与 1.7B 之间未定", "按训练算力")):  # fmt: skip
        several = side_by_side(value)
        page, text, shell = render_bases_html(several), render_bases_markdown(several), printed(several, 200)
        heading = re.search(r"<h1>(.*?)</h1>", page, re.S)
        assert heading is not None and said in heading[1]
        for made in (page, text, shell):
            assert said in made
            assert per in made
            assert "210 PFLOP" in made
            assert "60,000" in made
        assert "375.00" in page, "money where a price was given"


def test_all_bases_are_in_one_panel_and_lead_to_their_reports(result: StudyResult) -> None:
    several = side_by_side(result, ("a", "b", "c"))
    page = render_bases_html(several)
    panels = re.findall(r'<svg class="chart".*?</svg>', page, re.S)
    assert len(panels) == 2 * 2 * 14, "arms, metrics, 12 types and overall, which is drawn twice"
    for panel in panels:
        for k in range(3):
            assert f"base own a{k}" in panel
            assert f'href="#m{k}"' in panel
    assert all(f'href="{name}/report.html"' in page for name in "abc")
    ids = set(re.findall(r' id="([^"]+)"', page))
    assert {link for link in re.findall(r'href="#([^"]+)"', page) if not re.fullmatch(r"m\d", link)} <= ids


def test_markup_in_names_stays_text(nasty: StudyResult) -> None:
    several = replace(side_by_side(nasty, (NASTY, "b")), name=NASTY)
    page, text = render_bases_html(several), render_bases_markdown(several)
    for made in (page, text):
        assert "<script>alert" not in made
    assert page.count("<script>") == 1, "its own"
    printed(several)


def test_losses_that_do_not_compare_are_said_to_be_left_out(result: StudyResult) -> None:
    page = render_bases_html(side_by_side(result))
    assert "different tokens" in page
    assert "nats per answer token" not in page


def test_without_an_answer_the_page_says_what_it_takes(result: StudyResult) -> None:
    several = replace(side_by_side(result), upgrades=())
    for made in (render_bases_html(several), render_bases_markdown(several), printed(several)):
        assert "no answer" in made


@pytest.mark.parametrize("width", [80, 140])
def test_the_terminal_holds_every_answer(result: StudyResult, chinese: StudyResult, width: int) -> None:
    for value in (result, chinese):
        lines = printed(side_by_side(value), width).splitlines()
        assert max(map(len, lines)) <= width
        assert "0.6B" in "".join(lines)


def test_what_was_written_is_read_again(result: StudyResult, tmp_path: Path) -> None:
    several = side_by_side(result)
    write_report(several, tmp_path)
    assert load_study(tmp_path / "result.json") == several


def test_pages_of_one_base_know_nothing_of_it(result: StudyResult) -> None:
    page = render_html(result)
    assert "base own" not in page
    assert ".upgrades" not in page


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0, "0 FLOP"), (999.0, "999 FLOP"), (1.2e9, "1.2 GFLOP"), (-3e15, "−3 PFLOP"), (5e27, "5e+03 YFLOP")],
)
def test_operations_have_the_unit_that_suits_them(value: float, shown: str) -> None:
    assert flops(value) == shown


@pytest.mark.parametrize(("width", "scheme"), [(360, "dark"), (1280, "light")])
def test_the_page_fits_and_is_quiet(
    chromium: Any, result: StudyResult, chinese: StudyResult, tmp_path: Path, width: int, scheme: str
) -> None:
    for value in (result, chinese):
        path = tmp_path / "report.html"
        path.write_text(render_bases_html(side_by_side(value)), encoding="utf-8")
        page = chromium.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        troubles: list[str] = []
        page.on("console", lambda message, t=troubles: t.append(message.text))
        page.on("pageerror", lambda error, t=troubles: t.append(str(error)))
        page.goto(path.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.locator("#curves .tabs button").first.click()
        assert page.locator("#curves .panel:visible").count() == 13
        assert troubles == []
        page.close()


def test_a_measured_doubling_has_its_own_columns_and_the_corrected_p(result: StudyResult) -> None:
    several = side_by_side(result)
    rows = tuple(
        replace(row, measured=True, n_train=RUNGS[-2], curve=Gain(RUNGS[-2], RUNGS[-1], 0.0157, 0.01, 0.02))
        for row in several.upgrades
    )
    page = render_bases_html(replace(several, upgrades=(*several.upgrades, *rows)))
    text = render_bases_markdown(replace(several, upgrades=(*several.upgrades, *rows)))
    assert page.count("By its curve") == text.count("| By its curve |") > 0
    assert "+0.016 [+0.010, +0.020]" in page and "+0.016 [+0.010, +0.020]" in text.replace(
        "\\[", "["
    ).replace("\\]", "]")
    assert "p (adjusted)" in page and "p (adjusted)" in text


def test_bases_that_render_samples_differently_are_said_to(result: StudyResult, chinese: StudyResult) -> None:
    for value, said in ((result, "render the same samples differently"), (chinese, "渲染不同")):
        several = side_by_side(value)
        assert said not in render_bases_html(several)
        first, *others = several.bases
        for changed in (replace(first, tokens_per_sample=143.0), replace(first, template="own, 1a2b3c4d")):
            other = replace(several, bases=(changed, *others))
            for made in (render_bases_html(other), render_bases_markdown(other)):
                assert (
                    said in made and changed.template in made and f"{changed.tokens_per_sample:.0f}" in made
                )


def test_a_comparison_per_cost_that_cannot_be_made_is_said_in_a_sentence(result: StudyResult) -> None:
    several = side_by_side(result)
    without = tuple(replace(row, per_cost=None) for row in several.upgrades)
    assert "There is no comparison per training compute" in render_bases_html(
        replace(several, upgrades=without)
    )


def test_what_may_be_nothing_is_not_said_to_come(result: StudyResult) -> None:
    found = side_by_side(result)
    first = replace(found.upgrades[0], data=Gain(RUNGS[-1], 2 * RUNGS[-1], 0.021, -0.004, 0.043))
    html = render_bases_html(replace(found, upgrades=(first, *found.upgrades[1:])))
    title = re.search(r"<h1>(.*?)</h1>", html)
    assert title is not None and "may change the score by +0.021 [−0.004, +0.043]" in title[1]
    assert "should" not in title[1]


def test_a_rate_that_is_not_a_bases_best_is_said_before_what_to_double(result: StudyResult) -> None:
    """A base that learned badly is no worse base: under its own rate the answer may be another."""
    best = (BestRate(20_000, 4.5e-3, 2e-3, 9e-3),)
    check = RecipeCheck(
        5e-4, "control", (), best, "unknown", 0.5, 0.99, True, 300, 0.1, regret_interval=(0.4, 0.6)
    )
    found = side_by_side(result)
    off = replace(found.bases[0], result=replace(result, recipe_check=check))
    text = " ".join(printed(replace(found, bases=(off, *found.bases[1:]))).split())
    order = ("best learning rate: 0.6B.", "0.6B: The learning rate of 5e-4", "own learning rate", "30,000")
    assert [text.index(part) for part in order] == sorted(text.index(part) for part in order)
    assert "1.7B: The learning rate" not in text and "The learning rate of" not in printed(found)
    small = replace(check, best=(BestRate(300, 4.5e-3, 2e-3, 9e-3),))
    doubted = replace(found.bases[0], result=replace(result, recipe_check=small))
    text = " ".join(printed(replace(found, bases=(doubted, *found.bases[1:]))).split())
    assert text.index("30,000") < text.index("0.6B: A higher learning rate")
    assert "best learning rate" not in text
