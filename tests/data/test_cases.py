"""Broken, odd and hostile files: each row is kept or rejected with a reason, or the file is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from assay.core import AssayError, Sample
from assay.data import Rejected, inspect, output, read, write, write_rejected

FILES = Path(__file__).parent / "cases" / "files"
ROWS = Path(__file__).parent / "cases" / "rows"

# File, rows kept, rows rejected, what the reasons say.
EXPECTED: dict[str, tuple[int, int, str]] = {
    "arrowmagic.jsonl": (0, 1, "cannot be read after row 0: Not an Arrow file"),
    "bigint.json": (3, 0, ""),
    "bin.parquet": (0, 2, "instruction is a bytes, not a text"),
    "cat2.json": (400, 0, ""),
    "comma.json": (2, 0, ""),
    "cut.parquet": (0, 1, "magic bytes not found"),
    **{f"deep{n}.json": (2, 3, "nested more than 100 levels|no known schema; keys: a")
       for n in (500, 900, 990, 1000, 1020, 1023, 1024, 5000)},
    "dict.parquet": (1, 1, "output is null"),
    "dupheader.csv": (0, 1, "the header has the column 'output' twice"),
    "empty.json": (0, 0, ""),
    "empty.jsonl.gz": (0, 0, ""),
    "emptylist.json": (0, 0, ""),
    "flip.jsonl.gz": (0, 1, "breaks off"),
    "gbk_mixed.jsonl": (6, 0, ""),
    "inv_utf8_broken.json": (1, 2, "not valid UTF-8|broken JSON"),
    "map.parquet": (1, 0, ""),
    "multi.jsonl.gz": (400, 0, ""),
    "multi.jsonl.zst": (400, 0, ""),
    "nan.jsonl": (1, 1, "output is NaN"),
    "nul.csv": (1, 1, "NUL"),
    "nullcol.parquet": (0, 2, "output is null"),
    "ok.parquet": (2, 0, ""),
    "open.json": (0, 1, "not closed"),
    "segv.arrow": (0, 12, "cannot be read: In column 1"),
    "semi.csv": (2, 0, ""),
    "stray_pair.csv": (49, 51, "inside the quoted cell that opens in line 2: 49 of its lines look like rows"),
    "surr.jsonl": (1, 2, "half of a surrogate pair"),
    "surr_src.json": (1, 1, "language holds half of a surrogate pair"),
    "trail.jsonl.xz": (200, 1, "breaks off after line 200: the compressed data is damaged"),
    "traintest.json": (50, 0, ""),
    "trunc.jsonl.bz2": (0, 1, "cut off"),
    "trunc.jsonl.xz": (88, 1, "breaks off after line 88: the compressed data is cut off"),
    "ts_ns.parquet": (2, 0, ""),
    "ts_us_over.parquet": (2, 0, ""),
    "unclosed_quote.csv": (99, 1, "a quote that opens in this line is not closed"),
    "utf16.csv": (2, 0, ""),
    "utf16_odd.csv": (1, 1, "does not decode"),
    "utf16_sur.csv": (1, 1, "does not decode"),
    "utf16_sur.jsonl": (1, 1, "not valid UTF-16"),
    "version_data.json": (50, 0, ""),
}  # fmt: skip


def both(path: Path) -> tuple[list[Sample], list[Rejected]]:
    found = list(read(path))
    return [r for r in found if isinstance(r, Sample)], [r for r in found if isinstance(r, Rejected)]


def test_every_file_is_expected() -> None:
    assert {path.name for path in FILES.iterdir()} == set(EXPECTED)


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_rows_are_kept_or_rejected_with_a_reason(name: str, tmp_path: Path) -> None:
    kept, rejected, reasons = EXPECTED[name]
    samples, refused = both(FILES / name)
    assert (len(samples), len(refused)) == (kept, rejected)
    for row in refused:
        assert any(part in row.reason for part in reasons.split("|")), row.reason
    report = tmp_path / "rejected.jsonl"
    assert write_rejected(refused, output(report)) == rejected
    assert [json.loads(line)["line"] for line in report.read_text().splitlines()] == [r.line for r in refused]
    assert write(samples, tmp_path / "kept.jsonl", "samples") == kept
    again, _ = both(tmp_path / "kept.jsonl")
    assert [s.id for s in again] == [s.id for s in samples]
    found = inspect([str(FILES / name)])
    assert (found.samples, found.rejected) == (kept, rejected)


def test_splits_are_named() -> None:
    reading = read(FILES / "traintest.json")
    found = [row for row in reading if isinstance(row, Sample)]
    assert dict(reading.splits) == {"train": 5, "test": 45}
    assert {s.source for s in found} == {"traintest/train", "traintest/test"}
    assert found[5].origin == "traintest.json[test]:1"
    version = read(FILES / "version_data.json")
    list(version)
    assert dict(version.unused) == {"version (beside the rows)": 1}


def test_joined_files_of_two_encodings_are_read_as_they_are() -> None:
    samples, _ = both(FILES / "gbk_mixed.jsonl")
    assert {s.prompt[0].content for s in samples} == {"你好世界"}


def test_numbers_are_kept_as_they_are_written() -> None:
    samples, refused = both(ROWS / "07_numbers.jsonl")
    assert [s.answer for s in samples] == [
        "1180591620717411303424", "40000000000000000017", "1e400", "0.33333333333333333333",
    ]  # fmt: skip
    assert samples[1].prompt[0].content.endswith("\n\n40000000000000000017")
    assert [r.reason.split(",")[0] for r in refused] == ["input is NaN", "output is NaN", "output is a bool"]
    assert both(FILES / "bigint.json")[0][1].prompt[0].content == "1" * 5000


def test_a_key_given_twice_is_said() -> None:
    samples, refused = both(ROWS / "22_dupkeys.jsonl")
    assert not samples
    assert [r.reason for r in refused] == [
        "the key 'output' is given twice",
        "the key 'instruction' is given twice",
    ]


@pytest.mark.parametrize("name", ["09b_merged_columns.parquet", "21_union.jsonl"])
def test_null_keys_count_as_absent(name: str) -> None:
    samples, refused = both(ROWS / name)
    assert not refused
    assert len(samples) == {"09b_merged_columns.parquet": 3, "21_union.jsonl": 6}[name]


def test_dialogues_become_turns() -> None:
    reading = read(ROWS / "03_belle_multiturn.jsonl")
    found = [row for row in reading if isinstance(row, Sample)]
    assert [len(s.messages) for s in found] == [4, 4, 2, 2]
    assert [m.content for m in found[0].messages] == [
        "推荐一种茶",
        "可以试试龙井。",
        "它产自哪里",
        "龙井产自浙江杭州。",
    ]
    assert dict(reading.notes) == {"answers that go on as the user (`Human:`)": 1}
    single, _ = both(ROWS / "05_input_target.jsonl")
    assert [(s.prompt[0].content, s.answer) for s in single] == [
        ("写出中国的首都", "北京。"), ("把这句话翻译成英文：早上好", "Good morning."),
    ]  # fmt: skip


def test_tools_and_weights_are_part_of_the_conversation() -> None:
    samples, refused = both(ROWS / "02_tools.jsonl")
    assert not refused
    calls = [
        json.loads(m.tool_calls)[0]["function"]["name"] for s in samples for m in s.messages if m.tool_calls
    ]
    assert calls == ["weather"] * 3
    assert samples[0].messages[1].content == "I will look that up."
    assert [m.role for m in samples[2].messages] == ["user", "assistant", "tool", "assistant"]
    assert samples[2].tools == samples[3].tools == '[{"name":"weather"}]'
    assert [m.learned for m in samples[5].messages] == [True, False, True, True]
    assert samples[4].answer == "A heron."


def test_no_input_is_no_part_of_the_prompt() -> None:
    reading = read(ROWS / "15_placeholders.jsonl")
    found = [row for row in reading if isinstance(row, Sample)]
    assert [s.prompt[0].content for s in found[:3]] == [
        "Name a kind of cloud.", "Name a kind of rock.", "Name a kind of cheese.",
    ]  # fmt: skip
    assert found[6].prompt[0].content == "Name a kind of tree that loses its leaves."
    assert list(reading.notes.values()) == [4]


@pytest.mark.parametrize(
    ("content", "kind"),
    [(b"PK\x03\x04" + b"\0" * 90, "zip"), (b"%PDF-1.7", "PDF"), (b"SQLite format 3\0", "SQLite"),
     (b"\0" * 257 + b"ustar  ", "tar"), (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS")],
)  # fmt: skip
def test_what_is_no_data_set_is_refused_with_one_error(content: bytes, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(content)
    with pytest.raises(AssayError, match=kind):
        list(read(path))
