"""Kill commands at random moments, again and again, and compare what comes out with uninterrupted runs.

    python benchmarks/store_kills.py --kills 1500 --log kills.jsonl [--verbs study,clean,judge]

Each round runs one command as a process that is sent SIGKILL at a random moment and started again until it
ends; then a round of the command that was killed least begins, until all kills are used.  The signals reach
the parent alone: its workers have to notice by themselves.  Checked after every kill: no process of the group
lives after 5 s, and a file under its final name is absent or the whole one.  After every round: the files
equal those of the uninterrupted run, byte for byte (of a study the points, of a search all but the hours),
every object of a store matches its manifest, and, where a chat model is asked, each call was paid once but
for those in flight when the kill came.  Of an annotation every label that was acknowledged is there.

With ``--log`` each round is written down, and the same command goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.data import testbed
from assay.plan import Store

ROOT = Path(__file__).resolve().parent.parent
STUDY = """name: kills
base: pocket
pool: {testbed: {samples: 150, types: [classification, code]}}
evaluation: {testbed: {samples: 16, seed: 1, types: [classification, code]}}
ladder: {rungs: [32, 64, 128], seeds: 2}
recipe: {preset: pocket, batch_size: 16}
measure: {max_new_tokens: 6}
where: {pool: "processes:2", store: store, out: report}
"""
RULE = """name: mine
base: pocket
pool: small.jsonl
evaluation: trial.jsonl
ladder: {rungs: [32], seeds: 1}
recipe: {preset: pocket, batch_size: 16}
measure: {answers: false}
models: {embedder: lexical}
arms: {long: {rule: top, by: len_in}}
rule: {indicators: [len_in, knn], evaluation: items.jsonl, n: 32, runs: 4, doubled: 1}
search: {arm: long, evaluation: probe.jsonl, low: 8, high: 64, runs: 3}
where: {pool: inline, store: store, out: report}
"""
TIMED = ("hours", "seconds", "time")
"""Fields of JSON files that a clock decides."""
IN_FLIGHT = 16
"""At most so many calls are under way when a kill comes: the connections that are allowed."""


@dataclass(frozen=True, slots=True)
class Verb:
    """A command, the files that it makes (compared), and its store if it has one."""

    name: str
    command: tuple[str, ...]
    outputs: tuple[str, ...]
    store: str | None = None
    paid: bool = False
    slow: bool = False
    script: str = "judge"
    """Which scripted chat model is asked."""


CHAT = (
    "--model",
    "openai-api/scripted/judge",
    "--base-url",
    "{server}",
    "--calls",
    "calls",
    "--connections",
    "16",
)
JUDGE = (*CHAT, "--mode", "text")
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
    Verb(
        "generate",
        ("generate", "--out", "g.jsonl", "--n", "60", "--seed", "3", *CHAT),
        ("g.jsonl",),
        paid=True,
        script="writer",
    ),
    Verb(
        "export",
        ("export", "pocket", "--out", "x", "--to", "merged", "--to", "gguf-q8_0", "--pool", "processes:1"),
        ("x/merged/model.safetensors", "x/gguf-q8_0/pocket-q8_0.gguf"),
        slow=True,
    ),
    Verb("rule", ("rule", "run", "rule.yaml"), ("report/rule/losses.json",), "store", slow=True),
    Verb("search", ("search", "rule.yaml"), ("report/search/ladder.json",), "store", slow=True),
    Verb("annotate", ("annotate", "eval.jsonl", "--out", "labels.jsonl"), ("labels.jsonl",)),
)


def prepare(folder: Path) -> Path:
    """Write the inputs of all commands: a study, a pool, an evaluation set, answers."""
    folder.mkdir(parents=True)
    (folder / "study.yaml").write_text(STUDY)
    (folder / "rule.yaml").write_text(RULE)
    sets = (("eval", 60, 1), ("items", 10, 3), ("trial", 10, 4), ("probe", 10, 5))
    for name, n, seed in (("pool", 3000, 0), ("small", 200, 2), *sets):
        testbed(n, folder / f"{name}.jsonl", seed=seed)
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


def contents(verb: Verb, folder: Path) -> list[object]:
    """Return what a command's files hold, None for those that are not there."""
    return [_content(folder / name) for name in verb.outputs]


def _content(path: Path) -> object:
    if not path.exists():
        return None
    if path.suffix == ".json":
        return _untimed(json.loads(path.read_text(encoding="utf-8")))
    if path.name == "labels.jsonl":
        return [_untimed(json.loads(line)) for line in path.read_text(encoding="utf-8").split("\n") if line]
    return path.read_bytes()


def _untimed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _untimed(held) for key, held in value.items() if key not in TIMED}
    return [_untimed(held) for held in value] if isinstance(value, list) else value


def round_of_kills(
    verb: Verb,
    folder: Path,
    whole: list[object],
    left: int,
    span: float,
    rng: random.Random,
    server: str,
) -> Iterator[str]:
    """Run one command to its end under fire; yield what each kill brought to light ("" for nothing)."""
    if verb.name == "annotate":
        yield from annotated(folder, left, span, rng)
        return
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


def annotated(folder: Path, left: int, span: float, rng: random.Random) -> Iterator[str]:
    """Label all items over HTTP while the server is killed; yield what each kill brought to light."""
    quiet, done = subprocess.DEVNULL, 0
    count = len((folder / "eval.jsonl").read_text(encoding="utf-8").splitlines())
    command = [sys.executable, "-m", "assay", "annotate", "eval.jsonl", "--out", "labels.jsonl"]
    while True:
        said = (folder / "said.txt").open("w+")
        process = subprocess.Popen(command, cwd=folder, start_new_session=True, stdout=quiet, stderr=said)
        link = _link(process, folder / "said.txt")
        until = time.monotonic() + (rng.uniform(0.05, max(0.5, span)) if left else 3600)
        done = label(link, done, count, until)
        if done == count and (not left or time.monotonic() < until):
            process.send_signal(signal.SIGINT)
            code = process.wait()
            if code not in (0, 130):
                yield f"status {code}"
            return
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        left -= 1
        lost = orphans(process.pid)
        yield f"{lost} orphans" if lost else ""


def _link(process: subprocess.Popen[bytes], said: Path) -> str:
    while (
        not (found := re.findall(r"http://\S+/login\S+", said.read_text()))
        or "Ctrl-C" not in said.read_text()
    ):
        if process.poll() is not None:
            raise SystemExit(f"the annotation server did not start: {said.read_text()}")
        time.sleep(0.02)
    return str(found[0])


def label(link: str, done: int, count: int, until: float) -> int:
    """Label items until a moment; return how many labels were acknowledged in all."""
    import httpx

    base, _, token = link.partition("/login?token=")
    with httpx.Client(base_url=base, headers={"origin": base}, timeout=60) as http:
        http.post("/login", data={"token": token, "name": "Ann"})
        while done < count and time.monotonic() < until:
            page = http.get(f"/items/{done + 1}").raise_for_status().text
            hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page))
            form = {**hidden, "answer": f"answer {done + 1}", "score": "0.5", "do": "save"}
            done += http.post(f"/items/{done + 1}", data=form).status_code == 303
    return done


@dataclass(frozen=True, slots=True)
class Server:
    """A scripted chat model: its address, and what it was asked so far."""

    url: str
    asked: Callable[[], list[str]]


@contextmanager
def scripted() -> Iterator[Mapping[str, Server]]:
    """Serve the scripted chat models of the tests."""
    tests = ROOT / "tests"
    sys.path[:0] = [str(tests / "llm"), str(tests / "judging")]
    from chat_server import serving

    judge = serving(script="scripted_judge:answer", script_path=str(tests / "judging"), latency=0.05)
    writer = serving(script="task_writer:answer", script_path=str(tests / "generation"), latency=0.05)
    with judge as first, writer as second:
        yield {
            name: Server(one.url, lambda one=one: [r["key"] for r in one.log() if r["kind"] == "well"])  # type: ignore[misc]
            for name, one in (("judge", first), ("writer", second))
        }


def paid_twice(asked: Sequence[str], alone: Sequence[str], kills: int) -> int:
    """Return how many calls were paid again beyond those that a kill may have found in flight.

    The repeats of a judgement are equal calls, so that an uninterrupted run has some of them too.
    """
    return max(0, (Counter(asked) - Counter(alone)).total() - kills * IN_FLIGHT)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=200, help="in all, those in the log included")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--verbs", help="names of commands, with commas between; all by default")
    parser.add_argument("--quick", action="store_true", help="3 kills per command, without those that train")
    parser.add_argument("--log", type=Path, help="where rounds are written down, and gone on from")
    parser.add_argument("--most", type=int, default=8, help="kills per round")
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
        with scripted() as servers:
            Trials(verbs, root, servers, options.log).run(wanted, options.most, options.seed)
    finally:
        shutil.rmtree(root, ignore_errors=True)


class Trials:
    """Commands under fire: the least killed comes next."""

    def __init__(
        self, verbs: Sequence[Verb], root: Path, servers: Mapping[str, Server], log: Path | None
    ) -> None:
        """Count what the log has."""
        self.verbs, self.root, self.servers, self.log = verbs, root, servers, log
        self.kills: Counter[str] = Counter({verb.name: 0 for verb in verbs})
        self.alone: dict[str, float] = {}
        self.whole: dict[str, list[object]] = {}
        self.asked: dict[str, list[str]] = {}
        for line in log.read_text().splitlines() if log and log.exists() else ():
            row = json.loads(line)
            if row["verb"] in self.kills:
                self.kills[row["verb"]] += row["kills"]

    def run(self, wanted: int, most: int, seed: int) -> None:
        """Kill until all kills are used; exit with 1 at the first thing that is wrong."""
        inputs, began = prepare(self.root / "inputs"), time.monotonic()
        rng = random.Random(f"{seed} {self.kills.total()}")
        print("| command | alone | kills | orphans, half files, other results, corrupt objects, paid twice |")
        print("|---|---|---|---|", flush=True)
        # A round that no kill met counts as one here, so that a command that is too quick ends the loop too.
        turns = Counter(self.kills)
        while turns.total() < wanted:
            verb = min(self.verbs, key=lambda verb: turns[verb.name])
            found = self.round(verb, inputs, min(most, wanted - turns.total()), rng)
            turns[verb.name] += found or 1
        spent = time.monotonic() - began
        print(f"\n{self.kills.total()} kills, {dict(self.kills)}, {spent:.0f} s now: all identical")

    def _alone(self, verb: Verb, inputs: Path) -> None:
        folder, at = shutil.copytree(inputs, self.root / f"whole-{verb.name}"), time.monotonic()
        before = len(self.servers[verb.script].asked())
        if verb.name == "annotate":
            found = list(annotated(folder, 0, 0.0, random.Random(0)))
        else:
            found = ["failed"] if start(verb, folder, self.servers[verb.script].url).wait() else []
        if found or None in contents(verb, folder):
            raise SystemExit(f"{verb.name}: the uninterrupted command failed ({found}, {folder})")
        self.asked[verb.name] = self.servers[verb.script].asked()[before:]
        self.alone[verb.name], self.whole[verb.name] = time.monotonic() - at, contents(verb, folder)

    def round(self, verb: Verb, inputs: Path, most: int, rng: random.Random) -> int:
        """Run a command to its end under fire and return how often it was killed."""
        if verb.name not in self.whole:
            self._alone(verb, inputs)
        server = self.servers[verb.script]
        folder, before = shutil.copytree(inputs, self.root / "round"), len(server.asked())
        whole, span = self.whole[verb.name], self.alone[verb.name] * 0.9
        found = list(round_of_kills(verb, folder, whole, most, span, rng, server.url))
        wrong = [text for text in found if text]
        if contents(verb, folder) != whole:
            wrong.append("another result")
        if verb.store and Store(folder / verb.store, create=False).verify():
            wrong.append("corrupt objects")
        if verb.paid and (again := paid_twice(server.asked()[before:], self.asked[verb.name], len(found))):
            wrong.append(f"{again} calls paid twice")
        self._write(verb, len(found), wrong)
        if wrong:
            raise SystemExit(f"{verb.name}: {wrong}")
        shutil.rmtree(folder)
        return len(found)

    def _write(self, verb: Verb, kills: int, wrong: Sequence[str]) -> None:
        self.kills[verb.name] += kills
        said = "; ".join(wrong) or "none"
        print(f"| {verb.name} | {self.alone[verb.name]:.1f} s | {kills} | {said} |", flush=True)
        if self.log:
            with self.log.open("a") as log:
                log.write(json.dumps({"verb": verb.name, "kills": kills, "wrong": list(wrong)}) + "\n")


if __name__ == "__main__":
    main()
