"""A command that is stopped says by what, what is kept, and how to go on; workers never outlive it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

CODE = """
import sys, time
from assay.core import keeping, stop_message, stop_status, stoppable
try:
    with stoppable(), keeping(lambda: "3 of 9 rows are kept; run the same command to go on"):
        print("now", flush=True)
        time.sleep(60)
except KeyboardInterrupt as stop:
    print(stop_message(stop, "nothing finished is lost"))
    sys.exit(stop_status(stop))
"""


@pytest.mark.parametrize(
    ("number", "name"), [(signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM"), (signal.SIGHUP, "SIGHUP")]
)
def test_each_signal_ends_with_what_is_kept(number: signal.Signals, name: str, hangups: None) -> None:
    process = subprocess.Popen([sys.executable, "-c", CODE], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "now\n"
    process.send_signal(number)
    said, _ = process.communicate()
    assert said == f"stopped by {name}: 3 of 9 rows are kept; run the same command to go on\n"
    assert process.returncode == 128 + number


def test_what_nohup_ignores_stays_ignored() -> None:
    code = CODE.replace(
        "import sys, time", "import sys, time, signal\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "now\n"
    process.send_signal(signal.SIGHUP)
    time.sleep(0.3)
    assert process.poll() is None
    process.terminate()
    assert process.wait() == 128 + signal.SIGTERM


WORKERS = """
import os, sys, time
from concurrent.futures import ProcessPoolExecutor
from assay.core import tie_to_parent
def work(_):
    os.write(1, b"%d\\n" % os.getpid())
    time.sleep(600)
if __name__ == "__main__":
    with ProcessPoolExecutor(3, initializer=tie_to_parent, initargs=(os.getpid(),)) as pool:
        list(pool.map(work, range(3)))
"""


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for orphans under /proc")
def test_workers_die_with_their_parent(tmp_path: Path) -> None:
    script = tmp_path / "work.py"
    script.write_text(WORKERS)
    process = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    workers = [int(process.stdout.readline()) for _ in range(3)]
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 5
    while (left := [w for w in workers if _lives(w)]) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not left


def _lives(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
