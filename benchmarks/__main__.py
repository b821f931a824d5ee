"""``python -m benchmarks`` runs every benchmark in its quick form, one after the other."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

if __name__ == "__main__":
    for script in sorted(Path(__file__).parent.glob("[a-z]*.py")):
        print(f"\n== {script.stem}", flush=True)
        subprocess.run([sys.executable, str(script), "--quick"], check=True)
