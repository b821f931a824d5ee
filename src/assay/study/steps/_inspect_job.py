"""Measure one model by tasks of inspect-ai: ``python _inspect_job.py request.json``.

Run by the python of the environment that has inspect-ai; it imports nothing of Assay.  The request says the
model (a folder), files of tasks, limit, and where the result goes: for each item of each task the value of
the first scorer, the mean over epochs.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any


def main(request: dict[str, Any]) -> None:
    """Measure the model and write the values of all items."""
    from importlib.metadata import version

    from inspect_ai import eval as evaluate
    from inspect_ai.scorer import value_to_float

    logs: list[Any] = []
    for task in request["tasks"]:
        place, mark, name = task.partition("@")
        # Tasks are named from where they lie, and find their own files from there.
        os.chdir(Path(place).parent)
        logs += measured(evaluate, f"{Path(place).name}{mark}{name}", request)
    rows, metrics = [], {}
    for log in logs:
        if log.status != "success":
            said = log.error.message if log.error else log.status
            raise SystemExit(f"{log.eval.task} did not end: {said}")
        metrics[log.eval.task] = log.results.scores[0].name
        rows += values(log, value_to_float())
    result = {"rows": rows, "metrics": metrics, "versions": {"inspect_ai": version("inspect_ai")}}
    Path(request["out"]).write_text(json.dumps(result), encoding="utf-8")


def measured(evaluate: Any, task: str, request: dict[str, Any]) -> list[Any]:
    """Return the logs of a file's tasks."""
    logs: list[Any] = evaluate(
        task, model="hf/local", model_args={"model_path": request["model"], "device": request["device"]},
        limit=request["limit"], log_dir=request["logs"], display="none", log_samples=True,
        max_tokens=request["max_new_tokens"], temperature=request["temperature"] or None,
        fail_on_error=True,
    )  # fmt: skip
    return logs


def values(log: Any, number: Any) -> list[tuple[str, str, float]]:
    """Return (task, item, value) of a log's items, the mean over epochs."""
    scorer = log.results.scores[0].scorer
    found: dict[str, list[float]] = {}
    for sample in log.samples:
        score = sample.scores.get(scorer) or next(iter(sample.scores.values()))
        found.setdefault(str(sample.id), []).append(float(number(score.value)))
    return [(log.eval.task, item, sum(own) / len(own)) for item, own in found.items()]


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
