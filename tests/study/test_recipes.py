"""The study files that are shipped are read without an error."""

from __future__ import annotations

from pathlib import Path

import pytest

from assay import study

FILES = sorted((Path(__file__).parents[2] / "recipes" / "studies").glob("*.yaml"))


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_a_shipped_study_file_is_read(file: Path) -> None:
    assert study.load(file).ladder.rungs


def test_there_are_shipped_study_files() -> None:
    assert {"alpaca", "belle", "belle-pocket", "instructmining-pocket"} <= {f.stem for f in FILES}
