"""One study by Assay's trainer, TRL and LLaMA-Factory: the same order, losses, verdicts; handed over too.

``python benchmarks/external_trainers.py POOL OUT``: ``POOL`` is a file of samples (Alpaca English).  The
pythons of the other trainers come from ASSAY_TRL_PYTHON and ASSAY_LLAMAFACTORY_PYTHON.  Prints, beside
Assay's own trainer:

1. **order**: the largest difference of the loss of a batch, over all batches of a run whose learning rate is
   1e-12, so that each is the loss of the untrained base on that batch; and what a shuffled order differs by;
2. **losses**: the mean loss on the evaluation set at each size, by trainer;
3. **verdicts** of the study's loss curve;
4. **handed over**: whether the weights of runs that were handed over, run by their own scripts and collected
   (the two smallest rungs, one seed) are those of the direct runs, byte for byte.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from assay import study, view
from assay.core import StudyResult, file_digest
from assay.plan import Store
from assay.study import StudyConfig, parse_config, read_models

TOOLS = ("full", "trl", "llamafactory")


def config(pool: Path, out: Path, tool: str, rungs: list[int], seeds: int, **recipe: Any) -> StudyConfig:
    """Return the study as one trainer trains it."""
    return parse_config(
        {
            "name": f"{tool}{'-order' if recipe else ''}",
            "base": "pocket",
            "pool": str(out / "pool.jsonl"),
            "evaluation": str(out / "items.jsonl"),
            "ladder": {"rungs": rungs, "seeds": seeds},
            "recipe": {"preset": "pocket", "max_tokens": 512, "trainer": tool, **recipe},
            "measure": {"answers": False, "text": False},
            "recipe_check": False,
            "control": False,
            "where": {"pool": "inline", "store": str(out / "store"), "device": "cpu"},
        }
    )


def trace(out: Path) -> list[float]:
    """Return the loss of every batch of a study's largest run, what it shares with others included."""
    models = read_models(out)
    store = Store(models.store, create=False)
    key: str | None = max(models.models, key=lambda one: one.n_train).key
    found: list[float] = []
    while key is not None:
        report = json.loads((store.path(key) / "train.json").read_text())
        found = [loss for _, loss in report["trace"]] + found
        key = store.manifest(key)["inputs"].get("state")
    return found


def weights(out: Path) -> dict[str, str]:
    """Return the digests of all models of a study, by name."""
    models = read_models(out)
    store = Store(models.store, create=False)
    return {
        one.name: file_digest(store.path(one.key) / "model" / "model.safetensors")
        for one in models.models
        if one.key is not None
    }


def losses(result: StudyResult) -> dict[tuple[int, int], float]:
    """Return the loss of every model by size and seed."""
    kinds = {p.type for p in result.points}
    kind = "overall" if "overall" in kinds else min(kinds)
    return {(p.n_train, p.seed): p.value for p in result.points if p.metric == "loss" and p.type == kind}


def show_order(pool: Path, out: Path) -> None:
    """Compare the losses of single batches where nothing is learned."""
    still = {"learning_rate": 1e-12, "schedule": "constant", "warmup_steps": 0}
    found = {}
    for tool in TOOLS:
        place = out / f"order-{tool}"
        study.run(config(pool, out, tool, [500], 1, **still), out=place)
        found[tool] = np.array(trace(place))
    own = found["full"]
    shuffled = np.abs(own - np.random.default_rng(0).permutation(own)).max()
    for tool in TOOLS[1:]:
        print(
            f"order: {tool}: {len(own)} batches, largest difference of a loss "
            f"{np.abs(found[tool] - own).max():.1e} (shuffled: {shuffled:.2f})",
            flush=True,
        )


def show_study(pool: Path, out: Path, rungs: list[int], seeds: int) -> None:
    """Run the study by each trainer; print losses and verdicts."""
    found = {}
    for tool in TOOLS:
        found[tool] = study.run(config(pool, out, tool, rungs, seeds), out=out / tool)
    own = losses(found["full"])
    print("| samples | " + " | ".join(TOOLS) + " | largest difference |")
    for n in rungs:
        means = [np.mean([losses(found[t])[n, s] for s in range(seeds)]) for t in TOOLS]
        apart = max(abs(losses(found[t])[n, s] - own[n, s]) for t in TOOLS for s in range(seeds))
        print(f"| {n} | " + " | ".join(f"{m:.4f}" for m in means) + f" | {apart:.4f} |", flush=True)
    for tool in TOOLS:
        for curve in found[tool].curves:
            if (told := curve.verdict) is not None:
                print(
                    f"verdict: {tool}: {curve.type} {curve.metric}: {told.word}, {told.gain:.4f} "
                    f"[{told.gain_low:.4f}, {told.gain_high:.4f}] of {told.threshold:.4f}", flush=True
                )  # fmt: skip


def show_handed(pool: Path, out: Path, tool: str, rungs: list[int]) -> None:
    """Hand a study over, run its scripts, collect it in another store, and compare the weights."""
    made = config(pool, out, tool, rungs, 1)
    other = replace(made, where=replace(made.where, store=str(out / f"store-{tool}")))
    study.handoff(other, out / f"handed-{tool}")
    python = os.environ[f"ASSAY_{tool.upper()}_PYTHON"]
    variables = {**os.environ, "PYTHON": python, "CUDA_VISIBLE_DEVICES": ""}
    subprocess.run(["sh", str(out / f"handed-{tool}" / "run-all.sh")], env=variables, check=True,
                   stdout=subprocess.DEVNULL)  # fmt: skip
    back = study.collect(other, out / f"handed-{tool}", out=out / f"collected-{tool}")
    assert back.result is not None, back.missing
    direct, handed = weights(out / tool), weights(out / f"collected-{tool}")
    same = sum(direct[name] == handed[name] for name in handed)
    print(f"handed over: {tool}: {same} of {len(handed)} models the same to the byte", flush=True)
    points = {
        (p.type, p.metric, p.n_train, p.seed): p.value
        for p in view.load_study(out / tool / "result.json").points
    }
    apart = [abs(p.value - points[p.type, p.metric, p.n_train, p.seed]) for p in back.result.points]
    print(f"handed over: {tool}: {len(apart)} points, largest difference {max(apart)}", flush=True)


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("pool", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--rungs", type=int, nargs="*", default=[125, 250, 500, 1000, 2000])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--only", nargs="*", default=["order", "study", "trl", "llamafactory"])
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    from assay import evalset

    if not (args.out / "items.jsonl").exists():
        evalset.split(str(args.pool), out=args.out / "items.jsonl", train=args.out / "pool.jsonl", n=200)
    if "order" in args.only:
        show_order(args.pool, args.out)
    if "study" in args.only:
        show_study(args.pool, args.out, args.rungs, args.seeds)
    for tool in TOOLS[1:]:
        if tool in args.only:
            show_handed(args.pool, args.out, tool, args.rungs[:2])


if __name__ == "__main__":
    main()
