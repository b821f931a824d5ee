"""What new tokens do to the pocket model's loss on Chinese, begun at the mean of old ones or at random.

    python benchmarks/vocabulary_extension.py --data alpaca_zh_human_revised.jsonl.gz --size 2000

The first 1,000 samples measure; the rest teach the tokens and, 4,000 of them, the model.  Losses are bits per
byte of the answers, so that tokenizers may differ.
"""

from __future__ import annotations

import argparse
import math
import shutil
import tempfile
from pathlib import Path

import numpy as np
import torch

from assay import data
from assay.core import Sample
from assay.model import (
    Segment,
    TokenTable,
    extend_vocabulary,
    load_model,
    load_tokenizer,
    preset,
    reference_loss,
    resolve_base,
    train_full,
    write_tokens,
)

HELD_OUT, TAUGHT = 1000, 4000


def bits_per_byte(folder: Path, items: list[Sample]) -> float:
    losses = reference_loss(load_model(folder), load_tokenizer(folder), items)
    found = [loss for loss in losses if loss is not None]
    return sum(f.nats for f in found) / math.log(2) / sum(f.n_bytes for f in found)


def random_rows(folder: Path, first: int, out: Path) -> Path:
    """Copy a model with the rows from ``first`` on as a fresh model would draw them."""
    shutil.copytree(folder, out)
    model = load_model(folder)
    torch.manual_seed(0)
    with torch.no_grad():
        model.get_input_embeddings().weight[first:].normal_(std=model.config.initializer_range)
    model.save_pretrained(out)
    return out


def tuned(folder: Path, samples: list[Sample], out: Path) -> Path:
    recipe = preset("testbed")
    out.mkdir()
    write_tokens(load_tokenizer(folder), samples, out, recipe.max_tokens)
    table = TokenTable(out)
    run = Segment(recipe, 0, len(table), 0, recipe.steps(len(table)))
    order = np.random.default_rng(0).permutation(len(table))
    report = train_full(run, base=folder, state=None, table=table, order=order, out=out)
    print(f"  {out.name}: {report.learned_tokens:,} tokens learned in {report.seconds:.0f} s", flush=True)
    return out / "model"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--size", type=int, default=2000)
    arguments = parser.parse_args()
    if arguments.data is None:
        print("skipped: give a data set by --data")
        return
    samples = [row for row in data.read(arguments.data) if isinstance(row, Sample) and row.answer]
    held, taught = samples[:HELD_OUT], samples[HELD_OUT:]
    pocket = resolve_base("pocket")
    with tempfile.TemporaryDirectory() as place:
        out = Path(place)
        texts = [message.content for sample in taught for message in sample.messages]
        report = extend_vocabulary(pocket, lambda: texts, arguments.size, out / "mean")
        print(report)
        models = {"before": pocket, "mean start": out / "mean"}
        models["random start"] = random_rows(out / "mean", report.base_tokens, out / "random")
        print("| model | bits per byte | after fine-tuning |\n|---|---|---|")
        for name, folder in models.items():
            start = bits_per_byte(folder, held)
            end = bits_per_byte(tuned(folder, taught[:TAUGHT], out / f"tuned {name}"), held)
            print(f"| {name} | {start:.4f} | {end:.4f} |", flush=True)


if __name__ == "__main__":
    main()
