"""The recipe check that runs before a ladder: its share of the ladder's cost, and what its choice loses.

``python benchmarks/check_regret.py runs/check-regret`` (``--text`` for Chinese Alpaca, not the testbed;
data sets in ``../shared/data`` or ``$ASSAY_SHARED/data``).  Each ladder is checked at its rate, at one
that is far too low and at one far too high.  The rate that the check finds best is trained at the ladder's
largest rung, beside a grid of rates by factors of the root of three; its regret is how much higher its loss
on the evaluation set is than the least of the grid.  Results are kept in the store, so that a later run goes
on.
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
from assay.study._check import checked, planned, read_check
from assay.study._graph import Ladder, input_steps
from assay.study._recipes import deciding, trained
from assay.study._run import read_summary

RATE = 1.5e-3
GRID = [RATE * 3 ** (k / 2) for k in range(-4, 5)]
PLANTED = {"": RATE, "-low": RATE / 9, "-high": RATE * 9}


def studies(text: bool, out: Path) -> Iterator[dict[str, Any]]:
    """Yield the studies: the testbed at two difficulties, or text, each at three rates."""
    ladder = {"rungs": [100, 200, 400, 800], "seeds": 2}
    for name, data, recipe in (texts if text else testbeds)(out):
        for which, rate in PLANTED.items():
            own = {"preset": "testbed", "batch_size": 16, "learning_rate": rate, **recipe}
            yield {"name": name + which, **data, "ladder": ladder, "recipe": own}


def testbeds(out: Path) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Yield name, data and recipe of the ladders on the testbed."""
    for name, types in (("easy", ["classification", "code"]), ("hard", ["math", "extraction"])):
        pool = {"samples": 900, "types": types}
        yield (
            name,
            {"pool": {"testbed": pool}, "evaluation": {"testbed": pool | {"samples": 64, "seed": 1}}},
            {},
        )


def texts(out: Path) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Yield name, data and recipe of the ladder on text."""
    yield "text", revised(out), {"warmup_steps": 4}


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
    args.out.mkdir(parents=True, exist_ok=True)
    store, workers = Store(args.out / "store"), parse_pool("inline")
    for settings in list(studies(args.text, args.out))[: 1 if args.quick else None]:
        config = study.load({**settings, "measure": {"answers": False, "text": False}})
        evaluation, pool = input_steps(config)
        planning.run([evaluation, pool], store, workers)
        show(study_ladders(config, evaluation, pool, read_summary(store, pool))[""], store, workers)


def show(ladder: Ladder, store: Store, workers: Pool) -> None:
    """Print what the check of one study finds beside the grid."""
    name, plan, step = ladder.config.name, planned(ladder), checked(ladder, store, workers)
    if plan is None or step is None:
        print(f"{name}: no check within its share")
        return
    found, own = read_check(store, step), ladder.config.recipe.learning_rate
    chosen = own if found.chosen is None else found.chosen.learning_rate
    rates = {"own": own, "chosen": chosen, "advised": chosen if found.outside else own}
    known = {rate: value for rate in GRID if (value := loss(ladder, rate, store, workers)) is not None}
    best = min(known.values())
    print(
        f"{name}: planned {plan.share:.3f} ({len(plan.rates)} rates at {plan.sizes}, batch / {plan.smaller}),"
    )
    print(f"  took {found.share:.3f}; best of grid {min(known, key=lambda r: known[r]):.2g} at {best:.4f}")
    for what, rate in rates.items():
        lost = loss(ladder, rate, store, workers)
        print(f"  {what} {rate:.2g}: {'diverged' if lost is None else f'{lost - best:+.4f} nats'}")
    print(
        "  check", [(f"{r.learning_rate:.2g}", r.n_train, r.loss and round(r.loss, 4)) for r in found.rates]
    )
    print(f"  best {found.chosen}, regret {found.regret} {found.regret_interval}, p {found.p}")
    print(f"  outside {found.outside}, too low {found.too_low}, on {found.measured_on}")
    print("  grid", {f"{r:.1e}": round(v, 3) for r, v in known.items()}, flush=True)


if __name__ == "__main__":
    main()
