"""The page in real Chromium: by keyboard, at once, through kills; hostile texts; narrow and dark."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from annotating import EVIL, Server, rows, write_rows

from assay.annotation import HumanLabel, Store
from assay.data import read
from axe import grave, unreached

LONG = "这是一个很长的答案，word after word。" * 2_200  # 50,000 characters, 120 kB


def hard_rows() -> list[dict[str, Any]]:
    """Return items with hostile, right-to-left, long and odd texts."""
    pairs = [
        (EVIL, EVIL + " \u202egnihtemos"),
        ("لماذا السماء زرقاء؟", "لأن الهواء يشتت الضوء الأزرق."),
        ("Copy this.", LONG),
        ("👩‍👩‍👧‍👦 是什么？", "一个家庭 👩‍👩‍👧‍👦🇨🇳"),
        ("x" * 3_000, "y" * 3_000),
    ]
    turns = [[{"role": "user", "content": q}, {"role": "assistant", "content": a}] for q, a in pairs]
    return [{"messages": messages, "type": "open_qa"} for messages in turns]


class Visit:
    """One annotator's tab, with everything that the browser complained of."""

    def __init__(self, browser: Any, link: str, name: str, **options: Any) -> None:
        self.base = link.split("/login")[0]
        # Before its script runs, a page takes no keys.
        self.root = "html" if options.get("java_script_enabled") is False else "html.scripted"
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        self.troubles: list[str] = []
        self.page = self.tab()
        self.page.goto(link)
        self.page.fill("#name", name)
        self.page.keyboard.press("Enter")
        self.page.wait_for_url(f"{self.base}/")
        self.page.wait_for_load_state()

    def tab(self) -> Any:
        page = self.context.new_page()
        page.set_default_timeout(20_000)
        page.on("console", lambda message: self.troubles.append(message.text))
        page.on("pageerror", lambda error: self.troubles.append(str(error)))
        page.on("dialog", lambda dialog: (self.troubles.append("dialog"), dialog.accept()))
        page.on("request", lambda r: r.url.startswith(self.base) or self.troubles.append(r.url))
        return page

    def open(self, position: int) -> Any:
        self.page.goto(f"{self.base}/items/{position}")
        self.at(position)
        return self.page

    def at(self, position: int, timeout: int = 20_000) -> None:
        self.page.wait_for_selector(f'{self.root} #main[data-position="{position}"]', timeout=timeout)

    def begin(self) -> None:
        """Enter on the overview's first link, which a browser focuses some frames after load."""
        self.page.wait_for_selector("a.main:focus")
        self.keys("Enter")

    def keys(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)


class Desk:
    """One server for all tests that do not kill it, with a seat for each visitor."""

    def __init__(self, folder: Path) -> None:
        self.rows = rows(56) + hard_rows()
        items = write_rows(folder / "items.jsonl", self.rows)
        self.given = ["It is 7."] * 56
        self.given += [row["messages"][1]["content"][5:] + EVIL for row in self.rows[56:]]
        ids = [sample.id for sample in read(items)]  # type: ignore[union-attr]
        answers = [{"item": i, "answer": text} for i, text in zip(ids, self.given, strict=True)]
        path = write_rows(folder / "answers.jsonl", answers)
        self.server = Server(folder / "labels.jsonl", items, answers=str(path), annotators=9, per_item=9)
        self.links = iter(self.server.links)
        self.database = str(folder / "labels.sqlite")

    def labels(self, name: str) -> list[HumanLabel]:
        store = Store(self.database)
        found = [label for label in store.labels() if label.annotator == name]
        store.close()
        return found


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    made = Desk(tmp_path_factory.mktemp("desk"))
    yield made
    made.server.stop()


@pytest.fixture
def visit(chromium: Any) -> Iterator[Callable[..., Visit]]:
    made: list[Visit] = []

    def begin(*arguments: Any, **options: Any) -> Visit:
        made.append(Visit(chromium, *arguments, **options))
        return made[-1]

    yield begin
    for one in made:
        one.context.close()


@pytest.mark.timeout(600)  # it takes minutes on a busy machine
@pytest.mark.long
def test_two_hundred_items_by_two_people_through_kills(
    tmp_path: Path, database: str, start: Callable[..., Any], visit: Callable[..., Visit]
) -> None:
    n, names = 200, ("Ann", "李雷")
    items = write_rows(tmp_path / "items.jsonl", rows(n))
    options: dict[str, Any] = {"annotators": 2, "per_item": 2, "database": database}
    server = start(items, **options)
    options["port"] = server.port
    people = [visit(link, name) for link, name in zip(server.links, names, strict=True)]
    expected: dict[tuple[str, int], tuple[float, str]] = {}
    for person in people:
        person.begin()
        person.at(1)
    for position in range(1, n + 1):
        for number, person in enumerate(people):
            score, text = (position + number) % 5 + 1, f"The answer is {position}."
            person.keys(str(score))
            if position % 20 == 0:
                text += f" 改正 by {names[number]}"
                person.keys("e", "Control+End")
                person.page.keyboard.insert_text(text.removeprefix(f"The answer is {position}."))
            person.keys("Control+Enter")  # neither waits for the other
            expected[names[number], position] = ((score - 1) / 4, text)
        if position in (60, 140):
            server.kill()
            server = start(items, **options)
        for person in people:
            go_on(person, position, n)
    store = Store(database)
    labels = {(x.annotator, x.position): (x.score, x.answer) for x in store.labels()}
    assert labels == expected
    store.close()
    # That the server was away is all that the browser may complain of.
    assert {t for p in people for t in p.troubles if "ERR_" not in t and not t.startswith("htmx:")} == set()


def go_on(person: Visit, position: int, n: int) -> None:
    """Wait for the next item; where the server died under the request, save again as a person would."""
    from playwright.sync_api import TimeoutError as Slow

    for _ in range(5):
        try:
            if position == n:
                person.page.wait_for_url(f"{person.base}/", timeout=4_000)
            else:
                person.at(position + 1, timeout=4_000)
            return
        except Slow:
            person.keys("Control+Enter")
    raise AssertionError(f"item {position} was not saved")


def test_a_draft_outlives_the_server(
    tmp_path: Path, start: Callable[..., Any], visit: Callable[..., Visit]
) -> None:
    items = write_rows(tmp_path / "items.jsonl", rows(3))
    server = start(items)
    ann = visit(server.links[0], "Ann")
    page = ann.open(2)
    ann.keys("e", "Control+a")
    page.keyboard.insert_text("没有保存的文字")
    page.wait_for_selector("#kept .s-draft")
    server.kill()
    page.keyboard.insert_text("，后来的")
    page.wait_for_selector("#kept .problem")
    assert page.input_value("#answer") == "没有保存的文字，后来的"
    again = start(items, port=server.port)
    page.wait_for_selector("#kept .s-draft")  # sent again by itself
    again.kill()
    store = Store(str(tmp_path / "labels.sqlite"))
    draft = store.standing(1, store.items([2])[0].id).draft
    assert draft is not None and draft.label.answer == "没有保存的文字，后来的"
    store.close()


def test_everything_by_keyboard(desk: Desk, visit: Callable[..., Visit]) -> None:
    ann = visit(next(desk.links), "Ann")
    page = ann.page
    ann.begin()
    ann.at(1)
    ann.keys("?")
    assert page.locator("#keys").is_visible() and page.locator("#keys dt").count() == 14
    ann.keys("3", "j")  # nothing happens below the list of keys
    ann.keys("?")
    assert not page.locator("#keys").is_visible()
    assert page.locator("[name=score]:checked").input_value() == ""
    assert page.locator("#diff .text del").first.inner_text().strip() == "It"
    assert page.locator("#diff .text ins").first.inner_text().strip() == "The answer"
    ann.keys("d")
    assert page.locator("#other").is_visible() and not page.locator("#diff").is_visible()
    ann.keys("d", "4", "t", "ArrowDown", "Escape", "n")
    page.keyboard.insert_text("j k u 5")  # keys in a field are text
    ann.keys("Escape", "m")
    assert page.input_value("#answer") == "It is 7."
    page.wait_for_selector("#diff:has-text('same')")
    ann.keys("j", "j")  # the second comes before the first is answered
    ann.at(3)
    ann.keys("k", "k")
    ann.at(1)
    assert page.locator("#kept .s-draft").count() == 1
    assert page.input_value("#note") == "j k u 5" and page.input_value("#type") == "code"
    assert page.locator("[name=score]:checked").input_value() == "0.75"
    ann.keys("Control+Enter")
    ann.at(2)
    ann.keys("2", "Control+s")
    page.wait_for_selector("#kept .s-done")
    ann.keys("5")
    page.wait_for_selector("#kept .s-draft")
    ann.keys("u")  # first what was not saved
    page.wait_for_selector("#kept .s-done")
    assert page.locator("[name=score]:checked").input_value() == "0.25"
    ann.keys("u")
    page.wait_for_selector("#kept .s-open")
    ann.keys("u")  # then the item before
    ann.at(1)
    assert page.input_value("#answer") == "The answer is 1."
    page.locator(".history summary").click()
    page.locator(".history li:last-child button").click()
    page.wait_for_selector("#kept .s-done")
    assert page.input_value("#answer") == "It is 7."
    ann.keys("g")
    page.wait_for_url(f"{ann.base}/")
    assert ann.troubles == []
    (label,) = desk.labels("Ann")
    assert (label.type, label.answer, label.score, label.note) == ("code", "It is 7.", 0.75, "j k u 5")


def test_two_tabs_are_told_of_each_other(desk: Desk, visit: Callable[..., Visit]) -> None:
    bob = visit(next(desk.links), "Bob")
    first, second = bob.open(1), bob.tab()
    second.goto(f"{bob.base}/items/1")
    second.keyboard.press("5")
    second.keyboard.press("Control+s")
    second.wait_for_selector("#kept .s-done")
    first.fill("#answer", "from the first tab")
    first.wait_for_selector(".conflict")  # told while typing
    with first.expect_response(lambda answer: answer.status == 409):  # the page is replaced by it
        first.keyboard.press("Control+Enter")
    first.wait_for_selector("#main .conflict")
    assert first.input_value("#answer") == "from the first tab"
    assert [(x.score, x.answer) for x in desk.labels("Bob")] == [(1.0, "The answer is 1.")]
    first.click(".conflict button")
    first.wait_for_selector("#kept .s-done")
    assert [x.answer for x in desk.labels("Bob")] == ["from the first tab"]
    assert all("409" in trouble for trouble in bob.troubles)


def test_hostile_and_long_texts_do_nothing(desk: Desk, visit: Callable[..., Visit]) -> None:
    name = EVIL[:40]
    eve = visit(next(desk.links), name)
    script = "[...document.querySelectorAll('.prompt, #answer')].map(e => getComputedStyle(e).direction)"
    for position in range(57, 62):
        question, answer = (turn["content"] for turn in desk.rows[position - 1]["messages"])
        page = eve.open(position)
        assert page.input_value("#answer") == answer
        assert page.locator(".prompt").inner_text() == question
        assert page.locator("#other").text_content() == desk.given[position - 1]
        assert page.locator("main img, main script").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth") <= 1280
        assert page.evaluate(script) == ["rtl" if position == 58 else "ltr"] * 2
        eve.keys("m")
        page.wait_for_selector("#kept .s-draft")
        eve.keys("3", "Control+s")
        page.wait_for_selector("#kept .s-done")
    assert eve.troubles == []
    assert [x.answer for x in desk.labels(name)] == desk.given[56:]


CONTRAST = """() => {
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgb = c => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = c; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data]; };
  const f = v => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => { return .2126 * f(r) + .7152 * f(g) + .0722 * f(b); };
  const ground = e => { for (; e; e = e.parentElement) {
    const c = rgb(getComputedStyle(e).backgroundColor);
    if (c[3] === 255) return c; } return rgb('Canvas'); };
  const bad = new Set();
  for (const e of document.querySelectorAll(
      'p, h1, h2, dt, dd, a, button, span, label, legend, kbd, ins, del, select, textarea, summary')) {
    if (!e.innerText && !e.value || !e.checkVisibility() || e.matches('.sr')) continue;
    const [a, b] = [light(rgb(getComputedStyle(e).color)), light(ground(e))].sort((x, y) => y - x);
    const ratio = (a + .05) / (b + .05);
    if (ratio < 4.5) bad.add(e.tagName + '.' + e.className + ' ' + ratio.toFixed(2));
  }
  return [...bad]; }"""


@pytest.mark.parametrize(
    ("width", "scheme", "locale"),
    [(360, "dark", "zh-CN"), (360, "light", "en-US"), (1280, "dark", "en-US"), (1280, "light", "zh-CN")],
)
def test_it_fits_and_can_be_read(
    desk: Desk, visit: Callable[..., Visit], width: int, scheme: str, locale: str
) -> None:
    size = {"width": width, "height": 800}
    name = f"{width}{scheme}".ljust(40, "W")
    wendy = visit(next(desk.links), name, viewport=size, color_scheme=scheme, locale=locale, bypass_csp=True)
    page = wendy.page
    for path in ("/", "/?page=1", "/items/57", "/items/61", "/items/4"):
        page.goto(wendy.base + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        assert page.evaluate(CONTRAST) == [], path
        if path in ("/", "/items/4"):
            assert grave(page) == [] and unreached(page) == [], path
    assert page.evaluate("document.documentElement.lang") == ("zh-Hans" if locale == "zh-CN" else "en")
    page.fill("#answer", "typed just before a choice")
    page.click("button[name=theme]")
    page.wait_for_selector("html[data-theme=dark]")
    assert page.input_value("#answer") == "typed just before a choice"
    page.click("button[name=language]")
    page.wait_for_selector("html[lang=en]" if locale == "zh-CN" else "html[lang=zh-Hans]")
    page.click("button[name=theme]")
    page.wait_for_selector("html[data-theme=light]")
    page.wait_for_load_state()
    assert page.evaluate(CONTRAST) == []
    assert wendy.troubles == []


def test_without_scripts_it_works(desk: Desk, visit: Callable[..., Visit]) -> None:
    old = visit(next(desk.links), "Old", java_script_enabled=False)
    page = old.open(1)
    page.fill("#answer", "第一行\n第二行")
    page.click("button.main")
    old.at(2)
    assert [x.answer for x in desk.labels("Old")] == ["第一行\n第二行"]
    page.click("button[value=undo]")
    old.at(1)
    page.click("button[value=next]")
    old.at(2)
    assert desk.labels("Old") == []
