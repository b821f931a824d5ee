"""One study inline, by two processes, and by Ray on two nodes, one of which is then killed: the same objects?

    sudo python benchmarks/two_nodes.py

The nodes are network namespaces with an address and a CPU each, joined by a bridge to the head of the
cluster, which has no CPU for steps.  They see one disk, as a cluster must.  Needs root, ``ip`` and the extra
``ray``.
Processor time is that of everything that worked: of the command, and of Ray's own processes on both nodes.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import psutil
from two_machines import HOST, LADDER, NET, namespaces

from assay.plan import Store

PORT = 6399
CODE = """
import sys
from assay import study
from assay.plan import quiet
with quiet():
    study.run(sys.argv[1], pool=sys.argv[2])
"""
STUDY = f"name: nodes\n{LADDER}where: {{store: STORE, out: REPORT}}\n"


@contextmanager
def node(name: str, *arguments: str) -> Iterator[psutil.Process]:
    """Start a node of Ray in a namespace ("": in this one); whatever it started ends with it."""
    inside = ["ip", "netns", "exec", f"assay-{name}"] if name else []
    ray = [str(Path(sys.executable).with_name("ray")), "start", "--block", "--object-store-memory=150000000"]
    with subprocess.Popen([*inside, *ray, *arguments], stdout=subprocess.DEVNULL) as process:
        started = psutil.Process(process.pid)
        try:
            yield started
        finally:
            killed(started)


def killed(process: psutil.Process) -> None:
    """Kill a process and all that it started, its own first, so that nothing is told or put away."""
    for one in [process, *process.children(recursive=True)] if process.is_running() else ():
        one.send_signal(signal.SIGKILL)


@contextmanager
def cluster(folder: Path) -> Iterator[list[psutil.Process]]:
    """Start a head without a CPU and two nodes of one each; give the three."""
    with ExitStack() as stack:
        head = ["--head", f"--node-ip-address={HOST}", f"--port={PORT}", "--num-cpus=0"]
        nodes = [stack.enter_context(node("", *head, f"--temp-dir={folder}", "--include-dashboard=false"))]
        wait_for(lambda: alive() == 1)
        for number, name in enumerate("ab", start=2):
            own = [f"--address={HOST}:{PORT}", f"--node-ip-address={NET}.{number}", "--num-cpus=1"]
            nodes.append(stack.enter_context(node(name, *own)))
            wait_for(lambda number=number: alive() == number)  # type: ignore[misc]
        yield nodes


def alive() -> int:
    """Return how many nodes the head knows to live."""
    from ray._raylet import GcsClient

    with suppress(Exception):  # the head is not there yet
        known = GcsClient(address=f"{HOST}:{PORT}").get_all_node_info(timeout=2)
        return sum(one.state == 0 for one in known.values())
    return 0


def wait_for(there: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < end, "it does not come"
        time.sleep(0.1)


@contextmanager
def metered(nodes: list[psutil.Process]) -> Iterator[Callable[[], float]]:
    """Watch all that processes start, also what ends; give what tells its processor seconds from here on."""
    first, last, stop = dict[tuple[int, float], float](), dict[tuple[int, float], float](), threading.Event()

    def look() -> None:
        while not stop.wait(0.1):
            for process in [one for node in nodes for one in (node, *children(node))]:
                with suppress(psutil.Error):  # it has ended
                    key = process.pid, process.create_time()
                    last[key] = sum(process.cpu_times()[:2])
                    first.setdefault(key, last[key] if key[1] < began else 0.0)

    began, watcher = time.time(), threading.Thread(target=look)
    watcher.start()
    try:
        yield lambda: sum(list(last.values())) - sum(list(first.values()))
    finally:
        stop.set()
        watcher.join()


def children(process: psutil.Process) -> list[psutil.Process]:
    with suppress(psutil.Error):
        return process.children(recursive=True)
    return []


def contents(folder: Path) -> dict[str, Any]:
    """Return what is in every object of a store: digests of files, and JSON that tells times without them."""
    store = Store(folder)
    return {key: dict(plain(store.path(key), store.manifest(key)["files"])) for key in store.completed()}


def plain(place: Path, files: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, digest in files.items():
        if name in ("train.json", "report/result.json"):
            yield name, untimed(json.loads((place / name).read_text("utf-8")))
        elif name not in ("report/report.html", "report/report.md"):  # result.json in words
            yield name, digest


def untimed(value: Any) -> Any:
    """Return JSON without the fields of seconds and hours."""
    if isinstance(value, list):
        return [untimed(one) for one in value]
    if isinstance(value, dict):
        return {k: untimed(v) for k, v in value.items() if not k.endswith(("seconds", "hours"))}
    return value


def run(
    folder: Path,
    name: str,
    pool: str,
    nodes: Sequence[psutil.Process] = (),
    during: Callable[[Path], None] = lambda store: None,
) -> tuple[float, float]:
    """Run the study into a store of its own; return the seconds, and those of its processor time."""
    file, store = folder / f"{name}.yaml", folder / name
    written = STUDY.replace("STORE", str(store)).replace("REPORT", str(folder / f"{name}-report"))
    file.write_text(written, encoding="utf-8")
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-c", CODE, str(file), pool])
    with metered([psutil.Process(process.pid), *nodes]) as cpu:
        during(store)
        assert process.wait() == 0, f"the study {name} failed"
        return time.perf_counter() - began, cpu()


def by_ray(folder: Path, name: str, *, lost: bool = False) -> tuple[float, float]:
    """Run the study on a cluster of its own, of which a node is lost after a third of the steps."""

    def lose(store: Path) -> None:
        wait_for((store / "objects").is_dir)
        wait_for(lambda: len(Store(store).completed()) >= 30, 600)
        killed(nodes[2])

    with cluster(folder / f"{name}-session") as nodes:
        during = lose if lost else lambda store: None
        return run(folder, name, f"ray:{HOST}:{PORT}", nodes, during)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="inline alone")
    options = parser.parse_args()
    # Nobody else is on that bridge: no token, which a machine that has one would ask for.
    os.environ |= {"OMP_NUM_THREADS": "1", "RAY_AUTH_MODE": "disabled"}
    with tempfile.TemporaryDirectory(dir="/tmp") as temporary:
        folder = Path(temporary)
        jobs: dict[str, tuple[str, Callable[[str], tuple[float, float]]]] = {
            "inline": ("inline", lambda name: run(folder, name, "inline")),
            "processes": ("two processes", lambda name: run(folder, name, "processes:2")),
            "ray": ("Ray, two nodes", lambda name: by_ray(folder, name)),
            "lost": ("Ray, one of its two nodes killed", lambda name: by_ray(folder, name, lost=True)),
        }
        print("| pool | s | processor s | objects | equal to inline |\n|---|---|---|---|---|", flush=True)
        with nullcontext() if options.quick else namespaces("ab"):
            for name in ["inline"] if options.quick else jobs:
                title, job = jobs[name]
                seconds, cpu = job(name)
                found, first = contents(folder / name), contents(folder / "inline")
                same = "all" if found == first else sum(found.get(k) == v for k, v in first.items())
                print(f"| {title} | {seconds:.0f} | {cpu:.0f} | {len(found)} | {same} |", flush=True)


if __name__ == "__main__":
    main()
