"""The page in a real browser: wide and narrow, light and dark, English and Chinese, printed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from assay.core import (
    PoolChange,
    PoolColumn,
    PoolExample,
    PoolLoss,
    PoolPage,
    PoolRemoval,
    StudyResult,
)
from assay.view import render_html, render_pool


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
    page.locator("#answer tbody th a:visible").first.click()
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


def pool_page(kind: str) -> PoolPage:
    """Return a page of one kind with hostile text wherever text comes from data."""
    shown = PoolExample("0" * 32, f"{EVIL}:1", EVIL, EVIL, -0.001, 1234)
    column = PoolColumn(
        "mtld", "words", 1, EVIL, 90, 10, EVIL, (1.0, 2.0, 3.0), tuple(float(i) for i in range(41)),
        tuple(range(40)), tuple(reversed(range(40))) if kind == "select" else (), (shown,), (shown,),
    )  # fmt: skip
    removal = PoolRemoval("near", shown, shown, EVIL, 0.9, EVIL)
    empty = PoolColumn(EVIL, "", 0, "", 0, 100, "", ())
    return PoolPage(
        kind, EVIL, 100, 40, (column, empty),
        (PoolChange("length", "median", 1.0, 2.0), PoolChange("source", EVIL, 0.5, 0.9)),
        {"near": 3, "rejected": 0}, (PoolLoss("source", EVIL, 3, 20, "near"),), (removal,),
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["score", "clean", "select"])
@pytest.mark.parametrize(("language", "width", "scheme"), [("en", 360, "dark"), ("zh", 1280, "light")])
def test_pages_about_pools_fit_and_run_nothing(
    browser: Any, tmp_path: Path, kind: str, language: str, width: int, scheme: str
) -> None:
    path = tmp_path / "pool.html"
    path.write_text(render_pool(pool_page(kind), language), encoding="utf-8")
    page, troubles = visit(browser, path.as_uri(), width, scheme)
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert troubles == [] and page.locator("img").count() == 0
    page.close()
