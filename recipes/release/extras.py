"""Install the wheel with each extra into an environment of its own, and say what `assay doctor` finds there.

    python recipes/release/extras.py --out extras.jsonl [--extras core,train,ui]

Takes some minutes and gigabytes for each extra with torch in it; what stands in ``--out`` is not done again.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SLOW = ("gguf",)
"""Extras that build from source: named with ``--extras`` only."""


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command and keep what it says."""
    return subprocess.run([*map(str, command)], cwd=cwd, capture_output=True, text=True, check=False)


def tried(extra: str, wheel: Path, folder: Path) -> dict[str, object]:
    """Install one extra; return its size and seconds, what pip and the doctor say of it."""
    begun = time.monotonic()
    run(sys.executable, "-m", "venv", folder / "venv", cwd=folder)
    python = folder / "venv" / "bin" / "python"
    wanted = f"instruct-assay[{extra}] @ {wheel.as_uri()}" if extra != "core" else str(wheel)
    install = run(
        python, "-m", "pip", "install", "--quiet", "-c", ROOT / "constraints.txt", wanted, cwd=folder
    )
    seconds = time.monotonic() - begun
    if install.returncode:
        return {"extra": extra, "error": install.stderr.strip().splitlines()[-1]}
    checked = run(python, "-m", "pip", "check", cwd=folder).stdout.strip()
    doctor = json.loads(
        run(folder / "venv" / "bin" / "assay", "doctor", "--load", "--json", cwd=folder).stdout
    )
    listed = json.loads(run(python, "-m", "pip", "list", "--format", "json", cwd=folder).stdout)
    size = sum(p.lstat().st_size for p in (folder / "venv").rglob("*") if not p.is_dir())
    return {
        "extra": extra, "seconds": round(seconds), "MB": size // 2**20, "packages": len(listed),
        "pip check": checked, "doctor": doctor,
    }  # fmt: skip


def main() -> None:
    """Try every extra that is not in the file yet."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--extras", default="")
    args = parser.parse_args()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    every = [e for e in ("core", *project["optional-dependencies"]) if e not in SLOW]
    extras = args.extras.split(",") if args.extras else every
    written = args.out.read_text(encoding="utf-8").splitlines() if args.out.exists() else []
    done = {json.loads(line)["extra"] for line in written}
    with tempfile.TemporaryDirectory() as name:
        run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", name, ROOT, cwd=ROOT)
        (wheel,) = Path(name).glob("*.whl")
        for extra in (e for e in extras if e not in done):
            with tempfile.TemporaryDirectory() as folder:
                found = tried(extra, wheel, Path(folder))
            with args.out.open("a", encoding="utf-8") as out:
                out.write(json.dumps(found) + "\n")
            print({k: v for k, v in found.items() if k != "doctor"})


if __name__ == "__main__":
    main()
