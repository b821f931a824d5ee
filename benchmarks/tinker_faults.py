"""Runs at a Tinker that fails, trained by processes that are killed.

    python benchmarks/tinker_faults.py [--runs 24] [--faults 300] [--save-every 1]

A server on loopback speaks the protocol of Tinker's SDK and injects faults: 429, 500 before and after the
work was done, half a reply, connections reset; some sessions are lost and some requests hang.  A process
trains all runs, four at a time, is killed with -9 again and again in the middle of steps, and is started
anew.  Then each run's model must have learned every batch once and in order; a kill, a lost session or a
hang may have cost each run under way the batches since its checkpoint again, no more; and what was trained on
must lie within what the ledger counts, and that within the cap.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import pkgutil
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from assay.core import AssayError
from assay.llm import Course, Tinker, TuneConfig

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "llm"))
from tinker_server import HURRIED, Hurried, TinkerProvider, batch, expected  # type: ignore[import-not-found]
from tune_server import tuning  # type: ignore[import-not-found]

SHARES = {"limited": 0.02, "error": 0.02, "lost": 0.02, "cut": 0.02, "reset": 0.02}
STEPS, TOKENS, AT_ONCE = 12, 7, 4
ADAM = {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.0, "grad_clip_norm": 1.0}


def key(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def train(given: dict[str, Any]) -> None:
    """Train all runs; a line for each that came or will not."""
    folder = Path(given["folder"])
    for place in HURRIED:
        module, _, name = place.rpartition(".")
        setattr(pkgutil.resolve_name(module), name, Hurried())
    config = TuneConfig(
        base_url=given["url"], save_every=given["save_every"], patience=2 / 3600, budget=given["budget"]
    )

    def one(number: int) -> None:
        course = Course(
            [TOKENS] * STEPS, lambda step: batch(f"run {number}", step), {"rank": 8, "seed": 1}, ADAM
        )
        try:
            with Tinker("tinker/base", config, calls=folder / "calls", run="study") as tinker:
                told = tinker.train(
                    key(number), course, journal=folder / f"{number}.jsonl", advance=lambda a, b, c: None
                ).model
        except AssayError as error:
            told = f"! {error.problem}"
        print(json.dumps([number, told]), flush=True)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(one, given["runs"]))


def attempt(given: dict[str, Any], stop: Any) -> tuple[dict[int, str], bool]:
    """Run a process until it ends or is to be killed; return what it told, and whether it was killed."""
    process = subprocess.Popen(
        [sys.executable, __file__, "--child", json.dumps(given)], stdout=subprocess.PIPE, text=True
    )
    while process.poll() is None and not stop():
        time.sleep(0.002)
    killed = process.poll() is None
    if killed:
        os.kill(process.pid, signal.SIGKILL)
    said, _ = process.communicate()
    return dict(json.loads(line) for line in said.splitlines() if line.endswith("]")), killed


def measure(runs: int, faults: int, save_every: int, seed: int, share: float) -> bool:
    rng = random.Random(seed)
    strange = sorted(rng.sample(range(5, runs * STEPS), 8))
    with tempfile.TemporaryDirectory() as place, tuning(
        TinkerProvider, faults=SHARES, seed=seed, page=20, most_faults=faults, dies=tuple(strange[::2]),
        hangs=tuple(strange[1::2]),
    ) as provider:  # fmt: skip
        cap = int(runs * STEPS * TOKENS * share)
        given = {"folder": place, "url": provider.url.removesuffix("/v1"), "budget": f"{cap} tokens"}
        told: dict[int, str] = {}
        kills = 0
        for _ in range(60):
            left = [n for n in range(runs) if told.get(n, "!").startswith("!")]
            if not left:
                break
            until = provider.steps + rng.randint(8, 40)
            tired = sum(provider.met.values()) >= faults or kills >= 12
            own = {**given, "runs": left, "save_every": save_every}
            found, killed = attempt(own, lambda: False if tired else provider.steps >= until)  # noqa: B023
            kills += killed
            told |= found
            if not killed and all("no room" in said or not said.startswith("!") for said in found.values()):
                break
        return say(provider, Path(place), told, runs, kills, cap, save_every)


def say(
    provider: TinkerProvider, folder: Path, told: dict[int, str], runs: int, kills: int, cap: int, every: int
) -> bool:
    came = {number: model for number, model in told.items() if not model.startswith("!")}
    room = sum("no room" in said for said in told.values())
    wrong = sum(provider.stored[m].log != expected(f"run {n}", STEPS) for n, m in came.items())
    with sqlite3.connect(folder / "calls" / "calls.sqlite") as db:
        counted = db.execute("SELECT sum(tokens) FROM job").fetchone()[0]
    strange = provider.met.pop("died", 0) + provider.met.pop("hung", 0)
    again = sum(provider.paid.values()) - len(provider.paid)
    print(
        f"| {every} | {runs} | {sum(provider.met.values())} | {strange} | {kills} | {len(came)} | {room} "
        f"| {runs - len(came) - room} | {wrong} | {again} | {provider.billed():,} | {counted:,} | {cap:,} |",
        flush=True,
    )
    most = (kills * AT_ONCE + strange) * every
    return not wrong and runs == len(came) + room and again <= most and provider.billed() <= counted <= cap


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--child")
    parser.add_argument("--runs", type=int, default=24)
    parser.add_argument("--faults", type=int, default=300)
    parser.add_argument("--save-every", type=int, default=1)
    asked = parser.parse_args()
    if asked.child:
        return train(json.loads(asked.child))
    print(
        "| saved every | runs | faults | sessions lost, hangs | kills | came | no room | lost | wrong "
        "| batches paid again | trained | counted | cap |"
    )
    print("|" + "---|" * 13)
    # All fit, repeats too; then a cap that does not hold them all.
    well = [measure(asked.runs, asked.faults, asked.save_every, *how) for how in ((1, 3.0), (2, 0.6))]
    raise SystemExit(None if all(well) else "lost, out of order, paid unseen or over the cap")


if __name__ == "__main__":
    main()
