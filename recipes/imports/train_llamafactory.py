"""Fine-tune the pocket model with LLaMA-Factory over five sizes and two seeds, on the orders of train_trl.py.

Run where llamafactory is installed: ``python recipes/imports/train_llamafactory.py FOLDER``.  Writes the data
of each run, its ``train.yaml`` and results to FOLDER/factory/factory-N-sSEED.
"""

from __future__ import annotations

import json
import os
import random
import sys
from pathlib import Path

SIZES, SEEDS, BATCH, RATE = (64, 128, 256, 512, 1024), (0, 1), 16, 1e-3


def rows(file: Path) -> list[dict[str, str]]:
    """Return a testbed file as rows of Alpaca's format."""
    found = [json.loads(line)["messages"] for line in file.read_text("utf-8").splitlines()]
    return [{"instruction": q["content"], "input": "", "output": a["content"]} for q, a in found]


def train(n: int, seed: int, pool: list[dict[str, str]], held: list[dict[str, str]]) -> None:
    """Write data and settings of one run and train it."""
    import yaml
    from llamafactory.train.tuner import run_exp

    folder = Path("factory") / f"factory-{n}-s{seed}"
    data = Path("factory-data") / folder.name
    data.mkdir(parents=True, exist_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    order = random.Random(seed).sample(pool, len(pool))
    for name, own in (("train", order[:n]), ("held", held)):
        (data / f"{name}.json").write_text(json.dumps(own, ensure_ascii=False), "utf-8")
    about = {name: {"file_name": f"{name}.json"} for name in ("train", "held")}
    (data / "dataset_info.json").write_text(json.dumps(about), "utf-8")
    settings = {
        "model_name_or_path": os.environ["POCKET"], "stage": "sft", "do_train": True, "do_eval": True,
        "finetuning_type": "full", "dataset": "train", "eval_dataset": "held", "dataset_dir": str(data),
        "cutoff_len": 128, "output_dir": str(folder), "overwrite_output_dir": True, "seed": seed,
        "per_device_train_batch_size": BATCH, "per_device_eval_batch_size": BATCH, "learning_rate": RATE,
        "num_train_epochs": 1.0, "lr_scheduler_type": "cosine", "logging_steps": 2, "save_strategy": "no",
        "report_to": "none", "use_cpu": True, "preprocessing_num_workers": 1, "plot_loss": False,
        "dataloader_num_workers": 0, "disable_tqdm": True, "trust_remote_code": False,
    }  # fmt: skip
    (folder / "train.yaml").write_text(yaml.safe_dump(settings), "utf-8")
    run_exp(settings)


def main(folder: Path) -> None:
    """Train all runs in a folder that holds train.jsonl and held.jsonl."""
    os.chdir(folder)
    pool, held = rows(Path("train.jsonl")), rows(Path("held.jsonl"))
    for n in SIZES:
        for seed in SEEDS:
            train(n, seed, pool, held)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
