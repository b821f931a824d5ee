"""Fine-tuning at real instruction lengths: padded random batches beside Assay's trainer, in one run.

    python benchmarks/finetune_speed.py [--samples 512] [--data alpaca.jsonl.gz]

The plain way is what a first script does: batches of 32 at random, padded to the longest, all logits, one
thread as ours.  Both take the same samples in the same batches of the same base model; the table gives
non-padding tokens a second, the fill, and the loss of the first step, which must be the same.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from assay import data
from assay.core import Sample
from assay.model import (
    Segment,
    TokenTable,
    load_model,
    load_tokenizer,
    preset,
    resolve_base,
    train_full,
    write_tokens,
)

BATCH = 32


def padded(base: Path, table: TokenTable, rows: np.ndarray, rate: float) -> tuple[float, float, float]:
    """Return (non-padding tokens a second, fill, first loss) of plain padded batches."""
    model = load_model(base)
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate)
    seconds, real, computed, first = 0.0, 0, 0, float("nan")
    for start in range(0, len(rows), BATCH):
        began = time.perf_counter()
        items = [table.row(int(r)) for r in rows[start : start + BATCH]]
        width = max(len(ids) for ids, _ in items)
        ids = torch.zeros(len(items), width, dtype=torch.long)
        mask, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
        for line, (row, learned) in enumerate(items):
            ids[line, : len(row)] = torch.from_numpy(row)
            mask[line, : len(row)] = 1
            labels[line, : len(row)] = torch.from_numpy(np.where(learned, row, -100))
        loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        seconds += time.perf_counter() - began
        real, computed = real + int(mask.sum()), computed + mask.numel()
        first = loss.item() if start == 0 else first
    return real / seconds, real / computed, first


def main() -> None:
    """Run both and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=512)
    parser.add_argument("--data", default="../shared/data/alpaca_en_52k/alpaca_data.jsonl.gz")
    parser.add_argument("--base", default="pocket")
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    if not Path(arguments.data).exists():
        print(f"skipped: {arguments.data} is absent; give --data FILE")
        return
    n = 128 if arguments.quick else arguments.samples
    base = resolve_base(arguments.base)
    torch.set_num_threads(1)
    kept = (row for row in data.read(arguments.data) if isinstance(row, Sample))
    samples = list(islice(kept, 20 * n))[::20]
    recipe = preset("pocket", batch_size=BATCH, warmup_steps=0, schedule="constant")
    with tempfile.TemporaryDirectory() as folder:
        write_tokens(load_tokenizer(base), samples, Path(folder), 1024)
        table = TokenTable(Path(folder))
        order = np.random.default_rng(0).permutation(len(table))
        print(f"{len(table)} samples, mean {table.lengths.mean():.0f} tokens, longest {table.lengths.max()}")
        plain = padded(base, table, order, recipe.learning_rate)
        out = Path(folder) / "out"
        out.mkdir()
        segment = Segment(recipe, 0, len(table), 0, recipe.steps(len(table)))
        report = train_full(segment, base=base, state=None, table=table, order=order, out=out, device="cpu")
    speed, fill = report.tokens / report.seconds, report.tokens / report.padded_tokens
    print(f"{'':24}{'tokens/s':>10}{'fill':>8}{'first loss':>12}")
    print(f"{'padded random batches':24}{plain[0]:>10,.0f}{plain[1]:>8.2f}{plain[2]:>12.5f}")
    print(f"{'assay':24}{speed:>10,.0f}{fill:>8.2f}{report.trace[0][1]:>12.5f}")
    print(f"factor {speed / plain[0]:.1f}")


if __name__ == "__main__":
    main()
