"""Mutated files of every format: no exception, and every row accounted for."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from assay.core import Sample
from assay.data import Rejected, read

FILES = 5000
ROWS = [
    {"instruction": "Name a fruit.", "input": "red", "output": "Apple"},
    {"instruction": "翻译", "input": "苹果", "output": "apple"},
    {"instruction": "日本語", "output": "はい", "history": [["a", "b"]]},
    {"question": "q", "std_answer": "a", "class": "closed\xa0qa"},
    {"conversations": [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "yo"}]},
    {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo"}]},
    {"instruction": "i", "instances": [{"input": "x", "output": "y"}]},
]


def seeds(folder: Path) -> list[bytes]:
    flat = [{k: v for k, v in row.items() if isinstance(v, str)} for row in ROWS[:2]]
    pq.write_table(pa.Table.from_pylist(flat * 20), folder / "seed.parquet")
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS * 2)
    table = "instruction,input,output\n" + "".join(f'"{r["instruction"]}",x,"y, z"\n' for r in ROWS[:3])
    return [
        lines.encode(),
        lines.encode("gbk", "replace"),
        lines.encode("utf-16"),
        b"\xef\xbb\xbf" + lines.encode(),
        json.dumps(ROWS).encode(),
        json.dumps(ROWS, indent=1, ensure_ascii=False).encode(),
        json.dumps({"data": ROWS}).encode(),
        table.encode(),
        table.replace(",", "\t").encode(),
        gzip.compress(lines.encode()),
        (folder / "seed.parquet").read_bytes(),
        b"",
    ]


SPLICES = [
    *(
        b"\0",
        b"\n",
        b'"',
        b"[",
        b"{",
        b"}",
        b"]",
        b"\\",
        b"\xff",
        b"\r\n",
        b"NaN",
        b"1e999",
        b",,,,",
        b"PAR1",
    ),
    *(b"9" * 400, b"[" * 3000, b'{"a":' * 2000, b"\\ud800", b'"instruction": null,'),
    *("\u2028".encode(), b"\xef\xbb\xbf"),
]


def mutate(content: bytes, rng: random.Random) -> bytes:
    data = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(len(data) + 1)
        match rng.randrange(6):
            case 0 if data:
                data[place % len(data)] = rng.randrange(256)
            case 1:
                data[place:place] = rng.choice(SPLICES)
            case 2:
                del data[place : place + rng.randint(1, 40)]
            case 3:
                del data[place:]
            case 4:
                lines = bytes(data).split(b"\n")
                rng.shuffle(lines)
                data = bytearray(b"\n".join(lines))
            case _:
                data[place:place] = data[: rng.randint(0, 200)]
    return bytes(data)


def test_mutated_files_never_raise_and_lose_no_row(tmp_path: Path) -> None:
    rng = random.Random(5)
    originals = seeds(tmp_path)
    names = ["x.jsonl", "x.json", "x.csv", "x.tsv", "x", "x.parquet", "x.jsonl.gz"]
    checked = 0
    for index in range(FILES):
        path = tmp_path / rng.choice(names)
        content = mutate(originals[index % len(originals)], rng)
        path.write_bytes(content)
        reading = read(path)
        found = list(reading)
        assert all(isinstance(row, Sample | Rejected) for row in found)
        assert all(row.reason and row.line >= 1 for row in found if isinstance(row, Rejected))
        assert reading.detection.why
        if reading.detection.container == "jsonl" and "UTF-16" not in reading.detection.encoding:
            if reading.detection.compression == "none":
                lines = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
                assert len(found) == sum(bool(line.strip()) for line in lines), path
                checked += 1
        elif content.strip() and not found:
            # Only a list that is empty, or a table without a line under its header, has no row.
            assert reading.detection.container in ("json array", "csv", "tsv", "parquet"), content[:80]
        path.unlink()
    assert checked > FILES // 5
