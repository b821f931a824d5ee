from __future__ import annotations

import bz2
import gzip
import json
import lzma
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from assay.core import AssayError, Message, Sample
from assay.data import MAX_CHARACTERS, Rejected, read

ALPACA = [
    {"instruction": "Name a fruit.", "input": "", "output": "Apple"},
    {"instruction": "翻译成英文", "input": "苹果", "output": "apple"},
]


def rows(path: Path, **options: str) -> list[Sample | Rejected]:
    return list(read(path, **options))  # type: ignore[arg-type]


def samples(path: Path) -> list[Sample]:
    found = rows(path)
    assert all(isinstance(row, Sample) for row in found), found
    return found  # type: ignore[return-value]


def jsonl(path: Path, values: list[Any]) -> Path:
    path.write_text("".join(json.dumps(v, ensure_ascii=False) + "\n" for v in values), encoding="utf-8")
    return path


def texts(sample: Sample) -> list[tuple[str, str]]:
    return [(m.role, m.content) for m in sample.messages]


@pytest.mark.parametrize(
    ("format", "row", "turns"),
    [
        ("alpaca", ALPACA[1], [("user", "翻译成英文\n\n苹果"), ("assistant", "apple")]),
        (
            "alpaca",
            {"instruction": "b", "output": "c", "history": [["x", "y"]], "system": "s"},
            [("system", "s"), ("user", "x"), ("assistant", "y"), ("user", "b"), ("assistant", "c")],
        ),
        ("alpaca", {"instruction": "a", "input": "", "response": "r"}, [("user", "a"), ("assistant", "r")]),
        (
            "sharegpt",
            {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]},
            [("user", "q"), ("assistant", "a")],
        ),
        (
            "messages",
            {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]},
            [("user", "q"), ("assistant", "a")],
        ),
        ("question-answer", {"question": "1+1?", "answer": 2}, [("user", "1+1?"), ("assistant", "2")]),
        ("prompt-completion", {"prompt": "p", "completion": "c"}, [("user", "p"), ("assistant", "c")]),
        (
            "self-instruct",
            {"instruction": "i", "instances": [{"input": "x", "output": "y"}, {"input": "z", "output": "w"}]},
            [("user", "i\n\nx"), ("assistant", "y")],
        ),
        (
            "multiple-choice",
            {"question": "q", "A": "one", "B": "two", "answer": "B"},
            [("user", "q\n\nA. one\nB. two"), ("assistant", "B")],
        ),
    ],
)
def test_formats(tmp_path: Path, format: str, row: dict[str, Any], turns: list[tuple[str, str]]) -> None:
    path = jsonl(tmp_path / "x.jsonl", [row])
    reading = read(path)
    assert reading.detection.format == format
    assert "`" in reading.detection.why
    (sample,) = samples(path)
    assert texts(sample) == turns
    assert sample.origin == "x.jsonl:1"
    assert sample.source == "x"


def test_belle_evaluation(tmp_path: Path) -> None:
    values = [
        {"question": "中国的首都是哪里？", "std_answer": "北京", "class": "closed\xa0qa"},
        {"question": "写一首诗", "std_answer": "", "class": "generation"},
        {"question": "抽取人名", "std_answer": "张三", "class": "extract"},
    ]
    found = samples(jsonl(tmp_path / "e.jsonl", values))
    assert [s.type for s in found] == ["closed_qa", "generation", "extraction"]
    assert [s.answer for s in found] == ["北京", None, "张三"]
    assert {s.language for s in found} == {"zh"}


@pytest.mark.parametrize("layout", ["jsonl", "array", "indented array", "wrapped", "csv", "tsv", "parquet"])
def test_containers_hold_the_same_samples(tmp_path: Path, layout: str) -> None:
    path = tmp_path / "data.bin"
    if layout == "jsonl":
        jsonl(path, ALPACA)
    elif layout == "parquet":
        pq.write_table(pa.Table.from_pylist(ALPACA), path)
    elif layout in ("csv", "tsv"):
        comma = "," if layout == "csv" else "\t"
        path = tmp_path / f"data.{layout}"
        lines = [["Instruction", "input", "output"], *([*row.values()] for row in ALPACA)]
        path.write_text("\n".join(comma.join(f'"{v}"' for v in line) for line in lines))
    else:
        value = {"data": ALPACA} if layout == "wrapped" else ALPACA
        path.write_text(json.dumps(value, indent=2 if layout == "indented array" else None))
    expected = samples(jsonl(tmp_path / "x.jsonl", ALPACA))
    assert [texts(s) for s in samples(path)] == [texts(s) for s in expected]


@pytest.mark.parametrize("kind", ["gz", "xz", "zst", "bz2"])
def test_compressed_and_cut_off(tmp_path: Path, kind: str) -> None:
    pack = {
        "gz": gzip.compress, "xz": lzma.compress, "zst": zstandard.compress, "bz2": bz2.compress,
    }[kind]  # fmt: skip
    many = [
        {"instruction": f"question {i} {hash(str(i))}", "output": f"answer {i * 7919}"} for i in range(5000)
    ]
    content = "".join(json.dumps(row) + "\n" for row in many).encode()
    whole = tmp_path / f"whole.jsonl.{kind}"
    whole.write_bytes(pack(content))
    assert len(samples(whole)) == 5000
    cut = tmp_path / f"cut.jsonl.{kind}"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    found = rows(cut)
    *_, last = found
    assert isinstance(last, Rejected)
    assert "breaks off" in last.reason
    assert len(found) - 1 == sum(isinstance(row, Sample) for row in found) < 5000


@pytest.mark.parametrize(
    ("encoding", "words"),
    [("utf-8-sig", "byte order mark"), ("utf-16", "UTF-16"), ("gbk", "GBK"), ("utf-8", "UTF-8")],
)
@pytest.mark.parametrize("suffix", ["jsonl", "json", "csv"])
def test_encodings(tmp_path: Path, encoding: str, words: str, suffix: str) -> None:
    path = tmp_path / f"x.{suffix}"
    content = {
        "jsonl": "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in ALPACA),
        "json": json.dumps(ALPACA, ensure_ascii=False),
        "csv": "instruction,output\nName a fruit.,Apple\n翻译成英文：苹果,apple\n",
    }[suffix]
    path.write_text(content, encoding=encoding)
    assert words in read(path).detection.encoding
    assert samples(path)[1].prompt[0].content.startswith("翻译成英文")


def test_bad_rows_are_rejected_with_line_and_reason(tmp_path: Path) -> None:
    good = json.dumps(ALPACA[0])
    lines = [
        good,
        '{"instruction": "broken',
        "",
        json.dumps({"instruction": "a", "output": ""}),
        json.dumps({"instruction": None, "output": "x"}),
        json.dumps({"instruction": "a", "output": ["list"]}),
        json.dumps(["not", "an", "object"]),
        json.dumps({"something": "else"}),
        json.dumps({"instruction": "x" * (MAX_CHARACTERS + 1), "output": "y"}),
        json.dumps({"instruction": "nul \0", "output": "y"}),
        json.dumps({"instruction": "  ", "output": "y"}),
        json.dumps(
            {"conversations": [{"from": "human", "value": "other schema"}, {"from": "gpt", "value": "a"}]}
        ),
        json.dumps({"conversations": [{"from": "martian", "value": "x"}]}),
        good,
    ]
    path = tmp_path / "x.jsonl"
    path.write_bytes("\n".join(lines).encode() + b"\n" + b'{"instruction": "\xff\xfe", "output": "z"}\n')
    found = rows(path)
    assert len(found) == len(lines)  # one blank line less, one line more
    reasons = {row.line: row.reason for row in found if isinstance(row, Rejected)}
    expected = {
        2: "broken JSON",
        4: "the answer is empty",
        5: "instruction is null",
        6: "output is a list",
        7: "is a list",
        8: "no known schema; keys: something",
        9: "1,000,001 characters",
        10: "NUL",
        11: "instruction is empty",
        13: "unknown role 'martian'",
        15: "not valid UTF-8 at byte 18",
    }
    assert set(reasons) == set(expected)
    assert all(part in reasons[line] for line, part in expected.items()), reasons
    assert sum(isinstance(row, Sample) for row in found) == 3


def test_an_array_goes_on_after_a_broken_element(tmp_path: Path) -> None:
    good = json.dumps(ALPACA[0])
    path = tmp_path / "x.json"
    path.write_text("[\n" + ",\n".join([good, '{"instruction": oops}', good, good]) + "\n]")
    found = rows(path)
    assert [isinstance(row, Sample) for row in found] == [True, False, True, True]
    assert isinstance(found[1], Rejected)
    assert found[1].line == 3


BREAKS = {
    "no closing brace": lambda text: text[:-1],
    "no opening brace": lambda text: text[1:],
    "no quote": lambda text: text.replace('"', "", 1),
    "no last quote": lambda text: text[:-2] + text[-1],
    "one quote more": lambda text: text[:20] + '"' + text[20:],
    "half of it": lambda text: text[: len(text) // 2],
    "a bracket more": lambda text: text[:-1] + "]}",
    "a bare word": lambda text: text[:-1] + ", oops}",
    "nothing but words": lambda text: "oops",
    "brackets in a text": lambda text: text.replace("q", "}{][", 1)[:-1],
}


@pytest.mark.parametrize("how", BREAKS)
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_broken_element_costs_no_other_row(how: str, wrapped: bool, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    for broken in range(5):
        texts_ = [json.dumps({"instruction": f"q{i}", "output": f"[a, {i}]"}) for i in range(6)]
        texts_[broken] = BREAKS[how](texts_[broken])
        content = "[\n" + ",\n".join(texts_) + "\n]"
        path.write_text(f'{{"version": 1, "data": {content}}}' if wrapped else content)
        found = rows(path)
        kept = [row.prompt[0].content for row in found if isinstance(row, Sample)]
        assert kept == [f"q{i}" for i in range(6) if i != broken], (broken, found)
        assert any(isinstance(row, Rejected) for row in found)


def test_an_array_that_is_cut_off_says_so(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps(ALPACA * 3)[:-30])
    *kept, last = rows(path)
    assert len(kept) == 5
    assert isinstance(last, Rejected)


def test_large_array_streams(tmp_path: Path) -> None:
    many = [{"instruction": f"q{i}", "output": "长" * (i % 500 + 1)} for i in range(3000)]
    path = tmp_path / "x.json"
    path.write_text(json.dumps(many, ensure_ascii=False, indent=1))
    found = samples(path)
    assert [s.prompt[0].content for s in found] == [row["instruction"] for row in many]
    assert found[2999].origin == f"x.json:{2 + 2999 * 4}"


def test_folders_globs_and_saved_datasets(tmp_path: Path) -> None:
    shards = tmp_path / "shards"
    shards.mkdir()
    for index, row in enumerate(ALPACA):
        jsonl(shards / f"part-{index}.jsonl", [row])
    (shards / "README.md").write_text("not data")
    outside = jsonl(tmp_path / "secret.jsonl", ALPACA)
    (shards / "link.jsonl").symlink_to(outside)
    assert len(samples(shards)) == 2
    assert len(samples(shards / "part-*.jsonl")) == 2
    import datasets

    datasets.Dataset.from_list(ALPACA).save_to_disk(str(tmp_path / "saved"))
    assert [texts(s) for s in samples(tmp_path / "saved")] == [texts(s) for s in samples(outside)]


def test_overlong_lines_are_skipped_and_endless_ones_end_the_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from assay.data import _json

    monkeypatch.setattr(_json, "MAX_LINE_BYTES", 100)
    monkeypatch.setattr(_json, "_MAX_BLANK", 100)
    good = json.dumps(ALPACA[0]) + "\n"
    path = tmp_path / "x.jsonl"
    path.write_text(good + "\n" * 99 + good + "\n" * 102 + good)
    assert [isinstance(row, Sample) for row in rows(path)] == [True, True, False]
    path.write_text(good + "0" * 1_000 + "\n" + good + "0" * 50_000 + "\n" + good)
    found = rows(path)
    assert [isinstance(row, Sample) for row in found] == [True, False, True, False]
    assert isinstance(found[3], Rejected) and "left unread from here" in found[3].reason


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_table_loses_its_overlong_line_only(
    encoding: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from assay.data import _json

    monkeypatch.setattr(_json, "MAX_LINE_BYTES", 100)
    path = tmp_path / "x.csv"
    path.write_text("instruction,output\na,b\na," + "x" * 950 + "\nc,d\n", encoding=encoding)
    kept, lost, after = rows(path)
    assert isinstance(kept, Sample) and isinstance(after, Sample)
    assert isinstance(lost, Rejected) and (lost.line, "more than 100 bytes" in lost.reason) == (3, True)


@pytest.mark.parametrize("kind", ["gz", "xz", "bz2", "zst"])
def test_a_file_that_grows_without_measure_is_left_unread_from_there_on(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from assay.data import _compressed

    monkeypatch.setattr(_compressed, "MOST_UNASKED", 1 << 20)
    monkeypatch.setattr(_compressed, "_CHECKED_EVERY", 1 << 10)
    pack = {
        "gz": gzip.compress,
        "xz": lzma.compress,
        "bz2": bz2.compress,
        "zst": zstandard.compress,
    }[kind]
    row = json.dumps(ALPACA[0]).encode() + b"\n"
    path = tmp_path / f"x.jsonl.{kind}"
    path.write_bytes(pack(row * 3 + b"0" * (64 << 20) + b"\n" + row))
    found = rows(path)
    assert [isinstance(one, Sample) for one in found] == [True] * 3 + [False]
    assert isinstance(found[3], Rejected) and "decompression bomb" in found[3].reason
    path.write_bytes(pack(row * 3 + b"0" * 900_000 + b"\n" + row))
    assert len(rows(path)) == 5, "little files may have grown by any factor"


def test_nothing_to_read_is_an_error(tmp_path: Path) -> None:
    for place in (tmp_path / "absent.jsonl", tmp_path, tmp_path / "*.json"):
        with pytest.raises(AssayError, match="nothing to read"):
            read(place)
    with pytest.raises(AssayError, match="no such format"):
        read(jsonl(tmp_path / "x.jsonl", ALPACA), format="alpacca")


def test_own_fields_are_kept(tmp_path: Path) -> None:
    row = {
        "messages": [{"role": "user", "content": "1+1?"}, {"role": "assistant", "content": "2"}],
        "type": "Math", "language": "en", "checker": '{"name":"number"}', "group": "g1", "source": "mine",
    }  # fmt: skip
    (sample,) = samples(jsonl(tmp_path / "x.jsonl", [row]))
    turns = (Message("user", "1+1?"), Message("assistant", "2"))
    fields = {k: v for k, v in row.items() if isinstance(v, str)}
    assert sample == Sample(turns, **{**fields, "type": "math", "origin": "x.jsonl:1"})  # type: ignore[arg-type]
