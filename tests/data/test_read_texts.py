from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from assay.core import AssayError
from assay.data import read_texts


def test_lines_fields_and_turns_are_texts(tmp_path: Path) -> None:
    plain = "第一行\n\nSecond line\n"
    (tmp_path / "a.txt").write_text(plain, encoding="utf-8-sig")
    with gzip.open(tmp_path / "b.txt.gz", "wt", encoding="utf-8") as lines:
        lines.write(plain)
    rows = [{"text": "整篇\n文章", "id": 1}, {"text": None}, {"text": "Two"}]
    (tmp_path / "c.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    turns = [{"instruction": "一加一？", "input": "", "output": "二"}, {"instruction": None}]
    (tmp_path / "d.json").write_text(json.dumps(turns, ensure_ascii=False), encoding="utf-8")
    assert list(read_texts(tmp_path / "a.txt")) == ["第一行", "Second line"]
    assert list(read_texts(tmp_path / "b.txt.gz")) == ["第一行", "Second line"]
    assert list(read_texts(tmp_path / "c.jsonl")) == ["整篇\n文章", "Two"]
    assert list(read_texts(tmp_path / "d.json")) == ["一加一？", "二"]


def test_a_folder_is_read_file_by_file_and_watched(tmp_path: Path) -> None:
    (tmp_path / "1.jsonl").write_text('{"text": "eins"}\n')
    (tmp_path / "2.jsonl").write_text('{"prompt": "Say two", "response": "zwei"}\n')
    told: list[tuple[int, int]] = []
    assert list(read_texts(tmp_path, watch=lambda done, total: told.append((done, total)))) == [
        "eins",
        "Say two",
        "zwei",
    ]
    total = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert told[-1] == (total, total)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_text_that_does_not_decode_is_an_error_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("eins\nzwei\n".encode("utf-16"))
    assert list(read_texts(path)) == ["eins", "zwei"]
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(AssayError, match=r"a\.txt:2: the line does not decode"):
        list(read_texts(path))
    path.write_bytes("第一行\n".encode() + b"\xff\xfe\xff\n")
    with pytest.raises(AssayError, match=r"a\.txt:2"):
        list(read_texts(path))


def test_a_place_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(AssayError, match="nothing to read"):
        list(read_texts(tmp_path / "none.txt"))


def test_a_text_that_breaks_off_is_an_error_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "a.txt.gz"
    path.write_bytes(gzip.compress(b"one\ntwo\n" * 40_000)[:-200])
    with pytest.raises(AssayError, match="breaks off") as caught:
        list(read_texts(path))
    assert (caught.value.place or "").startswith(str(path))
