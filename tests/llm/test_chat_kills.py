from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import chat_client
import pytest
from chat_client import MODEL, outcomes, questions, texts
from chat_server import Running, serving

from assay.llm import Budget, Chat


def start(server: Running, calls: Path, n: int, **options: Any) -> subprocess.Popen[str]:
    given = {"n": n, "url": server.url, "calls": str(calls), **options}
    command = [sys.executable, chat_client.__file__, json.dumps(given)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def wait_for(server: Running, answered: int) -> None:
    until = time.monotonic() + 60
    while len(server.answered_well()) < answered and time.monotonic() < until:
        time.sleep(0.02)


@pytest.mark.long
def test_kill_9(calls: Path) -> None:
    """What a killed process had told is never asked again; at most what was in flight is."""
    n, connections, kills = 240, 6, 3
    rng = random.Random(0)
    told: list[str] = []
    with serving(latency=0.03) as server:
        for kill in range(kills):
            process = start(server, calls, n, connections=connections, run="study")
            wait_for(server, (kill + 1) * n // (kills + 2) + rng.randrange(10))
            os.kill(process.pid, signal.SIGKILL)
            assert process.stdout is not None
            told += [line for line in process.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
            process.wait()
        assert len(told) > 0
        with Chat(MODEL, base_url=server.url, calls=calls, run="study", budget=Budget(10**9)) as chat:
            found = outcomes(chat, questions(n))
            assert len(texts(found)) == n
        well = server.answered_well()
        assert len(well) == n
        twice = sum(count - 1 for count in well.values())
        assert twice <= kills * connections
        # By key of the client: stored once each, and every one that was told was read from the file.
        with sqlite3.connect(calls / "calls.sqlite") as db:
            stored = Counter(key for (key,) in db.execute("SELECT key FROM reply"))
            spent = db.execute("SELECT tokens, unknown FROM spent WHERE run = 'study'").fetchone()
            open_calls = db.execute("SELECT count(*) FROM open").fetchone()[0]
        assert set(stored.values()) == {1} and len(stored) == n
        assert {line.split()[0] for line in told} <= set(stored)
        assert open_calls == 0 or open_calls <= kills * connections
        # The run counts what may have been paid: never less than the server did.
        assert spent[0] + open_calls * 10**4 >= server.tokens()


@pytest.mark.long
def test_killed_calls_count_against_the_cap(calls: Path) -> None:
    with serving(faults={"stall": 1.0}) as server:
        process = start(server, calls, 3, connections=3, run="study", budget={"tokens": 10**6})
        until = time.monotonic() + 60
        while server.kinds()["stall"] < 3 and time.monotonic() < until:
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert server.kinds()["stall"] == 3
    with serving() as server:
        with Chat(MODEL, base_url=server.url, calls=calls) as chat:
            most = chat.estimate(questions(3))
        left = Budget(tokens=most.tokens_in + most.tokens_out + 10)
        with Chat(MODEL, base_url=server.url, calls=calls, run="study", budget=left) as chat:
            assert texts(outcomes(chat, questions(3))) == {}
        with Chat(MODEL, base_url=server.url, calls=calls, run="afresh", budget=left) as chat:
            assert len(texts(outcomes(chat, questions(3)))) == 3


@pytest.mark.long
def test_two_processes_ask_each_question_once(calls: Path) -> None:
    n = 120
    with serving(latency=0.03) as server:
        both = [start(server, calls, n, run="study") for _ in range(2)]
        told = [process.communicate(timeout=120)[0].split() for process in both]
        assert [process.returncode for process in both] == [0, 0]
        assert all(one.count("Reply") == n for one in told)
        assert set(server.answered_well().values()) == {1} and len(server.log()) == n


@pytest.mark.long
def test_two_processes_share_a_cap(calls: Path) -> None:
    cap = 5000
    with serving(latency=0.02) as server:
        both = [start(server, calls, 150, run="study", budget={"tokens": cap}) for _ in range(2)]
        for process in both:
            out = process.communicate(timeout=120)[0]
            assert process.returncode == 0 and len(out.splitlines()) == 150
            assert "Reply" in out and "Failure" in out
        assert server.tokens() <= cap


def test_interrupt_keeps_what_is_in_flight(calls: Path) -> None:
    """Ctrl-C waits for the calls that are out, so that none is paid for nothing."""
    n = 200
    with serving(latency=0.2) as server:
        process = start(server, calls, n, connections=5)
        wait_for(server, 20)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        assert process.returncode != 0
        answered = len(server.answered_well())
        assert answered < n
        with sqlite3.connect(calls / "calls.sqlite") as db:
            assert db.execute("SELECT count(*) FROM reply").fetchone() == (answered,)
        with Chat(MODEL, base_url=server.url, calls=calls) as chat:
            assert len(texts(outcomes(chat, questions(n)))) == n
        assert set(server.answered_well().values()) == {1}
