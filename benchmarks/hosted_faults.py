"""Fine-tuning jobs at a provider that fails a third of the time, asked for by processes that are killed.

    python benchmarks/hosted_faults.py [--jobs 40] [--faults 300] [--provider together]

A provider on loopback speaks OpenAI's protocol, or Together's, and injects faults: 429, 500 before and
after the work was done, half a reply, connections reset; a new job stands on its list only after a while;
some jobs fail once, some are refused, some hang.  A process asks for all jobs, is killed with -9 again and
again, also as soon as the provider has begun a job that it was not told of, and is started anew.  Then
every job must have come, none may have been trained twice, and what the provider trained on must lie within
what the ledger counts, and that within the cap.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
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
from assay.llm import TuneConfig, Tuner, training_most

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "llm"))
from together_server import TogetherProvider  # type: ignore[import-not-found]
from tune_server import Provider, tuning  # type: ignore[import-not-found]

BASES = {
    "openai": ("openai-api/scripted/gpt-x", Provider, 64),
    "together": ("together/owners/gpt-x", TogetherProvider, 28),
}
"""The base, the provider, and how much of a key its jobs carry."""
SHARES = {"limited": 0.07, "error": 0.07, "lost": 0.07, "cut": 0.07, "reset": 0.05}
OUTCOMES = {"word-1": "once fails", "word-2": "invalid", "word-3": "once hangs"}


def word(number: int) -> str:
    """Return what a job's file says: of ten jobs one fails once, one is refused, one hangs once."""
    return f"word-{number % 10} job {number}"


def key(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def ask(given: dict[str, Any]) -> None:
    """Ask for all jobs; a line for each that came or will not."""
    folder = Path(given["folder"])

    def one(number: int) -> None:
        config = TuneConfig(
            base_url=given["url"], poll=0.02, listed=1.0, patience=1 / 3600, budget=given["budget"]
        )
        try:
            with Tuner(given["base"], config, calls=folder / "calls", run="study") as tuner:
                told = tuner.tune(key(number), folder / f"{number}.jsonl", seed=0).model
        except AssayError as error:
            told = f"! {error.problem}"
        print(json.dumps([number, told]), flush=True)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(one, given["jobs"]))


def write(folder: Path, jobs: int) -> int:
    """Write the files of all jobs; return the most tokens that they take."""
    most = 0
    for number in range(jobs):
        turns = [{"role": "user", "content": word(number)}, {"role": "assistant", "content": "yes " * 30}]
        file = folder / f"{number}.jsonl"
        file.write_text((json.dumps({"messages": turns}) + "\n") * 20)
        most += training_most(BASES["openai"][0], TuneConfig(), file.stat().st_size)[0]
    return most


def attempt(base: str, folder: Path, url: str, jobs: list[int], budget: str, stop: Any) -> dict[int, str]:
    """Run a process until it ends or ``stop`` says that it is to be killed; return what it told."""
    given = {"base": base, "folder": str(folder), "url": url, "jobs": jobs, "budget": budget}
    process = subprocess.Popen(
        [sys.executable, __file__, "--child", json.dumps(given)], stdout=subprocess.PIPE, text=True
    )
    while process.poll() is None and not stop():
        time.sleep(0.005)
    if process.poll() is None:
        os.kill(process.pid, signal.SIGKILL)
    said, _ = process.communicate()
    return dict(json.loads(line) for line in said.splitlines() if line.endswith("]"))


def is_open(told: str) -> bool:
    """Return whether a job has neither come nor been refused by the provider for its file."""
    return told.startswith("!") and "line 1" not in told


def stopper(provider: Provider, rng: random.Random) -> Any:
    """Return what says when to kill: as the provider begins a job, untold; or some seconds on."""
    begun, at, until = len(provider.jobs), rng.randint(1, 8), time.monotonic() + rng.uniform(2.0, 8.0)
    kind = rng.random() < 0.6
    return lambda: len(provider.jobs) >= begun + at if kind else time.monotonic() > until


def measure(name: str, jobs: int, faults: int, seed: int, share: float) -> bool:
    rng, (base, kind, carried) = random.Random(seed), BASES[name]
    with tempfile.TemporaryDirectory() as place, tuning(
        kind, faults=SHARES, seed=seed, lag=0.3, outcomes=OUTCOMES, most_faults=faults, page=20
    ) as provider:  # fmt: skip
        folder = Path(place)
        cap = int(write(folder, jobs) * share)
        told: dict[int, str] = {}
        kills, rounds = 0, 0
        while rounds < 60 and (left := [n for n in range(jobs) if is_open(told.get(n, "!"))]):
            stop = stopper(provider, rng) if sum(provider.met.values()) < faults else lambda: False
            found = attempt(base, folder, provider.url, left, f"{cap} tokens", stop)
            kills += len(found) < len(left)
            rounds += 1
            told |= {int(n): what for n, what in found.items()}
            if len(found) == len(left) and all("no room" in w or not is_open(w) for w in found.values()):
                break
        return say(provider, folder, told, jobs, kills, cap, carried)


def say(
    provider: Provider, folder: Path, told: dict[int, str], jobs: int, kills: int, cap: int, carried: int
) -> bool:
    came = {n for n, what in told.items() if not what.startswith("!")}
    refused = {n for n, what in told.items() if "line 1" in what}
    room = {n for n, what in told.items() if "no room" in what}
    twice = sum(count > 1 for count in provider.trained().values())
    lost = jobs - len(came | refused | room) + sum(key(n)[:carried] not in provider.trained() for n in came)
    with sqlite3.connect(folder / "calls" / "calls.sqlite") as db:
        counted = db.execute("SELECT sum(tokens) FROM job").fetchone()[0]
    print(
        f"| {jobs} | {sum(provider.met.values())} | {kills} | {len(came)} | {len(refused)} | {len(room)} "
        f"| {lost} | {twice} "
        f"| {provider.billed():,} | {counted:,} | {cap:,} |", flush=True,
    )  # fmt: skip
    return not lost and not twice and provider.billed() <= counted <= cap


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--child")
    parser.add_argument("--jobs", type=int, default=40)
    parser.add_argument("--faults", type=int, default=300)
    parser.add_argument("--provider", choices=BASES, default="openai")
    asked = parser.parse_args()
    if asked.child:
        return ask(json.loads(asked.child))
    print(
        "| jobs | faults | kills | came | refused | no room | lost | paid twice | trained | counted | cap |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    # All fit at their most; then a cap that does not hold them all.
    well = [measure(asked.provider, asked.jobs, asked.faults, *how) for how in ((1, 3.0), (2, 0.15))]
    raise SystemExit(None if all(well) else "lost, paid twice or over the cap")


if __name__ == "__main__":
    main()
