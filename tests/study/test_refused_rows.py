"""Rows that the base's chat template refuses are rejected rows, counted before anything is trained."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

from assay import study
from assay.core import StudyResult
from assay.model import resolve_base

STRICT = """{%- for m in messages -%}
{%- if (m.role == 'user') != (loop.index0 % 2 == 0) -%}
{{ raise_exception('roles must alternate user/assistant') }}
{%- elif 'forbidden' in m.content -%}
{{ raise_exception('a word that must not be learned') }}
{%- endif -%}
{{ m.role }}: {{ m.content }}{{ eos_token }}
{%- endfor -%}
{%- if add_generation_prompt -%}assistant: {%- endif -%}"""


@pytest.fixture
def strict(tmp_path: Path) -> Path:
    """The pocket model with a template that wants user and assistant in turn."""
    folder = tmp_path / "strict"
    shutil.copytree(resolve_base("pocket"), folder)
    (folder / "chat_template.jinja").write_text(STRICT)
    config = folder / "tokenizer_config.json"
    facts = json.loads(config.read_text())
    facts.pop("chat_template", None)
    config.write_text(json.dumps(facts))
    return folder


def conversation(*turns: str) -> dict[str, object]:
    roles = ["user", *["assistant"] * (len(turns) - 1)]
    return {"messages": [{"role": r, "content": t} for r, t in zip(roles, turns, strict=True)]}


def test_a_refused_row_is_named_and_the_study_goes_on(strict: Path, tmp_path: Path) -> None:
    rows = [conversation(f"Give number {i} plus one.", str(i + 1)) for i in range(40)]
    rows.insert(20, conversation("Give a number.", "Four.", "Or five."))
    rows.append(conversation("Give number 7 plus two.", "forbidden"))
    rows[3]["mood"] = "calm"
    items = [conversation(f"Say {word} twice.", f"{word} {word}") for word in ("red", "blue", "green")]
    items.append(conversation("Say black twice.", "black", "black"))
    for name, written in (("pool", rows), ("eval", items)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in written))
    config = {
        "name": "strict", "base": str(strict), "pool": ["pool.jsonl"], "evaluation": ["eval.jsonl"],
        "recipe": {"preset": "pocket", "epochs": 1}, "ladder": {"rungs": [8, 16, 32], "seeds": 1},
        "measure": {"answers": False},
        "where": {
            "pool": "inline", "device": "cpu", "store": str(tmp_path / "store"), "out": str(tmp_path / "out"),
        },
    }  # fmt: skip
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(config))
    assert study.plan(path).pool_samples == 40, "already the plan knows"
    assert "Pool: fields not used, with the number of rows: mood 1" in map(str, study.plan(path).notes)
    result = study.run(path)
    assert isinstance(result, StudyResult)
    assert result.pool.unused == {"mood": 1} and "mood 1" in (tmp_path / "out" / "report.md").read_text()
    (pool,), (evaluation,) = result.pool.sources, result.evaluation.sources
    assert (pool.rows, pool.kept, pool.rejected) == (42, 40, 2)
    assert (evaluation.rows, evaluation.kept, evaluation.rejected) == (4, 3, 1)
    reported = [
        json.loads(line)
        for file in (tmp_path / "store").glob("objects/*/*/rejected.jsonl")
        for line in file.read_text().splitlines()
        if "pool" in line
    ]
    assert [row["line"] for row in reported] == [21, 42]
    assert "alternate" in reported[0]["reason"] and "must not be learned" in reported[1]["reason"]
