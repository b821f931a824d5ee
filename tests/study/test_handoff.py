"""Runs that are handed over and come back: what a study trained by itself would have, or a word on each."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from assay import study
from assay.core import AssayError, StudyResult, file_digest
from assay.plan import Store
from assay.study import Collected

SCRIPTED = Path(__file__).parent.parent / "scripted"
CHANGES: dict[str, Any] = {
    "ladder": {"rungs": [32, 64], "seeds": 1},
    "recipe": {"preset": "testbed", "batch_size": 16, "warmup_steps": 0},
    "measure": {"answers": False, "text": False},
    "recipe_check": False,
}


@pytest.fixture
def trainer(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Start the scripted trainer in TRL's place; ``trainer("fail")`` says what goes wrong."""
    monkeypatch.setenv("PYTHONPATH", f"{SCRIPTED}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setenv("ASSAY_TRL_PYTHON", sys.executable)
    monkeypatch.delenv("SCRIPTED", raising=False)
    return lambda wrong: monkeypatch.setenv("SCRIPTED", wrong)


@pytest.fixture
def handed(tmp_path: Path, writer: Callable[..., Path], trainer: Any) -> tuple[Path, Path]:
    """Hand the small study over; return its file and the folder."""
    path = writer(tmp_path / "study", **CHANGES)
    study.handoff(path, tmp_path / "handed", for_="trl")
    return path, tmp_path / "handed"


def _run(folder: Path, *runs: str) -> None:
    """Start the scripts by hand: all, or those of some runs."""
    variables = {**os.environ, "PYTHON": sys.executable}
    for script in [folder / run / "run.sh" for run in runs] or [folder / "run-all.sh"]:
        subprocess.run(["sh", str(script)], env=variables, check=False, capture_output=True)


def _weights(store: Path, key: str) -> str:
    return file_digest(Store(store).path(key) / "model" / "model.safetensors")


def _states(found: Collected) -> dict[str, str]:
    return {one.folder: one.state for one in found.runs}


def test_what_is_collected_is_what_the_study_trains_itself(
    handed: tuple[Path, Path], tmp_path: Path, writer: Callable[..., Path]
) -> None:
    path, folder = handed
    _run(folder)
    back = study.collect(path, folder)
    assert set(_states(back).values()) == {"taken"} and isinstance(back.result, StudyResult)
    direct = writer(tmp_path / "direct", **{**CHANGES, "recipe": {**CHANGES["recipe"], "trainer": "trl"}})
    own = study.run(direct)
    assert isinstance(own, StudyResult)
    stores = tmp_path / "direct" / "store", tmp_path / "study" / "store"
    for one in back.runs:
        assert _weights(stores[0], one.key) == _weights(stores[1], one.key)
    assert back.result.points == own.points and back.result.curves == own.curves
    again = study.run(path, set=["recipe.trainer=trl"])
    assert isinstance(again, StudyResult) and again.points == own.points


def test_runs_have_the_nested_orders_of_the_study(handed: tuple[Path, Path]) -> None:
    _, folder = handed
    small, large = (
        (folder / f"runs/random-{n}-s0/data/train.jsonl").read_text().splitlines() for n in (32, 64)
    )
    assert len(small) == 32 and large[:32] == small and len(large) == 64


def test_collecting_twice_is_the_same_as_once(handed: tuple[Path, Path]) -> None:
    path, folder = handed
    _run(folder)
    first, second = study.collect(path, folder), study.collect(path, folder)
    assert set(_states(second).values()) == {"kept"}
    assert first.result is not None and second.result is not None
    assert first.result.points == second.result.points


def test_what_came_is_taken_and_the_rest_stays_open(handed: tuple[Path, Path]) -> None:
    path, folder = handed
    _run(folder, "runs/random-64-s0")
    found = study.collect(path, folder)
    assert _states(found) == {"runs/random-32-s0": "open", "runs/random-64-s0": "taken"}
    assert found.result is None
    (missing,) = found.missing
    assert "has not come back" in str(missing.reason) and "run.sh" in str(missing.reason)
    shutil.rmtree(folder / "runs/random-64-s0")
    _run(folder, "runs/random-32-s0")
    found = study.collect(path, folder)
    assert _states(found) == {"runs/random-32-s0": "taken", "": "kept"} or found.result is not None
    assert found.result is not None


def test_a_folder_that_stayed_away_is_named(handed: tuple[Path, Path]) -> None:
    path, folder = handed
    shutil.rmtree(folder / "runs/random-32-s0")
    reasons = {one.folder: one.reason for one in study.collect(path, folder).missing}
    assert "is not there: copy it back" in str(reasons["runs/random-32-s0"])


def test_a_failed_run_is_named_and_can_be_run_again(handed: tuple[Path, Path], trainer: Any) -> None:
    path, folder = handed
    trainer("memory")
    _run(folder)
    found = study.collect(path, folder)
    assert set(_states(found).values()) == {"refused"}
    assert all(
        "memory ran out" in str(one.reason) and "micro_tokens" in str(one.reason) for one in found.missing
    )
    trainer("")
    _run(folder)
    assert study.collect(path, folder).result is not None


def _change(path: Path, old: str, new: str) -> None:
    path.write_text(path.read_text().replace(old, new, 1))


@pytest.mark.parametrize(
    ("file", "old", "new", "what"),
    [
        ("data/train.jsonl", '"labels":[-100', '"labels":[1', "data"),
        ("config.yaml", "seed: 0", "seed: 1", "settings"),
    ],
)
@pytest.mark.parametrize("before", [True, False])
def test_changed_files_are_refused(
    handed: tuple[Path, Path], file: str, old: str, new: str, what: str, before: bool
) -> None:
    """Whether someone changed them before training, and even adapted the digests, or after it."""
    path, folder = handed
    run = folder / "runs/random-32-s0"
    if not before:
        _run(folder)
    was = file_digest(run / file)
    _change(run / file, old, new)
    if before:
        _change(run / "run.json", was, file_digest(run / file))
        _run(folder)
        assert json.loads((run / "receipt.json").read_text())["status"] == "finished"
    found = study.collect(path, folder)
    assert _states(found) == {"runs/random-32-s0": "refused", "runs/random-64-s0": "taken"}
    assert f"not made from the {what} that this study hands over" in str(found.missing[0].reason)


def test_scripts_may_be_adapted_and_nothing_goes_on_from_other_files(handed: tuple[Path, Path]) -> None:
    path, folder = handed
    run = folder / "runs/random-32-s0"
    old = (run / "config.yaml").read_text()
    was = file_digest(run / "config.yaml")
    _change(run / "config.yaml", "seed: 0", "seed: 1")
    changed = file_digest(run / "config.yaml")
    _change(run / "run.json", was, changed)
    _run(folder, "runs/random-32-s0")
    (run / "config.yaml").write_text(old)
    _change(run / "run.json", changed, was)
    _change(run / "run.py", "start_new_session=True", "start_new_session=False")
    _run(folder)
    assert len(list(run.glob("out-of-other-files-*"))) == 1
    assert json.loads((run / "receipt.json").read_text())["resumed"] is None
    assert set(_states(study.collect(path, folder)).values()) == {"taken"}


def test_a_changed_file_is_not_trained_on(handed: tuple[Path, Path]) -> None:
    path, folder = handed
    _change(folder / "runs/random-32-s0/data/train.jsonl", "[-100", "[1")
    _run(folder)
    assert not (folder / "runs/random-32-s0/out").exists()
    reason = str(study.collect(path, folder).missing[0].reason)
    assert "was not started" in reason and "SHA-256 differs" in reason


def test_another_base_is_not_trained_from(handed: tuple[Path, Path]) -> None:
    path, folder = handed
    _change(folder / "bases/base/config.json", "{", "{ ")
    _run(folder)
    reasons = [str(one.reason) for one in study.collect(path, folder).missing]
    assert len(reasons) == 2 and all("not the base model of this study" in reason for reason in reasons)


def test_a_run_with_other_steps_is_refused(handed: tuple[Path, Path], trainer: Any) -> None:
    path, folder = handed
    trainer("short")
    _run(folder)
    found = study.collect(path, folder)
    assert set(_states(found).values()) == {"refused"}
    assert "another number of steps" in str(found.missing[0].reason)


def test_results_without_weights_are_sent_to_import(handed: tuple[Path, Path]) -> None:
    path, folder = handed
    _run(folder)
    for weights in (folder / "runs").rglob("*.safetensors"):
        weights.unlink()
    assert "assay import" in str(study.collect(path, folder).missing[0].reason)


def test_rows_need_not_travel_back(handed: tuple[Path, Path]) -> None:
    path, folder = handed
    _run(folder)
    for rows in folder.rglob("train.jsonl"):
        rows.unlink()
    assert study.collect(path, folder).result is not None


def test_a_hand_over_of_another_study_is_not_taken(
    handed: tuple[Path, Path], tmp_path: Path, writer: Callable[..., Path]
) -> None:
    _, folder = handed
    _run(folder)
    other = writer(tmp_path / "other", **{**CHANGES, "recipe": {**CHANGES["recipe"], "learning_rate": 1e-4}})
    found = study.collect(other, folder)
    assert set(_states(found).values()) == {"open"} and found.result is None
    assert all("not handed over" in str(one.reason) for one in found.missing)
    assert [note.values for note in found.notes] == [{"runs": 2}]


def test_what_the_store_has_is_not_handed_over_again(handed: tuple[Path, Path], tmp_path: Path) -> None:
    path, folder = handed
    _run(folder, "runs/random-32-s0")
    study.collect(path, folder)
    again = study.handoff(path, tmp_path / "second", for_="trl")
    assert [one.state for one in again.runs] == ["kept", "written"]
    assert (tmp_path / "second/runs.txt").read_text() == "runs/random-64-s0\n"


def test_a_folder_with_something_else_is_left_alone(handed: tuple[Path, Path], tmp_path: Path) -> None:
    path, folder = handed
    with pytest.raises(AssayError, match="holds something else"):
        study.handoff(path, tmp_path / "study", for_="trl")
    with pytest.raises(AssayError, match="holds something else"):
        study.handoff(path, folder, for_="llamafactory")
    before = {p: file_digest(p) for p in folder.rglob("*") if p.is_file()}
    study.handoff(path, folder, for_="trl")
    assert before == {p: file_digest(p) for p in folder.rglob("*") if p.is_file()}


def test_no_hand_over_is_a_clear_error(handed: tuple[Path, Path], tmp_path: Path) -> None:
    path, _ = handed
    (tmp_path / "empty").mkdir()
    with pytest.raises(AssayError, match=r"handoff\.json"):
        study.collect(path, tmp_path / "empty")
    with pytest.raises(AssayError, match="no such trainer"):
        study.handoff(path, tmp_path / "more")


def test_a_base_can_stay_where_it_is(handed: tuple[Path, Path], tmp_path: Path) -> None:
    path, _ = handed
    found = study.handoff(path, tmp_path / "light", for_="trl", copy_base=False)
    assert not (tmp_path / "light/bases").exists() and len(found.notes) == 2
    _run(tmp_path / "light")
    assert study.collect(path, tmp_path / "light").result is not None


def test_tasks_for_slurm_and_skypilot_name_every_run(handed: tuple[Path, Path]) -> None:
    _, folder = handed
    runs = (folder / "runs.txt").read_text().split()
    assert runs == ["runs/random-32-s0", "runs/random-64-s0"]
    assert "#SBATCH --array=1-2\n" in (folder / "slurm.sh").read_text()
    tasks = [yaml.safe_load(p.read_text()) for p in sorted((folder / "sky").glob("*.yaml"))]
    assert [run in task["run"] for run, task in zip(runs, tasks, strict=True)] == [True, True]
    task = {**os.environ, "SLURM_ARRAY_TASK_ID": "2", "PYTHON": sys.executable}
    subprocess.run(["sh", "slurm.sh"], cwd=folder, env=task, check=True, capture_output=True)
    assert (folder / runs[1] / "receipt.json").exists() and not (folder / runs[0] / "receipt.json").exists()


def test_bases_are_handed_over_each(
    tmp_path: Path, writer: Callable[..., Path], tiny: Callable[..., Path], trainer: Any
) -> None:
    path = writer(tmp_path / "study", **CHANGES, base={"small": "pocket", "other": str(tiny("llama"))})
    found = study.handoff(path, tmp_path / "handed", for_="trl")
    assert {one.folder.split("/")[1] for one in found.runs} == {"small", "other"} and len(found.runs) == 4
    _run(tmp_path / "handed")
    assert study.collect(path, tmp_path / "handed").result is not None


def test_the_command_says_what_is_missing(handed: tuple[Path, Path]) -> None:
    path, folder = handed
    _run(folder, "runs/random-32-s0")
    command = [sys.executable, "-m", "assay", "study", "collect", str(path), str(folder)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "1 run taken" in said and "1 open" in said and "runs/random-64-s0" in said
