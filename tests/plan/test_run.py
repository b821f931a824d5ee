from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import toys

from assay.core import AssayError, speaking, stop_message
from assay.plan import Inline, Processes, Store, open_store, parse_pool, plan, run
from assay.plan._progress import Display


def contents(store: Store) -> dict[str, object]:
    return {key: store.manifest(key)["files"] for key in store.completed()}


def test_pools_give_the_same_objects(tmp_path: Path, place: str) -> None:
    stores = [Store(tmp_path / "inline"), open_store(place)]
    with Inline() as inline, Processes(2) as processes:
        for store, pool in zip(stores, (inline, processes), strict=True):
            report = run([toys.diamond()], store, pool)
            assert (report.done, report.cached) == (6, 0)
            assert run([toys.diamond()], store, pool).done == 0
    assert contents(stores[0]) == contents(stores[1])


def test_plan_counts_and_writes_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path / "s", create=False)
    total = plan([toys.diamond()], store).total
    assert (total.cached, total.to_do) == (0, 6)
    assert not (tmp_path / "s").exists()


def test_steps_that_only_cached_steps_need_are_not_run_again(place: str) -> None:
    store, end = open_store(place), toys.diamond()
    run([end], store, Inline())
    for upstream in end.inputs.values():
        store.discard(upstream.key)
    assert run([end], store, Inline()).done == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_what_is_trained_is_measured_while_the_rest_trains(tmp_path: Path, workers: int) -> None:
    """So curves form as rungs finish: the first size is measured before the last one is trained."""
    log = str(tmp_path / "log.txt")
    trained: list[Any] = []
    for size in range(6):
        trained.append(toys.step(f"train {size}", *trained[-1:], seconds=0.02, log=log))
    measured = [toys.step(f"measure {size}", one, log=log) for size, one in enumerate(trained)]
    with Inline() if workers == 1 else Processes(workers) as pool:
        run([toys.step("result", *measured, log=log)], Store(tmp_path / "store"), pool)
    begun = Path(log).read_text().split()
    assert begun.index(measured[0].key) < begun.index(trained[-1].key)


def test_what_another_process_works_at_is_left_to_it(place: str, tmp_path: Path) -> None:
    """Two processes, or machines, on one study share the work instead of waiting for each other."""
    store, log = open_store(place), tmp_path / "log"
    steps = [toys.step(number, log=str(log)) for number in range(4)]
    store.register("study", steps)
    begun, go = threading.Event(), threading.Event()

    def other() -> None:
        with store.attempt(steps[3].key):
            begun.set()
            go.wait(60)

    holder = threading.Thread(target=other)
    holder.start()
    begun.wait(60)
    releasing = threading.Thread(target=lambda: (wait_for_lines(log, 3), go.set()))
    releasing.start()
    run(steps[::-1], store, Inline())
    holder.join()
    assert log.read_text().split()[-1] == steps[3].key


def wait_for_lines(log: Path, count: int) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end and not (log.exists() and len(log.read_text().split()) >= count):
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("language", "said"),
    [("en", "1/2 steps, time left unknown: train run"), ("zh", "1/2 个步骤，剩余时间未知：训练 分支")],
)
def test_progress_is_said_in_the_language_of_the_study(
    language: str,
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("assay.plan._progress._PLAIN_SECONDS", 0.0)
    done, running = (replace(toys.step(i), name="train", label="run") for i in range(2))
    with Display([done, running], Store(tmp_path / "store")) as display, speaking(language):
        display.finished(done)
        display.refresh([running])
        display.refresh([])
    assert capsys.readouterr().err == f"{said}\n"


def test_a_failure_stops_only_what_needs_it(place: str) -> None:
    store = open_store(place)
    bad = toys.step("bad", call="fail")
    end = toys.step("end", bad, toys.step("good"))
    with pytest.raises(AssayError, match="ZeroDivisionError: one by nought") as caught:
        run([end], store, Inline())
    assert store.has(end.inputs["in1"].key)
    assert not store.has(end.key)
    assert "error.txt" in str(caught.value)
    assert "one by nought" in (store.work(bad.key) / "error.txt").read_text()


def test_an_error_of_the_user_keeps_its_parts_through_a_worker(tmp_path: Path) -> None:
    with Processes(1) as pool, pytest.raises(AssayError) as caught:
        run([toys.step("x", call="refuse")], Store(tmp_path), pool)
    assert (caught.value.place, caught.value.value, caught.value.expected) == ("x.y", 3, "4")


def test_a_killed_worker_is_replaced(place: str) -> None:
    store = open_store(place)
    step = toys.step("x", call="die_once")
    with Processes(2) as pool:
        run([step, toys.step("y", seconds=0.1)], store, pool)
    assert (store.path(step.key) / "part-0").read_text() == "survived"


@pytest.mark.parametrize("text", ["ray:auto,gpus=x", "processes:0", "processes:x", "inline:2", "threads"])
def test_unknown_pools_are_refused(text: str) -> None:
    with pytest.raises(AssayError) as caught:
        parse_pool(text)
    assert caught.value.place == "where.pool"


SCRIPT = """
import sys, toys
from pathlib import Path
from assay.plan import Processes, Store, run
if __name__ == "__main__":
    with Processes(2) as pool:
        run([toys.diamond(5, seconds=0.1)], Store(Path(sys.argv[1])), pool)
"""


def workers_of(group: int) -> list[int]:
    """Return the live processes of a process group."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] != "Z":
            found.append(int(folder.name))
    return found


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for orphans under /proc")
@pytest.mark.long
def test_kills_lose_nothing_and_leave_nobody(tmp_path: Path) -> None:
    script = tmp_path / "study.py"
    script.write_text(SCRIPT)
    random.seed(7)
    command = [sys.executable, str(script), str(tmp_path / "killed")]
    kills = 0
    for _ in range(30):
        process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
        try:
            assert process.wait(timeout=random.uniform(0.3, 0.8)) == 0
            break
        except subprocess.TimeoutExpired:
            # Only the parent: its workers have to notice by themselves.
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
            deadline = time.monotonic() + 5
            while workers_of(process.pid) and time.monotonic() < deadline:
                time.sleep(0.02)
            assert not workers_of(process.pid)
    else:
        assert subprocess.run(command, check=False).returncode == 0
    assert kills >= 2
    killed, whole = Store(tmp_path / "killed"), Store(tmp_path / "whole")
    run([toys.diamond(5, seconds=0.1)], whole, Inline())
    assert killed.verify() == []
    assert contents(killed) == contents(whole)


def test_one_worker_that_is_killed_again_and_again_fails_alone(tmp_path: Path) -> None:
    """As when one step needs more memory than there is: those beside it end well, whatever they shared."""
    store, log = Store(tmp_path / "s"), tmp_path / "log"
    siblings = [toys.step(f"s{i}", seconds=0.1, log=str(log)) for i in range(6)]
    with Processes(3) as pool, pytest.raises(AssayError, match="killed 3 times") as caught:
        run([*siblings, toys.step("greedy", call="die_always")], store, pool)
    assert "greedy" in (caught.value.place or "")
    assert all(store.has(step.key) for step in siblings)
    # Nobody was disturbed: each sibling ran once.
    assert sorted(log.read_text().split()) == sorted(step.key for step in siblings)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.ENAMETOOLONG])
def test_expected_failures_of_the_system_have_place_and_remedy(tmp_path: Path, number: int) -> None:
    with Processes(1) as pool, pytest.raises(AssayError) as caught:
        run([toys.step(number, call="fail_with")], Store(tmp_path), pool)
    assert caught.value.place and caught.value.hint and "Errno" not in str(caught.value)


def test_a_stopped_run_says_what_is_kept(place: str) -> None:
    store = open_store(place)
    with pytest.raises(KeyboardInterrupt) as caught:
        run([toys.step("b", toys.step("a"), call="interrupt")], store, Inline())
    assert "1 of 2 steps are finished and kept" in stop_message(caught.value, "")
    assert "run the same command" in stop_message(caught.value, "")
