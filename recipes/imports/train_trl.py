"""Fine-tune the pocket model with TRL over five sizes and two seeds, watched by three trackers.

Run where trl, tensorboard, mlflow-skinny (with sqlalchemy) and trackio are installed:
``python recipes/imports/train_trl.py FOLDER``.  Writes FOLDER/runs/trl-N-sSEED, and the
trackers' stores beside.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

SIZES, SEEDS, BATCH = (64, 128, 256, 512, 1024), (0, 1), 16
RATE = 1e-3


def rows(file: Path) -> list[dict[str, str]]:
    """Return prompt and answer of each sample of a testbed file."""
    found = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    turns = [[m["content"] for m in row["messages"]] for row in found]
    return [{"prompt": f"<|user|>{q}<|assistant|>", "completion": f"{a}<|end|>"} for q, a in turns]


def train(out: Path, n: int, seed: int, pool: list[dict[str, str]], held: list[dict[str, str]]) -> None:
    """Train one run: the first n samples of its seed's order, one epoch, two checkpoints on the way."""
    import random

    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    base = os.environ["POCKET"]
    order = random.Random(seed).sample(pool, len(pool))
    name = f"trl-{n}-s{seed}"
    settings = SFTConfig(
        output_dir=f"runs/{name}", run_name=name, seed=seed, data_seed=seed, num_train_epochs=1,
        per_device_train_batch_size=BATCH, learning_rate=RATE, lr_scheduler_type="cosine",
        logging_steps=2, save_steps=max(1, n // BATCH // 2), save_only_model=True, save_total_limit=2,
        eval_strategy="steps", eval_steps=max(1, n // BATCH // 2), use_cpu=True, bf16=False,
        max_length=128, gradient_checkpointing=False, report_to=["tensorboard", "mlflow", "trackio"],
        project="p", disable_tqdm=True, dataloader_num_workers=0,
    )  # fmt: skip
    os.environ["TENSORBOARD_LOGGING_DIR"] = f"tensorboard/{name}"
    model = AutoModelForCausalLM.from_pretrained(base)
    trainer = SFTTrainer(
        model, settings, train_dataset=Dataset.from_list(order[:n]), eval_dataset=Dataset.from_list(held),
        processing_class=AutoTokenizer.from_pretrained(base),
    )  # fmt: skip
    done = trainer.train()
    trainer.log_metrics("train", done.metrics)
    trainer.save_metrics("train", {**done.metrics, "train_samples": n})
    measured = trainer.evaluate()
    trainer.save_metrics("eval", measured)
    trainer.save_state()
    trainer.save_model()


def main(folder: Path) -> None:
    """Train all runs in a folder that holds train.jsonl and held.jsonl."""
    os.chdir(folder)
    pool, held = rows(Path("train.jsonl")), rows(Path("held.jsonl"))
    for n in SIZES:
        for seed in SEEDS:
            train(folder, n, seed, pool, held)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
