"""Measure the models of train_trl.py with lm-evaluation-harness on two small tasks of the testbed.

Run where lm-eval is installed: ``python recipes/imports/evaluate_lm_eval.py FOLDER``.  Writes FOLDER/lm_eval,
as ``lm_eval --log_samples --output_path lm_eval`` does.
"""

from __future__ import annotations

import json
import os
import random
import sys
from pathlib import Path

ITEMS = 16
CHOICE = """task: testbed_choice
dataset_path: json
dataset_kwargs: {{data_files: {{test: {file}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{q}}}}"
doc_to_target: "{{{{gold}}}}"
doc_to_choice: "{{{{choices}}}}"
target_delimiter: ""
metric_list:
  - {{metric: acc, aggregation: mean, higher_is_better: true}}
  - {{metric: acc_norm, aggregation: mean, higher_is_better: true}}
"""
ANSWER = """task: testbed_answer
dataset_path: json
dataset_kwargs: {{data_files: {{test: {file}}}}}
test_split: test
output_type: generate_until
doc_to_text: "{{{{q}}}}"
doc_to_target: "{{{{a}}}}"
target_delimiter: ""
generation_kwargs: {{until: ["<|end|>"], max_gen_toks: 12, do_sample: false}}
metric_list:
  - {{metric: exact_match, aggregation: mean, higher_is_better: true}}
"""


def write_tasks(held: Path) -> None:
    """Write the documents and the two task files beside them."""
    rows = [json.loads(line) for line in held.read_text("utf-8").splitlines()]
    by_type: dict[str, list[str]] = {}
    for row in rows:
        by_type.setdefault(row["type"], []).append(row["messages"][1]["content"])
    chosen, answered = [], []
    for row in rows:
        question, answer = (m["content"] for m in row["messages"])
        others = sorted({a for a in by_type[row["type"]] if a != answer})
        prompt = f"<|user|>{question}<|assistant|>"
        if len(others) >= 3 and len(chosen) < ITEMS:
            choices = [answer, *random.Random(len(chosen)).sample(others, 3)]
            random.Random(question).shuffle(choices)
            chosen.append({"q": prompt, "choices": choices, "gold": choices.index(answer)})
        if row["type"] in ("classification", "summarization", "rewrite") and len(answered) < ITEMS:
            answered.append({"q": prompt, "a": answer})
    Path("tasks").mkdir(exist_ok=True)
    for name, docs, text in (("choice", chosen, CHOICE), ("answer", answered, ANSWER)):
        file = Path("tasks") / f"{name}.jsonl"
        file.write_text("".join(json.dumps(d, ensure_ascii=False) + "\n" for d in docs), "utf-8")
        (Path("tasks") / f"{name}.yaml").write_text(text.format(file=file), "utf-8")


def main(folder: Path) -> None:
    """Measure every run in the folder, and the pocket model itself."""
    os.chdir(folder)
    write_tasks(Path("held.jsonl"))
    import lm_eval
    from lm_eval.loggers import EvaluationTracker
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_path="tasks", include_defaults=False)
    for model in ["pocket", *sorted(str(p) for p in Path("runs").iterdir())]:
        tracker = EvaluationTracker(output_path="lm_eval")
        found = lm_eval.simple_evaluate(
            model="hf", model_args=f"pretrained={model},dtype=float32,max_length=128",
            tasks=["testbed_choice", "testbed_answer"],
            task_manager=manager, device="cpu", batch_size=16, log_samples=True, evaluation_tracker=tracker,
            bootstrap_iters=0,
        )  # fmt: skip
        samples = found.pop("samples")
        tracker.save_results_aggregated(results=found, samples=samples)
        for task, rows in samples.items():
            tracker.save_results_samples(task_name=task, samples=rows)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
