"""Files appear whole, whoever writes them at once and whoever is killed."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from assay.core import partial_of, replacing

WRITE = """
import sys
from pathlib import Path
from assay.core import replacing
for _ in range(40):
    with replacing(Path(sys.argv[1])) as partial, partial.open("w") as lines:
        for _ in range(200):
            lines.write(sys.argv[2] * 100)
            lines.flush()
"""


def test_processes_that_write_one_file_at_once_all_end_well(tmp_path: Path) -> None:
    target = tmp_path / "out.jsonl"
    writers = [subprocess.Popen([sys.executable, "-c", WRITE, str(target), letter]) for letter in "abc"]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    text = target.read_text()
    assert len(text) == 20_000 and len(set(text)) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl"]


def test_threads_do_not_share_a_name(tmp_path: Path) -> None:
    names: list[Path] = []
    threads = [threading.Thread(target=lambda: names.append(partial_of(tmp_path / "x"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(names)) == 8


def test_what_the_killed_left_is_swept_and_what_lives_is_not(tmp_path: Path) -> None:
    target = tmp_path / "out"
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom assay.core import replacing\n"
        "with replacing(Path(sys.argv[1])) as p:\n"
        "    p.write_text('half')\n    print('now', flush=True)\n    time.sleep(60)"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", code, str(target)], stdout=subprocess.PIPE, text=True)
        for _ in "ab"
    ]
    for writer in writers:
        assert writer.stdout is not None and writer.stdout.readline() == "now\n"
    writers[0].send_signal(signal.SIGKILL)
    writers[0].wait()
    assert len(list(tmp_path.iterdir())) == 2
    with replacing(target) as partial:
        partial.write_text("whole")
        assert len(list(tmp_path.iterdir())) == 2  # our own, and that of the living
    assert target.read_text() == "whole"
    writers[1].kill()
    writers[1].wait()


@pytest.mark.parametrize("length", [1, 200, 255])
def test_long_names_have_a_partial_name_too(tmp_path: Path, length: int) -> None:
    with replacing(tmp_path / ("分" * (length // 3) + "x" * (length % 3))) as partial:
        partial.write_text("x")
        assert len(os.fsencode(partial.name)) <= 255
    assert len(list(tmp_path.iterdir())) == 1


def test_private_files_are_the_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with replacing(tmp_path / "calls.jsonl", private=True) as partial:
            partial.write_text("prompt")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "calls.jsonl").stat().st_mode) == 0o600


def test_a_block_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.write_text("old")
    with pytest.raises(ZeroDivisionError):
        _fail_within(target)
    assert target.read_text() == "old" and len(list(tmp_path.iterdir())) == 1


def _fail_within(target: Path) -> None:
    with replacing(target) as partial:
        partial.write_text("half")
        raise ZeroDivisionError
