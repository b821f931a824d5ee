"""Kill commands at random moments, again and again, and compare what comes out with uninterrupted runs.

    python benchmarks/store_kills.py --kills 1500 --log kills.jsonl [--verbs study,clean,judge]

Each round runs one command as a process that is sent SIGKILL at a random moment and started again until it
ends; then a round of the command that was killed least begins, from ``--least`` kills of each on that of the
one that had least time, until all kills are used.  Most runs are forked from this process, which has the
libraries loaded, so that kills fall within the work; every tenth is a process of its own, killed while it
loads them too.  The moments are spread over the time that the command takes alone.  The signals reach
the parent alone: its workers have to notice by themselves.  Checked after every kill: no process of the group
lives after 5 s, and a file under its final name is absent or the whole one.  After every round: the files
equal those of the uninterrupted run, byte for byte (of a study the points, of a search all but the hours),
every object of a store matches its manifest, and, where a chat model is asked, each call was paid once but
for those in flight when the kill came.  Of an annotation every label that was acknowledged is there.

With ``--log`` each round is written down, and the same command goes on where it was.
"""

from __future__ import annotations

import argparse
import atexit
import importlib
import json
import os
import pkgutil
import random
import re
import runpy
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, NoReturn

import assay
from assay.data import testbed
from assay.plan import Store

ROOT = Path(__file__).resolve().parent.parent
STUDY = """name: kills
base: pocket
pool: {testbed: {samples: 60, types: [classification, code]}}
evaluation: {testbed: {samples: 8, seed: 1, types: [classification, code]}}
ladder: {rungs: [16, 32], seeds: 2}
recipe: {preset: pocket, batch_size: 16}
measure: {max_new_tokens: 4}
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
search: {arm: long, evaluation: probe.jsonl, low: 8, high: 32, runs: 5}
where: {pool: inline, store: store, out: report}
"""
TIMED = ("hours", "seconds", "time")
"""Fields of JSON files that a clock decides."""
IN_FLIGHT = 16
"""At most so many calls are under way when a kill comes: the connections that are allowed."""
LOADED = (
    "assay", "deepspeed", "inspect_ai", "jieba", "llmcompressor", "numba", "peft", "safetensors.torch",
    "torch", "transformers.models.llama.modeling_llama",
)  # fmt: skip
NOT_LOADED = (
    "__",
    "_polars",
    "assay.__main__",
    "assay.data._columns_child",
    "chat_server",
    "faiss",
    "polars",
    "swig",
)
"""What forked runs need not load, and what does not survive a fork."""
ANEW = 10
"""Every so many runs one is a process of its own."""


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
    Verb(
        "study",
        ("study", "run", "study.yaml", "--pool", "inline"),
        ("report/points.csv",),
        "store",
        slow=True,
    ),
    Verb("workers", ("study", "run", "study.yaml"), ("report/points.csv",), "store", slow=True),
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
        ("select", "pool.jsonl", "--out", "b.jsonl", "--n", "50", "--by", "len_out"),
        ("b.jsonl",),
    ),
    Verb("train", ("train", "small.jsonl", "tuned"), ("tuned/model/model.safetensors",), slow=True),
    Verb(
        "answer",
        ("answer", "pocket", "items.jsonl", "a.jsonl", "--max-new-tokens", "12"),
        ("a.jsonl",),
        slow=True,
    ),
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
        ("generate", "--out", "g.jsonl", "--n", "16", "--seed", "3", *CHAT),
        ("g.jsonl",),
        paid=True,
        script="writer",
    ),
    Verb(
        "export",
        (
            "export",
            "pocket",
            "--out",
            "x",
            "--to",
            "merged",
            "--to",
            "gptq8",
            "--calibration",
            "items.jsonl",
            "--samples",
            "8",
            "--pool",
            "inline",
        ),
        ("x/merged/model.safetensors", "x/gptq8/model.safetensors"),
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
    sets = (("eval", 12, 1), ("items", 10, 3), ("trial", 10, 4), ("probe", 10, 5))
    for name, n, seed in (("pool", 300, 0), ("small", 120, 2), *sets):
        testbed(n, folder / f"{name}.jsonl", seed=seed)
    items = (folder / "eval.jsonl").read_text().splitlines()
    for name, words in (("given", ("GOOD", "FAIR", "BAD")), ("other", ("BAD", "GOOD"))):
        rows = [json.dumps({"answer": f"{words[k % len(words)]} {k}"}) for k in range(len(items))]
        (folder / f"{name}.jsonl").write_text("\n".join(rows) + "\n")
    # Items with an exact checker would not be asked about.
    plain = [{key: row[key] for key in row if key != "checker"} for row in map(json.loads, items)]
    (folder / "eval.jsonl").write_text("".join(json.dumps(row) + "\n" for row in plain))
    return folder


def load(names: Iterable[str]) -> None:
    """Load what forked runs then need not."""
    for name in names:
        if not name.startswith(NOT_LOADED):
            with suppress(Exception):
                importlib.import_module(name)


def warm(folder: Path) -> None:
    """Load libraries and the tables that they make at their first use."""
    load([*LOADED, *(name for _, name, _ in pkgutil.walk_packages(assay.__path__, "assay."))])
    importlib.import_module("jieba").initialize()
    testbed(20, folder / "few.jsonl")
    # It compiles nothing, but has numba read what it knows.
    assay.clean([str(folder / "few.jsonl")], out=folder / "clean.jsonl", pool="inline")
    if taken := {"faiss", "polars"} & sys.modules.keys():
        raise SystemExit(f"these do not survive a fork: {taken}")


class Forked:
    """A run of ``python -m assay`` forked from this process, with what is used of ``subprocess.Popen``."""

    def __init__(self, words: Sequence[str], folder: Path, said: Path) -> None:
        """Start it in a group of its own, with its errors in a file."""
        self.args, self._code = words, None
        self.pid = os.fork()
        if self.pid == 0:
            _become(words, folder, said)

    def poll(self) -> int | None:
        """Return the status once it has ended."""
        if self._code is None:
            found, status = os.waitpid(self.pid, os.WNOHANG)
            self._code = os.waitstatus_to_exitcode(status) if found else None
        return self._code

    def wait(self, timeout: float = 3600.0) -> int:
        """Wait for its end and return the status."""
        deadline = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(list(self.args), timeout)
            time.sleep(0.002)
        return code

    def send_signal(self, number: int) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)


def _become(words: Sequence[str], folder: Path, said: Path) -> NoReturn:
    """Be the command in this forked process, as ``python -m assay`` is; do not return."""
    code = 1
    # What this process tidies up at its end is not the command's to remove.
    weakref.finalize._registry.clear()  # type: ignore[attr-defined]
    try:
        os.setsid()
        os.chdir(folder)
        nothing = os.open(os.devnull, os.O_RDWR)
        errors = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for ours, theirs in ((nothing, 0), (nothing, 1), (errors, 2)):
            os.dup2(ours, theirs)
        sys.argv = ["assay", *words]
        runpy.run_module("assay", run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(bool(end.code))
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(BaseException):
            said.with_name("loaded.txt").write_text("\n".join(sorted(sys.modules)))
            atexit._run_exitfuncs()
            sys.stderr.flush()
        os._exit(code)


Run = Forked | subprocess.Popen[bytes]
_started = count(1)


def start(verb: Verb, folder: Path, server: str, anew: bool | None = None) -> Run:
    """Start a command in a group of its own; see ``said.txt`` for its errors."""
    words = [word.format(server=server) for word in verb.command]
    words += [] if verb.name == "annotate" else ["--quiet"]
    said = folder / "said.txt"
    if not (next(_started) % ANEW == 0 if anew is None else anew):
        return Forked(words, folder, said)
    with said.open("wb") as errors:
        return subprocess.Popen(
            [sys.executable, "-m", "assay", *words],
            cwd=folder, start_new_session=True, stdout=subprocess.DEVNULL, stderr=errors,
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


@dataclass(frozen=True, slots=True)
class Kill:
    """How far the work was when a kill came, from 0 to 1, and what was wrong after it; None: no kill came."""

    at: float | None
    wrong: str = ""


def moment(verb: Verb, span: float, rng: random.Random) -> float:
    """Return after how many seconds a run is killed; of what goes on where it was, mostly early."""
    return rng.uniform(0.0, span if not (verb.slow or verb.paid) or rng.random() < 0.25 else span / 3)


def finished(verb: Verb, folder: Path) -> int:
    """Return how many objects of a command's store are whole."""
    return sum(1 for _ in (folder / (verb.store or "")).glob("objects/*/*")) if verb.store else 0


def round_of_kills(trial: Trial, folder: Path, left: int, rng: random.Random, server: str) -> Iterator[Kill]:
    """Run one command to its end under fire; yield what each kill brought to light."""
    verb = trial.verb
    if verb.name == "annotate":
        yield from annotated(folder, left, trial.seconds, rng)
        return
    for _ in range(left):
        process, delay = start(verb, folder, server), moment(verb, trial.seconds, rng)
        try:
            code = process.wait(delay)
        except subprocess.TimeoutExpired:
            yield _killed(trial, process, folder, delay)
            continue
        if code != 0:
            yield Kill(None, f"status {code}")
        return
    if start(verb, folder, server).wait() != 0:
        yield Kill(None, "the last run failed")


def _killed(trial: Trial, process: Run, folder: Path, delay: float) -> Kill:
    """Kill a run and return what is wrong then."""
    verb = trial.verb
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    at = finished(verb, folder) / trial.objects if trial.objects else min(1.0, delay / trial.seconds)
    if lost := orphans(process.pid):
        return Kill(at, f"{lost} orphans")
    pairs = zip(verb.outputs, contents(verb, folder), trial.whole, strict=True)
    half = [name for name, a, b in pairs if a not in (None, b)]
    return Kill(at, f"half files: {half}" if half and not verb.store else "")


def annotated(folder: Path, left: int, span: float, rng: random.Random) -> Iterator[Kill]:
    """Label all items over HTTP while the server is killed, requests under way or not."""
    verb, done = next(verb for verb in VERBS if verb.name == "annotate"), 0
    items = len((folder / "eval.jsonl").read_text(encoding="utf-8").splitlines())
    while True:
        (folder / "said.txt").write_text("")
        process = start(verb, folder, "", anew=None if left > 0 else False)
        killer = threading.Timer(rng.uniform(0.0, span), os.kill, (process.pid, signal.SIGKILL))
        if left > 0:
            killer.start()
        if link := _link(process, folder / "said.txt"):
            done = label(link, done, items)
        if done == items:
            killer.cancel()
            process.send_signal(signal.SIGINT)
        code = process.wait()
        killer.cancel()
        if code != -signal.SIGKILL:
            if code not in (0, 130):
                yield Kill(None, f"status {code}")
            return
        left -= 1
        lost = orphans(process.pid)
        yield Kill(done / items, f"{lost} orphans" if lost else "")


def _link(process: Run, said: Path) -> str | None:
    """Return the link that an annotation server prints; None where it was killed before."""
    while not (found := re.findall(r"http://\S+/login\S+", text := said.read_text())) or "Ctrl-C" not in text:
        if (code := process.poll()) is not None:
            if code == -signal.SIGKILL:
                return None
            raise SystemExit(f"the annotation server did not start: {text}")
        time.sleep(0.02)
    return str(found[0])


def label(link: str, done: int, items: int) -> int:
    """Label items until the server is gone or all are; return how many labels were acknowledged in all."""
    import httpx

    base, _, token = link.partition("/login?token=")
    with suppress(httpx.TransportError), httpx.Client(base_url=base, headers={"origin": base}) as http:
        http.post("/login", data={"token": token, "name": "Ann"})
        while done < items:
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
    parser.add_argument("--most", type=int, default=12, help="kills per round")
    parser.add_argument(
        "--least", type=int, default=40, help="kills of each command before the quick ones go on"
    )
    options = parser.parse_args()
    names = (
        options.verbs.split(",")
        if options.verbs
        else [v.name for v in VERBS if not (options.quick and v.slow)]
    )
    verbs = [verb for verb in VERBS if verb.name in names]
    wanted = 3 * len(verbs) if options.quick else options.kills
    root = Path(tempfile.mkdtemp(prefix="assay-kills-"))
    os.environ["SCRIPTED_API_KEY"] = "sk-test"
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        warm(root)
        with scripted() as servers:
            trials = Trials(verbs, root, servers, options.log)
            trials.run(wanted, min(options.least, wanted // len(verbs)), options.most, options.seed)
    finally:
        shutil.rmtree(root, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class Trial:
    """A command and its uninterrupted run: seconds, what its files hold, objects of its store, calls."""

    verb: Verb
    seconds: float
    whole: list[object]
    objects: int
    asked: list[str]


class Trials:
    """Commands under fire: the least killed comes next, later the one that had least time."""

    def __init__(
        self, verbs: Sequence[Verb], root: Path, servers: Mapping[str, Server], log: Path | None
    ) -> None:
        """Count what the log has."""
        self.verbs, self.root, self.servers, self.log = verbs, root, servers, log
        self.kills: Counter[str] = Counter({verb.name: 0 for verb in verbs})
        self.trials: dict[str, Trial] = {}
        for line in log.read_text().splitlines() if log and log.exists() else ():
            row = json.loads(line)
            if row["verb"] in self.kills:
                self.kills[row["verb"]] += row["kills"]

    def run(self, wanted: int, least: int, most: int, seed: int) -> None:
        """Kill until all kills are used; exit with 1 at the first thing that is wrong."""
        inputs, began = prepare(self.root / "inputs"), time.monotonic()
        rng = random.Random(f"{seed} {self.kills.total()}")
        print("| command | alone | kills | orphans, half files, other results, corrupt objects, paid twice |")
        print("|---|---|---|---|", flush=True)
        # A round that no kill met counts as one here, so that a command that is too quick ends the loop too.
        turns = Counter(self.kills)
        while turns.total() < wanted:
            verb = min(self.verbs, key=lambda verb: self._turn(verb.name, turns[verb.name], least))
            found = self.round(verb, inputs, min(most, wanted - turns.total()), rng)
            turns[verb.name] += found or 1
        spent = time.monotonic() - began
        print(f"\n{self.kills.total()} kills, {dict(self.kills)}, {spent:.0f} s now: all identical")

    def _turn(self, name: str, kills: int, least: int) -> tuple[bool, float]:
        return kills >= least, kills * (1 if kills < least else self.trials[name].seconds + 0.3)

    def _alone(self, verb: Verb, inputs: Path) -> Trial:
        """Run a command twice: the second has what the first loaded."""
        first = self._uninterrupted(verb, inputs, "first")
        load((self.root / f"first-{verb.name}" / "loaded.txt").read_text().split("\n"))
        second = self._uninterrupted(verb, inputs, "whole")
        if first.whole != second.whole:
            raise SystemExit(f"{verb.name}: two uninterrupted runs differ")
        return second

    def _uninterrupted(self, verb: Verb, inputs: Path, name: str) -> Trial:
        folder, at = shutil.copytree(inputs, self.root / f"{name}-{verb.name}"), time.monotonic()
        server = self.servers[verb.script]
        before = len(server.asked())
        if verb.name == "annotate":
            bad = [kill.wrong for kill in annotated(folder, 0, 0.0, random.Random(0))]
        else:
            bad = ["failed"] if start(verb, folder, server.url, anew=False).wait() else []
        seconds, whole = time.monotonic() - at, contents(verb, folder)
        if bad or None in whole:
            said = (folder / "said.txt").read_text()
            raise SystemExit(f"{verb.name}: the uninterrupted command failed ({bad}): {said}")
        return Trial(verb, seconds, whole, finished(verb, folder), server.asked()[before:])

    def round(self, verb: Verb, inputs: Path, most: int, rng: random.Random) -> int:
        """Run a command to its end under fire and return how often it was killed."""
        if verb.name not in self.trials:
            self.trials[verb.name] = self._alone(verb, inputs)
        trial, server = self.trials[verb.name], self.servers[verb.script]
        folder, before = shutil.copytree(inputs, self.root / "round"), len(server.asked())
        found = list(round_of_kills(trial, folder, most, rng, server.url))
        wrong = [kill.wrong for kill in found if kill.wrong]
        if contents(verb, folder) != trial.whole:
            wrong.append("another result")
        if verb.store and Store(folder / verb.store, create=False).verify():
            wrong.append("corrupt objects")
        kills = [kill.at for kill in found if kill.at is not None]
        if verb.paid and (again := paid_twice(server.asked()[before:], trial.asked, len(kills))):
            wrong.append(f"{again} calls paid twice")
        self._write(verb, kills, wrong)
        if wrong:
            shutil.copytree(folder, kept := Path(tempfile.mkdtemp(prefix=f"assay-{verb.name}-")) / "round")
            raise SystemExit(f"{verb.name}: {wrong}, see {kept}")
        shutil.rmtree(folder)
        return len(kills)

    def _write(self, verb: Verb, kills: Sequence[float], wrong: Sequence[str]) -> None:
        self.kills[verb.name] += len(kills)
        said = "; ".join(wrong) or "none"
        print(f"| {verb.name} | {self.trials[verb.name].seconds:.1f} s | {len(kills)} | {said} |", flush=True)
        if self.log:
            row = {
                "verb": verb.name,
                "kills": len(kills),
                "wrong": list(wrong),
                "at": [round(at, 3) for at in kills],
            }
            with self.log.open("a") as log:
                log.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
