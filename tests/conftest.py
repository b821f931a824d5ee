"""Shared fixtures: where the real data is, and small real models."""

from __future__ import annotations

import gc
import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from shared_data import shared_folder

# Shells start background jobs with SIGINT ignored, and what tests start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# One thread for each process of tests and what it starts: where more run than there are cores, they spend
# their time waiting for each other. Whatever imports torch or numpy comes after this.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# The same examples each time: a failure is of the change, not of the day. `explore` draws new ones.
# No deadline: a busy machine is no failure.
settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))


# What is imported and collected stays to the end: looking for garbage among it takes a second each time.
gc.disable()


def pytest_collection_finish() -> None:
    """Look for garbage again, but less often, and no more among the modules and the tests."""
    gc.freeze()
    gc.set_threshold(10_000)
    gc.enable()


@pytest.fixture
def hangups() -> Iterator[None]:
    """Have what a test starts hear SIGHUP, which `nohup make test` has all of its processes ignore."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture(scope="session")
def shared() -> Path:
    place = shared_folder()
    if place is None:
        pytest.skip("real data sets are absent: set ASSAY_SHARED to their folder")
    return place


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """Debian's Chromium; closed with its module, as Playwright's loop gets in the way of any other."""
    place = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if place is None:
        pytest.skip("no Chromium on this machine: install the Debian package chromium")
    sync = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=place, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """``tiny(family, hidden=64)``: folder of a tiny random checkpoint, built once; do not write into it."""
    import tiny_models

    made: dict[tuple[str, int], Path] = {}

    def build(family: str, hidden: int = 64) -> Path:
        key = (family, hidden)
        if key not in made:
            made[key] = tiny_models.build(family, tmp_path_factory.mktemp(f"tiny-{family}-{hidden}"), hidden)
        return made[key]

    return build


@pytest.fixture
def in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a file of 300 rows, 11 of them rejected, that is read in many parts."""
    from assay import data

    monkeypatch.setattr(data, "PART_BYTES", 3_000)
    rows = [{"instruction": f"Question {n}?", "output": "word two " * (n % 30)} for n in range(300)]
    lines = [json.dumps(row) for row in rows]
    lines[70] = '{"instruction": "cut'
    (tmp_path / "pool.jsonl").write_text("\n".join(lines), "utf-8")
    return tmp_path / "pool.jsonl"
