"""Studies watched over real HTTP: the list, one study, two over one another, events, and the way back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from served import NAME, Server

from axe import grave, unreached

AT = quote(NAME)


@pytest.fixture
def page(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.base, headers={"origin": server.base}, timeout=60) as opened:
        assert opened.post("/login", data={"token": server.token}).status_code == 303
        yield opened


def first_event(page: httpx.Client, path: str) -> dict[str, Any]:
    with page.stream("GET", path) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        line = next(line for line in answer.iter_lines() if line.startswith("data: "))
    return dict(json.loads(line.removeprefix("data: ")))


def test_a_study_is_shown_as_the_store_has_it(page: httpx.Client) -> None:
    shown = page.get(f"/study/{AT}")
    assert shown.status_code == 200 and "finished" in shown.text and "5 of 5 models" in shown.text
    assert "<svg" in shown.text and "<b>x" not in shown.text  # from its result, without a fit
    event = first_event(page, f"/events/{AT}")
    assert set(event) == {"found", "state-0", "links", "under", "panels"} and "finished" in event["state-0"]
    assert "<svg" in event["panels"] and event["under"].strip() == "" and "report.html" in event["links"]
    states = first_event(page, "/events")
    assert any("finished" in text for text in states.values())
    assert page.get("/study/nothing").status_code == 404


def test_an_old_time_of_a_file_makes_no_study_unfinished(page: httpx.Client, runs: Path) -> None:
    import os

    made = runs / NAME / "result.json"
    before = made.stat()
    os.utime(made, (1, 1))
    try:
        assert "finished" in first_event(page, f"/events/{AT}")["state-0"]
    finally:
        os.utime(made, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_two_studies_lie_over_one_another(page: httpx.Client) -> None:
    shown = page.get("/compare", params={"a": NAME, "b": NAME})
    assert shown.status_code == 200 and "<svg" in shown.text
    assert page.get("/compare", params={"a": NAME, "b": "unfinished"}).text.count("<figure") == 0
    assert page.get("/compare", params={"a": NAME, "b": "nothing"}).status_code == 404


def test_nothing_is_shown_without_a_token(server: Server) -> None:
    for path in (f"/study/{AT}", "/events", f"/events/{AT}", f"/compare?a={AT}&b={AT}"):
        answer = httpx.get(server.base + path)
        assert answer.status_code == 303 and answer.headers["location"] == "/login"


def test_a_report_leads_back(page: httpx.Client) -> None:
    text = page.get(f"/runs/{AT}/report.html").text
    assert '<a href="/">← All studies</a>' in text


def test_one_model_is_told_and_unknown_options_are_refused(server: Server) -> None:
    headers = {"authorization": f"Bearer {server.token}"}
    with httpx.Client(base_url=f"{server.base}/v1", headers=headers, timeout=60) as raw:
        trained = f"{NAME}:random/16/seed1"
        assert raw.get("/models/" + quote(trained, safe="")).json()["id"] == trained
        missing = raw.get("/models/nothing")
        assert missing.status_code == 404 and missing.json()["error"]["code"] == "model_not_found"
        asked = {"model": "pocket", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 1}
        refused = raw.post("/chat/completions", json={**asked, "top_k": 5})
        assert refused.status_code == 400 and refused.json()["error"]["param"] == "top_k"
        assert raw.post("/chat/completions", json={**asked, "user": "me", "top_k": None}).status_code == 200


@pytest.mark.parametrize("width", [390, 1400])
def test_the_pages_fit_and_axe_finds_nothing_serious(chromium: Any, server: Server, width: int) -> None:
    context = chromium.new_context(viewport={"width": width, "height": 900}, locale="zh-CN", bypass_csp=True)
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto(f"{server.base}/login?token={server.token}")
    page.click("button.main")
    for path in ("/", f"/study/{AT}", f"/compare?a={AT}&b={AT}", "/chat"):
        page.goto(server.base + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        assert grave(page) == [], path
        assert unreached(page) == [], path
    page.locator(".settings summary").press("Enter")
    page.fill("#length", "4")
    page.fill("#question", "你好")
    page.press("#question", "Enter")
    page.wait_for_selector(".answer[aria-busy=false]", timeout=60_000)
    assert grave(page) == [] and unreached(page) == []
    page.goto(f"{server.base}/compare?a={AT}&b={AT}")
    page.locator("button[name=language]").press("Enter")
    page.locator("h1", has_text="Two studies").wait_for()
    assert "/compare?a=" in page.url
    context.close()
    assert wrong == []
