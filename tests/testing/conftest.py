"""The package that docs/plugins.md writes, installed into a folder; every snippet of the page is in it."""

from __future__ import annotations

import os
import re
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from packages import install

ROOT = Path(__file__).resolve().parents[2]
FENCED = re.compile(r"^```(?:python|toml)\n# (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def snippets() -> dict[str, str]:
    """Return the files of the page: name to text, snippets of one file one below the other."""
    files: dict[str, str] = {}
    for name, text in FENCED.findall((ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")):
        files[name] = files.get(name, "") + text + "\n"
    return files


@pytest.fixture(scope="session")
def page() -> dict[str, str]:
    return snippets()


@pytest.fixture(scope="session")
def my_plugins(page: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder to put on the path."""
    project = tomllib.loads(page["pyproject.toml"])["project"]
    entries = {
        group: {name: value.partition(":")[2] for name, value in names.items()}
        for group, names in project["entry-points"].items()
    }
    folder = tmp_path_factory.mktemp("my-plugins")
    return install(
        folder, page["my_plugins.py"], entries,
        name=project["name"], version=project["version"], module="my_plugins",
    )  # fmt: skip


@pytest.fixture(scope="session")
def environment() -> Callable[..., dict[str, str]]:
    """``environment(folder)``: that of a process in which the folder's packages are installed."""

    def made(*folders: Path) -> dict[str, str]:
        path = os.pathsep.join([*map(str, folders), *(part for part in sys.path if part)])
        return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}

    return made
