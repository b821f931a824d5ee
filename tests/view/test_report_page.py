"""The report looked through: answers, many types, files of charts, print, axe, hostile names."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from assay.core import OVERALL, TASK_TYPES, AnswerBook, BookItem, BookRun, BookTexts, StudyResult
from assay.view import load_book, page_markdown, render_html, report, words, write_report
from assay.view._book import fitting
from assay.view._first import size_text
from axe import grave, unfold, unreached

ARABIC = "\u202eاختبار النص الطويل جدا"
LONG = "x" * 300


def book_for(result: StudyResult, kinds: tuple[str, ...], items: int = 3) -> AnswerBook:
    """Return answers of every run to some items of each type, in two languages; some empty or unscored."""
    base = next(p.run for p in result.points if p.arm == "base")
    runs = (
        BookRun("base", 0, 0, base),
        *(BookRun(r.arm, r.n_train, r.seed, r.key) for r in result.runs),
    )
    texts = BookTexts()
    rows = []
    for kind in kinds:
        for place in range(items):
            said = [f"{kind} {place} by {r.arm} {r.n_train} {r.seed}" for r in runs]
            said[-1] = "  "
            scores = [None if r.n_train == 300 else (r.n_train + place) % 5 / 4 for r in runs]
            rows.append(
                BookItem(
                    f"{kind}-{place}", kind, ("en", "zh")[place % 2], f"prompt {place} of {kind}", "four",
                    tuple(map(texts.place, said)), tuple(scores),
                    tuple(texts.place(f"because {s}") for s in said),
                )
            )  # fmt: skip
    return AnswerBook(runs, tuple(rows), texts.all())


def many(result: StudyResult) -> StudyResult:
    """Return the result with sixty types, some of them long, hostile or written from right to left."""
    names = [f"type {i:02}" for i in range(57)] + [LONG, ARABIC, '"><img src=x onerror=alert(1)>']
    of = {name: TASK_TYPES[i % len(TASK_TYPES)] for i, name in enumerate(names)}

    def spread(rows: Any) -> tuple[Any, ...]:
        own = [r for r in rows if r.type == OVERALL]
        return (*own, *(replace(r, type=name) for name, old in of.items() for r in rows if r.type == old))

    answer = result.answer
    assert answer is not None
    return replace(
        result, points=spread(result.points), curves=spread(result.curves), worth=spread(result.worth),
        descents=spread(result.descents), held_out=spread(result.held_out),
        balances=spread(result.balances), comparisons=spread(result.comparisons),
        answer=replace(answer, rising=tuple(names[:30]), plateau=tuple(names[30:]), falling=(), undecided=()),
    )  # fmt: skip


@pytest.fixture(scope="module")
def places(
    result: StudyResult, chinese: StudyResult, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("report")
    wide = many(result)
    kinds = tuple(dict.fromkeys(p.type for p in wide.points if p.type != OVERALL))
    pages = {
        "en": (result, book_for(result, TASK_TYPES)), "zh": (chinese, book_for(chinese, TASK_TYPES)),
        "many": (wide, book_for(wide, kinds, 1)),
    }  # fmt: skip
    for name, (value, book) in pages.items():
        write_report(value, folder / name, book)
    return {name: (folder / name / "report.html").as_uri() for name in pages}


@pytest.fixture
def visit(chromium: Any) -> Iterator[Callable[..., Any]]:
    opened: list[tuple[Any, list[str]]] = []

    def open_page(url: str, width: int = 1400, scheme: str = "light", *, bypass: bool = False) -> Any:
        context = chromium.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=bypass
        )
        page, troubles = context.new_page(), list[str]()
        page.set_default_timeout(300_000)
        page.on("console", lambda message: troubles.append(message.text))
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("dialog", lambda dialog: (troubles.append("dialog"), dialog.dismiss()))
        page.goto(url)
        opened.append((context, troubles))
        return page

    yield open_page
    for context, troubles in opened:
        context.close()
        assert troubles == []


@pytest.mark.parametrize(
    ("name", "width", "scheme"),
    [("en", 1400, "light"), pytest.param("zh", 390, "dark", marks=pytest.mark.long)],
)
def test_axe_finds_nothing_serious(
    visit: Callable[..., Any], places: dict[str, str], name: str, width: int, scheme: str
) -> None:
    page = visit(places[name], width, scheme, bypass=True)
    unfold(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert grave(page) == []


@pytest.mark.parametrize("width", [1400, 390])
def test_tab_reaches_every_control(visit: Callable[..., Any], places: dict[str, str], width: int) -> None:
    assert unreached(visit(places["en"], width)) == []


@pytest.mark.long  # some 1,700 stops, one for every run in every table
def test_tab_reaches_what_is_folded(visit: Callable[..., Any], places: dict[str, str]) -> None:
    page = visit(places["en"])
    unfold(page)
    assert unreached(page, 4000) == []


@pytest.mark.parametrize("width", [1400, 390])
def test_a_page_of_sixty_types_and_hostile_names_fits(
    visit: Callable[..., Any], places: dict[str, str], width: int
) -> None:
    page = visit(places["many"], width)
    unfold(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("img").count() == 0


def test_a_point_of_a_curve_leads_to_its_answers(visit: Callable[..., Any], places: dict[str, str]) -> None:
    page = visit(places["en"])
    chart = page.locator("#t1-0 svg.chart")  # math
    assert chart.get_attribute("data-panel") == "1 0"
    data = json.loads(page.locator("#page-data").inner_text() or page.locator("#page-data").text_content())
    point = next(p for p in data["points"]["score"] if p[0] == 1 and p[1] == 0 and p[2] == 1000 and p[3] == 1)
    (x0, x1, a, b), (y0, y1, c, d) = (
        map(float, chart.get_attribute(f"data-{n}").split()) for n in ("x", "y")
    )
    box, zoom = chart.bounding_box(), chart.bounding_box()["width"] / 320
    import math

    at = a + math.log(1000 / x0) / math.log(x1 / x0) * (b - a) - 2, c + (point[4] - y0) / (y1 - y0) * (d - c)
    where = box["x"] + at[0] * zoom, box["y"] + at[1] * zoom
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    where = box["x"] + at[0] * zoom, box["y"] + at[1] * zoom
    page.mouse.move(*where)
    assert page.locator(".tip").inner_text() == f"random, 1,000 samples, seed 1: {point[4]:.3f}"
    page.mouse.click(*where)
    chosen = {n: page.locator(f"#by-{n} option:checked").inner_text() for n in ("type", "arm", "n", "seed")}
    assert chosen == {"type": "math", "arm": "random", "n": "1,000", "seed": "1"}
    rows = page.locator("#explorer tbody tr").all_inner_texts()
    assert len(rows) == 6 and all("math" in row for row in rows)
    assert "math 0 by random 1000 1" in rows[1] and "base model" in rows[0]
    page.locator("#explorer summary").first.click()
    assert "because math 0 by base 0 0" in page.locator("#explorer .said-of").first.inner_text()


def test_answers_are_filtered_and_searched_by_keyboard(
    visit: Callable[..., Any], places: dict[str, str]
) -> None:
    from playwright.sync_api import expect

    page = visit(places["en"])
    count = page.locator("#explorer [role=status]")
    assert count.inner_text().startswith("36 items, 36 answers") or count.inner_text().startswith(
        "36 items, 72"
    )
    page.focus("#by-language")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    assert count.inner_text().startswith("12 items")
    page.select_option("#by-language", "")
    page.select_option("#by-n", "")
    page.select_option("#by-seed", "")
    page.focus("#by-text")
    page.keyboard.type("CODE 2 BY BALANCED 3000 2")
    expect(count).to_contain_text("1 item,")
    page.fill("#by-text", "")
    page.select_option("#by-score", "empty")
    expect(count).to_contain_text("36 items, 36")
    assert page.locator("#explorer td .missing").first.inner_text().startswith("(empty answer)")
    page.select_option("#by-score", "none")
    assert "36 items, 216 answers" in count.inner_text()
    page.locator("#explorer .turn button").last.press("Enter")
    assert "Page 2 of 4" in count.inner_text()


def test_sixty_types_are_sorted_filtered_and_folded(
    visit: Callable[..., Any], places: dict[str, str]
) -> None:
    page = visit(places["many"])
    rows = page.locator("#types [data-tab]:visible tbody tr[data-type]:visible")
    assert rows.count() == 13
    page.locator("#types [data-tab]:visible .unfold").click()
    assert rows.count() == 61
    gain = page.locator("#types [data-tab]:visible th", has_text="Next doubling").first
    gain.locator("button").press("Enter")
    assert gain.get_attribute("aria-sort") == "descending"
    cells = page.locator("#types [data-tab]:visible tr[data-type]:not(.overall) td.strong")
    values = [float(v) for v in cells.evaluate_all("all => all.map(c => c.dataset.v)")]
    assert values == sorted(values, reverse=True) and len(values) > 50
    page.fill("#type-filter", "type 4")
    assert rows.count() == 10
    assert page.locator("#curves figure[data-type]:visible").count() == 10
    page.fill("#type-filter", "")
    page.select_option("#word-filter", "falling")
    assert 0 < rows.count() < 10


def test_a_page_of_sixty_types_is_small_beyond_its_data(result: StudyResult) -> None:
    html = render_html(many(result))  # of two arms, in three metrics
    data = re.search(r'id="page-data">.*?</script>', html, re.DOTALL)
    assert data is not None
    assert len(html.encode()) - len(data[0].encode()) <= 1_000_000


@pytest.mark.parametrize("name", ["en", "many"])
def test_the_printed_page_is_short_and_without_raw_numbers(
    visit: Callable[..., Any], places: dict[str, str], name: str
) -> None:
    page = visit(places[name])
    made = page.pdf(format="A4", print_background=True)
    assert len(re.findall(rb"/Type\s*/Page\b(?!s)", made)) <= 8
    page.emulate_media(media="print")
    for hidden in ("#answers", "#numbers", "#loss", ".tools"):
        assert not page.locator(hidden).first.is_visible()
    assert page.locator("#curves svg.chart").first.is_visible() or page.locator(".first-curve").is_visible()


def test_charts_are_saved_as_files(
    visit: Callable[..., Any], places: dict[str, str], result: StudyResult
) -> None:
    page = visit(places["en"], scheme="dark")
    tools = page.locator("#t1-0 .tools")
    files = {}
    for kind in ("SVG", "PNG", "CSV"):
        with page.expect_download() as download:
            tools.get_by_role("button", name=kind).press("Enter")
        assert download.value.suggested_filename == f"alpaca-pocket-math-score.{kind.lower()}"
        files[kind] = Path(download.value.path()).read_bytes()
    svg = files["SVG"].decode()
    assert svg.startswith("<svg") and "class=" not in svg and ">math, score<" in svg and "var(" not in svg
    assert files["PNG"][:8] == b"\x89PNG\r\n\x1a\n" and len(files["PNG"]) > 10_000
    rows = list(csv.DictReader(io.StringIO(files["CSV"].decode("utf-8-sig"))))
    own = [p for p in result.points if (p.type, p.metric) == ("math", "score")]
    measured = [row for row in rows if row["kind"] == "measured"]
    assert len(measured) == len(own)
    assert {(r["arm"], r["seed"], float(r["value"]), r["run"]) for r in measured} == {
        (p.arm, str(p.seed), float(f"{p.value:.6g}"), p.run) for p in own
    }
    assert {row["kind"] for row in rows} == {"measured", "curve", "extrapolated"}


def test_every_value_is_in_a_table_with_the_name_of_its_run(
    visit: Callable[..., Any], places: dict[str, str], result: StudyResult
) -> None:
    from playwright.sync_api import expect

    page = visit(places["en"])
    page.locator("#numbers summary").nth(1).click()  # its rows are made when it opens, a moment later
    rows = page.locator("#numbers details").nth(1).locator("tbody tr")
    own = [p for p in result.points if p.metric == "score"]
    expect(rows).to_have_count(len(own))
    assert "random, 100 samples, seed 0" in rows.nth(1).inner_text()


def test_a_book_that_is_too_large_for_a_page_says_so(
    visit: Callable[..., Any], result: StudyResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = book_for(result, TASK_TYPES)
    one = fitting(book, 60_000)
    assert 12 <= len(one.items) < 36 and {i.type for i in one.items} == set(TASK_TYPES)
    text = one.texts[one.items[-1].answers[3] or 0]
    assert text == "summarization 0 by random 1000 0" or one.items[-1].type in text
    monkeypatch.setattr("assay.view._book.fitting.__defaults__", (60_000,))
    write_report(result, tmp_path, book)
    assert load_book(tmp_path) == book, "the file holds all of them"
    page = visit((tmp_path / "report.html").as_uri())
    assert f"holds {len(one.items)} of 36 items" in page.locator("#explorer .note").inner_text()


def test_a_result_without_a_book_shows_its_sheets(
    visit: Callable[..., Any], result: StudyResult, tmp_path: Path
) -> None:
    path = tmp_path / "page.html"
    path.write_text(render_html(result), encoding="utf-8")
    page = visit(path.as_uri())
    assert "24 items" in page.locator("#explorer [role=status]").inner_text()


def of_losses(result: StudyResult, kinds: tuple[str, ...]) -> StudyResult:
    """Return a study in which nothing was answered, of some types."""
    answer = result.answer
    assert answer is not None

    def own(rows: Any) -> tuple[Any, ...]:
        return tuple(r for r in rows if r.metric == "loss" and r.type in kinds)

    return replace(
        result, points=own(result.points), curves=own(result.curves), comparisons=own(result.comparisons),
        worth=(), descents=(), balances=(), held_out=(), answers=(), answer=replace(answer, metric="loss"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("kinds", "title"),
    [
        ((OVERALL, "math", "code"), "Overall loss against the number of samples"),
        (("math",), "math: loss against the number of samples"),
    ],
    ids=["types", "one-type"],
)
def test_a_study_of_losses_begins_with_its_curve(
    visit: Callable[..., Any], result: StudyResult, tmp_path: Path, kinds: tuple[str, ...], title: str
) -> None:
    path = tmp_path / "page.html"
    path.write_text(render_html(of_losses(result, kinds)), encoding="utf-8")
    page = visit(path.as_uri())
    assert page.locator(".first-curve h2").inner_text() == title
    assert page.locator(".first-curve svg.chart:visible path.curve").count() == 4  # two arms, in and beyond
    assert page.locator(".now dt").all_inner_texts() == ["loss"]
    assert page.locator("#answers, a[href='#answers']").count() == 0
    assert page.get_by_role("button", name="answers").count() == 0, "no way to answers that are not there"


BROKEN = """(where) => [...document.querySelectorAll(where)].filter((e) => e.checkVisibility()
  && !/[ \\-_/.]/.test(e.textContent) && e.getClientRects().length > 1).map((e) => e.textContent)"""


@pytest.mark.parametrize(("width", "media"), [(1400, "screen"), (390, "screen"), (718, "print")])
def test_no_word_is_broken_and_nothing_lies_over_another(
    visit: Callable[..., Any], places: dict[str, str], width: int, media: str
) -> None:
    page = visit(places["en"], width)
    page.emulate_media(media=media)
    names = ".counts th bdi, .settings th bdi, .verdict-list bdi, .verdicts th bdi, .chip, .buys th bdi"
    assert page.locator(names).count() > 100 and page.evaluate(BROKEN, names) == []
    left, right = (page.locator(f".first-{part}").bounding_box() for part in ("buys", "side"))
    table = page.locator(".buys").first.bounding_box()
    beside = right["y"] < table["y"] + table["height"] and table["y"] < right["y"] + right["height"]
    if media == "print" and beside:
        assert table["x"] + table["width"] <= right["x"] or right["x"] + right["width"] <= left["x"]


def test_what_is_cut_off_at_the_side_is_shown_to_go_on(
    visit: Callable[..., Any], places: dict[str, str]
) -> None:
    page = visit(places["en"], 390)
    wide = page.locator(".scroll").evaluate_all(
        "all => all.filter(e => e.scrollWidth > e.clientWidth).map(e => getComputedStyle(e).backgroundImage)"
    )
    assert len(wide) > 5 and all("gradient" in shade for shade in wide)


def test_every_word_has_a_colour(visit: Callable[..., Any], places: dict[str, str]) -> None:
    page = visit(places["en"])
    strokes = page.locator(".strip .whisker").evaluate_all("all => all.map(e => getComputedStyle(e).stroke)")
    grounds = page.locator(".chip").evaluate_all("all => all.map(e => getComputedStyle(e).backgroundColor)")
    assert len(strokes) > 50 and "none" not in strokes and "rgba(0, 0, 0, 0)" not in grounds


@pytest.mark.parametrize("name", ["en", "zh"])
def test_no_placeholder_is_left(visit: Callable[..., Any], places: dict[str, str], name: str) -> None:
    page = visit(places[name])
    assert re.findall(r"{\w+(?::[^}]*)?}", page.locator("body").inner_text()) == []
    assert page.locator("#cost dt").first.inner_text() == {"en": "Tokens trained", "zh": "训练的词元"}[name]


def test_overall_uses_the_room_of_its_chart(visit: Callable[..., Any], places: dict[str, str]) -> None:
    band = visit(places["en"]).locator("#curves .panel.overall svg.chart:visible")
    drawn = [b.bounding_box() for b in band.locator("path.band").all()]
    low, high = max(b["y"] + b["height"] for b in drawn), min(b["y"] for b in drawn)
    assert low - high > 0.5 * band.bounding_box()["height"]


def test_a_column_that_nobody_asked_for_is_not_there(
    visit: Callable[..., Any], places: dict[str, str], result: StudyResult, tmp_path: Path
) -> None:
    heads = "#types [data-tab]:visible table.verdicts thead th"
    assert "Satisfied at" in " ".join(visit(places["en"]).locator(heads).all_inner_texts())
    path = tmp_path / "page.html"
    path.write_text(render_html(replace(result, question={"smallest_gain": 0.01})), encoding="utf-8")
    assert "Satisfied at" not in " ".join(visit(path.as_uri()).locator(heads).all_inner_texts())


def test_a_command_in_a_note_is_code(result: StudyResult) -> None:
    note = "raw <b>: `assay judge calibrate`"
    noted = replace(result, notes=(note,))
    html = render_html(noted)
    assert "<li>raw &lt;b&gt;: <code>assay judge calibrate</code></li>" in html
    assert "- raw &lt;b&gt;: `assay judge calibrate`\n" in page_markdown(
        report(replace(result, notes=(note,)))
    )


@pytest.mark.parametrize(
    ("size", "shown"),
    [((100, 100, 100), "about 100"), ((5600, 4500, 6200), "about 5,600 (4,500–6,200)")],
    ids=["known", "range"],
)
def test_a_range_of_one_size_is_that_size(size: tuple[float, float, float], shown: str) -> None:
    assert size_text(*size, words("en")) == shown
