from __future__ import annotations

import os
import sys
from pathlib import Path

# Workers import the toy steps by name.
HERE = str(Path(__file__).parent)
sys.path.insert(0, HERE)
os.environ["PYTHONPATH"] = os.pathsep.join([HERE, os.environ.get("PYTHONPATH", "")])
