"""Write samples in the formats that trainers read, in the container that the file's name asks for."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, Literal, NoReturn, TextIO, TypeAlias, TypeVar, cast

from assay.core import AssayError, File, Message, Pool, Sample, Text, mapped
from assay.data._output import Output, output
from assay.data._read import Map, Places, Reading, as_places, nothing_read, read, workers_for
from assay.data._shard import PART_BYTES, Rejected, Shard, ShardRows, whole_files
from assay.data._trainers import write_training_configs

Format: TypeAlias = Literal["messages", "alpaca", "sharegpt", "samples"]
FORMATS: tuple[str, ...] = ("messages", "alpaca", "sharegpt", "samples")
LABELS = ("type", "language", "source", "checker", "group", "origin")
_NAMES = {"user": "human", "assistant": "gpt", "system": "system", "tool": "observation"}
_ROW_GROUP = 5_000
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Conversion:
    """What was written and what was rejected on the way.

    ``lost`` counts the rows of which the format could not carry something, by what it was; ``unused`` the
    rows that had a field which was not read; ``notes`` says what trainers cannot read of the file.
    """

    path: str
    format: str
    rows: int
    rejected: int
    configs: tuple[str, ...]
    lost: Mapping[str, int] = field(default_factory=dict)
    unused: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[Text, ...] = ()


def _turn(message: Message) -> dict[str, Any]:
    plain: dict[str, Any] = {"role": message.role, "content": message.content}
    if not message.extras:
        return plain
    if message.tool_calls is not None:
        plain["tool_calls"] = json.loads(message.tool_calls)
    named = {"tool_call_id": message.tool_call_id, "name": message.name}
    plain |= {key: value for key, value in named.items() if value is not None}
    return plain if message.learned else plain | {"weight": 0}


def to_row(sample: Sample, format: Format) -> dict[str, Any]:
    """Return a sample as a row of a format, with its labels (type, language, source, checker, group, origin).

    Raises :class:`AssayError` where the format cannot hold it: Alpaca needs alternating turns that end with
    an answer, and knows neither tools nor weights.
    """
    if format == "alpaca":
        row = _alpaca_row(sample)
    elif format == "sharegpt":
        row = {"conversations": [turn for m in sample.messages for turn in _sharegpt_turns(m)]}
    else:
        row = {"messages": [_turn(m) for m in sample.messages]}
    if sample.tools is not None:
        row["tools"] = sample.tools if format == "sharegpt" else json.loads(sample.tools)
    return row | {name: value for name in LABELS if (value := getattr(sample, name))}


def _sharegpt_turns(message: Message) -> Iterator[dict[str, Any]]:
    """Yield the turns of a message: its text, then its calls in a turn of their own."""
    weight: dict[str, Any] = {} if message.learned else {"weight": 0}
    if message.content or message.tool_calls is None:
        yield {"from": _NAMES[message.role], "value": message.content, **weight}
    if message.tool_calls is not None:
        calls = [_called(call["function"]) for call in json.loads(message.tool_calls)]
        value = calls[0] if len(calls) == 1 else f"[{', '.join(calls)}]"
        yield {"from": "function_call", "value": value, **weight}


def _called(function: dict[str, Any]) -> str:
    """Return a call as trainers read it: arguments that are given as the text of an object are that object.

    They stand there as they were written.  LLaMA-Factory would write a text as a text, in quotes.
    """
    arguments = function.get("arguments")
    if isinstance(arguments, str) and _is_object(arguments):
        rest = {key: value for key, value in function.items() if key != "arguments"}
        return json.dumps(rest, ensure_ascii=False)[:-1] + f', "arguments": {arguments}}}'
    return json.dumps(function, ensure_ascii=False)


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _alpaca_row(sample: Sample) -> dict[str, Any]:
    turns = list(sample.messages)
    system = turns.pop(0).content if turns[0].role == "system" else None
    roles = [m.role for m in turns]
    if len(turns) % 2 or roles != ["user", "assistant"] * (len(turns) // 2) or any(m.extras for m in turns):
        raise AssayError(
            "Alpaca cannot hold this conversation",
            place=sample.origin or sample.id,
            value=" ".join(m.role + ("*" if m.extras else "") for m in turns),
            expected="user and assistant in turn, ending with the assistant, without tools or weights (*)",
            hint="write messages or sharegpt instead",
        )
    pairs = [[turns[i].content, turns[i + 1].content] for i in range(0, len(turns), 2)]
    row: dict[str, Any] = {"instruction": pairs[-1][0], "input": "", "output": pairs[-1][1]}
    if system is not None:
        row["system"] = system
    if pairs[:-1]:
        row["history"] = pairs[:-1]
    return row


def lost_in(sample: Sample, format: Format) -> tuple[str, ...]:
    """Return what a format cannot carry of a sample that it can hold."""
    if format == "sharegpt" and any(m.tool_call_id or m.name for m in sample.messages):
        return ("which call a tool's result answers",)
    return ()


def write(
    samples: Iterable[Sample],
    path: str | Path,
    format: Format = "messages",
    *,
    inputs: Sequence[str | Path] = (),
    force: bool = False,
) -> int:
    """Write samples and return how many; the file appears whole, by a rename.

    Its suffix decides how it is stored: JSON lines, one JSON list, CSV, TSV, Parquet; texts also compressed.
    ``inputs`` and ``force``: see :func:`output`.
    """
    if format not in FORMATS:
        raise AssayError("no such format", place="format", value=format, expected=", ".join(FORMATS))
    counts: Counter[str] = Counter()
    return write_rows((to_row(s, format) for s in samples), output(path, inputs=inputs, force=force), counts)


def write_rows(rows: Iterable[Mapping[str, Any]], out: Output, columns: Counter[str] | None = None) -> int:
    """Write rows in the container of an output and return how many; ``columns`` gets the rows of each key."""
    seen = Counter[str]() if columns is None else columns
    counted = _counted(rows, seen)
    with out.partial() as place:
        if out.container == "parquet":
            return _parquet(counted, place, seen)
        with _opened(place, out.compression) as file:
            if out.container in ("csv", "tsv"):
                return _table(counted, file, seen, "\t" if out.container == "tsv" else ",", out.path)
            return _json_list(counted, file) if out.container == "json" else _lines(counted, file)


def _counted(rows: Iterable[Mapping[str, Any]], columns: Counter[str]) -> Iterator[Mapping[str, Any]]:
    for row in rows:
        columns.update(row.keys())
        for turns in (row.get("messages"), row.get("conversations")):
            columns.update({f"turn.{key}" for turn in turns or () for key in turn})
        columns.update(f"mark.{mark}" for mark in _marks(row))
        yield row


def _marks(row: Mapping[str, Any]) -> set[str]:
    """Return what some trainers stumble over in a row: see :mod:`assay.data._trainers`."""
    named = [turn.get("from") for turn in row.get("conversations", ())]
    marks = {"function_call"} & set(named)
    marks |= {"text_and_calls"} if ("gpt", "function_call") in pairwise(named) else set()
    for turn in row.get("messages", ()):
        if calls := turn.get("tool_calls"):
            marks |= {"text_and_calls"} if turn["content"] else set()
            texts = (isinstance(call.get("function", {}).get("arguments"), str) for call in calls)
            marks |= {"text_arguments"} if any(texts) else set()
    return marks


@contextmanager
def _opened(place: Path, compression: str) -> Iterator[TextIO]:
    with place.open("wb") as raw:
        packed: IO[bytes] = raw
        if compression == "gzip":
            packed = cast(IO[bytes], gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0))
        elif compression == "xz":
            packed = lzma.LZMAFile(raw, "wb")  # noqa: SIM115 - closed with the text
        elif compression == "bzip2":
            packed = bz2.BZ2File(raw, "wb")
        elif compression == "zstd":
            import zstandard

            packed = zstandard.ZstdCompressor().stream_writer(raw, closefd=False)
        text = io.TextIOWrapper(packed, encoding="utf-8", errors="backslashreplace", newline="")
        yield text
        text.close()


def _lines(rows: Iterable[Mapping[str, Any]], file: TextIO) -> int:
    count = 0
    for row in rows:
        file.write(json.dumps(row, ensure_ascii=False) + "\n")
        count += 1
    return count


def _json_list(rows: Iterable[Mapping[str, Any]], file: TextIO) -> int:
    count = 0
    for row in rows:
        file.write((",\n" if count else "[\n") + json.dumps(row, ensure_ascii=False))
        count += 1
    file.write("\n]\n" if count else "[]\n")
    return count


@contextmanager
def _spooled(rows: Iterable[Mapping[str, Any]]) -> Iterator[Iterator[dict[str, Any]]]:
    """Give rows again after all of them were seen, from a file without a name."""
    with TemporaryFile("w+", encoding="utf-8", errors="surrogatepass", newline="\n") as spool:
        for row in rows:
            spool.write(json.dumps(row, ensure_ascii=False) + "\n")
        spool.seek(0)
        yield (json.loads(line) for line in spool)


def _table(
    rows: Iterable[Mapping[str, Any]], file: TextIO, columns: Counter[str], delimiter: str, place: Path
) -> int:
    count = 0
    with _spooled(rows) as again:
        names = [name for name in columns if "." not in name]
        writer = csv.DictWriter(file, names, restval="", delimiter=delimiter, lineterminator="\n")
        writer.writeheader()
        for row in again:
            nested = next((key for key, value in row.items() if isinstance(value, list | dict)), None)
            if nested is not None:
                raise AssayError(
                    f"a table cannot hold `{nested}`", place=str(place), expected="rows of plain texts",
                    hint="write alpaca without history, or name the file .jsonl or .parquet",
                )  # fmt: skip
            writer.writerow(row)
            count += 1
    return count


def _parquet(rows: Iterable[Mapping[str, Any]], place: Path, columns: Counter[str]) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    count = 0
    with _spooled(rows) as again:
        schema = _parquet_schema(columns)
        with pq.ParquetWriter(place, schema, compression="zstd") as writer:
            block: list[dict[str, Any]] = []
            for row in again:
                block.append({key: _flat(key, value) for key, value in row.items()})
                count += 1
                if len(block) == _ROW_GROUP:
                    writer.write_table(pa.Table.from_pylist(block, schema))
                    block = []
            if block or not count:
                writer.write_table(pa.Table.from_pylist(block, schema))
    return count


def _parquet_schema(columns: Counter[str]) -> Any:
    import pyarrow as pa

    turn = [name[5:] for name in columns if name.startswith("turn.")]
    turns = pa.list_(pa.struct([(name, pa.int8() if name == "weight" else pa.string()) for name in turn]))
    kinds = {"messages": turns, "conversations": turns, "history": pa.list_(pa.list_(pa.string()))}
    return pa.schema([(name, kinds.get(name, pa.string())) for name in columns if "." not in name])


def _flat(key: str, value: Any) -> Any:
    """Return a value as Parquet holds it: what has no fixed shape is JSON text."""
    if key in ("messages", "conversations"):
        return [{k: _json(v) if isinstance(v, list | dict) else v for k, v in turn.items()} for turn in value]
    return _json(value) if key == "tools" and not isinstance(value, str) else value


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def write_rejected(rows: Iterable[Rejected], out: Output) -> int:
    """Write rejected rows with place and reason and return how many; the file appears whole."""
    return write_rows((asdict(row) for row in rows), out)


def convert(
    places: Places,
    out: File,
    *,
    format: Format = "messages",
    rejected: File | None = None,
    map: Map = None,
    force: bool = False,
    pool: str = "processes:2",
) -> Conversion:
    """Convert data sets to one format, with entries for LLaMA-Factory and axolotl beside the file.

    Example: `assay data convert belle.json alpaca.jsonl --out train.jsonl --format sharegpt`

        >>> assay.data.convert("pool.jsonl", "train.jsonl", format="sharegpt").rows
        40

    Parameters
    ----------
    places
        Data to read: files, folders of shards, globs, or hf:owner/name.
    out
        File to write.
    format
        Output format.
    rejected
        Write rejected rows, with line and reason, to this JSONL file.
    map
        Field names for a layout that Assay does not know: `prompt=question,answer=response`.
    force
        Overwrite an existing file.
    pool
        Where work runs: `inline`, `processes:N` or `ray[:address]`; does not affect the result.
    """
    if format not in FORMATS:
        raise AssayError("no such format", place="format", value=format, expected=", ".join(FORMATS))
    inputs = as_places(places)
    target = output(out, inputs=inputs, force=force)
    report = None if rejected is None else output(rejected, inputs=[*inputs, target.path], force=force)
    told = _Told()
    with ExitStack() as stack:
        refused = stack.enter_context(TemporaryFile("w+", encoding="utf-8", errors="surrogatepass"))
        readings = [read(place, map=map) for place in inputs]

        def fail() -> NoReturn:
            if report is not None:
                _report(refused, report)
            raise nothing_read(", ".join(inputs))

        if target.container == "jsonl":
            workers = stack.enter_context(workers_for(inputs, pool))
            parts = (part for r in readings for part in _parts_of(r, format, workers))
            rows = _write_parts(_some(parts, fail, lambda part: part.lines), target, told, refused)
        else:
            kept = (row for r in readings for row in _kept(r, format, told, refused))
            rows = write_rows(_some(kept, fail), target, told.columns)
        if report is not None:
            _report(refused, report)
    configs, notes = ((), ()) if format == "samples" else write_training_configs(target, format, told.columns)
    files = tuple(str(path) for path in configs)
    return Conversion(
        str(target.path), format, rows, told.refused, files, told.lost, told.unused, tuple(notes)
    )  # fmt: skip


def _report(refused: TextIO, out: Output) -> None:
    refused.seek(0)
    write_rows((json.loads(line) for line in refused), out)


def _some(
    things: Iterable[T], fail: Callable[[], NoReturn], holds: Callable[[T], object] = bool
) -> Iterator[T]:
    """Pass things on, and fail at their end where none holds anything."""
    full = False
    for one in things:
        full = full or bool(holds(one))
        yield one
    if not full:
        fail()


@dataclass
class _Told:
    """What is told of a conversion, and in a worker the lines of a part."""

    columns: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    unused: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    lines: list[str] = field(default_factory=list)
    rejected: list[str] = field(default_factory=list)
    path: str = ""
    stopped: bool = False


def _kept(
    rows: Reading | ShardRows, format: Format, told: _Told, refused: TextIO | None
) -> Iterator[dict[str, Any]]:
    """Yield the rows that are written; those that are rejected go to a file, or are told."""
    for row in rows:
        if isinstance(row, Sample):
            told.lost.update(lost_in(row, format))
            yield to_row(row, format)
            continue
        told.refused += 1
        line = json.dumps(asdict(row), ensure_ascii=False) + "\n"
        if refused is None:
            told.rejected.append(line)
        else:
            refused.write(line)
    told.unused.update(rows.unused)


def _converted(format: Format, part: Shard) -> _Told:
    """Convert a part in a worker."""
    rows, told = ShardRows(part), _Told(path=str(part.path))
    for row in _counted(_kept(rows, format, told, None), told.columns):
        told.lines.append(json.dumps(row, ensure_ascii=False) + "\n")
    told.stopped = rows.stopped
    return told


def _parts_of(reading: Reading, format: Format, pool: Pool) -> Iterator[_Told]:
    """Yield what becomes of each part of a place, in order."""
    if reading.files:
        made = mapped(pool, partial(_converted, format), reading.shards(PART_BYTES))
        yield from whole_files(made)
        return
    told = _Told()
    for row in _counted(_kept(reading, format, told, None), told.columns):
        told.lines.append(json.dumps(row, ensure_ascii=False) + "\n")
    yield told


def _write_parts(parts: Iterable[_Told], out: Output, told: _Told, refused: TextIO) -> int:
    """Write the lines of all parts and return how many."""
    count = 0
    with out.partial() as place, _opened(place, out.compression) as file:
        for part in parts:
            file.writelines(part.lines)
            refused.writelines(part.rejected)
            count += len(part.lines)
            told.refused += part.refused
            for name in ("columns", "lost", "unused"):
                getattr(told, name).update(getattr(part, name))
    return count
