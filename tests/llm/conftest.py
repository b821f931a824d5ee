from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

# The scripted server and the client process are imported by name, here and in processes of their own.
HERE = str(Path(__file__).parent)
sys.path.insert(0, HERE)
os.environ["PYTHONPATH"] = os.pathsep.join([HERE, os.environ.get("PYTHONPATH", "")])


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    return tmp_path / "calls"
