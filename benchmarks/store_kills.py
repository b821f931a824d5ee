"""Kill commands at random moments, again and again, and compare what comes out with uninterrupted runs.

    python benchmarks/store_kills.py --kills 200 [--verbs study,clean,judge]

Each round runs one command as a process that is sent SIGKILL at a random moment and started again until it
ends; then the next command's round begins, until all kills are used.  The signals reach the parent alone:
its workers have to notice by themselves.  Checked after every kill: no process of the group lives after 5 s,
and a file under its final name is absent or the whole one.  After every round: the files equal those of the
uninterrupted run, byte for byte (of a study the points), every object of a store matches its manifest, and,
where a chat model is asked, each call was paid once but for those in flight when the kill came.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from assay.plan import Store

ROOT = Path(__file__).resolve().parent.parent
STUDY = """name: kills
base: pocket
pool: {testbed: {samples: 300, types: [classification, code, math]}}
evaluation: {testbed: {samples: 24, seed: 1, types: [classification, code, math]}}
ladder: {rungs: [32, 64, 128, 256], seeds: 2}
recipe: {preset: pocket, batch_size: 16}
measure: {max_new_tokens: 6}
where: {pool: "processes:2", store: store, out: report}
"""
IN_FLIGHT = 64
"""At most so many calls are under way when a kill comes."""


@dataclass(frozen=True, slots=True)
class Verb:
    """A command, the files that it makes (compared), and its store if it has one."""

    name: str
    command: tuple[str, ...]
    outputs: tuple[str, ...]
    store: str | None = None
    paid: bool = False
    slow: bool = False


JUDGE = (
    "--model",
    "openai-api/scripted/judge",
    "--base-url",
    "{server}",
    "--mode",
    "text",
    "--calls",
    "calls",
)
POOL = ("--pool", "processes:2")
VERBS = (
    Verb("study", ("study", "run", "study.yaml"), ("report/points.csv",), "store", slow=True),
    Verb(
        "convert",
        ("data", "convert", "pool.jsonl", "--out", "c.jsonl", "--format", "sharegpt"),
        ("c.jsonl",),
    ),
    Verb("clean", ("clean", "pool.jsonl", "--out", "k.jsonl", *POOL), ("k.jsonl",)),
    Verb(
        "score",
        (
            "score",
            "pool.jsonl",
            "--out",
            "s.parquet",
            "--indicators",
            "mtld",
            "--indicators",
            "len_out",
            *POOL,
        ),
        ("s.parquet",),
    ),
    Verb(
        "select",
        ("select", "pool.jsonl", "--out", "b.jsonl", "--n", "100", "--by", "len_out"),
        ("b.jsonl",),
    ),
    Verb("train", ("train", "small.jsonl", "tuned"), ("tuned/model/model.safetensors",), slow=True),
    Verb("answer", ("answer", "pocket", "eval.jsonl", "a.jsonl"), ("a.jsonl",), slow=True),
    Verb(
        "judge",
        ("judge", "eval.jsonl", "--answers", "given.jsonl", "--out", "j.jsonl", *JUDGE),
        ("j.jsonl",),
        paid=True,
    ),
    Verb(
        "pairs",
        (
            "judge",
            "pairs",
            "eval.jsonl",
            "--a",
            "given.jsonl",
            "--b",
            "other.jsonl",
            "--out",
            "p.jsonl",
            *JUDGE,
        ),
        ("p.jsonl",),
        paid=True,
    ),
)


def prepare(folder: Path) -> Path:
    """Write the inputs of all commands: a study, a pool, an evaluation set, answers."""
    folder.mkdir(parents=True)
    (folder / "study.yaml").write_text(STUDY)
    for name, n, seed in (("pool", 3000, 0), ("small", 200, 2), ("eval", 60, 1)):
        make = [
            sys.executable,
            "-m",
            "assay",
            "data",
            "testbed",
            str(n),
            f"{name}.jsonl",
            "--seed",
            str(seed),
        ]
        subprocess.run(make, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    items = (folder / "eval.jsonl").read_text().splitlines()
    for name, words in (("given", ("GOOD", "FAIR", "BAD")), ("other", ("BAD", "GOOD"))):
        rows = [json.dumps({"answer": f"{words[k % len(words)]} {k}"}) for k in range(len(items))]
        (folder / f"{name}.jsonl").write_text("\n".join(rows) + "\n")
    # Items with an exact checker would not be asked about.
    plain = [{key: row[key] for key in row if key != "checker"} for row in map(json.loads, items)]
    (folder / "eval.jsonl").write_text("".join(json.dumps(row) + "\n" for row in plain))
    return folder


def start(verb: Verb, folder: Path, server: str) -> subprocess.Popen[bytes]:
    """Start a command in a group of its own."""
    words = [word.format(server=server) for word in verb.command]
    quiet = subprocess.DEVNULL
    return subprocess.Popen(
        [sys.executable, "-m", "assay", *words, "--quiet"],
        cwd=folder, start_new_session=True, stdout=quiet, stderr=quiet,
        env={**os.environ, "SCRIPTED_API_KEY": "sk-test"},
    )  # fmt: skip


def alive(group: int) -> list[int]:
    """Return the processes of a group that live."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            fields = (place / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] != "Z":
            found.append(int(place.name))
    return found


def orphans(group: int, seconds: float = 5.0) -> int:
    """Return how many processes of a killed command live on after some seconds."""
    deadline = time.monotonic() + seconds
    while (left := alive(group)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return len(left)


def contents(verb: Verb, folder: Path) -> list[bytes | None]:
    """Return the bytes of a command's files, None for those that are not there."""
    return [(folder / name).read_bytes() if (folder / name).exists() else None for name in verb.outputs]


def round_of_kills(
    verb: Verb,
    folder: Path,
    whole: list[bytes | None],
    left: int,
    span: float,
    rng: random.Random,
    server: str,
) -> Iterator[str]:
    """Run one command to its end under fire; yield what each kill brought to light ("" for nothing)."""
    for _ in range(left):
        process = start(verb, folder, server)
        try:
            code = process.wait(rng.uniform(0.1, span))
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            lost = orphans(process.pid)
            now = contents(verb, folder)
            half = [name for name, a, b in zip(verb.outputs, now, whole, strict=True) if a not in (None, b)]
            yield f"{lost} orphans" if lost else f"half files: {half}" if half and not verb.store else ""
            continue
        if code != 0:
            yield f"status {code}"
        return
    if start(verb, folder, server).wait() != 0:
        yield "the last run failed"


@contextmanager
def scripted() -> Iterator[tuple[str, Callable[[], list[str]]]]:
    """Serve the scripted judge of the tests; give its address and what it was asked so far."""
    sys.path[:0] = [str(ROOT / "tests" / "llm"), str(ROOT / "tests" / "judge")]
    from chat_server import serving

    with serving(
        script="scripted_judge:answer", script_path=str(ROOT / "tests" / "judge"), latency=0.05
    ) as running:
        yield running.url, lambda: [row["key"] for row in running.log() if row["kind"] == "well"]


def paid_twice(asked: Sequence[str], kills: int) -> int:
    """Return how many calls were paid again beyond those that a kill may have found in flight."""
    again = sum(count - 1 for count in Counter(asked).values())
    return max(0, again - kills * IN_FLIGHT)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--verbs", help="names of commands, with commas between; all by default")
    parser.add_argument("--quick", action="store_true", help="3 kills per command, without those that train")
    options = parser.parse_args()
    names = (
        options.verbs.split(",")
        if options.verbs
        else [v.name for v in VERBS if not (options.quick and v.slow)]
    )
    verbs = [verb for verb in VERBS if verb.name in names]
    wanted = 3 * len(verbs) if options.quick else options.kills
    root = Path(tempfile.mkdtemp(prefix="assay-kills-"))
    try:
        with scripted() as (server, asked):
            trials(verbs, wanted, root, random.Random(options.seed), server, asked)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def trials(
    verbs: Sequence[Verb],
    wanted: int,
    root: Path,
    rng: random.Random,
    server: str,
    asked: Callable[[], list[str]],
) -> None:
    """Kill each command in turn until all kills are used; exit with 1 at the first thing that is wrong."""
    inputs, began = prepare(root / "inputs"), time.monotonic()
    alone: dict[str, float] = {}
    whole: dict[str, list[bytes | None]] = {}
    # A round that no kill met counts as one, so that a command that is too quick ends the loop too.
    kills: Counter[str] = Counter()
    fired: Counter[str] = Counter()
    rounds = 0
    print("| command | alone | kills | orphans, half files, other results, corrupt objects, paid twice |")
    print("|---|---|---|---|")
    while kills.total() < wanted:
        verb = verbs[rounds % len(verbs)]
        if verb.name not in whole:
            folder, at = shutil.copytree(inputs, root / f"whole-{verb.name}"), time.monotonic()
            if start(verb, folder, server).wait():
                raise SystemExit(f"{verb.name}: the uninterrupted command failed")
            alone[verb.name], whole[verb.name] = time.monotonic() - at, contents(verb, folder)
        folder = shutil.copytree(inputs, root / f"round{rounds}")
        before, most = (
            len(asked()),
            max(1, (wanted - kills.total()) // max(1, len(verbs) - rounds % len(verbs))),
        )
        found = list(
            round_of_kills(verb, folder, whole[verb.name], most, alone[verb.name] * 0.9, rng, server)
        )
        wrong = [text for text in found if text]
        if contents(verb, folder) != whole[verb.name]:
            wrong.append("another result")
        if verb.store and Store(folder / verb.store, create=False).verify():
            wrong.append("corrupt objects")
        if verb.paid and (again := paid_twice(asked()[before:], len(found))):
            wrong.append(f"{again} calls paid twice")
        kills[verb.name] += len(found) or 1
        fired[verb.name] += len(found)
        rounds += 1
        print(
            f"| {verb.name} | {alone[verb.name]:.1f} s | {len(found)} | {'; '.join(wrong) or 'none'} |",
            flush=True,
        )
        if wrong:
            raise SystemExit(1)
        shutil.rmtree(folder)
    spent = time.monotonic() - began
    print(f"\n{fired.total()} kills of {len(fired)} commands, {spent:.0f} s: all identical")


if __name__ == "__main__":
    main()
