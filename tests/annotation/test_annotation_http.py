"""The server over HTTP: who may come in, what is kept through kills, what pages hold."""

from __future__ import annotations

import html
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from annotating import EVIL, Person, Server, rows, write_rows

from assay.annotation import Store
from assay.annotation._pages import clean, typed
from assay.data import read
from assay.web import allowed_hosts, preferred


def items_file(tmp_path: Path, n: int) -> Path:
    return write_rows(tmp_path / "items.jsonl", rows(n))


class Office:
    """One server for the tests that do not stop it, with a seat for each."""

    def __init__(self, folder: Path) -> None:
        items = items_file(folder, 3)
        self.server = Server(folder / "labels.jsonl", items, annotators=6, per_item=6)
        self.links = iter(self.server.links)
        self.database = str(folder / "labels.sqlite")

    def labelled(self, name: str) -> int:
        store = Store(self.database)
        n = sum(label.annotator == name for label in store.labels())
        store.close()
        return n


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    made = Office(tmp_path_factory.mktemp("office"))
    yield made
    made.server.stop()


def test_only_a_token_opens(office: Office) -> None:
    server, link, other = office.server, next(office.links), next(office.links)
    ann = Person(link, "Ann")
    with httpx.Client(base_url=server.base, headers={"origin": server.base}) as stranger:
        for path in ("/", "/items/1"):
            assert stranger.get(path).headers["location"] == "/login"
        assert stranger.post("/items/1", data={"do": "save"}).status_code == 401
        assert stranger.post("/login", data={"token": "x" * 32, "name": "Eve"}).status_code == 403
        assert stranger.get("/login", params={"token": "wrong"}).status_code == 403
        assert stranger.get("/login").status_code == 200
        assert not stranger.cookies
        taken = stranger.post("/login", data={"token": other.split("=")[1], "name": "Ann"})
        assert taken.status_code == 403 and "Another annotator" in taken.text
    cookie = ann.http.cookies.jar.__iter__().__next__()
    assert cookie.has_nonstandard_attr("HttpOnly")
    assert "strict" in str(cookie.get_nonstandard_attr("SameSite")).lower()
    assert ann.http.get("/").status_code == 200
    page = ann.open(1)
    ann.http.post("/logout", data={"csrf": ann.fields["csrf"]})
    assert ann.http.get("/").status_code == 303 and link.split("=")[1] not in page


def test_requests_from_elsewhere_are_refused(office: Office) -> None:
    ann = Person(next(office.links), "Bob")
    ann.open(1)
    good = {**ann.fields, "do": "save", "answer": "mine", "type": "math"}
    port = office.server.port
    for headers in (
        {"origin": "https://evil.example"}, {"origin": "null"}, {"origin": f"http://localhost:{port}"},
        {"origin": f"http://127.0.0.1:{port + 1}"}, {"origin": ""},
    ):  # fmt: skip
        assert ann.http.post("/items/1", data=good, headers=headers).status_code == 403
    rebound = {"host": f"evil.example:{port}", "origin": f"http://evil.example:{port}"}
    assert ann.http.post("/items/1", data=good, headers=rebound).status_code == 421
    assert ann.http.get("/items/1", headers={"host": "evil.example"}).status_code == 421
    for csrf in ("", "x" * 43, "ключ"):
        assert ann.http.post("/items/1", data={**good, "csrf": csrf}).status_code == 403
    assert ann.http.post("/choose", data={"theme": "dark"}).status_code == 403
    assert office.labelled("Bob") == 0
    assert ann.http.post("/items/1", data=good).status_code == 303 and office.labelled("Bob") == 1
    back = {"csrf": ann.fields["csrf"], "theme": "dark", "back": "https://evil.example/"}
    assert ann.http.post("/choose", data=back).headers["location"] == "/"
    assert ann.http.post("/choose", data={**back, "back": "//evil.example"}).headers["location"] == "/"


def test_pages_may_load_nothing_from_elsewhere(office: Office) -> None:
    ann = Person(next(office.links), "Carl")
    for path in ("/", "/items/1", "/login", "/nothing", "/static/annotate.js", "/static/annotate.css"):
        reply = ann.http.get(path)
        policy = reply.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert not re.search(
            r"<script(?! src=\"/static/)|\son\w+=|style=|(src|href)=\"(https?:)?//", reply.text
        )
    assert ann.http.get("/nothing").status_code == 404
    assert ann.http.get("/items/999").status_code == 404
    assert ann.http.get("/items/x").status_code == 404
    assert ann.http.get("/static/../_app.py").status_code == 404
    assert "Zero-Clause BSD" in ann.http.get("/static/LICENSES").text


def test_bad_forms_are_refused_and_change_nothing(office: Office) -> None:
    ann = Person(next(office.links), "Dora")
    ann.open(1)
    for change in ({"score": "0.3"}, {"score": "nan"}, {"version": "x"}, {"serial": "-"}):
        assert ann.post(1, "save", **change).status_code == 422
    for deed in ("", "delete", "over:x", "restore:-1"):
        assert ann.post(1, deed).status_code == 422
    assert ann.post(1, "restore:7").status_code == 404
    del ann.fields["version"]
    assert ann.post(1, "save").status_code == 422
    assert office.labelled("Dora") == 0


def test_hostile_and_long_texts_come_back_as_they_were(tmp_path: Path, start: Callable[..., Any]) -> None:
    text = "\n" + EVIL + " مرحبا \u202e 👩‍👩‍👧‍👦 & &amp; " + "长" * 50_000 + " \n"
    made = [{"messages": [{"role": "user", "content": EVIL}, {"role": "assistant", "content": text}],
             "type": EVIL}]  # fmt: skip
    items = write_rows(tmp_path / "items.jsonl", made)
    (sample,) = read(items)
    answers = write_rows(tmp_path / "answers.jsonl", [{"item": sample.id, "answer": EVIL + "!"}])  # type: ignore[union-attr]
    server = start(items, answers=str(answers))
    ann = Person(server.links[0], "Ann <b>'\"")
    page = ann.open(1)
    assert "<img" not in page and "alert(2)</script>" not in page and "64784047" not in page
    shown = re.search(r'<textarea id="answer".*?>\n(.*?)</textarea>', page, re.DOTALL)
    assert shown is not None and html.unescape(shown[1]) == text
    # A browser sends ends of lines as CRLF.
    sent = text.replace("\n", "\r\n")
    reply = ann.post(1, "stay", answer=sent, type=EVIL, note=EVIL, score="0.75")
    assert reply.status_code == 303
    longer = sent + "改" * 300_000
    ann.open(1)
    assert ann.post(1, None, answer=longer).status_code == 200
    store = Store(str(tmp_path / "labels.sqlite"))
    (label,) = store.labels()
    assert (label.answer, label.note, label.score) == (text, EVIL, 0.75)
    assert label.annotator == "Ann <b>'\"" and label.judged == EVIL + "!"
    draft = store.standing(1, label.item).draft
    assert draft is not None and draft.label.answer == text + "改" * 300_000
    store.close()
    assert ann.http.post("/items/1", content=b"x" * 25_000_000).status_code == 413
    server.stop()
    (row,) = (json.loads(line) for line in (tmp_path / "labels.jsonl").read_text("utf-8").splitlines())
    assert row["answer"] == text


@pytest.mark.long
def test_many_items_by_two_at_once_through_a_kill(
    tmp_path: Path, database: str, start: Callable[..., Any]
) -> None:
    """Each annotator sends again what was not acknowledged; every acknowledged label must be there, once."""
    n = 50
    items = items_file(tmp_path, n)
    options = {"annotators": 2, "per_item": 2, "database": database}
    server = start(items, **options)
    options["port"] = server.port
    people = [Person(link, name) for link, name in zip(server.links, ("Ann", "李雷"), strict=True)]
    journal: dict[tuple[str, int], str] = {}

    def work(person: Person, name: str) -> None:
        person.open(1)
        for position in range(1, n + 1):
            text, done = f"{name} 改正 {position}", False
            while not done:
                try:
                    done = person.post(position, "save", answer=text, score="0.5").status_code == 303
                except httpx.HTTPError:
                    time.sleep(0.05)
            journal[name, position] = text

    threads = [threading.Thread(target=work, args=pair) for pair in zip(people, ("Ann", "李雷"), strict=True)]
    for thread in threads:
        thread.start()
    while len(journal) < 50:
        time.sleep(0.01)
    server.kill()
    known = dict(journal)
    store = Store(database)
    there = {(x.annotator, x.position): x.answer for x in store.labels()}
    assert known.items() <= there.items()
    store.close()
    server = start(items, **options)  # cookies of before go on
    for thread in threads:
        thread.join()
    store = Store(database)
    labels = store.labels()
    assert {(x.annotator, x.position): x.answer for x in labels} == journal and len(labels) == 2 * n
    assert all(len(store.history(seat, x.item)) == 1 for seat in (1, 2) for x in labels)
    store.close()
    server.stop()
    assert len((tmp_path / "labels.jsonl").read_text("utf-8").splitlines()) == 2 * n


def test_the_same_command_goes_on_at_the_same_port(tmp_path: Path, start: Callable[..., Any]) -> None:
    items = items_file(tmp_path, 3)
    first = start(items, language="zh")
    ann = Person(first.links[0], "张三")
    page = ann.open(1)
    assert "参考答案" in page and 'lang="zh-Hans"' in page
    first.kill()
    again = start(items)
    assert again.port == first.port and again.links != first.links and "张三" in again.said
    assert "Golden answer" in ann.open(1)  # the cookie still holds; the language is the browser's


def test_the_language_is_the_one_accepted_or_chosen(office: Office) -> None:
    ann = Person(next(office.links), "Emma")
    chinese = {"accept-language": "fr, zh-CN;q=0.8, en;q=0.5"}
    assert "总览" in ann.http.get("/", headers=chinese).text
    ann.open(1)
    ann.http.post("/choose", data={"csrf": ann.fields["csrf"], "language": "en"})
    assert "Overview" in ann.http.get("/", headers=chinese).text
    assert [preferred(a) for a in ("zh-TW", "de", "", "en;q=0.1,zh;q=0.2", "zh;q=0", "zh;q=x, en")] == [
        "zh", "en", "en", "zh", "en", "en",
    ]  # fmt: skip


def test_other_machines_only_when_asked_for(
    tmp_path: Path, office: Office, start: Callable[..., Any]
) -> None:
    assert "0.0.0.0" not in allowed_hosts("0.0.0.0") and "localhost" in allowed_hosts("127.0.0.1")
    assert "evil.example" not in allowed_hosts("0.0.0.0")
    items = items_file(tmp_path, 2)
    assert "warning" not in office.server.said
    assert "warning: 0.0.0.0 can be reached from other machines" in start(items, host="0.0.0.0", port=0).said


@pytest.mark.parametrize("text", ["a\r\nb", "a\rb", "\n a", "x\0y", "\ud800", "  "])
def test_what_a_page_cannot_hold_is_kept_where_it_was_not_changed(text: str) -> None:
    assert typed(clean(text).replace("\n", "\r\n"), [None, text]) == text
    assert typed(clean(text) + "!", [text]) == clean(text) + "!"
    assert typed(" \r\n", [None]) is None
