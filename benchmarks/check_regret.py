"""The recipe check that runs before a ladder: its share of the ladder's cost, and what its choice loses.

``python benchmarks/check_regret.py runs/check-regret`` (``--text`` for Chinese Alpaca beside the testbed).
The rate that the check finds best is trained at the ladder's largest rung, beside a grid of rates by factors
of the root of three around the study's own; its regret is how much higher its loss on the evaluation set is
than the least of the grid.  Results are kept in the store, so that a later run goes on.
"""

from __future__ import annotations

import argparse
import gzip
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars

from assay import plan as planning
from assay import study
from assay.plan import Pool, Store, parse_pool
from assay.study._bases import study_ladders
from assay.study._check import Check, planned, read_check
from assay.study._graph import Ladder, input_steps
from assay.study._recipes import deciding, trained
from assay.study._run import read_summary

GRID = [3 ** (k / 2) for k in range(-6, 5)]
"""Rates beside the study's own: from a 27th to nine times it."""


def studies(text: bool, out: Path) -> Iterator[dict[str, Any]]:
    """Yield the studies: the testbed at two difficulties, and text."""
    for name, types, rate in (
        ("two-types", ["classification", "code"], 1.5e-3), ("hot", ["math", "extraction"], 1.35e-2)
    ):  # fmt: skip
        yield {
            "name": name, "pool": {"testbed": {"samples": 900, "types": types}},
            "evaluation": {"testbed": {"samples": 64, "seed": 1, "types": types}},
            "ladder": {"rungs": [100, 200, 400, 800], "seeds": 2},
            "recipe": {"preset": "testbed", "batch_size": 16, "learning_rate": rate},
        }  # fmt: skip
    if text:
        ladder = {"rungs": [200, 500, 1200], "seeds": 2}
        yield {"name": "text", **revised(out), "ladder": ladder, "recipe": "testbed"}


def revised(out: Path) -> dict[str, str]:
    """Write 1,500 rows of Chinese Alpaca revised by people as pool, and the next 80 as evaluation set."""
    place = Path(os.environ.get("ASSAY_SHARED", "../shared")) / "data" / "alpaca_zh"
    with gzip.open(place / "alpaca_zh_human_revised.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [next(file) for _ in range(1580)]
    found = {}
    for name, part in (("pool", rows[:1500]), ("evaluation", rows[1500:])):
        target = out / f"{name}.jsonl"
        target.write_text("".join(part), encoding="utf-8")
        found[name] = str(target)
    return found


def loss(ladder: Ladder, rate: float, store: Store, workers: Pool) -> float | None:
    """Return the loss of the largest rung at a rate, nats per token; None where it diverged."""
    one = deciding(ladder, rate, 0)
    if trained([one], store, workers).diverged:
        return None
    table = polars.read_parquet(store.path(one.runs[0].answer.key) / "items.parquet")
    return float(table["nats"].sum() / table["tokens"].sum())


def main() -> None:
    """Print for each study the check's share, its choice, and the regret of it and of the own rate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, nargs="?", default=Path("runs/check-regret"))
    parser.add_argument("--text", action="store_true")
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    store, workers = Store(args.out / "store"), parse_pool("inline")
    for settings in list(studies(args.text, args.out))[: 1 if args.quick else None]:
        config = study.load({**settings, "measure": {"answers": False, "text": False}})
        evaluation, pool = input_steps(config)
        planning.run([evaluation, pool], store, workers)
        ladder = study_ladders(config, evaluation, pool, read_summary(store, pool))[""]
        plan = planned(ladder)
        if plan is None:
            print(f"{config.name}: no check within its share")
            continue
        found = read_check(store, Check(ladder, plan).run(store, workers))
        own = config.recipe.learning_rate
        chosen = own if found.chosen is None else found.chosen.learning_rate
        advised = chosen if found.outside else own
        grid = {rate: loss(ladder, own * rate, store, workers) for rate in GRID}
        known = {own * rate: value for rate, value in grid.items() if value is not None}
        best, rates = min(known.values()), (("own", own), ("chosen", chosen), ("advised", advised))
        regrets = {name: loss(ladder, rate, store, workers) for name, rate in rates}
        print(f"{config.name}: share {plan.share:.3f}, {len(plan.rates)} rates at {plan.sizes}, ", end="")
        print(f"batch / {plan.smaller}; best of grid {min(known, key=lambda r: known[r]):.2g} at {best:.4f}")
        for name, rate in rates:
            lost = regrets[name]
            print(f"  {name} {rate:.2g}: {'diverged' if lost is None else f'{lost - best:+.4f} nats'}")
        print("  grid", {f"{r:.1e}": round(v, 3) for r, v in known.items()}, flush=True)


if __name__ == "__main__":
    main()
