from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import toys
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.core import AssayError
from assay.plan import Inline, Store, check_store, collect_garbage, execute, open_store, plan, run, status
from assay.plan._shared import SharedStore
from assay.view import value_markdown


def test_an_object_holds_its_files_and_a_manifest(place: str) -> None:
    store, step = open_store(place), toys.step("a")
    assert execute(place, step.payload())
    assert not execute(place, step.payload())
    manifest = store.manifest(step.key)
    assert manifest["config"] == dict(step.config)
    assert sorted(manifest["files"]) == ["part-0", "part-1", "part-2"]
    assert store.verify() == []
    assert not store.work(step.key).exists()


@pytest.mark.parametrize("harm", ["change", "add", "remove"])
def test_verify_finds_what_was_changed(tmp_path: Path, harm: str) -> None:
    store, step = Store(tmp_path), toys.step("a")
    execute(str(tmp_path), step.payload())
    file = store.path(step.key) / "part-1"
    if harm == "change":
        file.write_text("x" * file.stat().st_size)
    elif harm == "add":
        (store.path(step.key) / "more").touch()
    else:
        file.unlink()
    assert store.verify() == [step.key]


def test_two_at_once_compute_it_once(tmp_path: Path, place: str) -> None:
    open_store(place)
    step = toys.step("a", seconds=0.05, log=str(tmp_path / "log"))
    threads = [threading.Thread(target=execute, args=(place, step.payload())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "log").read_text().splitlines() == [step.key]


def test_discarded_objects_come_back_the_same(place: str) -> None:
    store, end = open_store(place), toys.diamond()
    run([end], store, Inline())
    before = {key: store.manifest(key)["files"] for key in store.completed()}
    for key in store.completed()[::2]:
        store.discard(key)
    store.discard(end.key)
    run([end], store, Inline())
    assert {key: store.manifest(key)["files"] for key in store.completed()} == before


def test_garbage_is_what_no_study_wants(place: str) -> None:
    store = open_store(place)
    kept, dropped = toys.diamond(2), toys.step("old", toys.step("root"))
    run([kept, dropped], store, Inline())
    store.register("new", [kept])
    store.register("old", [dropped])
    assert collect_garbage(store).objects == 0
    planned = collect_garbage(store, forget=["old"])
    assert (planned.objects, planned.deleted) == (1, False)
    assert store.has(dropped.key)
    assert "Nothing was deleted" in value_markdown(planned)
    assert collect_garbage(store, forget=["old"], dry_run=False).objects == 1
    assert not store.has(dropped.key)
    assert plan([kept], store).total.to_do == 0
    with pytest.raises(AssayError, match="no such study"):
        collect_garbage(store, forget=["old"])


def test_status_counts_what_is_there(place: str) -> None:
    store, end = open_store(place), toys.diamond(2)
    run([next(iter(end.inputs.values()))], store, Inline())
    store.register("half", [end])
    (found,) = status(store).studies
    assert (found.name, found.steps, found.done) == ("half", 4, 2)


def test_a_store_that_cannot_be_is_an_error_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(AssayError, match="not a folder"):
        Store(tmp_path / "file")
    with pytest.raises(AssayError, match="no store here"):
        status(Store(tmp_path / "absent", create=False))
    assert not (tmp_path / "absent").exists()


def flip(path: Path, place: int = 10) -> None:
    """Change one byte of a file, and nothing else that a listing shows."""
    before = path.stat()
    data = bytearray(path.read_bytes())
    data[place % len(data)] ^= 1
    path.write_bytes(bytes(data))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def fresh(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process of its own: it has digested nothing yet."""
    here = str(Path(__file__).parent)
    head = f"import sys; sys.path.insert(0, {here!r}); import toys\n"
    text = f"{head}from pathlib import Path\nfrom assay.plan import *\n{code}"
    return subprocess.run(
        [sys.executable, "-c", text, *arguments], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("harm", ["flip", "cut", "remove", "manifest"])
@pytest.mark.parametrize("whose", ["input", "target"])
def test_a_corrupt_object_is_named_set_aside_and_computed_again(
    tmp_path: Path, harm: str, whose: str
) -> None:
    store, end = Store(tmp_path), toys.step("end", toys.step("start"))
    run([end], store, Inline())
    (start,) = end.inputs.values()
    before = {key: store.manifest(key)["files"] for key in store.completed()}
    bad = start.key if whose == "input" else end.key
    if whose == "input":
        store.discard(end.key)
    file = store.place(bad) / ("manifest.json" if harm == "manifest" else "part-0")
    if harm == "flip":
        flip(file)
    elif harm == "remove":
        file.unlink()
    else:
        file.write_text(file.read_text()[:-20])
    again = "run([toys.step('end', toys.step('start'))], Store(Path(sys.argv[1])), Inline())"
    done = fresh(again, str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "corrupt" in done.stderr and file.stem in done.stderr
    assert {key: store.manifest(key)["files"] for key in store.completed()} == before
    assert [p.name.partition(".")[0] for p in (tmp_path / "corrupt").iterdir()] == [bad]
    assert check_store(store).intact


def test_reading_a_corrupt_object_is_an_error_and_the_next_run_is_right(tmp_path: Path) -> None:
    store, step = Store(tmp_path), toys.step("a")
    run([step], store, Inline())
    flip(store.path(step.key) / "part-1")
    text = f"print(Store(Path(sys.argv[1])).path({step.key!r}))"
    found = fresh(text, str(tmp_path))
    assert found.returncode == 1 and "part-1 has changed" in found.stderr and "step toy (a)" in found.stderr
    run([step], store, Inline())
    assert fresh(text, str(tmp_path)).returncode == 0


def test_an_object_is_digested_once_per_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, step = Store(tmp_path), toys.step("a")
    run([step], store, Inline())
    read: list[Path] = []
    from assay.plan import _intact

    real = _intact.file_digest
    monkeypatch.setattr(_intact, "file_digest", lambda path: (read.append(path), real(path))[1])
    for _ in range(3):
        store.path(step.key)
    assert not read  # digested when it was written
    _intact.forget(store.place(step.key))
    for _ in range(3):
        store.path(step.key)
    assert len(read) == 3  # three files, once
    (store.place(step.key) / "part-0").write_text("longer than it was, and changed")
    with pytest.raises(AssayError, match="part-0 has"):
        store.path(step.key)


def test_a_manifest_within_an_object_is_a_file_like_others(place: str) -> None:
    store = open_store(place)
    with store.attempt("k" * 64) as work:
        assert work is not None
        (work / "dataset").mkdir()
        (work / "dataset" / "manifest.json").write_text('{"rows": 3}')
        (work / "half.partial").mkdir()
        store.commit("k" * 64, {"name": "n", "label": "l"})
    assert list(store.manifest("k" * 64)["files"]) == ["dataset/manifest.json"]
    assert store.verify() == []
    assert (store.path("k" * 64) / "dataset" / "manifest.json").is_file()
    if not isinstance(store, SharedStore):  # of those what is in the bucket is verified
        flip(store.place("k" * 64) / "dataset" / "manifest.json")
        assert store.verify() == ["k" * 64]


def test_a_deletion_that_was_interrupted_does_not_stop_the_next(place: str) -> None:
    store, step = open_store(place), toys.step("a")
    for _ in range(3):
        run([step], store, Inline())
        left = store.root / "work" / f"{step.key}.discarded"
        left.mkdir(exist_ok=True)
        (left / "part-0").touch()
        store.discard(step.key)
        assert not store.has(step.key) and not left.exists()


def test_garbage_is_not_what_a_running_process_wants(tmp_path: Path) -> None:
    """A process that has begun a run, registered or not, keeps what it found until it ends."""
    store, step = Store(tmp_path), toys.step("a")
    run([step], store, Inline())
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(Path(__file__).parent), str(tmp_path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert holder.stdout is not None and holder.stdout.readline() == "ran\n"
    assert collect_garbage(store, dry_run=False).objects == 0 and store.has(step.key)
    holder.kill()
    holder.wait()
    assert collect_garbage(store, dry_run=False).objects == 1 and not store.has(step.key)
    assert list((tmp_path / "held").glob(f"{holder.pid}-*")) == []


HOLDER = """
import sys; sys.path.insert(0, sys.argv[1])
import toys
from pathlib import Path
from assay.plan import Inline, Store, run
run([toys.step("a")], Store(Path(sys.argv[2])), Inline())
print("ran", flush=True)
sys.stdin.read()
"""

STRESS = """
import sys; sys.path.insert(0, sys.argv[1])
import toys
from pathlib import Path
from assay.plan import Inline, Store, collect_garbage, run
store, number = Store(Path(sys.argv[2])), int(sys.argv[3])
for turn in range(12):
    if number == 0:
        collect_garbage(store, dry_run=False)
        continue
    end = toys.diamond(3)
    run([end], store, Inline())
    assert len((store.path(end.key) / "part-0").read_text()) == 64
"""


def test_studies_and_garbage_collection_at_once(tmp_path: Path) -> None:
    """Three processes want one result while a fourth deletes all that nobody wants, again and again."""
    here = str(Path(__file__).parent)
    runs = [
        subprocess.Popen([sys.executable, "-c", STRESS, here, str(tmp_path), str(k)], stderr=subprocess.PIPE)
        for k in range(4)
    ]
    said = [process.communicate()[1].decode() for process in runs]
    assert [process.returncode for process in runs] == [0] * 4, said
    assert Store(tmp_path).verify() == []


def test_a_lock_that_was_deleted_is_no_lock(tmp_path: Path) -> None:
    """Who waited for a lock file that its holder deleted takes the new one, not the old."""
    store, key = Store(tmp_path), toys.step("a").key
    order: list[str] = []
    with store.attempt(key):
        waiting = threading.Thread(target=lambda: _attempt(store, key, order))
        waiting.start()
        time.sleep(0.2)
        (tmp_path / "work" / f"{key}.lock").unlink()
        other = threading.Thread(target=lambda: _attempt(store, key, order))
        other.start()
        time.sleep(0.2)
    waiting.join()
    other.join()
    assert order == ["in", "out"] * 2


def _attempt(store: Store, key: str, order: list[str]) -> None:
    with store.attempt(key):
        order.append("in")
        time.sleep(0.3)
        order.append("out")


def test_a_broken_root_is_an_error_with_its_place_and_nothing_is_deleted(tmp_path: Path) -> None:
    store, step = Store(tmp_path), toys.step("a")
    run([step], store, Inline())
    (tmp_path / "roots" / "mine.json").write_text('["abc')
    for act in (status, lambda s: collect_garbage(s, dry_run=False)):
        with pytest.raises(AssayError) as caught:
            act(store)
        assert "mine.json" in (caught.value.place or "") and caught.value.hint
    assert store.has(step.key)
    assert check_store(store).unreadable == (str(tmp_path / "roots" / "mine.json"),)


@settings(max_examples=20, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("run"), st.integers(1, 3)),
            st.tuples(st.just("harm"), st.integers(0, 40)),
            st.tuples(st.just("discard"), st.integers(0, 40)),
            st.tuples(st.just("collect"), st.booleans()),
            st.tuples(st.just("register"), st.integers(1, 3)),
        ),
        max_size=12,
    )
)
def test_whatever_happens_a_run_ends_with_the_same_objects(acts: list[tuple[str, Any]]) -> None:
    """Law: after runs, harms, deletions in any order, what a run leaves is what an undisturbed run leaves."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "s")
        for act, value in acts:
            keys = store.completed()
            if act == "run":
                run([toys.diamond(value)], store, Inline())
            elif act == "register":
                store.register(f"study{value}", [toys.diamond(value)])
            elif act == "collect":
                collect_garbage(store, dry_run=value)
            elif keys and act == "discard":
                store.discard(keys[value % len(keys)])
            elif keys:
                file = store.place(keys[value % len(keys)]) / f"part-{value % 3}"
                file.write_text(file.read_text()[::-1] + "x")
        end, whole = toys.diamond(3), Store(Path(folder) / "whole")
        run([end], whole, Inline())
        run([end], store, Inline())
        assert store.manifest(end.key)["files"] == whole.manifest(end.key)["files"]
        assert store.corruption(end.key) is None
        # What was not read may still be corrupt: it is found when it is.
        store.discard(end.key)
        run([end], store, Inline())
        assert store.manifest(end.key)["files"] == whole.manifest(end.key)["files"]
        check_store(store, repair=True)
        assert check_store(store).intact
        for key in set(store.completed()) & set(whole.completed()):
            assert store.manifest(key)["files"] == whole.manifest(key)["files"]
