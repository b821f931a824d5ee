"""Models by name: pocket, folders, adapters, and the models of a study."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from assay import model, plan, study
from assay.core import AssayError, StudyResult

Small = tuple[Path, StudyResult]


def test_pocket_and_folders(tmp_path: Path) -> None:
    pocket = model.resolve_base("pocket")
    assert study.find_model("pocket") == study.ModelPlace(pocket, None, "pocket")
    copy = shutil.copytree(pocket, tmp_path / "a:b")
    assert study.find_model(str(copy)) == study.ModelPlace(copy, None, str(copy))
    with pytest.raises(AssayError, match="no such model"):
        study.find_model("poket")


def test_an_adapter_comes_with_its_base(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "pocket"}))
    place = study.find_model(str(tmp_path))
    assert (place.folder, place.base) == (tmp_path, model.resolve_base("pocket"))


def test_a_model_of_a_study(small_study: Small) -> None:
    path, result = small_study
    runs, report = path.parent, path.parent / "report"
    first = study.find_model("report:random/64", runs=runs)
    assert first.label == "report:random/64/seed0" and first.study == report and first.base is None
    assert first == study.find_model("report:random/64/seed0", runs=runs)
    other = study.find_model("report:random/64/seed1", runs=runs)
    store = plan.Store(runs / "store", create=False)
    for place, seed in ((first, 0), (other, 1)):
        (row,) = (r for r in result.runs if (r.n_train, r.seed) == (64, seed))
        measured = store.manifest(row.key)["inputs"]["model"]
        assert place.folder == store.path(measured).resolve() / "model"
    assert (first.folder / "model.safetensors").read_bytes() != (
        other.folder / "model.safetensors"
    ).read_bytes()
    assert study.find_model("report:base", runs=runs).folder == model.resolve_base("pocket").resolve()
    models = study.read_models(report)
    assert [m.name for m in models.models[:2]] == ["base", "random/32/seed0"]
    assert all(models.trained(m) for m in models.models) and len(models.models) == 7
    assert store.has(models.evaluation) and models.pool_samples == result.pool.samples


@pytest.mark.parametrize(
    ("name", "problem", "told"),
    [
        ("reprot:random/64", "no such study", "did you mean `report`?"),
        ("report:radnom/64", "no such arm", "did you mean `random`?"),
        ("report:random/65", "no such rung", "32, 64, 128"),
        ("report:random/full", "no such rung", "32, 64, 128"),
        ("report:random/64/seed7", "no such seed", "seed0, seed1"),
        ("report:random", "not a model of the study", "base, random/32, random/64, random/128"),
        ("report:random/64/seed", "not a model of the study", "random/64"),
        ("../report:base", "no such study", "report"),
    ],
)
def test_what_is_not_there_is_told_with_what_is(
    small_study: Small, name: str, problem: str, told: str
) -> None:
    with pytest.raises(AssayError) as caught:
        study.find_model(name, runs=small_study[0].parent)
    assert caught.value.problem == problem and told in str(caught.value)


def test_a_model_removed_says_how_it_comes_back(small_study: Small, tmp_path: Path) -> None:
    path, _ = small_study
    listed = json.loads((path.parent / "report" / "models.json").read_text())
    listed["store"] = str(tmp_path / "gone")
    listed["pool_samples"] = 128
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "models.json").write_text(json.dumps(listed))
    with pytest.raises(AssayError, match="not in the store") as caught:
        study.find_model("old:random/full/seed1", runs=tmp_path)
    assert caught.value.value == "old:random/128/seed1" and "assay study run" in str(caught.value)
    (tmp_path / "old" / "models.json").write_text("{")
    with pytest.raises(AssayError, match="not JSON"):
        study.find_model("old:base", runs=tmp_path)


def test_names_that_cannot_be_written_cost_their_study_alone(tmp_path: Path) -> None:
    """A name of bytes that are no UTF-8, and an arm with half a surrogate pair, end no list of models."""
    row = {"arm": "a", "n_train": 1, "seed": 0, "base": "b", "key": None, "answer": "k", "judged": None}
    found = {"store": "s", "evaluation": "e", "pool": "p", "pool_samples": 1, "models": [row]}
    (tmp_path / os.fsdecode(b"odd\xff")).mkdir()
    (tmp_path / os.fsdecode(b"odd\xff") / "models.json").write_text(json.dumps(found))
    (tmp_path / "half").mkdir()
    half = {**found, "models": [{**row, "arm": "\ud800"}]}
    (tmp_path / "half" / "models.json").write_text(json.dumps(half))
    folders = study.study_folders(tmp_path)
    assert sorted(map(study.study_name, folders)) == ["half", "odd\\udcff"]
    with pytest.raises(AssayError, match="cannot be read"):
        study.read_models(tmp_path / "half")
