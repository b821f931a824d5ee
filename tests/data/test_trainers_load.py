"""LLaMA-Factory's own loader reads what `convert` writes: every entry, every row, the same turns.

It lives in an environment of its own, whose interpreter ASSAY_LLAMAFACTORY_PYTHON names.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from assay import data
from assay.core import Sample

PYTHON = os.environ.get("ASSAY_LLAMAFACTORY_PYTHON")
LOAD = """
import json, sys
from llamafactory.data.loader import _load_single_dataset
from llamafactory.data.parser import get_dataset_list
from llamafactory.hparams import DataArguments, ModelArguments
from transformers import Seq2SeqTrainingArguments

found = {}
for name in json.load(open(sys.argv[1] + "/dataset_info.json")):
    options = DataArguments(dataset_dir=sys.argv[1], dataset=name, template="default")
    training = Seq2SeqTrainingArguments(output_dir=sys.argv[1] + "/o", use_cpu=True)
    (entry,) = get_dataset_list([name], sys.argv[1])
    rows = _load_single_dataset(entry, ModelArguments(model_name_or_path="x"), options, training)
    found[name] = [dict(row) for row in rows]
print("FOUND" + json.dumps(found))
"""
TURNS: dict[str, list[dict[str, Any]]] = {
    "plain": [
        {"instruction": "Name a fruit.", "input": "red", "output": "Apple"},
        {"instruction": "Name a colour.", "output": "Red"},
    ],
    "turns": [
        {"messages": [
            {"role": "system", "content": "Be brief."}, {"role": "user", "content": "1+1?"},
            {"role": "assistant", "content": "2"}, {"role": "user", "content": "and 1?"},
            {"role": "assistant", "content": "3"},
        ]},
        {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes?"}]},
    ],
    "tools": [
        {"messages": [
            {"role": "user", "content": "warm?"},
            {"role": "assistant", "content": "", "tool_calls": [
                {"type": "function", "function": {"name": "w", "arguments": '{"x": 1}'}}]},
            {"role": "tool", "content": "19"}, {"role": "assistant", "content": "19."},
        ], "tools": [{"type": "function", "function": {"name": "w", "parameters": {}}}]},
    ],
}  # fmt: skip


@pytest.mark.skipif(PYTHON is None, reason="no LLaMA-Factory: ASSAY_LLAMAFACTORY_PYTHON names its python")
def test_llama_factory_loads_every_entry(tmp_path: Path) -> None:
    out, samples = tmp_path / "out", {}
    out.mkdir()
    for name, rows in TURNS.items():
        source = tmp_path / f"{name}.jsonl"
        source.write_text("".join(json.dumps(row) + "\n" for row in rows))
        read = [row for row in data.read(source) if isinstance(row, Sample)]
        for layout in ("messages", "sharegpt", *(("alpaca",) if name != "tools" else ())):
            data.convert(source, out=out / f"{name}_{layout}.jsonl", format=layout)
            samples[f"{name}_{layout}"] = read
    done = subprocess.run([str(PYTHON), "-c", LOAD, str(out)], capture_output=True, text=True, check=False)
    assert "FOUND" in done.stdout, done.stderr[-2_000:]
    found = json.loads(done.stdout.split("FOUND", 1)[1].split("\n", 1)[0])
    assert found.keys() == samples.keys()
    for name, rows in found.items():
        for row, sample in zip(rows, samples[name], strict=True):
            said = [turn["content"] for turn in (*row["_prompt"], *row["_response"])]
            own = [m.content for m in sample.messages if m.role != "system"]
            assert '"arguments": "' not in said[1] or not name.endswith("sharegpt"), "a text within a text"
            assert len(said) == len(own) and all(b in a for a, b in zip(said, own, strict=True)), (name, row)
            assert bool(row["_tools"]) == (sample.tools is not None), name
            system = [m.content for m in sample.messages if m.role == "system"]
            assert (row["_system"] or "") == "".join(system), name
