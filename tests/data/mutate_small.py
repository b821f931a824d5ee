# ruff: noqa: E501 - sound files, a line each
"""Mutated inputs for the readers of small files: tables of points, studies, rules, rubrics, results, answers.

They are read whole or refused: the law is that an error says what is wrong and where, and nothing else is
raised.  `mutate.py` runs these beside the data sets.
"""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from assay import core, data, indicators, judging, study, view
from assay.annotation import read_items
from assay.generation import read_seeds
from assay.jobs._chat import Shelf, open_place
from assay.jobs._judging_files import read_answers, read_judgements, read_labels
from assay.plan._store import read_root

POINTS = [
    {"n_train": n, "seed": seed, "type": kind, "score": round(0.3 + n / 9000 + seed / 100, 3), "loss": 1.5, "n_eval": 40}
    for n in (100, 1000, 5000) for seed in (0, 1) for kind in ("math", "code")
]  # fmt: skip
STUDY = """name: s
pool: [pool.jsonl]
evaluation: {testbed: {samples: 24, types: [code, math]}}
base: {small: pocket, large: {model: pocket, recipe: {epochs: 2}, arms: [best]}}
ladder: {rungs: [32, 64, full], seeds: 2}
arms: {best: {rule: top, by: mtld}}
recipe: {preset: pocket, batch_size: 16, learning_rate: 1e-3}
measure: {max_new_tokens: 6}
judge: {model: openai/gpt, budget: 3 USD}
where: {pool: "processes:2", store: store, out: report}
"""
RULE = {
    "name": "own", "predicts": "loss", "direction": -1, "intercept": 0.5, "coefficients": {"mtld": 0.1, "len_out": 2},
    "source": "us", "models": {"m": {"name": "a", "digest": "b"}}, "warnings": ["w"],
    "ranges": {"mtld": {"samples": [0, 1], "subsets": [0, 1]}}, "squares": {"mtld": {"weight": 2, "centre": 1, "spread": 1, "reach": 3}},
    "check": {"kind": "verdict.beats", "verdict": "It beats"},
}  # fmt: skip
RUBRIC = """[math]
name = "maths"
criteria = "right"
reference_use = "hold against it"
scale = [{ score = 0, meaning = "wrong" }, { score = 0.5, meaning = "half" }, { score = 1, meaning = "right" }]
[general]
system = "You judge."
"""
MODELS = {
    "store": "/tmp/store", "evaluation": "e" * 64, "pool": "p" * 64, "pool_samples": 9, "of_several": False,
    "models": [{"arm": "random", "n_train": 32, "seed": 0, "base": "/tmp", "key": None, "answer": "a", "judged": None}],
}  # fmt: skip
ITEMS = [
    core.Sample((core.Message("user", f"q{i}"), core.Message("assistant", "a")), type="math")
    for i in range(3)
]
ANSWERS = [{"item": item.id, "answer": "x"} for item in ITEMS]
JUDGED = [
    {"item": item.id, "type": "math", "method": "judge", "score": 0.5, "language": "en", "characters": 1}
    for item in ITEMS
]
LABELS = [{"item": item.id, "score": 0.5, "annotator": "a", "judged": "x"} for item in ITEMS]
SEEDS = [
    {"instruction": "do", "instances": [{"input": "x", "output": "y"}]},
    {"instruction": "i", "output": "o"},
]


def _result() -> core.StudyResult:
    summary = core.DataSummary((), 1, {"math": 1}, {"en": 1}, {"s": 1}, {"p50": 1.0}, 0)
    return core.StudyResult(
        name="s", assay_version="0", language="en", base={"name": "pocket"}, recipe={"epochs": 1},
        question={"satisfied_at": None, "smallest_gain": 0.01}, pool=summary, evaluation=summary, arms=(),
        points=(core.Point("math", 32, 0, "score", 0.5, 9, 0.1),), curves=core.Curves(()), comparisons=(), runs=(),
        cost=core.Cost(32, 32, 99, 1.0, 1.0, "cpu"), answers=(), answer=None,
    )  # fmt: skip


def _lines(rows: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def _csv(separator: str, wide: bool = False) -> bytes:
    rows: list[Mapping[str, Any]] = [*POINTS]
    if wide:
        rows = [{"model": m, "metric": "accuracy", "100": 41.5, "1k": "55.0", "n=2000": 61} for m in "ab"]
    lines = [list(map(str, rows[0]))] + [list(map(str, row.values())) for row in rows]
    return "".join(separator.join(line) + "\n" for line in lines).encode()


def _parquet() -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(POINTS), sink)
    return sink.getvalue()


def _config(path: Path) -> object:
    return study.read_config(path)


def _judged(path: Path) -> object:
    return read_judgements(path)


def _labels(path: Path) -> object:
    own = path.with_name("own-judged.jsonl")
    own.write_bytes(_lines(JUDGED))
    return read_labels(path, read_judgements(own))


def _listed(path: Path) -> object:
    """List the studies beside a broken file as the dashboard and ``/v1/models`` do: nothing is refused."""
    runs = path.with_name("runs")
    folder = runs / "study"
    shutil.rmtree(runs, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copyfile(path, folder / path.name)
    try:
        rows = Shelf(runs, ("pocket",), open_place).studies("en")
    except core.AssayError as error:
        raise RuntimeError("a broken file takes the list down") from error
    return json.dumps([[row.name, row.models, row.says] for row in rows], ensure_ascii=False).encode()


def _result_of(path: Path) -> object:
    _listed(path)
    return view.load_study(path)


def _models_of(path: Path) -> object:
    _listed(path)
    return study.read_models(path.parent)


READERS: dict[str, tuple[bytes, Callable[[Path], object]]] = {
    "points.csv": (_csv(","), data.read_points),
    "semicolons.csv": (_csv(";"), data.read_points),
    "points.tsv": (_csv("\t"), data.read_points),
    "wide.csv": (_csv(",", wide=True), data.read_points),
    "points.parquet": (_parquet(), data.read_points),
    "study.yaml": (STUDY.encode(), _config),
    "rule.json": (json.dumps(RULE, indent=1).encode(), indicators.read_rule),
    "rubrics.toml": (RUBRIC.encode(), lambda path: judging.rubrics("en", path)),
    "result.json": ((core.canonical_json(_result()) + "\n").encode(), _result_of),
    "models.json": (json.dumps(MODELS).encode(), _models_of),
    "root.json": (json.dumps({"keys": ["a" * 64], "owner": "s"}).encode(), read_root),
    "answers.jsonl": (_lines(ANSWERS), lambda path: read_answers(path, ITEMS)),
    "judged.jsonl": (_lines(JUDGED), _judged),
    "labels.jsonl": (_lines(LABELS), _labels),
    "seeds.jsonl": (_lines(SEEDS), lambda path: read_seeds([str(path)])),
    "annotated.jsonl": (_lines(ANSWERS), lambda path: read_items([], path)),
}
"""A sound file by its name, and what reads it."""
