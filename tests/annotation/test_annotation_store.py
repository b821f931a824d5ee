"""The database: nothing overwritten, nothing lost, on SQLite and PostgreSQL."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy

from assay import annotate_export, annotate_status
from assay.annotation import Conflict, Form, Label, Standing, Store, export, read_items, status, write_labels
from assay.core import AssayError, Message, Sample
from assay.data import read

ODD = "\0 \ud800 \u202e مرحبا 👩‍👩‍👧‍👦 '\"; DROP TABLE item; --\r\n" + "长" * 1000


def samples(n: int) -> dict[str, Sample]:
    made = [Sample.single(f"题目 {i}", f"answer {i}", type="math", language="zh") for i in range(n)]
    return {sample.id: sample for sample in made}


def filled(store: Store, n: int = 3, seats: int = 2, per_item: int = 2) -> list[str]:
    """Load items and name the annotators; return the ids."""
    made = samples(n)
    store.load(made, {})
    store.deal(seats, per_item)
    for seat in range(1, seats + 1):
        store.take_seat(seat, f"人{seat}")
    return list(made)


def form(
    text: str | None, version: int, page: str = "p", serial: int = 0, seen: str = "", **rest: Any
) -> Form:
    return Form(Label("math", text, **rest), version, page, serial, seen)


def held(store: Store, item: str, seat: int = 1) -> Any:
    label = store.standing(seat, item).label
    return None if label is None else label.answer


def test_what_was_put_in_comes_out(store: Store) -> None:
    sample = Sample((Message("user", ODD), Message("assistant", ODD)), source="s", origin="f:1")
    store.load({sample.id: sample}, {sample.id: ODD})
    store.deal(1, 1)
    store.take_seat(1, "张三")
    found = store.item(1)
    assert found is not None and found.sample == sample and found.model_answer == ODD
    label = Label("摘要", ODD, 0.25, ODD)
    store.save(1, sample.id, Form(label, 0, "p"))
    assert store.standing(1, sample.id).label == label
    assert [(x.answer, x.score, x.annotator, x.judged) for x in store.labels()] == [(ODD, 0.25, "张三", ODD)]


def test_the_history_only_grows(store: Store) -> None:
    item, *_ = filled(store)
    for version, text in enumerate(["a", "b", "c"]):
        assert isinstance(store.save(1, item, form(text, version)), Standing)
    assert store.undo(1, item) == item and held(store, item) == "b"
    assert store.undo(1, item) == item and held(store, item) == "a"
    assert store.restore(1, item, 3) and held(store, item) == "c"
    assert store.undo(1, item) == item and held(store, item) == "a"
    assert store.undo(1, item) == item and held(store, item) is None
    assert store.undo(1, item) is None
    events = store.history(1, item)
    kinds = ["save"] * 3 + ["undo"] * 2 + ["restore", "undo", "undo"]
    assert [e.kind for e in reversed(events)] == kinds
    assert [e.version for e in reversed(events)] == list(range(1, 9))
    assert [e.label.answer for e in reversed(events) if e.kind == "save" and e.label] == ["a", "b", "c"]


def test_undo_goes_back_over_items(store: Store) -> None:
    first, second, third = filled(store)
    for item in (first, second, third):
        store.save(1, item, form(f"new {item}", 0))
    store.save(1, first, form("again", 1))
    assert [store.undo(1, third) for _ in range(5)] == [first, third, second, first, None]
    assert store.labels() == []


def test_another_tab_is_told_not_overwritten(store: Store) -> None:
    item, *_ = filled(store)
    store.save(1, item, form("first tab", 0, "one"))
    refused = store.save(1, item, form("second tab", 0, "two"))
    assert isinstance(refused, Conflict) and refused.standing.version == 1
    assert held(store, item) == "first tab"
    assert isinstance(store.keep_draft(1, item, form("typed", 0, "two"), Label()), Conflict)
    assert store.standing(1, item).draft is None
    assert isinstance(store.save(1, item, form("second tab", 1, "two")), Standing)
    assert held(store, item) == "second tab"
    assert held(store, item, seat=2) is None  # another annotator has labels of their own
    assert isinstance(store.save(2, item, form("their own", 0)), Standing)
    assert held(store, item) == "second tab"


def test_a_save_sent_twice_is_one(store: Store) -> None:
    item, *_ = filled(store)
    for _ in range(2):
        assert isinstance(store.save(1, item, form("same", 0)), Standing)
    assert len(store.history(1, item)) == 1


def test_drafts_are_kept_and_old_ones_do_not_come_back(store: Store) -> None:
    item, *_ = filled(store)
    proposed = Label("math", "answer 0")
    store.keep_draft(1, item, form("answ", 0, "p", 2), proposed)
    store.keep_draft(1, item, form("an", 0, "p", 1), proposed)  # sent earlier, arrives later
    draft = store.standing(1, item).draft
    assert draft is not None and draft.label.answer == "answ"
    assert [task.state for task in store.tasks(1)] == ["draft", "open", "open"]
    assert store.labels() == []  # a draft is no label
    assert isinstance(store.keep_draft(1, item, form("other tab", 0, "q"), proposed), Conflict)
    # A page opened on the draft goes on with it; the page it came from is then the outdated one.
    assert isinstance(store.keep_draft(1, item, form("answ 2", 0, "q", 1, seen="p"), proposed), Standing)
    assert isinstance(store.keep_draft(1, item, form("answ 3", 0, "p", 3), proposed), Conflict)
    store.keep_draft(1, item, form("answer 0", 0, "q", 2), proposed)
    assert store.standing(1, item).draft is None  # nothing typed that the data does not say


def test_a_discarded_draft_stays_in_the_history(store: Store) -> None:
    item, *_ = filled(store)
    store.save(1, item, form("saved", 0))
    store.keep_draft(1, item, form("typed", 1), Label())
    assert store.undo(1, item) == item
    assert held(store, item) == "saved" and store.standing(1, item).draft is None
    aside = store.history(1, item)[0]
    assert aside.kind == "aside" and aside.label is not None and aside.label.answer == "typed"
    # Saved from one page over the draft of another: that draft is set aside too.
    store.keep_draft(1, item, form("tab one", 2, "one"), Label())
    store.save(1, item, form("tab two", 2, "two"))
    texts = [e.label.answer for e in store.history(1, item) if e.label]
    assert texts == ["tab two", "tab one", "typed", "saved"]
    assert held(store, item) == "tab two"


def test_threads_at_once_lose_nothing(store: Store) -> None:
    """Two annotators and three tabs each on one item: every accepted save is in the history, in order."""
    item, *_ = filled(store)
    accepted: list[tuple[int, str]] = []

    def tab(seat: int, name: str) -> None:
        for i in range(8):
            text, saved = f"{name} {i}", False
            while not saved:
                version = store.standing(seat, item).version
                saved = isinstance(store.save(seat, item, form(text, version, name)), Standing)
            accepted.append((seat, text))

    threads = [threading.Thread(target=tab, args=(s, f"{s}{t}")) for s in (1, 2) for t in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(accepted) == 48
    for seat in (1, 2):
        events = list(reversed(store.history(seat, item)))
        assert [e.version for e in events] == list(range(1, 25))
        mine = Counter(e.label.answer for e in events if e.label)
        assert mine == Counter(text for owner, text in accepted if owner == seat)


def test_items_are_dealt_evenly_and_stay(store: Store, database: str) -> None:
    ids = filled(store, n=60, seats=3, per_item=2)
    lists = {seat: [task.item for task in store.tasks(seat)] for seat in (1, 2, 3)}
    assert [len(mine) for mine in lists.values()] == [40, 40, 40]
    assert set(Counter(item for mine in lists.values() for item in mine).values()) == {2}
    pairs = Counter(frozenset(s for s in lists if item in lists[s]) for item in ids)
    assert len(pairs) == 3  # every two annotators share items
    for item in lists[1][:10]:
        store.save(1, item, form("begun", 0))
    again = Store(database)
    again.load(samples(70), {})
    again.deal(4, 2)
    counts = [len(again.tasks(seat)) for seat in (1, 2, 3, 4)]
    assert counts == [35, 35, 35, 35]
    assert {task.item for task in again.tasks(1) if task.state == "done"} == set(lists[1][:10])
    with pytest.raises(AssayError, match="more annotators"):
        again.deal(1, 2)
    again.close()


def test_a_database_goes_on_and_refuses_other_answers(store: Store, database: str) -> None:
    item, *_ = filled(store)
    store.load(samples(3), {item: "the model's"})
    store.save(1, item, form("kept", 0, score=1.0))
    again = Store(database)
    assert again.load(samples(5), {item: "the model's"}) == 2
    assert held(again, item) == "kept"
    with pytest.raises(AssayError, match="a different answer"):
        again.load(samples(5), {item: "another model's"})
    again.close()


def test_names_and_logins(store: Store) -> None:
    filled(store)
    assert store.take_seat(1, "somebody else") == "人1"  # a name is given once
    store.deal(4, 2)
    with pytest.raises(AssayError, match="another annotator"):
        store.take_seat(3, " 人1 ")
    for bad in ("", "  ", "a" * 41, "a\u202eb", "\x00"):
        with pytest.raises(AssayError, match="not a name"):
            store.take_seat(3, bad)
    secret = store.log_in(1)
    login = store.login(secret)
    assert login is not None and login.name == "人1"
    assert store.login(secret + "x") is None and store.login("") is None
    store.choose(login, language="zh", theme=None)
    store.choose(login, language=None, theme="dark")
    changed = store.login(secret)
    assert changed is not None and (changed.language, changed.theme) == ("zh", "dark")
    store.log_out(login)
    assert store.login(secret) is None


def test_export_takes_the_majority_and_lists_the_rest(store: Store, tmp_path: Path) -> None:
    agreed, disputed, _, single = filled(store, n=4, seats=3, per_item=3)
    for seat in (1, 2, 3):
        store.save(seat, agreed, Form(Label("code" if seat < 3 else "math", "改正 ", score=seat / 4), 0, "p"))
        store.save(seat, disputed, Form(Label("math", f"own {seat}"), 0, "p"))
    store.save(2, single, Form(Label("math", None), 0, "p"))
    report = export(store, tmp_path / "golden.jsonl")
    assert (report.kept, report.disagreed, report.unlabelled, report.n_labels) == (2, 1, 1, 7)
    first, second = (row for row in read(tmp_path / "golden.jsonl") if isinstance(row, Sample))
    assert (first.prompt[0].content, first.answer, first.type) == ("题目 0", "改正 ", "code")
    assert first.language == "zh" and second.answer is None
    dispute = json.loads(Path(report.disagreements).read_text(encoding="utf-8"))
    assert dispute["item"] == disputed and dispute["fields"] == ["answer"]
    assert [x["answer"] for x in dispute["labels"]] == ["own 1", "own 2", "own 3"]
    rows = [json.loads(line) for line in Path(report.labels).read_text(encoding="utf-8").splitlines()]
    assert [row["score"] for row in rows[:3]] == [0.25, 0.5, 0.75] and rows[3]["score"] is None
    assert set(rows[0]) >= {"item", "annotator", "type", "answer", "score", "time", "note"}
    assert rows[0]["judged"] == "answer 0"
    one = export(store, tmp_path / "one.jsonl", by="人2")
    assert (one.kept, one.disagreed, one.unlabelled) == (3, 0, 1)
    with pytest.raises(AssayError, match="no such annotator"):
        export(store, tmp_path / "none.jsonl", by="nobody")
    found = status(store)
    assert (found.items, found.labels) == (4, 7)
    assert [(a.name, a.items, a.done, a.drafts) for a in found.annotators] == [
        ("人1", 4, 2, 0), ("人2", 4, 3, 0), ("人3", 4, 2, 0),
    ]  # fmt: skip
    assert found.agreement.scores.units == 1
    assert write_labels(store, tmp_path / "labels.jsonl") == 7


def test_the_commands_read_the_database(tmp_path: Path) -> None:
    opened = Store(str(tmp_path / "labels.sqlite"))
    item, *_ = filled(opened, seats=1, per_item=1)
    opened.save(1, item, form("改正", 0, score=0.5))
    opened.keep_draft(1, item, form("改", 1), Label())
    opened.close()
    found = annotate_status(str(tmp_path / "labels.sqlite"))
    (person,) = found.annotators
    assert (person.name, person.items, person.done, person.drafts) == ("人1", 3, 1, 1)
    report = annotate_export(f"sqlite:///{tmp_path}/labels.sqlite", out=tmp_path / "golden.jsonl")
    assert (report.kept, report.unlabelled) == (1, 2)
    with pytest.raises(AssayError, match="no such database"):
        annotate_status(str(tmp_path / "label.sqlite"))
    with pytest.raises(AssayError, match="no such database"):
        annotate_status(f"sqlite:///{tmp_path}/label.sqlite")
    assert not (tmp_path / "label.sqlite").exists()


@pytest.mark.parametrize("tables", ["", "CREATE TABLE runs (name TEXT)", "CREATE TABLE meta (name TEXT)"])
def test_a_database_of_others_is_refused_and_left_alone(tables: str, tmp_path: Path) -> None:
    place = tmp_path / "mlflow.db"
    with closing(sqlite3.connect(place)) as made:
        made.executescript(tables)
    place.touch()
    before = place.read_bytes()
    with pytest.raises(AssayError, match="no annotation database"):
        annotate_status(str(place))
    assert place.read_bytes() == before


def test_rows_that_cannot_be_used_are_told(tmp_path: Path) -> None:
    items, answers = tmp_path / "items.jsonl", tmp_path / "answers.jsonl"
    rows = [{"instruction": "写诗", "output": "好"}, {"instruction": "写诗", "output": "好"}, {"output": 3}]
    items.write_text("\n".join(json.dumps(row) for row in rows) + "\nnot json\n", encoding="utf-8")
    name = Sample.single("写诗", "好").id
    lines = [
        json.dumps({"item": name, "answer": "行"}), "", json.dumps({"item": name, "answer": "别的"}), "{",
        json.dumps({"item": name, "answer": None}), json.dumps({"item": "0", "answer": "x"}), "[]",
    ]  # fmt: skip
    answers.write_text("\n".join(lines), encoding="utf-8")
    found = read_items([str(items)], answers)
    assert list(found.items) == [name] and found.answers == {name: "行"}
    told = [(row.place, row.line) for row in found.rejected]
    assert told == [("items.jsonl", 2), ("items.jsonl", 3), ("items.jsonl", 4)] + [
        ("answers.jsonl", line) for line in (3, 4, 5, 6, 7)
    ]


def test_a_database_that_cannot_be_opened_says_so_without_its_password(tmp_path: Path) -> None:
    for place in (
        "postgresql://me:geheim@127.0.0.1:1/none",
        "mysql://me:geheim@host/x",
        "sqlite://",
        "a://b:c",
    ):
        with pytest.raises(AssayError) as caught:
            Store(place)
        assert "geheim" not in str(caught.value)
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(AssayError, match="cannot be opened"):
        Store(str(folder))
    text = tmp_path / "text.sqlite"
    text.write_text("this is no database, only a text that is long enough to be looked at " * 9)
    with pytest.raises(AssayError, match="cannot be opened"):
        Store(str(text))


def test_a_database_of_another_version_is_refused(store: Store, database: str) -> None:
    store.remember("schema", "999")
    with pytest.raises(AssayError, match="another version"):
        Store(database)


def test_sqlite_commits_to_the_disk(tmp_path: Path) -> None:
    opened = Store(str(tmp_path / "a.sqlite"))
    with opened._engine.connect() as connection:
        assert connection.execute(sqlalchemy.text("PRAGMA journal_mode")).scalar() == "wal"
        assert connection.execute(sqlalchemy.text("PRAGMA synchronous")).scalar() == 2
    opened.close()


def test_many_processes_open_a_new_database_at_once(database: str) -> None:
    ready = threading.Barrier(6)

    def go(_: int) -> None:
        ready.wait()
        Store(database).close()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(go, range(6)))
