"""One broken file in `runs/` never hides the other studies, and never ends the server that lists them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from assay.jobs._chat import Shelf, open_place
from assay.study import study_folders

GOOD = {
    "store": "store", "evaluation": "e" * 64, "pool_samples": 3,
    "models": [{"arm": "random", "n_train": 4, "seed": 0, "key": None, "base": "pocket"}],
}  # fmt: skip
BROKEN = [
    b"",
    b"[1, 2]",
    b'{"store": ',
    b"\xff\xfe",
    b"null",
    b'"x"',
    b"[" * 100_000,
    json.dumps({"models": 3}).encode(),
]


@pytest.mark.parametrize("content", BROKEN)
@pytest.mark.parametrize("name", ["models.json", "result.json"])
def test_the_other_studies_are_still_listed(tmp_path: Path, content: bytes, name: str) -> None:
    for study in ("a", "b"):
        (tmp_path / study).mkdir()
        (tmp_path / study / "models.json").write_text(json.dumps(GOOD))
    (tmp_path / "a" / name).write_bytes(content)
    rows = Shelf(tmp_path, (), open_place).studies("en")
    assert [row.name for row in rows] == [folder.name for folder in study_folders(tmp_path)] == ["a", "b"]
