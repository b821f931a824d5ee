"""Write samples in the formats that trainers read, as a stream and by a rename."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import yaml

from assay.core import AssayError, File, Message, Sample
from assay.data._read import Places, Rejected, as_places, read, write_rejected
from assay.data._whole import write_lines

Format: TypeAlias = Literal["messages", "alpaca", "sharegpt", "samples"]
FORMATS: tuple[str, ...] = ("messages", "alpaca", "sharegpt", "samples")
_NAMES = {"user": "human", "assistant": "gpt", "system": "system"}


@dataclass(frozen=True, slots=True)
class Conversion:
    """What was written and what was rejected on the way."""

    path: str
    format: str
    rows: int
    rejected: int
    configs: tuple[str, ...]


def _turns(messages: Sequence[Message]) -> list[dict[str, str]]:
    return [{"role": m.role, "content": m.content} for m in messages]


def to_row(sample: Sample, format: Format) -> dict[str, Any]:
    """Return a sample as a row of a format.

    Raises :class:`AssayError` where the format cannot hold it: Alpaca needs alternating turns that end with
    an answer.
    """
    if format == "samples":
        extra = {n: getattr(sample, n) for n in ("type", "language", "source", "checker", "group")}
        return {"messages": _turns(sample.messages)} | {k: v for k, v in extra.items() if v}
    if format == "messages":
        return {"messages": _turns(sample.messages)}
    if format == "sharegpt":
        return {"conversations": [{"from": _NAMES[m.role], "value": m.content} for m in sample.messages]}
    return _alpaca_row(sample)


def _alpaca_row(sample: Sample) -> dict[str, Any]:
    turns = list(sample.messages)
    system = turns.pop(0).content if turns[0].role == "system" else None
    roles = [m.role for m in turns]
    if len(turns) % 2 or roles != ["user", "assistant"] * (len(turns) // 2):
        raise AssayError(
            "Alpaca cannot hold this conversation",
            place=sample.origin or sample.id,
            value=" ".join(roles),
            expected="user and assistant in turn, ending with the assistant",
            hint="write messages or sharegpt instead",
        )
    pairs = [[turns[i].content, turns[i + 1].content] for i in range(0, len(turns), 2)]
    row: dict[str, Any] = {"instruction": pairs[-1][0], "input": "", "output": pairs[-1][1]}
    if system is not None:
        row["system"] = system
    if pairs[:-1]:
        row["history"] = pairs[:-1]
    return row


def write(samples: Iterable[Sample], path: Path, format: Format = "messages") -> int:
    """Write samples as JSONL and return how many; the file appears whole, by a rename."""
    if format not in FORMATS:
        raise AssayError("no such format", place="format", value=format, expected=", ".join(FORMATS))
    return write_lines((to_row(sample, format) for sample in samples), path)


def write_training_configs(path: Path, format: Format) -> list[Path]:
    """Write entries that train on ``path``: LLaMA-Factory's dataset_info.json and an axolotl dataset.

    An existing dataset_info.json keeps its other entries.
    """
    info = path.parent / "dataset_info.json"
    entries = json.loads(info.read_text(encoding="utf-8")) if info.exists() else {}
    entries[path.stem] = _llama_factory(path.name, format)
    info.write_text(json.dumps(entries, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    axolotl = path.parent / f"{path.stem}.axolotl.yaml"
    axolotl.write_text(yaml.safe_dump({"datasets": [_axolotl(path.name, format)]}, sort_keys=False), "utf-8")
    return [info, axolotl]


def _llama_factory(name: str, format: Format) -> dict[str, Any]:
    if format == "alpaca":
        columns = {"prompt": "instruction", "query": "input", "response": "output"}
        return {"file_name": name, "columns": columns | {"system": "system", "history": "history"}}
    if format == "sharegpt":
        return {"file_name": name, "formatting": "sharegpt", "columns": {"messages": "conversations"}}
    tags = {
        "role_tag": "role", "content_tag": "content", "user_tag": "user",
        "assistant_tag": "assistant", "system_tag": "system",
    }  # fmt: skip
    return {
        "file_name": name,
        "formatting": "sharegpt",
        "columns": {"messages": "messages"},
        "tags": tags,
    }


def _axolotl(name: str, format: Format) -> dict[str, Any]:
    if format == "alpaca":
        return {"path": name, "ds_type": "json", "type": "alpaca"}
    entry: dict[str, Any] = {"path": name, "ds_type": "json", "type": "chat_template"}
    if format == "sharegpt":
        mappings = {"role": "from", "content": "value"}
        roles = {"user": ["human"], "assistant": ["gpt"], "system": ["system"]}
        return entry | {
            "field_messages": "conversations",
            "message_property_mappings": mappings,
            "roles": roles,
        }
    return entry | {"field_messages": "messages"}


def convert(
    places: Places, *, out: File, format: Format = "messages", rejected: File | None = None
) -> Conversion:
    """Convert data sets to one format, with entries for LLaMA-Factory and axolotl beside the file.

    Example: `assay data convert belle.json alpaca.jsonl --out train.jsonl --format sharegpt`

        >>> assay.data.convert("pool.jsonl", out="train.jsonl", format="sharegpt").rows
        40

    Parameters
    ----------
    places
        What to read.
    out
        The file to write.
    format
        How to write it.
    rejected
        Write rejected rows to this JSONL file.
    """
    file = Path(out)
    refused: list[Rejected] = []

    def kept() -> Iterator[Sample]:
        for place in as_places(places):
            for row in read(place):
                if isinstance(row, Sample):
                    yield row
                else:
                    refused.append(row)

    rows = write(kept(), file, format)
    if rejected is not None:
        write_rejected(iter(refused), Path(rejected))
    configs = write_training_configs(file, format) if format != "samples" else []
    return Conversion(str(out), format, rows, len(refused), tuple(map(str, configs)))
