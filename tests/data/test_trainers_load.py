"""The loaders of LLaMA-Factory and axolotl read what `convert` writes: each entry and row, the same turns.

They live in environments of their own, whose interpreters ASSAY_LLAMAFACTORY_PYTHON and ASSAY_AXOLOTL_PYTHON
name.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from assay import data
from assay.core import Sample, Text

PYTHON = os.environ.get("ASSAY_LLAMAFACTORY_PYTHON")
POCKET = Path(data.__file__).parent.parent / "model" / "pocket"
AXOLOTL = os.environ.get("ASSAY_AXOLOTL_PYTHON")
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
LOAD_AXOLOTL = """
import json, os, sys
import yaml
from axolotl.utils.data.sft import _load_and_process_single_dataset
from axolotl.utils.dict import DictDefault
from transformers import AutoTokenizer

os.chdir(sys.argv[1])
tokenizer = AutoTokenizer.from_pretrained(sys.argv[2])
tokenizer.chat_template = sys.argv[3]
found = {}
for name in sorted(n for n in os.listdir(".") if n.endswith(".axolotl.yaml")):
    (entry,) = yaml.safe_load(open(name))["datasets"]
    settings = {"sequence_len": 512, "chat_template": "tokenizer_default", "is_preprocess": True,
                "dataset_num_proc": 1, "train_on_inputs": False, "datasets": [entry]}
    entry, settings = DictDefault(entry), DictDefault(settings)
    rows, _ = _load_and_process_single_dataset(entry, settings, tokenizer, "train", 0)
    learned = [[i for i, l in zip(row["input_ids"], row["labels"]) if l != -100] for row in rows]
    texts = [tokenizer.batch_decode([row["input_ids"], ids]) for row, ids in zip(rows, learned)]
    found[name.split(".")[0]] = texts
print("FOUND" + json.dumps(found))
"""
SHOWN = (
    '{% for m in messages %}<|{{ m.role }}|>{{ m.content or "" }}'
    "{% for c in m.tool_calls or [] %}{{ c.function.name }}({{ c.function.arguments | string }}){% endfor %}"
    '{% if m.role == "assistant" %}<|end|>{% endif %}{% endfor %}'
)
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
    "weights": [
        {"messages": [
            {"role": "user", "content": "1+1?"}, {"role": "assistant", "content": "two", "weight": 0},
            {"role": "user", "content": "and 1?"}, {"role": "assistant", "content": "three"},
        ]},
    ],
}  # fmt: skip


def written(folder: Path) -> tuple[Path, dict[str, list[Sample]], dict[str, tuple[Text, ...]]]:
    """Convert every kind of row to every format that holds it: the folder, the samples, the notes."""
    out, samples, notes = folder / "out", {}, {}
    out.mkdir()
    for name, rows in TURNS.items():
        source = folder / f"{name}.jsonl"
        source.write_text("".join(json.dumps(row) + "\n" for row in rows))
        read = [row for row in data.read(source) if isinstance(row, Sample)]
        plain = name in ("plain", "turns")
        for layout in ("messages", "sharegpt", *(("alpaca",) if plain else ())):
            done = data.convert(source, out=out / f"{name}_{layout}.jsonl", format=layout)
            samples[f"{name}_{layout}"], notes[f"{name}_{layout}"] = read, done.notes
    return out, samples, notes


def loaded(python: str | None, script: str, *arguments: object) -> dict[str, list[Any]]:
    command = [str(python), "-c", script, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "FOUND" in done.stdout, done.stderr[-2_000:]
    found: dict[str, list[Any]] = json.loads(done.stdout.split("FOUND", 1)[1].split("\n", 1)[0])
    return found


def test_what_a_trainer_reads_otherwise_is_said(tmp_path: Path) -> None:
    _, _, notes = written(tmp_path)
    said = {name: {note.key.removeprefix("note.convert.") for note in found} for name, found in notes.items()}
    assert {name: keys for name, keys in said.items() if keys} == {
        "turns_alpaca": {"history"},
        "tools_messages": {"text_arguments"},
        "tools_sharegpt": {"function_call"},
        "weights_messages": {"weight"},
        "weights_sharegpt": {"weight"},
    }
    both = {**TURNS["tools"][0], "messages": [dict(turn) for turn in TURNS["tools"][0]["messages"]]}
    both["messages"][1]["content"] = "I look."
    (tmp_path / "both.jsonl").write_text(json.dumps(both) + "\n")
    for layout in ("messages", "sharegpt"):
        done = data.convert(tmp_path / "both.jsonl", out=tmp_path / f"o-{layout}.jsonl", format=layout)
        assert f"note.convert.text_and_calls.{layout}" in {note.key for note in done.notes}


@pytest.mark.skipif(AXOLOTL is None, reason="no axolotl: ASSAY_AXOLOTL_PYTHON names its python")
def test_axolotl_loads_every_entry(tmp_path: Path) -> None:
    out, samples, notes = written(tmp_path)
    found = loaded(AXOLOTL, LOAD_AXOLOTL, out, POCKET, SHOWN)
    without = {"note.convert.history", "note.convert.function_call"}
    assert found.keys() == {name for name in samples if not {note.key for note in notes[name]} & without}
    for name, rows in found.items():
        for (text, learned), sample in zip(rows, samples[name], strict=True):
            for message in sample.messages:
                assert message.content in text, name
                if message.role == "assistant" and message.tool_calls is None:
                    assert (message.content in learned) == message.learned, name


@pytest.mark.skipif(PYTHON is None, reason="no LLaMA-Factory: ASSAY_LLAMAFACTORY_PYTHON names its python")
def test_llama_factory_loads_every_entry(tmp_path: Path) -> None:
    out, samples, _ = written(tmp_path)
    found = loaded(PYTHON, LOAD, out)
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
