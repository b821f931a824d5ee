"""How many samples per CPU second do indicators of a model measure, by model size?

    python benchmarks/indicator_speed.py --rows 400

Alpaca through `assay score`'s own path (by length, in pieces of 256), one thread, processor seconds, loading
left out.  The last column is the rate times the millions of parameters: about the same for all sizes where
the matrices and not the overhead are what takes time, so that it foretells other models.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import time
from pathlib import Path

import torch

from assay import indicators, model
from assay.core import Sample

NAMES = ("ppl", "ifd", "rds", "less")
SLOW = ("less",)


def alpaca(folder: Path, rows: int) -> list[Sample]:
    with gzip.open(
        folder / "data" / "alpaca_en_52k" / "alpaca_data.jsonl.gz", "rt", encoding="utf-8"
    ) as lines:
        read = [json.loads(line) for _, line in zip(range(2 * rows), lines, strict=False)]
    found = [Sample.single(f"{r['instruction']}\n{r['input']}".strip(), r["output"]) for r in read]
    return [s for s in found if s.answer][:rows]


def main() -> None:
    shared = Path(os.environ.get("ASSAY_SHARED", "../shared"))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=400)
    parser.add_argument("--quick", action="store_true", help="40 samples")
    options = parser.parse_args()
    if not (shared / "data" / "alpaca_en_52k").exists():
        print("skipped: no Alpaca")
        return
    torch.set_num_threads(1)
    samples = alpaca(shared, 40 if options.quick else options.rows)
    bases = {"pocket": "pocket", "stories260k": str(shared / "models" / "stories260k")}
    print("| indicator | base | million parameters | samples | per CPU second | times million parameters |")
    print("|---|---|---|---|---|---|")
    for base, place in bases.items():
        network = model.load_model(model.resolve_base(place), "cpu")
        millions = sum(p.numel() for p in network.parameters()) / 1e6
        for name in NAMES:
            own = samples[: len(samples) // 4] if name in SLOW else samples
            settings = indicators.Models(base=place, target=samples[-8:])
            (ready,) = indicators.ready([name], settings, own)
            assert ready.measure is not None
            ready.measure(samples[-2:])  # loads what is loaded at the first use
            began = time.process_time()
            ready.measure(own)
            rate = len(own) / (time.process_time() - began)
            print(f"| {name} | {base} | {millions:.2f} | {len(own)} | {rate:.1f} | {rate * millions:.0f} |")


if __name__ == "__main__":
    main()
