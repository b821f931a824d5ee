"""Measure one model by lm-evaluation-harness: ``python _lm_eval_job.py request.json``.

Run by the python of the environment that has lm-eval; it imports nothing of Assay.  The request says the
model (a folder), tasks, limit, the folder of task data, and where the result goes: for each item of each task
the first metric's value.  Data sets are looked for in that folder first: a task whose ``dataset_path`` is a
folder there reads that.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any


def main(request: dict[str, Any]) -> None:
    """Measure the model and write the values of all items."""
    if request["data"]:
        os.chdir(request["data"])
    import lm_eval
    from lm_eval.tasks import TaskManager

    own = request["data"] if request["data"] and any(Path().rglob("*.yaml")) else None
    local = own is not None and TaskManager(include_path=own, include_defaults=False)
    here = local and all(task in local.all_tasks for task in request["tasks"])
    manager = local if here else TaskManager(include_path=own)
    found = lm_eval.simple_evaluate(
        model="hf",
        model_args={"pretrained": request["model"], "dtype": "float32", "max_length": request["max_tokens"]},
        tasks=request["tasks"], limit=request["limit"], task_manager=manager, device=request["device"],
        batch_size=request["batch_size"], apply_chat_template=request["chat"], log_samples=True,
        bootstrap_iters=0,
    )  # fmt: skip
    groups = {name: members for name, members in (found.get("group_subtasks") or {}).items() if members}
    rows, metrics = [], {}
    for task in request["tasks"]:
        for leaf in leaves(task, groups):
            metric = metrics[leaf] = first_metric(found, leaf)
            rows += [(task, f"{leaf}/{doc}", value) for doc, value in values(found["samples"][leaf], metric)]
    result = {"rows": rows, "metrics": metrics, "versions": {"lm_eval": lm_eval.__version__}}
    Path(request["out"]).write_text(json.dumps(result), encoding="utf-8")


def leaves(task: str, groups: dict[str, Any]) -> list[str]:
    """Return the tasks that a task or group consists of."""
    return [leaf for member in groups[task] for leaf in leaves(member, groups)] if task in groups else [task]


def first_metric(found: dict[str, Any], task: str) -> str:
    """Return the metric of a task that is measured first; refuse one where less is better."""
    metric = found["configs"][task]["metric_list"][0]["metric"]
    if (found.get("higher_is_better", {}).get(task) or {}).get(metric) is False:
        raise SystemExit(f"the first metric of {task}, {metric}, is better where it is lower: it is no score")
    return str(metric)


def values(samples: list[dict[str, Any]], metric: str) -> list[tuple[Any, float]]:
    """Return (document, value) of one filter's samples, the first that is there."""
    first = samples[0].get("filter") if samples else None
    return [(sample["doc_id"], float(sample[metric])) for sample in samples if sample.get("filter") == first]


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
