"""Entries with which LLaMA-Factory and axolotl train on a file; they name only what occurs in it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from assay.core import AssayError, Say, say
from assay.data._output import Output
from assay.data._whole import replacing_text

_TAGS = {
    "role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant",
    "system_tag": "system", "observation_tag": "tool", "function_tag": "function_call",
}  # fmt: skip


def write_training_configs(
    out: Output, format: str, columns: Mapping[str, int]
) -> tuple[list[Path], list[Say]]:
    """Write entries that train on a file: LLaMA-Factory's dataset_info.json and an axolotl dataset.

    ``columns`` are the keys that occur in its rows (``turn.`` before those of turns, ``mark.`` before what
    trainers stumble over).  Returns the files and
    what a trainer cannot read.  An existing dataset_info.json keeps its other entries.
    """
    written: list[Path] = []
    notes: list[Say] = []
    stem = out.path.name.split(".")[0] or out.path.name
    if out.compression:
        return [], [say("note.convert.suffix", suffix=out.compression)]
    if out.container == "tsv":
        return [], [say("note.convert.suffix", suffix=".tsv")]
    info = out.path.parent / "dataset_info.json"
    entries = _entries(info)
    entries[stem] = _llama_factory(out.path.name, format, columns)
    with replacing_text(info) as file:
        file.write(json.dumps(entries, indent=2, ensure_ascii=False) + "\n")
    written.append(info)
    notes += _llama_factory_loses(format, columns)
    entry, problem = _axolotl(out, format, columns)
    if problem:
        notes.append(problem)
    else:
        axolotl = out.path.parent / f"{stem}.axolotl.yaml"
        with replacing_text(axolotl) as file:
            yaml.safe_dump({"datasets": [entry]}, file, sort_keys=False)
        written.append(axolotl)
    return written, notes


def _entries(info: Path) -> dict[str, Any]:
    try:
        found = json.loads(info.read_text(encoding="utf-8")) if info.exists() else {}
    except (OSError, ValueError, RecursionError) as error:
        found = error
    if not isinstance(found, dict):
        raise AssayError(
            "the list of data sets beside the output cannot be read",
            place=str(info),
            value=str(found)[:100],
            expected="a JSON object",
            hint="repair or remove it, or write the output to another folder",
        )
    return found


def _llama_factory(name: str, format: str, columns: Mapping[str, int]) -> dict[str, Any]:
    if format == "alpaca":
        wanted = {"prompt": "instruction", "query": "input", "response": "output", "system": "system",
                  "history": "history"}  # fmt: skip
        return {"file_name": name, "columns": {k: v for k, v in wanted.items() if columns.get(v)}}
    tools = {"tools": "tools"} if columns.get("tools") else {}
    if format == "sharegpt":
        return {"file_name": name, "formatting": "sharegpt", "columns": {"messages": "conversations"} | tools}
    formatting = "openai" if columns.get("turn.tool_calls") else "sharegpt"
    return {"file_name": name, "formatting": formatting, "columns": {"messages": "messages"} | tools,
            "tags": dict(_TAGS)}  # fmt: skip


def _llama_factory_loses(format: str, columns: Mapping[str, int]) -> list[Say]:
    """Say what LLaMA-Factory reads otherwise than it stands in the file (0.9.5, its own converters)."""
    calls = "sharegpt" if format == "sharegpt" else "messages"
    found = {
        "note.convert.weight": columns.get("turn.weight"),
        f"note.convert.text_and_calls.{calls}": columns.get("mark.text_and_calls"),
        "note.convert.text_arguments": columns.get("mark.text_arguments"),
    }
    return [say(key, n=n) for key, n in found.items() if n]


def _axolotl(out: Output, format: str, columns: Mapping[str, int]) -> tuple[dict[str, Any], Say | None]:
    """Return axolotl's entry, or why there is none."""
    kind = {"csv": "csv", "parquet": "parquet"}.get(out.container, "json")
    entry: dict[str, Any] = {"path": out.path.name, "ds_type": kind}
    if format == "alpaca":
        if columns.get("history"):
            return {}, say("note.convert.history")
        return entry | {"type": _axolotl_alpaca(columns)}, None
    if columns.get("mark.function_call"):
        return {}, say("note.convert.function_call")
    entry["type"] = "chat_template"
    if format == "sharegpt":
        entry |= {
            "field_messages": "conversations",
            "message_property_mappings": {"role": "from", "content": "value"},
            "roles": {"user": ["human"], "assistant": ["gpt"], "system": ["system"], "tool": ["observation"]},
        }
    else:
        entry["field_messages"] = "messages"
    if columns.get("tools"):
        entry["field_tools"] = "tools"
    return entry | ({"message_field_training": "weight"} if columns.get("turn.weight") else {}), None


def _axolotl_alpaca(columns: Mapping[str, int]) -> Any:
    if not columns.get("system"):
        return "alpaca"
    return {
        "field_instruction": "instruction", "field_input": "input", "field_output": "output",
        "field_system": "system", "system_format": "{system}\n\n",
        "format": "### Instruction:\n{instruction}\n\n### Input:\n{input}\n\n### Response:\n",
        "no_input_format": "### Instruction:\n{instruction}\n\n### Response:\n",
    }  # fmt: skip
