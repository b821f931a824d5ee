"""What docs/plugins.md shows works as it stands."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import assay.testing
from assay.core import METRICS
from assay.curves import FORMS
from assay.data import READERS
from assay.indicators import PLUGINS as INDICATORS
from assay.judging import PLUGINS as JUDGES
from assay.model import TRAINERS
from assay.plan import POOLS
from assay.results import RESULTS
from assay.selection import PLUGINS as SELECTIONS

GROUPS = (READERS, INDICATORS, SELECTIONS, JUDGES, METRICS, TRAINERS, FORMS, POOLS, RESULTS)
ROOT = Path(__file__).resolve().parents[2]


def test_the_table_names_every_group_and_suite() -> None:
    text = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| `assay.")]
    assert [row.split("`")[1] for row in rows] == [group.group for group in GROUPS]
    for row, suite in zip(rows, (r.split("`")[-2] for r in rows), strict=True):
        assert hasattr(assay.testing, suite), row


def test_the_package_has_one_of_each_kind(page: dict[str, str]) -> None:
    for group in GROUPS:
        assert f'entry-points."{group.group}"' in page["pyproject.toml"]


@pytest.mark.long
@pytest.mark.timeout(900)  # all suites, trainings and killed runs among them
def test_its_plugins_pass_the_suites(
    page: dict[str, str], my_plugins: Path, environment: Callable[..., dict[str, str]], tmp_path: Path
) -> None:
    place = tmp_path / "test_my_plugins.py"
    place.write_text(page["test_my_plugins.py"], encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider", str(place)]
    run = subprocess.run(
        command, cwd=tmp_path, env=environment(my_plugins), capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout[-6000:] + run.stderr[-2000:]
    assert run.stdout.count("PASSED") >= 9 * 4


def test_its_names_work_in_python(
    page: dict[str, str], my_plugins: Path, environment: Callable[..., dict[str, str]], tmp_path: Path
) -> None:
    run = subprocess.run(
        [sys.executable, "-c", page["use.py"]],
        cwd=tmp_path, env=environment(my_plugins), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[0] == "[0.0, 2.0]"
    assert "score=0.0" in run.stdout and "method='one-sentence-v1 (my-plugins 0.1.0)'" in run.stdout
