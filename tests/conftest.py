"""Shared fixtures: where the real data is, and small real models."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def shared_folder() -> Path | None:
    """Return the folder of shared data sets, from ASSAY_SHARED or beside the checkout."""
    place = Path(os.environ.get("ASSAY_SHARED", ROOT.parent / "shared"))
    return place if (place / "data").is_dir() else None


@pytest.fixture(scope="session")
def shared() -> Path:
    place = shared_folder()
    if place is None:
        pytest.skip("real data sets are absent: set ASSAY_SHARED to their folder")
    return place
