"""A small real study and a real server of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from served import NAME, Server


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run one small study and return the folder of reports; a file beside it is nobody's business."""
    from assay import study

    folder = tmp_path_factory.mktemp("chat")
    (folder / "secret.json").write_text('{"secret": 1}')
    bed = {"testbed": {"samples": 40, "types": ["code"]}}
    file = folder / "study.yaml"
    config = {
        "name": NAME, "pool": bed, "evaluation": {"testbed": {**bed["testbed"], "samples": 4, "seed": 1}},
        "ladder": {"rungs": [8, 16], "seeds": 2}, "recipe": {"preset": "testbed", "batch_size": 8},
        "measure": {"answers": False, "text": False}, "decontaminate": {"contained": 1.0},
        "where": {"pool": "inline", "store": str(folder / "store"), "out": str(folder / "runs" / NAME)},
    }  # fmt: skip
    file.write_text(yaml.safe_dump(config, allow_unicode=True), encoding="utf-8")
    study.run(file)
    (folder / "runs" / NAME / "out.json").symlink_to(folder / "secret.json")
    (folder / "runs" / "unfinished").mkdir()
    (folder / "runs" / "unfinished" / "result.json").write_text("{}")
    return folder / "runs"


@pytest.fixture(scope="session")
def server(runs: Path) -> Iterator[Server]:
    started = Server(runs.parent, "pocket", "--runs", str(runs))
    yield started
    started.stop()
