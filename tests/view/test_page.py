"""The page in a real browser: wide and narrow, light and dark, English and Chinese, printed."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from assay.core import (
    Beside,
    Column,
    Example,
    Facts,
    Fold,
    Heading,
    Histogram,
    Items,
    Marked,
    Page,
    Paragraph,
    Scatter,
    Smoothed,
    StudyResult,
    Table,
    say,
)
from assay.view import page_html, page_markdown, print_page, render_html, value_html, value_json, write_page
from axe import unfold


@pytest.fixture
def browser(chromium: Any) -> Any:
    return chromium


@pytest.fixture
def pages(result: StudyResult, chinese: StudyResult, nasty: StudyResult, tmp_path: Path) -> dict[str, str]:
    urls = {}
    for name, value in (("en", result), ("zh", chinese), ("nasty", nasty)):
        path = tmp_path / f"{name}.html"
        path.write_text(render_html(value), encoding="utf-8")
        urls[name] = path.as_uri()
    return urls


def visit(browser: Any, url: str, width: int = 1280, scheme: str = "light") -> tuple[Any, list[str]]:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    troubles: list[str] = []
    page.on("console", lambda message: troubles.append(message.text))
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("dialog", lambda dialog: (troubles.append("dialog"), dialog.dismiss()))
    page.on("request", lambda r: None if r.url.startswith(("file:", "data:")) else troubles.append(r.url))
    page.goto(url)
    return page, troubles


@pytest.mark.parametrize("name", ["en", "zh", "nasty"])
@pytest.mark.parametrize("width", [360, 768, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_and_is_quiet(
    browser: Any, pages: dict[str, str], name: str, width: int, scheme: str
) -> None:
    page, troubles = visit(browser, pages[name], width, scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert troubles == []
    page.close()


def test_text_stands_out_from_its_ground(browser: Any, pages: dict[str, str]) -> None:
    """WCAG 2.2, 1.4.3: a contrast of at least 4.5 for text, in both schemes."""
    script = """() => {
      const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
      const rgb = c => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = c; canvas.fillRect(0, 0, 1, 1);
        return [...canvas.getImageData(0, 0, 1, 1).data]; };
      const f = v => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
      const light = ([r, g, b]) => { return .2126 * f(r) + .7152 * f(g) + .0722 * f(b); };
      const ground = e => { for (; e; e = e.parentElement) {
        const c = rgb(getComputedStyle(e).backgroundColor);
        if (c[3] === 255) return c; } return rgb('Canvas'); };
      const bad = new Set();
      for (const e of document.querySelectorAll('p, h1, h2, h3, h4, th, td, dt, dd, li, a, summary, .chip')) {
        if (!e.innerText || !e.checkVisibility()) continue;
        const [a, b] = [light(rgb(getComputedStyle(e).color)), light(ground(e))].sort((x, y) => y - x);
        const ratio = (a + .05) / (b + .05);
        if (ratio < 4.5) bad.add(e.tagName + '.' + e.className + ' ' + ratio.toFixed(2));
      }
      return [...bad]; }"""
    for scheme in ("light", "dark"):
        page, _ = visit(browser, pages["en"], scheme=scheme)
        assert page.evaluate(script) == [], scheme
        page.close()


def test_tabs_theme_and_links_work(browser: Any, pages: dict[str, str]) -> None:
    page, troubles = visit(browser, pages["en"])
    tabs = page.locator("#curves .tabs button")
    assert tabs.count() == 3
    tabs.nth(1).click()
    assert page.locator("#curves [data-tab]:visible h3").inner_text().lower().startswith("loss")
    before = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.locator(".theme").click()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before
    page.locator("#types tbody th a:visible").first.click()
    assert "#t" in page.url
    assert troubles == []
    page.close()


def test_without_scripts_everything_is_there(browser: Any, pages: dict[str, str]) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(pages["en"])
    assert page.locator("#curves svg.chart:visible").count() >= 39
    context.close()


def test_the_printed_page_holds_the_charts(browser: Any, pages: dict[str, str]) -> None:
    page, _ = visit(browser, pages["zh"], scheme="dark")
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not page.locator(".theme").is_visible()
    assert len(page.pdf()) > 50_000
    page.close()


EVIL = '"><img src=x onerror=alert(1)><script>alert(2)</script> \u202egnihtemos ' + "长" * 300 + "x" * 300


def hostile_page(language: str) -> Page:
    """Return every kind of block with hostile text wherever text comes from data."""
    shown = Example("0" * 32, f"{EVIL}:1", EVIL, EVIL, -0.001, 1234)
    counts = tuple(range(40))
    said = say("pool.undefined.why", n=3, why=EVIL)
    grid = tuple(100.0 * 1.1**i for i in range(41))
    return Page(
        (
            Heading(EVIL, 1), Paragraph(said), Paragraph(EVIL, "warning"), Items((EVIL, said), "warning"),
            Table(
                tuple(map(Column, (EVIL, "n", "", "word", "90 %"), ("@type", ",", "bar", "@word", "gain"))),
                ((EVIL, 3, 3, "rising", (0.1, 0.2)), (None,) * 5, ("", 0, 0, EVIL, (None, None))),
                EVIL, EVIL, (0,),
            ),
            Heading(EVIL),
            Facts(((EVIL, EVIL), (said, None), ("counts", {EVIL: 3}), ("names", (EVIL, said)))),
            Marked(((EVIL, True), ("", False), (EVIL, False))),
            Fold(EVIL, (Beside(((shown,), (shown, shown))),)),
            Histogram(EVIL, tuple(float(i) for i in range(41)), counts, tuple(reversed(counts))),
            Scatter((0.1, 0.2, 0.4), (0.1, 0.25, 0.3), (False, True, False), EVIL, EVIL),
            Scatter((0.1, 0.2, 0.4), (0.1, -0.25, 0.3), (False, True, False), EVIL, EVIL, residuals=True),
            Smoothed(EVIL, grid, grid, grid, grid, (200.0,), (300.0,), (150.0, 200.0, 300.0), EVIL, EVIL),
        ),
        language, EVIL, EVIL, EVIL,
    )  # fmt: skip


@pytest.mark.parametrize(("language", "width", "scheme"), [("en", 360, "dark"), ("zh", 1280, "light")])
def test_pages_of_blocks_fit_and_run_nothing(
    browser: Any, tmp_path: Path, language: str, width: int, scheme: str
) -> None:
    path = write_page(hostile_page(language), tmp_path / "page.html")
    page, troubles = visit(browser, path.as_uri(), width, scheme)
    unfold(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert troubles == [] and page.locator("img").count() == 0
    assert page.locator("svg.chart").count() == 4 and page.locator(".sample").count() == 3
    page.close()


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_form_shows_every_block_and_escapes_it(language: str) -> None:
    page = hostile_page(language)
    for made in (page_html(page), page_markdown(page), value_html(page)):
        assert "<img" not in made and "onerror" in made
    out = io.StringIO()
    print_page(page, Console(file=out, width=80))
    assert "onerror" in out.getvalue() and max(map(cell_len, out.getvalue().splitlines())) <= 80
    data = json.loads(json.dumps(value_json(page)))
    assert [b["kind"] for b in data["blocks"]] == [type(b).__name__.lower() for b in page.blocks]
    table = data["blocks"][4]
    assert table["rows"][1] == [None] * 5, "missing stays missing"
