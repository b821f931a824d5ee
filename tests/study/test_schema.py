"""The schema of study files: it takes what the reader takes, and refuses what the reader refuses."""

from __future__ import annotations

import json
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from assay.cli import main
from assay.core import AssayError
from assay.study import parse_config
from assay.study._schema import schema, study_schema

jsonschema = pytest.importorskip("jsonschema")
ROOT = Path(__file__).resolve().parents[2]
FILES = [ROOT / "src/assay/study/demo.yaml", *sorted(ROOT.glob("recipes/studies/*.yaml"))]
SMALL: dict[str, Any] = {
    "name": "s", "pool": "pool.jsonl", "evaluation": ["a.jsonl", "b.jsonl"], "ladder": {"rungs": [8, 16]},
}  # fmt: skip


@cache
def validator() -> Any:
    return jsonschema.Draft202012Validator(study_schema())


def takes(study: Any) -> bool:
    return not list(validator().iter_errors(study))


def reads(study: Any) -> bool:
    try:
        parse_config(study)
    except AssayError:
        return False
    return True


def test_it_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(study_schema())


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_our_own_study_files_fit(file: Path) -> None:
    assert takes(yaml.safe_load(file.read_text(encoding="utf-8")))


CHANGES: list[tuple[str, Any]] = [
    ("pool", {"testbed": {"samples": 10}}), ("pool", {"testbed": {"sample": 10}}), ("pool", 3), ("pool", []),
    ("base", "pocket"), ("base", {"small": "pocket", "large": {"model": "pocket"}}), ("base", 3),
    ("recipe", "belle"), ("recipe", "no such preset"), ("recipe", {"preset": "testbed", "batch_size": 4}),
    ("recipe", {"learning_rate": "3e-6"}), ("recipe", {"learning_rate": "fast"}), ("recipe", {"rate": 1}),
    ("ladder", {"rungs": [8, "full"], "seeds": 2}), ("ladder", {"rungs": "all"}), ("ladder", None),
    ("arms", {"long": {"rule": "longest"}}), ("arms", {"long": {"rule": 3}}), ("arms", {"plain": None}),
    ("language", "zh"), ("language", "fr"), ("control", False), ("control", 30), ("control", "no"),
    ("colour", "red"), ("question", {"satisfied_at": 0.8}), ("question", {"satisfied_at": "high"}),
]  # fmt: skip


@pytest.mark.parametrize(("key", "value"), CHANGES, ids=str)
def test_it_says_what_the_reader_says(key: str, value: Any) -> None:
    study = {**deepcopy(SMALL), key: value}
    assert takes(study) == reads(study)


@pytest.mark.parametrize("gone", sorted({tuple(sorted({a, b})) for a in SMALL for b in SMALL}), ids=str)
def test_without_what_it_needs_the_reader_and_the_schema_say_so(gone: tuple[str, ...]) -> None:
    study = {key: value for key, value in deepcopy(SMALL).items() if key not in gone}
    assert not takes(study) and not reads(study)


def test_it_is_written_to_a_file(tmp_path: Path) -> None:
    path = schema(out=tmp_path / "study.schema.json")
    assert isinstance(path, Path) and json.loads(path.read_text(encoding="utf-8")) == study_schema()


def test_the_command_prints_the_schema_itself(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["schema"])
    assert ended.value.code == 0 and json.loads(capsys.readouterr().out) == study_schema()
