"""Expected failures become errors with place and remedy; faults of the program stay what they are."""

from __future__ import annotations

import errno
import json
import os
import sqlite3
import sys
import zipfile
from pathlib import Path

import pytest

from assay import cli
from assay.core import (
    DISTRIBUTION,
    AssayError,
    as_assay_error,
    expected_failures,
    module_of,
    packages_of_extras,
    read_json,
    read_json_lines,
)

EXPECTED = [
    OSError(errno.ENOSPC, "No space left on device", "/full/file"),
    OSError(errno.EROFS, "Read-only file system", "/ro/file"),
    PermissionError(errno.EACCES, "Permission denied", "/shut/file"),
    OSError(errno.ENAMETOOLONG, "File name too long", "x" * 300),
    FileNotFoundError(errno.ENOENT, "No such file or directory", "/absent"),
    OSError(errno.EIO, "Input/output error", "/worn"),
    Exception("Error while serializing: I/O error: No space left on device (os error 28)"),
    sqlite3.OperationalError("database or disk is full"),
    sqlite3.OperationalError("attempt to write a readonly database"),
    OSError("[Errno 28] Error writing bytes to file. Detail: [errno 28] No space left on device"),
    json.JSONDecodeError("Expecting value", "", 0),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    EOFError("Compressed file ended before the end-of-stream marker was reached"),
    zipfile.BadZipFile("File is not a zip file"),
    MemoryError(),
    RecursionError(),
]


@pytest.mark.parametrize("error", EXPECTED, ids=lambda error: type(error).__name__)
def test_what_is_expected_has_place_and_remedy(error: BaseException) -> None:
    found = as_assay_error(error, "the place")
    assert found is not None and found.place
    assert found.hint or found.expected
    assert "Errno" not in str(found) and "Traceback" not in str(found)


@pytest.mark.parametrize("error", [ValueError("x"), KeyError("x"), ZeroDivisionError(), OSError("odd")])
def test_faults_of_the_program_are_not_explained_away(error: Exception) -> None:
    assert as_assay_error(error) is None
    with pytest.raises(type(error)), expected_failures("here"):
        raise error


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", dict),
        (b'{"a": ', dict),
        (b"[1]", dict),
        (b"{}", list),
        (b"\xff\xfe{", dict),
        (b"[" * 10**5, list),
    ],
)
def test_a_broken_file_of_ours_is_an_error_with_its_place(tmp_path: Path, content: bytes, kind: type) -> None:
    path = tmp_path / "models.json"
    path.write_bytes(content)
    with pytest.raises(AssayError) as caught:
        read_json(path, kind)
    assert str(path) in (caught.value.place or "") and caught.value.hint


def test_lines_end_at_line_feeds_alone(tmp_path: Path) -> None:
    """A text may hold the other line ends of Unicode, and JSON may write them as they are."""
    path = tmp_path / "receipts.jsonl"
    rows = [{"text": "a\u2028b\u2029c\x85d\x0be\x1cf"}, {"text": "\ufeff"}]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n\n" for row in rows), "utf-8")
    assert [row for _, row in read_json_lines(path)] == rows
    with path.open("ab") as file:
        file.write(b'{"cut": ')
    with pytest.raises(AssayError, match="not JSON") as caught:
        list(read_json_lines(path, hint="again"))
    assert caught.value.place == f"{path}:5" and caught.value.hint == "again"


def test_a_file_too_large_to_be_ours_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    with path.open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(AssayError, match="too large") as caught:
        read_json(path)
    assert caught.value.place == str(path)


def test_an_error_writes_any_value() -> None:
    laughs: list[object] = ["ha"] * 9
    for _ in range(12):
        laughs = [laughs] * 9
    for value in (laughs, 16**5000, {"a": laughs}):
        assert len(str(AssayError("wrong", value=value))) < 1_000


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_shut_file_is_an_error_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text("{}")
    path.chmod(0)
    with pytest.raises(AssayError, match="permission denied"):
        read_json(path)


def test_a_package_of_an_extra_that_is_missing_is_told_with_the_extra() -> None:
    """Every one of them; a module that no extra brings is a fault of the program."""
    extras = list(packages_of_extras())
    if not extras:
        pytest.skip("Assay is not installed here but run from its sources")
    assert len(extras) > 20
    for _, package in extras:
        missing = ModuleNotFoundError("No module named …", name=f"{module_of(package)}.part")
        found = as_assay_error(missing, "here")
        assert found is not None and package in str(found), package
        brings = {extra for extra, one in extras if one == package}
        assert any(f'"{DISTRIBUTION}[{extra}]"' in str(found.hint) for extra in brings)
    assert as_assay_error(ModuleNotFoundError("…", name="assay.absent")) is None


def test_a_command_says_which_extra_it_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if not list(packages_of_extras()):
        pytest.skip("Assay is not installed here but run from its sources")
    monkeypatch.setitem(sys.modules, "faiss", None)
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps({"instruction": f"{i}?", "output": f"{i}"}) + "\n" for i in range(40)))
    with pytest.raises(SystemExit, match="1"):
        cli.main(
            ["select", str(rows), "--out", str(tmp_path / "o.jsonl"), "--n", "5", "--rule", "clusters",
             "--embedder", "lexical"]
        )  # fmt: skip
    told = capsys.readouterr().err
    assert "faiss-cpu is not installed" in told and "Traceback" not in told
    assert not (tmp_path / "o.jsonl").exists()
