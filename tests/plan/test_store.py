from __future__ import annotations

import threading
from pathlib import Path

import pytest
import toys

from assay.core import AssayError
from assay.plan import Inline, Store, collect_garbage, execute, plan, run, status


def test_an_object_holds_its_files_and_a_manifest(tmp_path: Path) -> None:
    store, step = Store(tmp_path), toys.step("a")
    assert execute(str(tmp_path), step.payload())
    assert not execute(str(tmp_path), step.payload())
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


def test_two_at_once_compute_it_once(tmp_path: Path) -> None:
    Store(tmp_path / "s")
    step = toys.step("a", seconds=0.05, log=str(tmp_path / "log"))
    threads = [threading.Thread(target=execute, args=(str(tmp_path / "s"), step.payload())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "log").read_text().splitlines() == [step.key]


def test_discarded_objects_come_back_the_same(tmp_path: Path) -> None:
    store, end = Store(tmp_path), toys.diamond()
    run([end], store, Inline())
    before = {key: store.manifest(key)["files"] for key in store.completed()}
    for key in store.completed()[::2]:
        store.discard(key)
    store.discard(end.key)
    run([end], store, Inline())
    assert {key: store.manifest(key)["files"] for key in store.completed()} == before


def test_garbage_is_what_no_study_wants(tmp_path: Path) -> None:
    store = Store(tmp_path)
    kept, dropped = toys.diamond(2), toys.step("old", toys.step("root"))
    run([kept, dropped], store, Inline())
    store.register("new", [kept])
    store.register("old", [dropped])
    assert collect_garbage(store).objects == 0
    planned = collect_garbage(store, forget=["old"])
    assert (planned.objects, planned.deleted) == (1, False)
    assert store.has(dropped.key)
    assert collect_garbage(store, forget=["old"], dry_run=False).objects == 1
    assert not store.has(dropped.key)
    assert plan([kept], store).total.to_do == 0
    with pytest.raises(AssayError, match="no such study"):
        collect_garbage(store, forget=["old"])


def test_status_counts_what_is_there(tmp_path: Path) -> None:
    store, end = Store(tmp_path), toys.diamond(2)
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
