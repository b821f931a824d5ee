"""What was asked, paid and answered: one SQLite file that several processes share.

Every call is entered before it is sent and settled, with its reply, in the transaction that ends it.  So a
kill loses no reply that had arrived, and what was in flight is known: it may have been paid, and counts as if
it were.  An entry belongs to an owner, whose lock the kernel frees when its process dies.
"""

from __future__ import annotations

import fcntl
import json
import os
import queue
import sqlite3
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar

from assay.core import AssayError, make_durable
from assay.llm._values import Budget, Reply, TokenChoice

T = TypeVar("T")

_TABLES = """
CREATE TABLE IF NOT EXISTS reply (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL, text TEXT NOT NULL, ended TEXT NOT NULL, tokens_in INTEGER,
    tokens_out INTEGER, cost REAL, seconds REAL NOT NULL, model TEXT NOT NULL, logprobs TEXT,
    at TEXT NOT NULL, asked TEXT, most_in INTEGER, most_out INTEGER);
CREATE INDEX IF NOT EXISTS reply_key ON reply (key, id);
CREATE TABLE IF NOT EXISTS open (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL, run TEXT NOT NULL, owner TEXT NOT NULL,
    tokens INTEGER NOT NULL, money REAL NOT NULL);
CREATE INDEX IF NOT EXISTS open_key ON open (key);
CREATE INDEX IF NOT EXISTS open_run ON open (run);
CREATE TABLE IF NOT EXISTS spent (
    run TEXT PRIMARY KEY, calls INTEGER NOT NULL, unknown INTEGER NOT NULL, tokens INTEGER NOT NULL,
    money REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS job (
    key TEXT NOT NULL, attempt INTEGER NOT NULL, run TEXT NOT NULL, tokens INTEGER NOT NULL,
    money REAL NOT NULL, settled INTEGER NOT NULL, PRIMARY KEY (key, attempt)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS job_run ON job (run);
"""
_ADDED = {"asked": "TEXT", "most_in": "INTEGER", "most_out": "INTEGER"}
"""Columns of replies that files of earlier versions lack: the model asked, and the most a call could take."""
_BATCH, _LATEST = 256, 1000
_SENT, _REST = 1, 0
"""Attempts of a job that is sent in parts: what of it was sent, and room for what was not yet."""

Refusal: TypeAlias = Literal["stored", "busy", "full", "never"]


@dataclass(frozen=True, slots=True)
class Use:
    """Tokens and money of a call, real or at most."""

    tokens: int
    money: float


class Ledger:
    """The calls file of a folder, as one owner sees it."""

    def __init__(self, folder: Path, run: str, budget: Budget) -> None:
        """Open (and make) ``folder/calls.sqlite``; spending counts under the name ``run``."""
        self._folder, self._run, self._budget = folder, run, budget
        self._owner = uuid.uuid4().hex
        try:
            (folder / "owners").mkdir(parents=True, exist_ok=True)
            self._lock = _locked(folder / "owners" / self._owner)
            self._reader = self._connect()
            _make_tables(self._reader)
        except (OSError, sqlite3.Error) as error:
            raise AssayError("the calls file cannot be opened", place=str(folder), value=str(error)) from None
        self._reading = threading.Lock()
        self._work: queue.SimpleQueue[tuple[Callable[[sqlite3.Connection], Any], Future[Any]] | None]
        self._work = queue.SimpleQueue()
        self._writer = threading.Thread(target=self._write, name="assay-calls", daemon=True)
        self._writer.start()
        self._do(self._sweep).result()

    def _connect(self) -> sqlite3.Connection:
        place = self._folder / "calls.sqlite"
        # Prompts and replies are the owner's alone; SQLite gives its other files the rights of this one.
        os.close(os.open(place, os.O_CREAT | os.O_RDWR, 0o600))
        made = sqlite3.connect(place, timeout=120, isolation_level=None, check_same_thread=False)
        make_durable(made)
        return made

    def close(self) -> None:
        """Finish what is queued and give up the owner's lock."""
        self._work.put(None)
        self._writer.join()
        self._reader.close()
        (self._folder / "owners" / self._owner).unlink(missing_ok=True)
        os.close(self._lock)

    def replies(self, key: str) -> list[Reply]:
        """Return all that was ever answered to a request, oldest first."""
        query = (
            "SELECT text, ended, tokens_in, tokens_out, cost, seconds, model, logprobs FROM reply "
            "WHERE key = ? ORDER BY id"
        )
        with self._reading:
            rows = self._reader.execute(query, (key,)).fetchall()
        return [_reply(key, row) for row in rows]

    def shares(self, asked: str) -> tuple[float, float, int]:
        """Return which share of the most that calls could take the latest ones took, and how many those are.

        Of tokens of prompts, and of replies; 1 and 1 where nothing is known of the model.
        """
        query = (
            "SELECT sum(tokens_in), sum(most_in), sum(tokens_out), sum(most_out), count(*) FROM (SELECT * "
            "FROM reply WHERE asked = ? AND tokens_in IS NOT NULL AND tokens_out IS NOT NULL "
            "ORDER BY id DESC LIMIT ?)"
        )
        with self._reading:
            found = self._reader.execute(query, (asked, _LATEST)).fetchone()
        read, most_in, written, most_out, count = found
        return (read / most_in, written / most_out, count) if most_in and most_out else (1.0, 1.0, 0)

    def total(self) -> Use:
        """Return what the run has spent, with what is in flight at its most."""
        with self._reading:
            return _total(self._reader, self._run)

    def take(self, key: str, known: int, most: Use) -> Future[int | Refusal]:
        """Enter a call that costs ``most`` at most: its number, or why it must not be sent now.

        ``stored``: there are more than the ``known`` replies by now; ``busy``: another process is asking;
        ``full``: it may fit once others in flight are settled; ``never``: it cannot fit.
        """

        def work(db: sqlite3.Connection) -> int | Refusal:
            if self._others(db, "key", key):
                return "busy"
            (stored,) = db.execute("SELECT count(*) FROM reply WHERE key = ?", (key,)).fetchone()
            if stored > known:
                return "stored"
            if not self._fits(_total(db, self._run), most):
                self._others(db, "run", self._run)
                if not self._fits(_total(db, self._run), most):
                    waiting = db.execute("SELECT 1 FROM open WHERE run = ?", (self._run,)).fetchone()
                    return "full" if waiting else "never"
            made = db.execute(
                "INSERT INTO open (key, run, owner, tokens, money) VALUES (?, ?, ?, ?, ?)",
                (key, self._run, self._owner, most.tokens, most.money),
            )
            return made.lastrowid or 0

        return self._do(work)

    def settle(
        self, number: int, use: Use, reply: Reply | None, bound: tuple[str, int, int] | None = None
    ) -> Future[None]:
        """End a call that was paid, with its reply; without one, ``use`` is what it cost at most.

        ``bound``: the model asked, and the most tokens of its prompt and reply, which is learned from.
        """

        def work(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM open WHERE id = ?", (number,))
            _add(db, self._run, use, unknown=reply is None or reply.tokens_out is None)
            if reply is not None:
                _keep(db, reply, bound)

        return self._do(work)

    def take_job(self, key: str, attempt: int, most: Use) -> Future[Literal["new", "known", "never"]]:
        """Enter a job that costs ``most`` at most; it stays entered, whoever dies, until it is settled.

        ``known``: it was entered before, so that it may have been sent; ``never``: it does not fit.
        """

        def work(db: sqlite3.Connection) -> Literal["new", "known", "never"]:
            found = db.execute("SELECT 1 FROM job WHERE key = ? AND attempt = ?", (key, attempt)).fetchone()
            if found:
                return "known"
            self._others(db, "run", self._run)
            if not self._fits(_total(db, self._run), most):
                return "never"
            row = (key, attempt, self._run, most.tokens, most.money)
            db.execute("INSERT INTO job VALUES (?, ?, ?, ?, ?, 0)", row)
            return "new"

        return self._do(work)

    def settle_job(self, key: str, attempt: int, use: Use | None) -> Future[None]:
        """Put down what a job cost in the end; None is its most.

        One that is not entered is entered now: another machine may have begun it.
        """

        def work(db: sqlite3.Connection) -> None:
            if use is None:
                db.execute("UPDATE job SET settled = 1 WHERE key = ? AND attempt = ?", (key, attempt))
                return
            db.execute(
                "INSERT INTO job VALUES (?, ?, ?, ?, ?, 1) ON CONFLICT (key, attempt) DO UPDATE SET "
                "tokens = excluded.tokens, money = excluded.money, settled = 1",
                (key, attempt, self._run, use.tokens, use.money),
            )

        return self._do(work)

    def free_job(self, key: str, attempt: int) -> Future[None]:
        """Take a job out that was never begun."""

        def work(db: sqlite3.Connection) -> None:
            query = "DELETE FROM job WHERE key = ? AND attempt = ? AND settled = 0"
            db.execute(query, (key, attempt))

        return self._do(work)

    def keep_rest(self, key: str, most: Use) -> Future[bool]:
        """Keep room for what a job that is sent in parts has yet to send; return whether there is as much.

        It takes the place of what was kept for the job before.
        """

        def work(db: sqlite3.Connection) -> bool:
            db.execute("DELETE FROM job WHERE key = ? AND attempt = ?", (key, _REST))
            self._others(db, "run", self._run)
            fits = self._fits(_total(db, self._run), most)
            if fits and most.tokens:
                row = (key, _REST, self._run, most.tokens, most.money)
                db.execute("INSERT INTO job VALUES (?, ?, ?, ?, ?, 0)", row)
            return fits

        return self._do(work)

    def send_part(self, key: str, part: Use) -> Future[Use]:
        """Count a part of a job as paid before it is sent, out of the room kept; return all that was sent."""

        def work(db: sqlite3.Connection) -> Use:
            db.execute(
                "UPDATE job SET tokens = max(tokens - ?, 0), money = max(money - ?, 0.0) "
                "WHERE key = ? AND attempt = ?", (part.tokens, part.money, key, _REST),
            )  # fmt: skip
            db.execute(
                "INSERT INTO job VALUES (?, ?, ?, ?, ?, 1) ON CONFLICT (key, attempt) DO UPDATE SET "
                "tokens = tokens + excluded.tokens, money = money + excluded.money",
                (key, _SENT, self._run, part.tokens, part.money),
            )
            query = "SELECT tokens, money FROM job WHERE key = ? AND attempt = ?"
            return Use(*db.execute(query, (key, _SENT)).fetchone())

        return self._do(work)

    def free(self, number: int) -> Future[None]:
        """End a call that cost nothing."""

        def work(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM open WHERE id = ?", (number,))

        return self._do(work)

    def _fits(self, spent: Use, most: Use) -> bool:
        tokens, money = self._budget.tokens, self._budget.money
        return (tokens is None or spent.tokens + most.tokens <= tokens) and (
            money is None or spent.money + most.money <= money
        )

    def _sweep(self, db: sqlite3.Connection) -> None:
        """Settle what dead owners left, and remove their locks."""
        for (run,) in db.execute("SELECT DISTINCT run FROM open").fetchall():
            self._others(db, "run", run)
        for path in list((self._folder / "owners").iterdir()):
            if path.name != self._owner:
                _is_alive(path)

    def _others(self, db: sqlite3.Connection, column: Literal["key", "run"], value: str) -> bool:
        """Whether a living owner has calls open there; those of the dead are settled at their most."""
        # The column is one of two literals.
        query = f"SELECT DISTINCT owner FROM open WHERE {column} = ?"  # noqa: S608
        alive = False
        for (owner,) in db.execute(query, (value,)).fetchall():
            if owner == self._owner or _is_alive(self._folder / "owners" / owner):
                alive = True
                continue
            rows = db.execute("SELECT run, tokens, money FROM open WHERE owner = ?", (owner,)).fetchall()
            for run, tokens, money in rows:
                _add(db, run, Use(tokens, money), unknown=True)
            db.execute("DELETE FROM open WHERE owner = ?", (owner,))
        return alive

    def _do(self, work: Callable[[sqlite3.Connection], T]) -> Future[T]:
        promise: Future[T] = Future()
        self._work.put((work, promise))
        return promise

    def _write(self) -> None:
        """Commit what has gathered, many at a time: one flush to disk serves all."""
        db = self._connect()
        while (first := self._work.get()) is not None:
            batch, last = [first], False
            while len(batch) < _BATCH and not self._work.empty():
                item = self._work.get()
                if item is None:
                    last = True
                    break
                batch.append(item)
            _commit(db, batch)
            if last:
                break
        db.close()


def _commit(
    db: sqlite3.Connection, batch: list[tuple[Callable[[sqlite3.Connection], Any], Future[Any]]]
) -> None:
    try:
        db.execute("BEGIN IMMEDIATE")
        results = [work(db) for work, _ in batch]
        db.execute("COMMIT")
    except Exception as error:
        if db.in_transaction:
            db.execute("ROLLBACK")
        problem = AssayError(
            "the calls file cannot be written", value=str(error), hint="check that the disk is not full"
        )
        for _, promise in batch:
            promise.set_exception(problem)
        return
    for (_, promise), result in zip(batch, results, strict=True):
        promise.set_result(result)


def _total(db: sqlite3.Connection, run: str) -> Use:
    settled = db.execute("SELECT tokens, money FROM spent WHERE run = ?", (run,)).fetchone() or (0, 0.0)
    query = "SELECT coalesce(sum(tokens), 0), coalesce(sum(money), 0.0) FROM open WHERE run = ?"
    flying = db.execute(query, (run,)).fetchone()
    # Jobs of fine-tuning count at their most until they have ended.
    jobs = db.execute(query.replace("FROM open", "FROM job"), (run,)).fetchone()
    parts = (settled, flying, jobs)
    return Use(sum(part[0] for part in parts), sum(part[1] for part in parts))


def _add(db: sqlite3.Connection, run: str, use: Use, *, unknown: bool) -> None:
    db.execute(
        "INSERT INTO spent VALUES (?, 1, ?, ?, ?) ON CONFLICT (run) DO UPDATE SET calls = calls + 1, "
        "unknown = unknown + excluded.unknown, tokens = tokens + excluded.tokens, "
        "money = money + excluded.money",
        (run, int(unknown), use.tokens, use.money),
    )


def _make_tables(db: sqlite3.Connection) -> None:
    """Make what a new file lacks, or one of an earlier version; others may be about to."""
    db.executescript(f"BEGIN IMMEDIATE;{_TABLES}")
    known = {row[1] for row in db.execute("PRAGMA table_info(reply)")}
    for name, kind in _ADDED.items():
        if name not in known:
            db.execute(f"ALTER TABLE reply ADD COLUMN {name} {kind}")
    db.execute("COMMIT")


def _keep(db: sqlite3.Connection, reply: Reply, bound: tuple[str, int, int] | None) -> None:
    choices = [[one.token, one.logprob, one.top] for one in reply.logprobs]
    db.execute(
        "INSERT INTO reply (key, text, ended, tokens_in, tokens_out, cost, seconds, model, logprobs, asked, "
        "most_in, most_out, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, "
        "strftime('%Y-%m-%dT%H:%M:%fZ'))",
        (
            reply.key, reply.text, reply.ended, reply.tokens_in, reply.tokens_out, reply.cost, reply.seconds,
            reply.model, json.dumps(choices, ensure_ascii=False) if choices else None,
            *(bound or (None, None, None)),
        ),
    )  # fmt: skip


def _reply(key: str, row: Any) -> Reply:
    text, ended, tokens_in, tokens_out, cost, seconds, model, logprobs = row
    choices = _choices(logprobs)
    return Reply(key, text, ended, tokens_in, tokens_out, cost, seconds, model, choices, cached=True)


def _choices(text: str | None) -> tuple[TokenChoice, ...]:
    rows = json.loads(text) if text else []
    return tuple(
        TokenChoice(token, logprob, tuple((other, value) for other, value in top))
        for token, logprob, top in rows
    )


def _locked(path: Path) -> int:
    while True:
        handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(handle, fcntl.LOCK_EX)
        # Another process may have swept the file away before it was locked.
        with suppress(FileNotFoundError):
            if path.stat().st_ino == os.fstat(handle).st_ino:
                return handle
        os.close(handle)


def _is_alive(path: Path) -> bool:
    try:
        handle = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        path.unlink(missing_ok=True)
        return False
    finally:
        os.close(handle)
