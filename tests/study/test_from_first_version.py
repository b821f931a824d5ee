"""A store and a report that Assay 0.1.0 wrote, opened by this version.

``written-by-0.1.0.tar.xz`` is what its ``assay study run`` left of a study of two sizes on the testbed; the
folders of weights were taken out, as `assay gc` might have.
"""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

import assay
from assay.core import AssayError
from assay.plan import Store, check_store, status

HERE = Path(__file__).resolve().parent


@pytest.fixture
def left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of that time."""
    with tarfile.open(HERE / "written-by-0.1.0.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    (tmp_path / "store").rename(tmp_path / ".assay")
    (tmp_path / "runs").mkdir()
    (tmp_path / "report").rename(tmp_path / "runs" / "old")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_its_objects_are_read_and_intact(left: Path) -> None:
    store = Store(left / ".assay")
    assert (left / ".assay" / "format").read_text() == "2\n"
    found = status(store)
    assert [(s.name, s.steps, s.done) for s in found.studies] == [("old", 14, 11)]
    assert not check_store(store).corrupt
    for key in store.completed():
        assert store.manifest(key)["assay"] == "0.1.0"
        store.path(key)


def test_a_store_that_is_only_read_is_left_as_it_is(left: Path) -> None:
    Store(left / ".assay", create=False)
    assert not (left / ".assay" / "format").exists()


@pytest.mark.parametrize("said", ["3", "99", "two", ""])
def test_a_store_of_a_later_version_is_refused(tmp_path: Path, said: str) -> None:
    Store(tmp_path)
    (tmp_path / "format").write_text(said)
    for create in (True, False):
        with pytest.raises(AssayError, match="later version"):
            Store(tmp_path, create=create)


def test_the_plan_does_not_take_its_report_for_another_study(left: Path) -> None:
    assert not [n for n in assay.study.plan("study.yaml").notes if "other_report" in repr(n)]


@pytest.mark.long
def test_its_study_runs_beside_what_it_left(left: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = Store(left / ".assay").completed()
    assay.study.run("study.yaml")
    assert "the report of Assay 0.1.0 in runs/old is now in" in capsys.readouterr().err
    assert (left / "runs" / "old.1" / "points.csv").exists()
    assert (left / "runs" / "old" / "report.html").exists()
    store = Store(left / ".assay")
    assert set(old) < set(store.completed())
    assay.gc(delete=True)  # what only the earlier version wanted goes; what both share stays
    assert not check_store(store).corrupt
    assay.study.run("study.yaml")
