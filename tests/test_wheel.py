"""The wheel alone, in an environment of its own: the core without torch does what needs no model."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = """
import sys
import assay

pool = assay.load("pool.jsonl")
kept = assay.clean(pool)
table = assay.score(kept.samples, ["len_out", "mtld"])
best = assay.select(table, top=10, by="len_out")
points = [{"n_train": 1000 * 2**k, "score": 0.3 + 0.08 * k, "seed": s} for k in range(5) for s in (0, 1)]
reading = assay.curve(points)
assert len(pool) == 41 and len(kept.samples) == 40 and kept.removed[0].rule == "exact", (pool, kept)
assert len(best.ids) == 10 and reading.curves["overall"].verdict is not None
assert best._repr_html_() and "torch" not in sys.modules
try:
    import torch
except ImportError:
    print("core alone")
"""


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run([*map(str, command)], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_the_wheel_alone_loads_scores_cleans_selects_and_reads_curves(tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", wheels, ROOT, cwd=tmp_path)
    (wheel,) = wheels.glob("instruct_assay-*.whl")
    run(sys.executable, "-m", "venv", tmp_path / "venv", cwd=tmp_path)
    python = tmp_path / "venv" / "bin" / "python"
    constraints = ROOT / "constraints.txt"
    run(python, "-m", "pip", "install", "--quiet", "--constraint", constraints, wheel, cwd=tmp_path)
    rows = [
        {"instruction": f"Say {k} and name {k * 7}.", "output": f"It is {k}. " + "It goes on. " * k}
        for k in range(40)
    ]
    lines = "".join(json.dumps(row) + "\n" for row in [*rows, rows[3]])
    (tmp_path / "pool.jsonl").write_text(lines, encoding="utf-8")
    assert run(python, "-I", "-c", SCRIPT, cwd=tmp_path).strip() == "core alone"
    command = tmp_path / "venv" / "bin" / "assay"
    cleaned = json.loads(run(command, "clean", "pool.jsonl", "--out", "kept.jsonl", "--json", cwd=tmp_path))
    assert cleaned["kept"] == 40
    assert "rising" in run(command, "curve", _points(tmp_path), cwd=tmp_path)


def _points(folder: Path) -> Path:
    rows = [f"{1000 * 2**k},{s},{0.3 + 0.08 * k + 0.004 * s}" for k in range(5) for s in range(3)]
    table = folder / "scores.csv"
    table.write_text("\n".join(["n_train,seed,score", *rows]), encoding="utf-8")
    return table
