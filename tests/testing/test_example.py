"""The example package: installed as anyone would, its tests, a table of scores, and a study with it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "assay-politeness"
Environment = Callable[..., dict[str, str]]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("setuptools", reason="the example is built with setuptools")
    source = tmp_path_factory.mktemp("source") / "assay-politeness"
    shutil.copytree(EXAMPLE, source)
    target = tmp_path_factory.mktemp("target")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    command += ["--no-index", "--disable-pip-version-check", "--target", str(target), str(source)]
    subprocess.run(command, check=True)
    return target


def assay(*arguments: str, cwd: Path, env: dict[str, str]) -> str:
    command = [sys.executable, "-m", "assay", *arguments]
    run = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.mark.long
def test_its_own_tests_pass(installed: Path, environment: Environment, tmp_path: Path) -> None:
    tests = tmp_path / "tests"
    shutil.copytree(EXAMPLE / "tests", tests)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tests)]
    run = subprocess.run(
        command, cwd=tmp_path, env=environment(installed), capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-2000:]


def sample(number: int) -> dict[str, str]:
    polite = "Thank you for asking: " if number % 3 == 0 else ""
    return {"instruction": f"Say the number {number}.", "output": f"{polite}it is {number}."}


@pytest.fixture
def files(tmp_path: Path) -> Path:
    pool = [json.dumps(sample(number)) for number in range(60)]
    items = [json.dumps(sample(number)) for number in range(100, 108)]
    (tmp_path / "pool.jsonl").write_text("\n".join(pool), encoding="utf-8")
    (tmp_path / "evaluation.jsonl").write_text("\n".join(items), encoding="utf-8")
    shutil.copy(EXAMPLE / "study.yaml", tmp_path)
    return tmp_path


def test_a_table_of_scores(installed: Path, environment: Environment, files: Path) -> None:
    import polars

    arguments = ["score", "pool.jsonl", "--out", "scores.parquet", "--indicators", "politeness"]
    assay(*arguments, "--pool", "inline", cwd=files, env=environment(installed))
    rates = polars.read_parquet(files / "scores.parquet")["politeness"].to_list()
    assert [rate > 0 for rate in rates] == [number % 3 == 0 for number in range(60)]


def steps(folder: Path) -> dict[str, list[dict[str, object]]]:
    """Return the manifests of a store by the name of their step."""
    found: dict[str, list[dict[str, object]]] = {}
    for place in (folder / ".assay" / "objects").glob("*/*/manifest.json"):
        manifest = json.loads(place.read_text(encoding="utf-8"))
        found.setdefault(manifest["name"], []).append(manifest)
    return found


@pytest.mark.long
@pytest.mark.timeout(900)  # three studies, each a command of its own
def test_a_study_is_computed_anew_where_the_package_has_changed(
    installed: Path, environment: Environment, files: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    own = tmp_path_factory.mktemp("changed") / "packages"
    shutil.copytree(installed, own)
    env = environment(own)
    assay("study", "run", "study.yaml", cwd=files, env=env)
    first = steps(files)
    methods = {manifest["config"]["plugin"].partition(" (")[0] for manifest in first["judge"]}
    assert methods == {"assay-politeness 0.1.0"}
    assert len(first["score"]) == 1 and len(first["judge"]) == 5

    assay("study", "run", "study.yaml", cwd=files, env=env)
    assert {name: len(rows) for name, rows in steps(files).items()} == {n: len(r) for n, r in first.items()}

    module = own / "assay_politeness" / "__init__.py"
    module.write_text(module.read_text(encoding="utf-8").replace("else 0.5", "else 0.4"), encoding="utf-8")
    assay("study", "run", "study.yaml", cwd=files, env=env)
    second = steps(files)
    assert len(second["judge"]) == 10 and len(second["score"]) == 2
    assert len(second["read-pool"]) == 1 and len(second["tokenize"]) == 1
    random = [m for m in second["train"] if "random" in str(m["label"])]
    assert len(random) == len([m for m in first["train"] if "random" in str(m["label"])])
