"""Measure the models of train_trl.py with inspect-ai's ``hf/`` provider on the testbed's answers.

Run where Assay's extras llm and train are installed, after evaluate_lm_eval.py, which writes the documents:
``python recipes/imports/evaluate_inspect.py FOLDER``.  Writes FOLDER/inspect.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

ITEMS = 8


def main(folder: Path) -> None:
    """Measure every run in the folder."""
    os.chdir(folder)
    from inspect_ai import Task
    from inspect_ai import eval as evaluate
    from inspect_ai.dataset import Sample
    from inspect_ai.scorer import exact
    from inspect_ai.solver import generate

    rows = [json.loads(line) for line in Path("tasks/answer.jsonl").read_text("utf-8").splitlines()]
    docs = [
        Sample(
            id=place, input=row["q"].removeprefix("<|user|>").removesuffix("<|assistant|>"), target=row["a"]
        )
        for place, row in enumerate(rows[:ITEMS])
    ]
    task = Task(docs, solver=generate(), scorer=exact(), name="answers")
    for model in sorted(str(p) for p in Path("runs").glob("*-s*")):
        evaluate(
            task, model="hf/local", model_args={"model_path": model, "device": "cpu"}, log_dir="inspect",
            display="none", max_tokens=12, log_samples=True,
        )  # fmt: skip


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
