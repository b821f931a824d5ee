"""Scripts that train all runs of a hand-over: one after another, as a Slurm array, as SkyPilot tasks."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from assay import data, model

ALL, SLURM, SKY, LIST = "run-all.sh", "slurm.sh", "sky", "runs.txt"

_ALL = """#!/bin/sh
# Trains all runs, one after another; what is finished is passed over, what was stopped goes on.
# PYTHON: the python of an environment with {title}.
cd "$(dirname "$0")" || exit 1
failed=0
while read -r run; do
  sh "$run/run.sh" < /dev/null || {{ echo "failed: $run (see $run/log.txt)" >&2; failed=1; }}
done < runs.txt
exit $failed
"""

_SLURM = """#!/bin/sh
#SBATCH --job-name=assay
#SBATCH --array=1-{runs}
#SBATCH --output=slurm-%A_%a.txt
#SBATCH --ntasks=1
#SBATCH --cpus-per-task={threads}
#SBATCH --requeue
# Add what your cluster wants: --partition, --gres=gpu:{processes}, --time. A task that is requeued goes on
# after its last checkpoint. Submit from this folder; PYTHON: the python of an environment with {title}.
#   PYTHON=/path/to/python sbatch slurm.sh
run=$(sed -n "${{SLURM_ARRAY_TASK_ID}}p" runs.txt)
exec sh "$run/run.sh"
"""


def write_launchers(out: Path, tool: str, runs: Sequence[str], processes: int, threads: int) -> None:
    """Write ``run-all.sh``, ``slurm.sh`` and a task of SkyPilot a run; ``runs.txt`` lists the runs."""
    parts = {"title": model.EXTERNAL[tool].title, "runs": len(runs), "processes": processes}
    with data.replacing_text(out / LIST) as file:
        file.writelines(f"{run}\n" for run in runs)
    for name, text in ((ALL, _ALL), (SLURM, _SLURM)):
        with data.replacing_text(out / name) as file:
            file.write(text.format(**parts, threads=threads))
        os.chmod(out / name, 0o755)  # noqa: PTH101, S103 - scripts to start
    for run in runs:
        with data.replacing_text(out / SKY / f"{run.removeprefix('runs/').replace('/', '-')}.yaml") as file:
            yaml.safe_dump(_task(tool, run, processes), file, sort_keys=False)


def _task(tool: str, run: str, processes: int) -> dict[str, Any]:
    """Return SkyPilot's task of a run: the folder goes up and is trained in, on the cluster."""
    packages = " ".join(model.EXTERNAL[tool].packages)
    return {
        "name": "assay-" + "".join(c if c.isalnum() else "-" for c in run.removeprefix("runs/")).lower(),
        "workdir": ".",
        "resources": {"accelerators": f"A100:{processes}", "use_spot": False},
        "setup": f"python3 -m venv ~/env && ~/env/bin/pip install {packages}",
        "run": f"cd ~/sky_workdir && PYTHON=~/env/bin/python sh {run}/run.sh",
    }
