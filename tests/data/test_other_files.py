# ruff: noqa: E501 - rows of a table
"""What is no data set, or one in an encoding that is not read, is refused: never read as something else."""

from __future__ import annotations

import gzip
import json
import os
import pickle
import socket
from pathlib import Path

import pytest

from assay.core import AssayError, Sample
from assay.data import Rejected, convert, read

ROW = {"instruction": "What is it?", "output": "It is so."}
LINE = json.dumps(ROW) + "\n"


@pytest.mark.parametrize(
    ("encoding", "question", "answer"),
    [
        ("latin-1", "D\xe9finis", "\xe9t\xe9s"),
        ("latin-1", "O\xf9 est l'\xe9t\xe9 ?", "tr\xe8s pr\xe8s"),
        ("cp1252", "say \u201chi\u201d", "na\xefve caf\xe9s"),
        ("big5", "\u53f0\u7063\u7684\u9996\u90fd\u5728\u54ea\u88e1\uff1f", "\u81fa\u5317\u3002"),
        ("shift-jis", "\u65e5\u672c\u306e\u9996\u90fd\u306f\uff1f", "\u6771\u4eac\u3067\u3059\u3002\u30ab\u30bf\u30ab\u30ca"),
        ("euc-kr", "\ud55c\uad6d\uc758 \uc218\ub3c4\ub294 \uc5b4\ub514\uc785\ub2c8\uae4c?", "\uc11c\uc6b8\uc785\ub2c8\ub2e4."),
        ("gb18030", "\u5317\u4eac\u662f\u54ea\u91cc\uff1f", "\u4e2d\u56fd\u7684\u9996\u90fd\u3002"),
        ("gb18030", "\u81fa\u7063\u7684\u9996\u90fd\u5728\u54ea\u88e1\uff1f\u8acb\u56de\u7b54\u6211", "\u81fa\u5317\u5e02\uff0c\u5728\u53f0\u6e7e\u7684\u5317\u90e8\u3002"),
    ],
)  # fmt: skip
def test_no_text_becomes_another(encoding: str, question: str, answer: str, tmp_path: Path) -> None:
    row = json.dumps({"instruction": question, "output": answer}, ensure_ascii=False)
    (tmp_path / "x.jsonl").write_bytes((row + "\n").encode(encoding))
    (found,) = read(tmp_path / "x.jsonl")
    if isinstance(found, Sample):
        assert (found.prompt[0].content, found.answer) == (question, answer)
    assert isinstance(found, Sample) == (encoding == "gb18030")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("marked", [True, False])
def test_files_that_were_joined_are_read(encoding: str, marked: bool, tmp_path: Path) -> None:
    mark = "\ufeff" if marked else ""
    (tmp_path / "x.jsonl").write_bytes((mark + LINE * 3 + mark + LINE).encode(encoding))
    assert [isinstance(row, Sample) for row in read(tmp_path / "x.jsonl")] == [True] * 4
    table = mark + "instruction,output\na,b\n"
    (tmp_path / "x.csv").write_bytes((table * 2).encode(encoding))
    first, header, second = read(tmp_path / "x.csv")
    assert isinstance(first, Sample) and isinstance(second, Sample)
    assert isinstance(header, Rejected) and "stands here again" in header.reason


def test_lines_may_end_as_on_old_macs(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text(LINE.replace("\n", "\r") * 3, newline="")
    assert [isinstance(row, Sample) for row in read(tmp_path / "x.jsonl")] == [True] * 3


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (gzip.compress(gzip.compress(LINE.encode())), "gzip within gzip"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "old Excel"),
        (b'\x04"M\x18' + bytes(40), "LZ4"),
        (b"\x1f\x9d\x90abc", "compress"),
        (pickle.dumps([ROW]), "pickle"),
        (b"\x93NUMPY\x01\x00", "NumPy"),
        (b"<?xml version='1.0'?><rows/>", "XML"),
    ],
    ids=["gzip", "excel", "lz4", "compress", "pickle", "numpy", "xml"],
)
def test_what_is_no_data_set_is_named(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_bytes(content)
    with pytest.raises(AssayError, match=said):
        list(read(tmp_path / "x.jsonl"))


def test_pipes_sockets_and_links_to_nowhere_are_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop").symlink_to("loop")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "s"))
        for name in ("pipe", "s", "gone", "loop"):
            with pytest.raises(AssayError, match=r"not a file|leads to no file"):
                read(tmp_path / name)


@pytest.mark.parametrize("name", ["n" * 244, "长" * 80])
def test_a_name_too_long_for_what_lies_beside_it_is_refused_first(name: str, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text(LINE)
    with pytest.raises(AssayError, match="name of the output is too long"):
        convert([tmp_path / "in.jsonl"], tmp_path / f"{name}.jsonl")
    assert [p.name for p in tmp_path.iterdir()] == ["in.jsonl"]
