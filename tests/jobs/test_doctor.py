"""What is installed and works: from the package's own metadata, each in a process of its own."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from rich.console import Console

from assay import view
from assay._catalogue import CATALOGUE
from assay.jobs import _doctor
from assay.jobs._doctor import Needed, doctor


def test_every_extra_is_listed_with_commands_that_exist(tmp_path: Path) -> None:
    found = doctor(store=tmp_path / "store")
    assert set(found.ready) == set(_doctor.NEEDS)
    assert {command for commands in _doctor.NEEDS.values() for command in commands} <= set(CATALOGUE)
    assert found.ready["train"] and "not made yet" in str(found.store)
    versions = {p.package: p.version for p in found.packages}
    assert versions["torch"] and versions["fastapi"]


def test_a_package_that_is_absent_or_broken_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_part.py").write_text("raise ImportError('libcuda.so.1 is missing')")
    (tmp_path / "whole_part.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    broken = _doctor._tried(Needed("train", "broken-part", "1.0"))
    assert broken.loads is False and "libcuda.so.1 is missing" in broken.problem
    assert _doctor._tried(Needed("train", "whole-part", "1.0")).loads is True
    absent = Needed("ui", "no-such-package", None)
    shown = _doctor.Doctor("1", sys.version, "cpu", "", (broken, absent))
    assert shown.ready == {"train": False, "ui": False}
    out = io.StringIO()
    view.print_value(shown, Console(file=out, width=100))
    text = out.getvalue()
    assert "libcuda" in text and "no-such-package" in text and "instruct-assay[train,ui]" in text
