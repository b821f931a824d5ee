# ruff: noqa: E501 - rows of a table
"""Mutated inputs for every reader, and the laws that hold for all of them.

    python tests/data/mutate.py --count 200000 --seed 0

Each input is a file of a known kind, spoilt in one to five places, or a hostile text made for one weakness.
The laws: no exception but :class:`AssayError`; an answer within five seconds; every row of the input is kept or
rejected, counted by a reading that shares no code with the package (lines of JSON lines, `json.loads` of a list,
`csv` in its strict mode, the row count in Parquet's and Arrow's own words).  Small files (points, studies,
rules, rubrics, results) are read whole or refused.
"""

from __future__ import annotations

import argparse
import bz2
import csv
import gzip
import io
import json
import lzma
import random
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mutate_small
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from assay.core import AssayError, Sample
from assay.data import Reading, Rejected, read

SECONDS = 5.0
ROWS: list[dict[str, Any]] = [
    {"instruction": "Name a fruit.", "input": "red", "output": "Apple"},
    {"instruction": "翻译", "input": "苹果", "output": "apple", "score": 0.25},
    {"instruction": "日本語", "output": "はい", "history": [["a", "b"]], "system": "s"},
    {"question": "q", "std_answer": "a", "class": "closed\xa0qa"},
    {"conversations": [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "yo"}]},
    {"conversations": ["hi", "yo"], "source": "lists"},
    {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo", "weight": 1}]},
    {"messages": [{"role": "user", "content": "warm?"},
                  {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "w", "arguments": {}}}]},
                  {"role": "tool", "content": "19"}, {"role": "assistant", "content": "19."}], "tools": [{"name": "w"}]},
    {"instruction": "i", "instances": [{"input": "x", "output": "y"}]},
    {"question": "q", "answers": [{"text": "a", "pm_score": 3}, {"text": "b", "pm_score": 5}]},
    {"question_id": 1, "category": "math", "turns": ["one", "two"], "reference": ["1", "2"]},
    {"prompt": {"text": "q", "role": "prompter", "replies": [{"text": "a", "role": "assistant", "rank": 0}]}},
    {"title": "How to sit", "steps": ["Find a chair.", "Sit."]},
    {"chat": {"turn_1": {"Human": "<|Human|>: a<eoh>\n", "MOSS": "<|MOSS|>: b<eom>\n", "Commands": "Search(\"x\")"}}},
    {"kind": "NER", "input": "Human: a\n\nAssistant:", "target": 12345678901234567890123},
    {"instruction": "Human:a\nAssistant:b\nHuman:c\nAssistant:", "input": "", "output": "d"},
]  # fmt: skip
FLAT = [
    {"instruction": f"do {i}", "input": "x, y" if i % 3 else "", "output": f'say "{i}"\nand go'}
    for i in range(20)
]


@dataclass(frozen=True)
class Kind:
    """A kind of file: its name, its content, and what a mutation may use as borders."""

    name: str
    content: bytes


def _lines(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _table(rows: list[dict[str, Any]], delimiter: str = ",") -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _parquet(table: pa.Table, **options: Any) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, **options)
    return bytes(sink.getvalue())


def _arrow(table: pa.Table, *, stream: bool) -> bytes:
    sink = pa.BufferOutputStream()
    with (pa.ipc.new_stream if stream else pa.ipc.new_file)(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=8)
    return bytes(sink.getvalue())


def kinds() -> list[Kind]:
    """Return one file of every kind that is read."""
    lines, flat = _lines(ROWS * 2), pa.Table.from_pylist(FLAT)
    talks = pa.Table.from_pylist([ROWS[4]] * 12)
    stamped = flat.append_column("t", pa.array(range(len(FLAT)), pa.timestamp("us")))
    texts = {
        "x.jsonl": lines, "list.json": json.dumps(ROWS), "wide.json": json.dumps(ROWS, indent=1, ensure_ascii=False),
        "data.json": json.dumps({"version": "1", "data": ROWS}),
        "splits.json": json.dumps({"train": ROWS, "test": ROWS[:3]}, ensure_ascii=False),
        "two.json": json.dumps(ROWS[:8]) + "\n" + json.dumps(ROWS[8:]),
        "objects.json": "\n".join(json.dumps(row, indent=2) for row in ROWS),
        "x.csv": _table(FLAT), "x.tsv": _table(FLAT, "\t"), "semi.csv": _table(FLAT, ";"),
    }  # fmt: skip
    files = [Kind(name, text.encode()) for name, text in texts.items()]
    files += [
        Kind("gbk.jsonl", lines.encode("gbk", "replace")), Kind("wide16.jsonl", lines.encode("utf-16")),
        Kind("wide16.csv", _table(FLAT).encode("utf-16")), Kind("wide16.json", json.dumps(ROWS).encode("utf-16")),
        Kind("bom.jsonl", b"\xef\xbb\xbf" + lines.encode()), Kind("bom.csv", b"\xef\xbb\xbf" + _table(FLAT).encode()),
        Kind("x.jsonl.gz", gzip.compress(lines.encode(), mtime=0)), Kind("x.jsonl.xz", lzma.compress(lines.encode())),
        Kind("x.jsonl.bz2", bz2.compress(lines.encode())), Kind("x.jsonl.zst", zstandard.compress(lines.encode())),
        Kind("x.parquet", _parquet(flat)), Kind("dict.parquet", _parquet(flat, compression="none")),
        Kind("talks.parquet", _parquet(talks, compression="zstd")), Kind("t.parquet", _parquet(stamped)),
        Kind("x.arrow", _arrow(flat, stream=False)), Kind("s.arrow", _arrow(flat, stream=True)),
        Kind("talks.arrow", _arrow(talks, stream=True)), Kind("empty.json", b""), Kind("lists.json", b"[[]]"),
    ]  # fmt: skip
    return files


def small() -> list[Kind]:
    """Return one of every kind of small file."""
    return [Kind(name, content) for name, (content, _) in mutate_small.READERS.items()]


SPLICES = [
    *(b"\0", b"\n", b'"', b"[", b"{", b"}", b"]", b"\\", b"\xff", b"\r\n", b"\r", b"NaN", b"1e999", b",,,,", b"PAR1"),
    *(b"9" * 5000, b"[" * 3000, b'{"a":' * 2000, b"\\ud800", b'"instruction": null,', b"}{", b"},{", b"][", b"-0"),
    *(b'"output":"x",', b"null", b"true", b"\xed\xa0\x80", b"\x80", b"PK\x03\x04", b"\x1f\x8b", b"Human:", b"<noinput>"),
    *("\u2028".encode(), b"\xef\xbb\xbf", b"\xff\xfe", b" " * 2000, b'"' * 7, b'""', b"}" + b" " * 300, b"\t" * 50),
]  # fmt: skip


def _flip(data: bytearray, place: int, rng: random.Random) -> None:
    if data:
        data[place % len(data)] ^= 1 << rng.randrange(8)


def _replace(data: bytearray, place: int, rng: random.Random) -> None:
    if data:
        data[place % len(data)] = rng.randrange(256)


def _splice(data: bytearray, place: int, rng: random.Random) -> None:
    data[place:place] = rng.choice(SPLICES)


def _delete(data: bytearray, place: int, rng: random.Random) -> None:
    del data[place : place + rng.randint(1, 40)]


def _cut(data: bytearray, place: int, rng: random.Random) -> None:
    del data[place:]


def _repeat(data: bytearray, place: int, rng: random.Random) -> None:
    data[place:place] = data[: rng.randint(0, 300)]


def _shuffle(data: bytearray, place: int, rng: random.Random) -> None:
    lines = bytes(data).split(b"\n")
    rng.shuffle(lines)
    data[:] = b"\n".join(lines)


def _word(data: bytearray, place: int, rng: random.Random) -> None:
    """Write over four bytes with an extreme number: lengths and offsets of binary files."""
    value = rng.choice([0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 0x80000000, 0x00010000])
    data[place : place + 4] = value.to_bytes(4, "little")


MUTATIONS: list[Callable[[bytearray, int, random.Random], None]] = [
    _flip, _flip, _replace, _splice, _splice, _delete, _cut, _repeat, _shuffle, _word,
]  # fmt: skip


def mutate(content: bytes, rng: random.Random) -> bytes:
    """Return the content spoilt in one to five places."""
    data = bytearray(content)
    for _ in range(rng.randint(1, 5)):
        rng.choice(MUTATIONS)(data, rng.randrange(len(data) + 1), rng)
    return bytes(data)


def hostile(rng: random.Random) -> Kind:
    """Return a text made for one weakness: quadratic searches, deep nesting, endless numbers, open quotes."""
    size = rng.choice([100, 1_000, 30_000])
    unit = rng.choice([
        b"}{", b"}" + b" " * 97, b'{"a":', b'{"a":[{},', b"[", b'{"a":"}{",', b'}{"a":"', b'"', b'\\"', b"{}", b"1",
        b'},{"a":"', b'"a",', b'x,"y\n', b'"x","y""\n', b'{"a": 1e5,', b"] [", b'}, "k": [{', b"\\", b'{"a":{"b":[',
    ])  # fmt: skip
    opening = rng.choice(
        [b"", b"[", b"[{", b'{"data": [{', b'[{"a": "', b"instruction,output\n", b'{"a":1}\n']
    )
    content = opening + unit * (size // len(unit) + 1) + rng.choice([b"", b"]", b"}]", b'"}]', b"\n"])
    return Kind(rng.choice(["h.json", "h.jsonl", "h.csv", "h"]), content)


def inputs(count: int, seed: int) -> Iterator[Kind]:
    """Yield mutated files, the same for the same seed."""
    rng = random.Random(seed)
    originals = kinds() + small()
    for index in range(count):
        original = originals[index % len(originals)]
        if rng.random() < 0.08:
            yield hostile(rng)
        elif rng.random() < 0.01:
            yield original
        else:
            yield Kind(original.name, mutate(original.content, rng))


def _own_count(kind: Kind, reading: Reading) -> int | None:
    """Return how many rows an input has by a reading of our own, or None where nobody can say."""
    detection, content = reading.detection, kind.content
    if detection.compression != "none" or "UTF-16" in detection.encoding or "UTF-32" in detection.encoding:
        return None
    content = content.removeprefix(b"\xef\xbb\xbf")
    if detection.container == "jsonl":
        return sum(bool(line.strip()) for line in content.split(b"\n"))
    if detection.encoding.startswith("GB"):
        return None
    try:
        if detection.container.startswith("json"):
            return _json_rows(json.loads(content), detection.container)
        if detection.container in ("csv", "tsv"):
            return _table_rows(content.decode(), tabs=detection.container == "tsv")
    except (ValueError, RecursionError, csv.Error):
        return None
    return None


def _json_rows(value: Any, container: str) -> int | None:
    if isinstance(value, list):
        return len(value)
    if container == "json list in an object" and all(isinstance(v, list | str | int) for v in value.values()):
        lists = [v for v in value.values() if isinstance(v, list)]
        return sum(len(v) for v in lists if not v or isinstance(v[0], dict))
    return 1 if container == "json objects" else None


def _table_rows(text: str, *, tabs: bool) -> int | None:
    if "\r" in text.replace("\r\n", "") or '"' in text.split("\n")[0]:
        return None
    first = next((line for line in text.split("\n") if line.strip()), "")
    sign = "\t" if tabs else max(",;\t|", key=lambda s: (first.count(s), -",;\t|".index(s)))
    rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=sign, strict=True))
    filled = sum(any(field.strip() for field in row) for row in rows)
    return max(filled - 1, 0) if first else None


@dataclass(frozen=True)
class Fault:
    """A law that an input breaks."""

    law: str
    what: str


def examine(kind: Kind, path: Path) -> Fault | None:
    """Read an input and return the law that it breaks, or None."""
    path.write_bytes(kind.content)
    began = time.process_time(), time.perf_counter()
    found: list[Sample | Rejected] = []
    counted: int | None = None
    try:
        if kind.name in mutate_small.READERS:
            mutate_small.READERS[kind.name][1](path)
        else:
            reading = read(path)
            found = list(reading)
            counted = _own_count(kind, reading)
    except AssayError as error:
        return None if str(error).strip() else Fault("an error says something", repr(error))
    except Exception:
        return Fault("nothing is raised", traceback.format_exc())
    busy, waited = time.process_time() - began[0], time.perf_counter() - began[1]
    if busy > SECONDS or waited > 20 * SECONDS:
        return Fault("an answer in five seconds", f"{busy:.1f} s of work, {waited:.1f} s in all")
    for row in found:
        fault = _row_fault(row)
        if fault:
            return fault
    if counted is not None and len(found) != counted:
        return Fault(
            "every row is kept or rejected", f"{len(found)} of {counted} ({reading.detection.container})"
        )
    return None


def _row_fault(row: Sample | Rejected) -> Fault | None:
    if isinstance(row, Sample):
        texts = [row.id, row.source, row.origin, row.type or "", *(m.said for m in row.messages)]
    else:
        texts = [row.reason, row.excerpt, row.place]
        if not row.reason or row.line < 1:
            return Fault("a rejected row has a place and a reason", repr(row))
    try:
        "".join(texts).encode()
    except UnicodeEncodeError as error:
        return Fault("what is read can be written", repr(error))
    return None


def main() -> int:
    """Print how many inputs break each law, with the seeds to see them again."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="a folder for the inputs that break a law")
    options = parser.parse_args()
    faults: Counter[str] = Counter()
    began = time.time()
    with tempfile.TemporaryDirectory() as folder:
        for index, kind in enumerate(inputs(options.count, options.seed)):
            path = Path(folder) / kind.name
            fault = examine(kind, path)
            if fault is not None:
                faults[fault.law] += 1
                print(
                    f"{index} {kind.name} ({len(kind.content)} bytes): {fault.law}: {fault.what}",
                    flush=True,
                )
                if options.keep and faults[fault.law] <= 20:
                    options.keep.mkdir(parents=True, exist_ok=True)
                    (options.keep / f"{index}-{kind.name}").write_bytes(kind.content)
            path.unlink()
            if index % 10_000 == 9_999:
                print(f"{index + 1:,} inputs in {time.time() - began:,.0f} s", file=sys.stderr, flush=True)
    print(f"{options.count:,} inputs in {time.time() - began:,.0f} s; laws broken: {dict(faults) or 'none'}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
