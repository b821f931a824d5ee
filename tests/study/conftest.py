"""A small real study: pocket model, testbed, two seeds, three rungs; seconds, not minutes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from assay.core import StudyResult

SMALL: dict[str, Any] = {
    "name": "small",
    "base": "pocket",
    "pool": {"testbed": {"samples": 150, "types": ["classification", "code"]}},
    "evaluation": {"testbed": {"samples": 16, "seed": 1, "types": ["classification", "code"]}},
    "ladder": {"rungs": [32, 64, 128], "seeds": 2},
    "recipe": {"preset": "testbed", "batch_size": 16},
    "measure": {"max_new_tokens": 6},
    "question": {"satisfied_at": 0.5, "smallest_gain": 0.02},
    "where": {"pool": "inline"},
}


def write_study(folder: Path, **changes: Any) -> Path:
    """Write the small study with changes at the top level, its store and report beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    where = {"pool": "inline", "store": str(folder / "store"), "out": str(folder / "report")}
    where |= changes.pop("where", {})
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump({**SMALL, **changes, "where": where}, allow_unicode=True))
    return path


@pytest.fixture(scope="session")
def writer() -> Callable[..., Path]:
    """``writer(folder, **changes)``: the small study with changes, for fixtures that outlive a test."""
    return write_study


@pytest.fixture
def study_file(tmp_path: Path) -> Callable[..., Path]:
    return lambda **changes: write_study(tmp_path, **changes)


@pytest.fixture(scope="session")
def small_study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, StudyResult]:
    """Run the small study once; return its file and result."""
    from assay import study

    path = write_study(tmp_path_factory.mktemp("small"))
    return path, study.run(path)
