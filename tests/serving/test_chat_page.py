"""The chat page in real Chromium: by keyboard, streamed, two side by side; hostile texts; Chinese; narrow."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from served import EVIL, NAME, Server

BOTH = f"{NAME}:random/16/seed1"


class Page:
    """A browser that has logged in, with everything that went wrong in it."""

    def __init__(self, browser: Any, server: Server, **options: Any) -> None:
        self.context = browser.new_context(viewport={"width": 1280, "height": 800}, **options)
        self.page = self.context.new_page()
        self.wrong: list[str] = []
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.wrong.append(dialog.message), dialog.dismiss()))
        self.page.goto(f"{server.base}/login?token={server.token}")
        self.page.click("button.main")
        self.page.wait_for_selector(".studies")
        self.base = server.base

    def chat(self, length: int = 12, temperature: float = 0) -> None:
        self.page.goto(f"{self.base}/chat")
        self.page.locator(".settings summary").click()
        for name, value in (("length", length), ("temperature", temperature)):
            self.page.fill(f"#{name}", str(value))

    def ask(self, text: str, turn: int) -> list[str]:
        """Ask by keyboard and return what every model said."""
        self.page.fill("#question", text)
        self.page.press("#question", "Enter")
        return self.answers(turn)

    def answers(self, turn: int) -> list[str]:
        answers = self.page.locator(f".turn:nth-child({turn}) .answer")
        answers.first.wait_for()
        self.page.wait_for_selector("#send:not([hidden])", timeout=60_000)
        return list(answers.locator(".said").all_inner_texts())


@pytest.fixture
def page(chromium: Any, server: Server) -> Iterator[Page]:
    opened = Page(chromium, server, locale="en-GB")
    yield opened
    opened.context.close()
    assert opened.wrong == []


def test_a_conversation_by_keyboard(page: Page, tmp_path: Path) -> None:
    page.chat()
    (first,) = page.ask("What is the capital of France?", 1)
    (second,) = page.ask("法国的首都是哪里？", 2)
    assert first and second and "12 tokens" in page.page.locator(".notes").last.inner_text()
    keyboard = page.page.keyboard
    keyboard.press("Escape")  # out of the field
    keyboard.press("r")
    assert page.answers(2) == [second]  # temperature 0
    with page.page.expect_download() as download:
        keyboard.press("s")
    saved = json.loads(Path(download.value.path()).read_text(encoding="utf-8"))
    assert [m["content"] for m in saved["messages"]] == [
        "What is the capital of France?", first, "法国的首都是哪里？", second,
    ]  # fmt: skip
    page.page.reload()
    assert page.answers(2) == [second]
    keyboard.press("Escape")
    keyboard.press("u")
    assert page.page.locator(".turn").count() == 1
    assert page.page.input_value("#question") == "法国的首都是哪里？"
    (again,) = page.ask("法国的首都是哪里？", 2)
    assert again == second  # what was said before is told again
    keyboard.press("Escape")
    keyboard.press("n")
    assert page.page.locator(".turn").count() == 0 and page.page.is_visible("#nothing")
    keyboard.press("Escape")
    keyboard.press("?")
    assert page.page.is_visible("#keys")
    keyboard.press("Escape")
    assert not page.page.is_visible("#keys")


def test_two_side_by_side_stream_and_stop(page: Page) -> None:
    page.chat(length=900, temperature=1.5)
    page.page.select_option("#beside", BOTH)
    page.page.fill("#question", "讲一个很长的故事。")
    page.page.press("#question", "Enter")
    begun = page.page.locator(".answer .said").filter(has_text=re.compile(r"\S"))
    begun.nth(1).wait_for(timeout=60_000)
    assert page.page.is_visible("#stop")
    page.page.keyboard.press("Escape")
    page.page.wait_for_selector("#send:not([hidden])")
    notes = page.page.locator(".notes").all_inner_texts()
    assert notes == ["stopped", "stopped"]
    by = page.page.locator(".answer .by").all_inner_texts()
    assert by == ["pocket", BOTH]
    boxes = [page.page.locator(".answer").nth(index).bounding_box() for index in (0, 1)]
    assert boxes[0]["y"] == boxes[1]["y"] and boxes[0]["x"] < boxes[1]["x"]
    page.page.set_viewport_size({"width": 390, "height": 800})
    assert page.page.evaluate("document.documentElement.scrollWidth") <= 390
    boxes = [page.page.locator(".answer").nth(index).bounding_box() for index in (0, 1)]
    assert boxes[0]["x"] == boxes[1]["x"] and boxes[0]["y"] < boxes[1]["y"]


def test_hostile_texts_stay_texts(page: Page) -> None:
    page.chat(length=2)
    page.ask(EVIL, 1)
    assert page.page.locator(".asked").inner_text() == EVIL
    # A model that writes the same: its answer comes by the same way.
    answer = json.dumps({"choices": [{"delta": {"content": EVIL}, "finish_reason": "stop"}]})
    page.page.route(
        "**/v1/chat/completions",
        lambda route: route.fulfill(
            body=f"data: {answer}\n\ndata: [DONE]\n\n", content_type="text/event-stream"
        ),
    )
    assert page.ask("And?", 2) == [EVIL]
    page.page.unroute("**/v1/chat/completions")
    page.page.reload()
    assert page.answers(2) == [EVIL]
    assert page.page.locator("img").count() == 0 and "64784047" not in page.page.content()


def test_an_input_method_s_enter_is_not_ours_and_errors_are_said(page: Page) -> None:
    page.chat(length=2)
    page.page.fill("#question", "zhongwen")
    page.page.dispatch_event("#question", "keydown", {"key": "Enter", "isComposing": True, "bubbles": True})
    assert page.page.locator(".turn").count() == 0
    page.page.press("#question", "Shift+Enter")
    assert page.page.input_value("#question") == "zhongwen\n"
    assert page.ask("字" * 3000, 1) == [""]
    assert "longer than the model's context" in page.page.locator(".notes").inner_text()
    assert page.ask("?", 2) != [""]


def test_studies_lead_to_their_report_and_models_in_chinese(chromium: Any, server: Server) -> None:
    opened = Page(chromium, server, locale="zh-CN", color_scheme="dark")
    page = opened.page
    assert page.locator("html").get_attribute("lang") == "zh-Hans"
    assert NAME in page.locator(".studies li").nth(1).inner_text()
    page.get_by_text("与模型对话").click()
    page.wait_for_selector("#question")
    assert page.input_value("#model") == BOTH and page.input_value("#beside") == f"{NAME}:base"
    page.go_back()
    page.get_by_role("link", name="报告").click()
    page.wait_for_url("**/runs/**")
    assert page.locator("h1").count()
    page.go_back()
    page.get_by_text("English").click()
    page.wait_for_selector("html[lang=en]")
    assert opened.wrong == []
    opened.context.close()


def test_a_model_without_a_seed_is_the_first_of_its_seeds_and_an_unknown_one_is_said(page: Page) -> None:
    chosen = page.page.locator("#model")
    page.page.goto(f"{page.base}/chat?model={quote(f'{NAME}:random/16')}")
    assert (
        chosen.input_value() == f"{NAME}:random/16/seed0"
        and page.page.locator("p.empty[role=status]").count() == 0
    )
    page.page.goto(f"{page.base}/chat?model={quote(f'{NAME}:random/1')}")
    assert chosen.input_value() == "pocket"
    assert f"“{NAME}:random/1”" in page.page.locator("p.empty[role=status]").inner_text()
