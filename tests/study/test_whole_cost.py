"""What a study takes in all is said, and held against the cap, before its recipe check trains anything."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from assay import study
from assay.core import AssayError
from assay.plan import Store

LARGE = {
    "pool": {"testbed": {"samples": 4400, "types": ["classification", "code"]}},
    "ladder": {"rungs": [200, 400, 800, 1600, 3200], "seeds": 3},
    "measure": {"answers": False},
}


def test_the_whole_is_said_and_refused_before_the_check(
    study_file: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    path = study_file(**LARGE)
    with pytest.raises(AssayError, match="more than the cap"):
        study.run(path, cap="30 seconds")
    told = capsys.readouterr().err
    assert "In all: " in told and "The recipe check comes first" in told
    store = Store(path.parent / "store")
    names = {store.manifest(key)["name"] for key in store.completed()}
    assert names and not any("train" in name for name in names), names
